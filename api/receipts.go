package api

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// receipt answers GET /receipts/:messageTxId?process-id with the JSON form of a receipt. It evaluates nothing.
func (s *server) receipt(c *gin.Context) {
	process, message, err := processAndMessage(c)
	if err != nil {
		fail(c, err)
		return
	}
	entry, err := s.Unit.Receipt(process, message)
	if err != nil {
		fail(c, err)
		return
	}
	body, err := entry.Receipt.MarshalJSON()
	if err != nil {
		fail(c, err)
		return
	}
	c.Data(http.StatusOK, contentJSON, body)
}

// head answers GET /receipts/head: where the log ends.
func (s *server) head(c *gin.Context) { c.JSON(http.StatusOK, s.Unit.Head()) }

// log answers GET /receipts/log with the log itself: all that a replay needs besides the models.
func (s *server) log(c *gin.Context) {
	contents := s.Unit.Contents()
	c.DataFromReader(http.StatusOK, contents.Size(), "application/octet-stream", contents,
		map[string]string{"Content-Disposition": `attachment; filename="receipts.log"`})
}
