package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/receipt"
)

const contentJSON = "application/json; charset=utf-8"

// identifier reads an id that a request names.
func identifier(what, text string) (ao.ID, error) {
	id, err := ao.ParseID(text)
	if err != nil {
		return id, fmt.Errorf("%s: %w: %w", what, cu.ErrInput, err)
	}
	return id, nil
}

// processAndMessage reads ?process-id and :messageTxId.
func processAndMessage(c *gin.Context) (process, message ao.ID, err error) {
	if process, err = identifier("process-id", c.Query("process-id")); err == nil {
		message, err = identifier("message", c.Param("messageTxId"))
	}
	return process, message, err
}

// result answers GET /result/:messageTxId?process-id with the canonical encoding of the result: the bytes that the receipt
// digests.
func (s *server) result(c *gin.Context) {
	process, message, err := processAndMessage(c)
	if err != nil {
		fail(c, err)
		return
	}
	patiently(s, c, process, message.String(), func(ctx context.Context) (*receipt.Entry, error) {
		return s.Unit.Result(ctx, process, message)
	}, func(entry *receipt.Entry) { c.Data(http.StatusOK, contentJSON, entry.Result) })
}
