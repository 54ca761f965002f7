package ao

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Result is what one evaluation gives back. Each field holds the bytes of the process, unchanged: two evaluations agree
// when these bytes agree.
type Result struct {
	Messages    json.RawMessage // array
	Assignments json.RawMessage // array
	Spawns      json.RawMessage // array
	Output      json.RawMessage // any value
	Error       json.RawMessage // any value; nil if the process did not fail
	GasUsed     int64
}

// ErrHandle says that the bytes that a module's handle function returned are not a result.
var ErrHandle = errors.New("not a result")

// ParseHandle reads what a module's handle function returned: {"ok":true,"response":{...}} or {"ok":false,"response":why}.
// Absent and null parts get their empty form; keys that a result does not have (Memory, Patches) are dropped.
// An Error that JavaScript takes for false is no error. Not ok is a Result whose Error is the response. An error wraps ErrHandle: the process is at fault, not the machine.
func ParseHandle(returned []byte) (Result, error) {
	envelope, err := members(returned)
	if err != nil {
		return Result{}, fmt.Errorf("%w: handle returned %q: %w", ErrHandle, clip(string(returned)), err)
	}
	if string(envelope["ok"]) != "true" {
		return Failed(orElse(envelope["response"], `"handle answered ok=false without a response"`)), nil
	}
	parts, err := members(envelope["response"])
	if err != nil {
		return Result{}, fmt.Errorf("%w: response %q: %w", ErrHandle, clip(string(envelope["response"])), err)
	}
	result := Result{
		Messages: orElse(parts["Messages"], `[]`), Assignments: orElse(parts["Assignments"], `[]`),
		Spawns: orElse(parts["Spawns"], `[]`), Output: orElse(parts["Output"], `""`), Error: orElse(parts["Error"], ""),
	}
	switch string(result.Error) {
	case `""`, "false", "0":
		result.Error = nil
	}
	return result, result.check()
}

// members reads a JSON object. A struct would also accept keys in another case, which JavaScript tells apart.
func members(object []byte) (members map[string]json.RawMessage, err error) {
	err = json.Unmarshal(object, &members)
	return members, err
}

// Failed is the result of an evaluation that gave nothing but an error. Why is JSON.
func Failed(why json.RawMessage) Result {
	empty := json.RawMessage(`[]`)
	return Result{Messages: empty, Assignments: empty, Spawns: empty, Output: json.RawMessage(`""`), Error: why}
}

// FailedText is Failed with a text for its error.
func FailedText(why string) Result { return Failed(AppendText(nil, why)) }

// AppendJSON appends the canonical encoding of r:
//
//	{"Messages":M,"Assignments":A,"Spawns":S,"Output":O,"GasUsed":G}
//	{"Messages":M,"Assignments":A,"Spawns":S,"Output":O,"GasUsed":G,"Error":E}
//
// M, A, S, O and E are the bytes of the process, G is decimal, and there is no other space. It is also the body of the
// answer to GET /result, so that anyone who has the answer has what was digested.
func (r Result) AppendJSON(to []byte) []byte {
	to = append(append(to, `{"Messages":`...), r.Messages...)
	to = append(append(to, `,"Assignments":`...), r.Assignments...)
	to = append(append(to, `,"Spawns":`...), r.Spawns...)
	to = append(append(to, `,"Output":`...), r.Output...)
	to = strconv.AppendInt(append(to, `,"GasUsed":`...), r.GasUsed, 10)
	if r.Error != nil {
		to = append(append(to, `,"Error":`...), r.Error...)
	}
	return append(to, '}')
}

// MarshalJSON gives the canonical encoding. The standard library compacts it and escapes <, > and & when r stands inside
// another value: for exact bytes use AppendJSON.
func (r Result) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), r.check() }

// Digest is the SHA-256 of the canonical encoding.
func (r Result) Digest() [sha256.Size]byte { return sha256.Sum256(r.AppendJSON(nil)) }

// ParseResult reads the canonical encoding back and refuses any other.
func ParseResult(encoded []byte) (Result, error) {
	parts, err := members(encoded)
	if err != nil {
		return Result{}, fmt.Errorf("result %q: %w", clip(string(encoded)), err)
	}
	gas, err := ParseInt("GasUsed", string(parts["GasUsed"]))
	if err != nil {
		return Result{}, fmt.Errorf("result %q: %w", clip(string(encoded)), err)
	}
	result := Result{parts["Messages"], parts["Assignments"], parts["Spawns"], parts["Output"], parts["Error"], gas}
	if err := result.check(); err != nil {
		return Result{}, err
	}
	if !bytes.Equal(result.AppendJSON(nil), encoded) {
		return Result{}, fmt.Errorf("result %q: not in its canonical encoding", clip(string(encoded)))
	}
	return result, nil
}

// check holds what AppendJSON relies on: every field is one JSON value, the first three are arrays.
func (r Result) check() error {
	for _, field := range [...]struct {
		name  string
		value json.RawMessage
		array bool
	}{
		{"Messages", r.Messages, true}, {"Assignments", r.Assignments, true}, {"Spawns", r.Spawns, true},
		{"Output", r.Output, false}, {"Error", orElse(r.Error, "null"), false},
	} {
		if !json.Valid(field.value) {
			return fmt.Errorf("%w: %s is not JSON: %q", ErrHandle, field.name, clip(string(field.value)))
		}
		if field.array && bytes.TrimLeft(field.value, " \t\r\n")[0] != '[' {
			return fmt.Errorf("%w: %s is not an array: %q", ErrHandle, field.name, clip(string(field.value)))
		}
	}
	return nil
}

func orElse(value json.RawMessage, empty string) json.RawMessage {
	if len(value) != 0 && string(value) != "null" {
		return value
	}
	if empty == "" {
		return nil
	}
	return json.RawMessage(empty)
}
