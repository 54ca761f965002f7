package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"verbatim/cu"
	"verbatim/cu/ao"
)

// Limits of a page of results.
const (
	resultsDefault = 25
	cronDefault    = 500
	resultsMax     = 1000 // longer pages are cut here, and say that there is more
)

// cursor is a place between two results, as clients hand it back: base64 of its JSON.
type cursor struct {
	Timestamp int64   `json:"timestamp"`
	Ordinate  string  `json:"ordinate"` // the nonce; of a cron message that of the assignment before it
	Cron      *string `json:"cron"`     // null: the message was assigned
	Sort      string  `json:"sort"`
}

func (c cursor) String() string {
	// Marshalling two strings and a number cannot fail.
	text, _ := json.Marshal(c)
	return base64.StdEncoding.EncodeToString(text)
}

// results answers GET /results/:processId?from&to&limit&sort with what was evaluated so far.
func (s *server) results(c *gin.Context) {
	s.page(c, resultsDefault, func(process ao.ID, query cu.Query) ([]cu.Evaluated, bool, error) {
		return s.Unit.Results(process, query)
	})
}

// cron answers GET /cron/:processId?from&to&limit with what the crons of a process have sent it by now, in ascending order.
func (s *server) cron(c *gin.Context) {
	s.page(c, cronDefault, func(process ao.ID, query cu.Query) ([]cu.Evaluated, bool, error) {
		return s.Unit.CronResults(c.Request.Context(), process, query)
	})
}

// page answers with a page of results.
func (s *server) page(c *gin.Context, limit int, find func(ao.ID, cu.Query) ([]cu.Evaluated, bool, error)) {
	process, err := identifier("process", c.Param("processId"))
	var query cu.Query
	if err == nil {
		query, err = parseQuery(c, limit)
	}
	var page []cu.Evaluated
	var more bool
	if err == nil {
		page, more, err = find(process, query)
	}
	if err != nil {
		fail(c, err)
		return
	}
	sort := "ASC"
	if query.Descending && limit != cronDefault {
		sort = "DESC"
	}
	body := strconv.AppendBool([]byte(`{"pageInfo":{"hasNextPage":`), more)
	body = append(body, `},"edges":[`...)
	for i, found := range page {
		if i > 0 {
			body = append(body, ',')
		}
		if body, err = appendEdge(body, found, sort); err != nil {
			fail(c, err)
			return
		}
	}
	c.Data(http.StatusOK, contentJSON, append(body, "]}"...))
}

// appendEdge appends {"node":{...},"cursor":"..."} with the bytes of the process unchanged.
func appendEdge(to []byte, found cu.Evaluated, sort string) ([]byte, error) {
	result, err := ao.ParseResult(found.Entry.Result)
	if err != nil {
		return nil, err
	}
	to = append(append(to, `{"node":{"Messages":`...), result.Messages...)
	to = append(append(to, `,"Assignments":`...), result.Assignments...)
	to = append(append(to, `,"Spawns":`...), result.Spawns...)
	to = append(append(to, `,"Output":`...), result.Output...)
	at := cursor{Timestamp: found.Timestamp, Ordinate: strconv.FormatInt(max(found.Nonce, 0), 10), Sort: sort}
	if found.Cron != "" {
		at.Cron = &found.Cron
	}
	return append(to, `},"cursor":"`+at.String()+`"}`...), nil
}

func parseQuery(c *gin.Context, limit int) (query cu.Query, err error) {
	query.Limit = limit
	if text := c.Query("limit"); text != "" {
		limit, err := ao.ParseInt("limit", text)
		if err != nil || limit == 0 {
			return query, fmt.Errorf("limit %.20q: %w: want a whole number of at least 1", text, cu.ErrInput)
		}
		query.Limit = int(min(limit, resultsMax))
	}
	order := c.Query("sort")
	for _, bound := range [...]struct {
		name string
		into **cu.Bound
	}{{"from", &query.From}, {"to", &query.To}} {
		if text := c.Query(bound.name); text != "" {
			var sort string
			if *bound.into, sort, err = parseBound(text); err != nil {
				return query, fmt.Errorf("%s %.60q: %w: %w", bound.name, text, cu.ErrInput, err)
			}
			if sort != "" {
				order = sort // a cursor goes on in its own direction
			}
		}
	}
	switch strings.ToUpper(order) {
	case "", "ASC":
	case "DESC":
		query.Descending = true
	default:
		return query, fmt.Errorf("sort %.20q: %w: want ASC or DESC", order, cu.ErrInput)
	}
	return query, nil
}

// parseBound reads a cursor, or a time in milliseconds.
func parseBound(text string) (bound *cu.Bound, sort string, err error) {
	if timestamp, err := ao.ParseInt("time", text); err == nil {
		return &cu.Bound{Nonce: -1, Timestamp: timestamp}, "", nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		raw, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	}
	var parsed struct {
		Timestamp int64           `json:"timestamp"`
		Ordinate  json.RawMessage `json:"ordinate"`
		Cron      string          `json:"cron"`
		Sort      string          `json:"sort"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &parsed)
	}
	if err != nil {
		return nil, "", fmt.Errorf("want a cursor or a time in milliseconds: %w", err)
	}
	bound = &cu.Bound{Nonce: -1, Cron: parsed.Cron, Timestamp: parsed.Timestamp}
	if len(parsed.Ordinate) != 0 {
		if bound.Nonce, err = ao.ParseInt("ordinate", strings.Trim(string(parsed.Ordinate), `"`)); err != nil {
			return nil, "", err
		}
	}
	return bound, parsed.Sort, nil
}
