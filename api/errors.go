package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"verbatim/cu"
)

var errNoRoute = fmt.Errorf("no such route: %w", cu.ErrNotFound)

// statusClientGone is logged, and seen by nobody: there is no one left to answer.
const statusClientGone = 499

// status chooses the HTTP status of an error. This is the only place that does.
func status(err error) int {
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, cu.ErrInput):
		return http.StatusBadRequest
	case errors.Is(err, cu.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, cu.ErrModule):
		return http.StatusUnprocessableEntity
	case errors.Is(err, cu.ErrDenied):
		return http.StatusForbidden
	case errors.Is(err, cu.ErrEarlier):
		return http.StatusTooEarly
	case errors.Is(err, errRate), errors.Is(err, cu.ErrCrowded):
		return http.StatusTooManyRequests
	case errors.Is(err, cu.ErrClosed), errors.Is(err, cu.ErrBusy), errors.Is(err, cu.ErrBehind):
		return http.StatusServiceUnavailable
	case errors.Is(err, cu.ErrUpstream):
		return http.StatusBadGateway
	case errors.Is(err, context.Canceled):
		return statusClientGone
	}
	return http.StatusInternalServerError
}

// fail answers with an error.
func fail(c *gin.Context, err error) {
	c.Abort()
	c.Error(err) // for the access log
	c.JSON(status(err), struct {
		Error string `json:"error"`
	}{err.Error()})
}
