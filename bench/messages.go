package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// evaluationWorkload is a kind of message, of which many are evaluated one after the other on one process.
type evaluationWorkload struct {
	name     string
	prepare  []string // code that is evaluated first
	action   string   // "" evaluates data as code
	data     func(i int) string
	messages int // that are timed; as many more as untimed come before
	untimed  int
}

// Code of the workloads. Each ends in a short string that depends on all that was computed.
const (
	codeTrivial = "return 1 + 1"
	codeLoop    = "local x = %d for i = 1, 2000000 do x = (x * 31 + i) %% 1000003 end return x"
	codeHandler = `local json = require("json")
Handlers.add("work", { Action = "Work" }, function (m)
  local order, sums, names = json.decode(m.Data), {}, {}
  for i, item in ipairs(order.items) do
    sums[item.name] = (sums[item.name] or 0) + item.price * item.count
    order.items[i].total = item.price * item.count
  end
  for name in pairs(sums) do names[#names + 1] = name end
  table.sort(names, function (a, b) return sums[a] > sums[b] or sums[a] == sums[b] and a < b end)
  table.sort(order.items, function (a, b) return a.total < b.total end)
  Received = (Received or 0) + 1
  m.reply({ Data = json.encode({ best = names[1], n = Received, items = order.items, sums = sums }) })
end)
return #Handlers.list`
)

// evaluationWorkloads are the rows that are measured with a process in memory; scale below 1 makes them shorter.
func evaluationWorkloads(scale float64) []evaluationWorkload {
	times := func(n int) int { return max(2, int(math.Round(scale*float64(n)))) }
	return []evaluationWorkload{
		{name: "Eval return 1 + 1", data: func(int) string { return codeTrivial }, messages: times(300), untimed: times(30)},
		{name: "Eval of 2 million turns of a loop", data: func(i int) string { return fmt.Sprintf(codeLoop, i) }, messages: times(20), untimed: 2},
		{name: "handler: JSON, pairs, sort", prepare: []string{codeHandler}, action: "Work", data: order, messages: times(100), untimed: times(10)},
	}
}

// order is a JSON object of a hundred items.
func order(i int) string {
	var b strings.Builder
	b.WriteString(`{"items":[`)
	for n := range 100 {
		if n > 0 {
			b.WriteByte(',')
		}
		k := i*100 + n
		fmt.Fprintf(&b, `{"name":"item-%d","price":%d,"count":%d,"note":"a line of text, number %d"}`, k*7919%37, k*31%997, 1+k%9, k)
	}
	b.WriteString(`]}`)
	return b.String()
}

const (
	benchProcess = "BenchProcess000000000000000000000000000000A"
	benchOwner   = "BenchOwner00000000000000000000000000000000A"
	benchOther   = "BenchStranger00000000000000000000000000000A"
	benchModule  = "BenchModule0000000000000000000000000000000A"
)

type benchTag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// benchMessage is a message as a compute unit hands it to a module.
type benchMessage struct {
	ID          string     `json:"Id"`
	Owner       string     `json:"Owner"`
	From        string     `json:"From"`
	Target      string     `json:"Target"`
	Anchor      string     `json:"Anchor"`
	Tags        []benchTag `json:"Tags"`
	Data        string     `json:"Data"`
	Module      string     `json:"Module"`
	Timestamp   int64      `json:"Timestamp"`
	BlockHeight int64      `json:"Block-Height"`
	Nonce       int        `json:"Nonce"`
	Epoch       int        `json:"Epoch"`
	Cron        bool       `json:"Cron"`
}

func message(nonce int, from, kind, action, data string) []byte {
	m := benchMessage{ID: fmt.Sprintf("BenchMessage%030dA", nonce), Owner: from, From: from, Target: benchProcess, Anchor: "0",
		Data: data, Module: benchModule, Timestamp: 1700000000000 + int64(nonce)*1000, BlockHeight: 1300000 + int64(nonce), Nonce: nonce}
	m.Tags = []benchTag{{"Data-Protocol", "ao"}, {"Variant", "ao.TN.1"}, {"Type", kind}}
	if action != "" {
		m.Tags = append(m.Tags, benchTag{"Action", action})
	}
	if kind == "Process" {
		m.ID = benchProcess
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // both sides get the bytes that JSON.stringify makes
	if err := encoder.Encode(m); err != nil {
		panic("bench: internal error: " + err.Error())
	}
	return bytes.TrimSpace(text.Bytes())
}

// lines are the messages of a workload as JSON, and how many of them are not timed.
func (w evaluationWorkload) lines() (lines [][]byte, untimed int) {
	lines = append(lines, message(0, benchOwner, "Process", "", "a process to measure"))
	for _, code := range w.prepare {
		lines = append(lines, message(len(lines), benchOwner, "Message", "Eval", code))
	}
	untimed = len(lines) + w.untimed
	for i := range w.untimed + w.messages {
		from, action := benchOther, w.action
		if action == "" {
			from, action = benchOwner, "Eval"
		}
		lines = append(lines, message(len(lines), from, "Message", action, w.data(i)))
	}
	return lines, untimed
}

// benchEnv is the second argument of handle.
func benchEnv(format string) []byte {
	return fmt.Appendf(nil, `{"Process":{"Id":%q,"Owner":%q,"Tags":[{"name":"Name","value":"bench"}]},`+
		`"Module":{"Id":%q,"Owner":%q,"Tags":[{"name":"Module-Format","value":%q}]}}`,
		benchProcess, benchOwner, benchModule, benchOwner, format)
}
