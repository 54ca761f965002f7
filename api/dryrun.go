package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"verbatim/cu"
	"verbatim/cu/ao"
)

// dryRunAge is how old the memory of a dry run may be if the client does not say, as in the reference.
const dryRunAge = 100 * time.Millisecond

var errRate = errors.New("Rate limit exceeded")

// dryRun answers POST /dry-run?process-id&to with the result of a message that nobody assigned.
func (s *server) dryRun(c *gin.Context) {
	process, err := identifier("process-id", c.Query("process-id"))
	options := cu.DryRunOptions{Age: dryRunAge}
	to := c.Query("to")
	if err == nil && to != "" {
		options.After, err = identifier("to", to)
	}
	if age := c.GetHeader("x-max-age"); err == nil && age != "" {
		var milliseconds int64
		if milliseconds, err = ao.ParseInt("x-max-age", age); err != nil {
			err = fmt.Errorf("%w: %w", cu.ErrInput, err)
		}
		options.Age = time.Duration(min(milliseconds, int64(time.Hour/time.Millisecond))) * time.Millisecond
	}
	if err != nil {
		fail(c, err)
		return
	}
	forget, ok := s.dryRuns.admit(c.ClientIP(), time.Now())
	if !ok {
		fail(c, errRate)
		return
	}
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		fail(c, fmt.Errorf("read the body: %w", err))
		return
	}
	if to == "" {
		to = "latest"
	}
	patiently(s, c, process, to, func(ctx context.Context) (ao.Result, error) {
		result, known, err := s.Unit.DryRun(ctx, process, body, options)
		if known {
			forget()
		}
		return result, err
	}, func(result ao.Result) { c.Data(http.StatusOK, contentJSON, result.AppendJSON(nil)) })
}
