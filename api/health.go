package api

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// health answers GET /health: 200 while new messages can be answered, 503 with the reason otherwise.
func (s *server) health(c *gin.Context) {
	answer := struct {
		Status string `json:"status"`
		Error  string `json:"error,omitempty"`
	}{Status: "ok"}
	if err := s.Unit.Health(); err != nil {
		answer.Status, answer.Error = "failing", err.Error()
		c.JSON(http.StatusServiceUnavailable, answer)
		return
	}
	c.JSON(http.StatusOK, answer)
}
