package api

import (
	"fmt"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"verbatim/cu"
)

// dryRun answers POST /dry-run?process-id with the result of a message that nobody assigned.
func (s *server) dryRun(c *gin.Context) {
	process, err := identifier("process-id", c.Query("process-id"))
	if err == nil && c.Query("to") != "" {
		err = errPast
	}
	if err != nil {
		fail(c, err)
		return
	}
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		fail(c, fmt.Errorf("read the body: %w", err))
		return
	}
	result, _, err := s.Unit.DryRun(c.Request.Context(), process, body, cu.DryRunOptions{})
	if err != nil {
		fail(c, err)
		return
	}
	c.Data(http.StatusOK, contentJSON, result.AppendJSON(nil))
}
