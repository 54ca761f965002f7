package api

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// observe counts and logs each request.
func (s *server) observe(c *gin.Context) {
	s.Metrics.requests.Inc()
	defer s.Metrics.requests.Dec()
	start := time.Now()
	c.Next()
	took := time.Since(start)
	route := c.FullPath()
	if route == "" {
		route = "none" // whatever strangers ask for must not become a label each
	}
	code := c.Writer.Status()
	method := c.Request.Method
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions:
	default:
		method = "other" // the same of methods that strangers make up
	}
	s.Metrics.requestSeconds.WithLabelValues(method, route, strconv.Itoa(code)).Observe(took.Seconds())
	group := strconv.Itoa(code/100) + "xx"
	s.Metrics.aoSeconds.WithLabelValues(method, route, strconv.Itoa(code), group).Observe(took.Seconds())
	s.Metrics.aoSummary.WithLabelValues(method, route, strconv.Itoa(code), group).Observe(took.Seconds())
	attributes := []any{"method", c.Request.Method, "path", c.Request.URL.Path, "status", code, "duration", took}
	switch {
	case code >= http.StatusInternalServerError:
		s.Logger.Error("request", append(attributes, "error", c.Errors.String())...)
	default:
		s.Logger.Debug("request", attributes...)
	}
}

// survive turns a panic into an answer and a log line.
func (s *server) survive(c *gin.Context) {
	defer func() {
		if bug := recover(); bug != nil {
			s.Logger.Error("bug", "path", c.Request.URL.Path, "panic", bug, "stack", string(debug.Stack()))
			fail(c, fmt.Errorf("internal error: %v", bug))
		}
	}()
	limit := int64(BodyBytesMax)
	if s.Delivered != nil && c.Request.URL.Path == "/state" {
		limit = StateBytesMax
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, limit)
	c.Next()
}

// allowOrigins lets pages of any origin ask, as the reference does: there is nothing here that a cookie protects.
func allowOrigins(c *gin.Context) {
	header := c.Writer.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	if c.Request.Method == http.MethodOptions {
		header.Set("Access-Control-Allow-Methods", "GET,POST,OPTIONS")
		header.Set("Access-Control-Allow-Headers", "*")
		c.AbortWithStatus(http.StatusNoContent)
	}
}
