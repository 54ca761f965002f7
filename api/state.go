package api

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"verbatim/cu"
)

// errPast refuses ?to: the unit keeps the memory after the latest message and no older one.
var errPast = fmt.Errorf("to: %w: only the latest memory can be asked for", cu.ErrInput)

// state answers GET /state/:pid with the memory of a process after its latest message.
func (s *server) state(c *gin.Context) {
	process, err := identifier("process", c.Param("pid"))
	if err == nil && c.Query("to") != "" {
		err = errPast
	}
	if err != nil {
		fail(c, err)
		return
	}
	state, err := s.Unit.Memory(c.Request.Context(), process, 0)
	if err != nil {
		fail(c, err)
		return
	}
	c.Header("Last-Timestamp", strconv.FormatInt(state.Timestamp, 10))
	c.Header("Last-Ordinate", strconv.FormatInt(state.Nonce, 10))
	c.Header("Last-Block-Height", strconv.FormatInt(state.BlockHeight, 10))
	c.Data(http.StatusOK, "application/octet-stream", state.Memory)
}
