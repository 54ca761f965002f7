package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"verbatim/cu"
	"verbatim/cu/ao"
)

// state answers GET /state/:processId?to with the memory of a process after its latest message, or after its last message
// that is not later than a time.
func (s *server) state(c *gin.Context) {
	process, err := identifier("process", c.Param("processId"))
	var until int64
	to := c.Query("to")
	if err == nil && to != "" {
		if until, err = ao.ParseInt("to", to); err != nil || until == 0 {
			err = fmt.Errorf("to %.60q: %w: want a time in milliseconds", to, cu.ErrInput)
		}
	}
	if err != nil {
		fail(c, err)
		return
	}
	if to == "" {
		to = "latest"
	}
	patiently(s, c, process, to, func(ctx context.Context) (cu.State, error) {
		return s.Unit.Memory(ctx, process, until)
	}, func(state cu.State) {
		c.Header("Last-Timestamp", strconv.FormatInt(state.Timestamp, 10))
		c.Header("Last-Ordinate", strconv.FormatInt(max(state.Nonce, 0), 10))
		c.Header("Last-Block-Height", strconv.FormatInt(state.BlockHeight, 10))
		c.Header("Content-Type", "application/octet-stream")
		c.Header("Content-Length", strconv.Itoa(state.Memory.Size()))
		c.Status(http.StatusOK)
		_, _ = state.Memory.WriteTo(c.Writer) // a client that has gone hears of nothing
	})
}
