package inference

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"verbatim/inference/grammar"
	"verbatim/inference/sampler"
	"verbatim/inference/transcript"
	"verbatim/models"
)

// Limits and defaults of a request: REQUEST.md.
const (
	RequestBytesMax         = 1 << 20
	ModelBytesMax           = 256
	MaxTokensMax            = 1 << 20
	MaxTokensDefault        = 128
	RepetitionWindowDefault = 64
)

// Codes of a RequestError.
const (
	CodeBadRequest      = "bad_request"       // not the JSON of a request
	CodeBadParameter    = "bad_parameter"     // a parameter out of its range
	CodeModelNotFound   = "model_not_found"   // for whoever chooses the model
	CodeNoChatTemplate  = "no_chat_template"  // messages for a model that cannot chat
	CodePromptTooLong   = "prompt_too_long"   // no room in the context window
	CodeNonFiniteLogits = "non_finite_logits" // the model gave NaN or infinity
	CodeRefused         = "refused"           // another reason, in the message
)

// RequestError is an outcome: this request has no answer, whoever computes it. Any other error is a failure of the machine.
type RequestError struct {
	Code    string
	Message string
}

// Error is the code, a colon and the message.
func (e *RequestError) Error() string { return e.Code + ": " + e.Message }

func refuse(code, format string, args ...any) *RequestError {
	return &RequestError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Request asks a model for a text. Start from NewRequest.
type Request struct {
	Model     string // which model, in the words of whoever chooses the engine; "" for that one's default
	Prompt    string
	Turns     []models.Turn // a chat instead of a prompt, if not nil
	MaxTokens int
	Sampling  sampler.Parameters
	Stop      []string
	Schema    string // JSON schema that the text is held to, without white space between its parts; "": none

	// Logprobs asks the Completion for this many alternatives per token. It is no part of the JSON form nor of the digest,
	// since it changes nothing of the answer.
	Logprobs int
}

// NewRequest is a request with the defaults: greedy, MaxTokensDefault tokens.
func NewRequest(prompt string) Request {
	r := Request{Prompt: prompt, MaxTokens: MaxTokensDefault, Sampling: sampler.Greedy()}
	r.Sampling.RepetitionWindow = RepetitionWindowDefault
	return r
}

// ParseRequest reads the JSON form of REQUEST.md. Unknown, repeated and null fields are refused by name. The error is a
// *RequestError.
func ParseRequest(data []byte) (Request, error) {
	r := NewRequest("")
	if len(data) > RequestBytesMax {
		return r, refuse(CodeBadRequest, "the request has %d bytes: at most %d", len(data), RequestBytesMax)
	}
	if !utf8.Valid(data) {
		return r, refuse(CodeBadRequest, "the request is not UTF-8")
	}
	fields, err := objectFields(data)
	if err != nil {
		return r, err
	}
	prompt := false
	for _, field := range fields {
		if field.name == "prompt" {
			prompt = true
		}
		if err := r.set(field.name, field.value); err != nil {
			return r, err
		}
	}
	if prompt && r.Turns != nil {
		return r, refuse(CodeBadRequest, "both prompt and messages are given: one of them is needed")
	}
	if !prompt && r.Turns == nil {
		return r, refuse(CodeBadRequest, "neither prompt nor messages are given: one of them is needed")
	}
	return r, r.Check()
}

// jsonField is one member of a JSON object.
type jsonField struct {
	name  string
	value json.RawMessage
}

// objectFields reads one JSON object and nothing after it, in order, and refuses repeated names.
func objectFields(data []byte) ([]jsonField, error) {
	// The words of the JSON parser may change with Go, and a process can see them: they stay out.
	notJSON := refuse(CodeBadRequest, "not a JSON object")
	decoder := json.NewDecoder(bytes.NewReader(data))
	if begin, err := decoder.Token(); err != nil {
		return nil, notJSON
	} else if begin != json.Delim('{') {
		return nil, refuse(CodeBadRequest, "not a JSON object: it begins with %+.40q", fmt.Sprint(begin))
	}
	var fields []jsonField
	seen := map[string]bool{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, notJSON
		}
		field := jsonField{name: key.(string)} // the decoder lets nothing else be a key
		if err := decoder.Decode(&field.value); err != nil {
			return nil, notJSON
		}
		if seen[field.name] {
			return nil, refuse(CodeBadRequest, "field %+.40q appears twice", field.name)
		}
		seen[field.name] = true
		fields = append(fields, field)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, notJSON
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, refuse(CodeBadRequest, "something follows the JSON object")
	}
	return fields, nil
}

// set reads one field. Ranges are left to Check.
func (r *Request) set(name string, value json.RawMessage) (err error) {
	switch name {
	case "model":
		r.Model, err = text(name, value)
	case "prompt":
		r.Prompt, err = text(name, value)
	case "messages":
		r.Turns, err = turns(value)
	case "max_tokens":
		var n uint64
		n, err = integer(name, value, 1, MaxTokensMax)
		r.MaxTokens = int(n)
	case "temperature":
		r.Sampling.Temperature, err = float(name, value)
	case "top_p":
		r.Sampling.TopP, err = float(name, value)
	case "top_k":
		var n uint64
		n, err = integer(name, value, 0, math.MaxInt32)
		r.Sampling.TopK = uint32(n)
	case "min_p":
		r.Sampling.MinP, err = float(name, value)
	case "repetition_penalty":
		r.Sampling.RepetitionPenalty, err = float(name, value)
	case "repetition_window":
		var n uint64
		n, err = integer(name, value, 0, sampler.RepetitionWindowMax)
		r.Sampling.RepetitionWindow = uint32(n)
	case "seed":
		r.Sampling.Seed, err = seed(value)
	case "stop":
		r.Stop, err = stops(value)
	case "schema":
		if value[0] != '{' {
			return refuse(CodeBadParameter, "schema is %.40s: it must be an object", value)
		}
		r.Schema = compacted(string(value))
	default:
		err = refuse(CodeBadRequest, "unknown field %+.40q", name)
	}
	return err
}

// compacted is JSON without white space between its parts, the empty text if it is not JSON.
func compacted(value string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(value)); err != nil {
		return ""
	}
	return b.String()
}

func text(name string, value json.RawMessage) (string, error) {
	var s string
	if value[0] != '"' || json.Unmarshal(value, &s) != nil {
		return "", refuse(CodeBadParameter, "%s is %.40s: it must be a string", name, value)
	}
	return s, nil
}

func integer(name string, value json.RawMessage, minimum, maximum uint64) (uint64, error) {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil || n < minimum || n > maximum {
		return 0, refuse(CodeBadParameter, "%s is %.40s: it must be an integer from %d to %d", name, value, minimum, maximum)
	}
	return n, nil
}

func float(name string, value json.RawMessage) (float32, error) {
	f, err := strconv.ParseFloat(string(value), 32)
	if err != nil || value[0] == '"' {
		return 0, refuse(CodeBadParameter, "%s is %.40s: it must be a number that a float32 can hold", name, value)
	}
	return float32(f), nil
}

// seed is an integer or, for languages whose numbers hold only 53 bits, an integer in a string.
func seed(value json.RawMessage) (uint64, error) {
	digits := value
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		digits = value[1 : n-1]
	}
	return integer("seed", digits, 0, math.MaxUint64)
}

// stops is one stop string or a list of them.
func stops(value json.RawMessage) ([]string, error) {
	if value[0] == '"' {
		stop, err := text("stop", value)
		return []string{stop}, err
	}
	var list []json.RawMessage
	if value[0] != '[' || json.Unmarshal(value, &list) != nil {
		return nil, refuse(CodeBadParameter, "stop is %.40s: it must be a string or a list of strings", value)
	}
	var out []string
	for i, item := range list {
		stop, err := text(fmt.Sprintf("stop[%d]", i), item)
		if err != nil {
			return nil, err
		}
		out = append(out, stop)
	}
	return out, nil
}

// turns are the messages of a chat, each {"role": ..., "content": ...}.
func turns(value json.RawMessage) ([]models.Turn, error) {
	var list []json.RawMessage
	if value[0] != '[' || json.Unmarshal(value, &list) != nil {
		return nil, refuse(CodeBadParameter, "messages is %.40s: it must be a list", value)
	}
	out := make([]models.Turn, len(list))
	for i, item := range list {
		name := fmt.Sprintf("messages[%d]", i)
		fields, err := objectFields(item)
		if err != nil {
			return nil, refuse(CodeBadRequest, "%s: %s", name, err.(*RequestError).Message)
		}
		for _, field := range fields {
			switch field.name {
			case "role":
				var role string
				role, err = text(name+".role", field.value)
				out[i].Role = models.Role(role)
			case "content":
				out[i].Content, err = text(name+".content", field.value)
			default:
				err = refuse(CodeBadRequest, "%s: unknown field %+.40q", name, field.name)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// Check refuses what no model can answer. The error is a *RequestError.
func (r *Request) Check() error {
	if err := r.Sampling.Check(); err != nil {
		return refuse(CodeBadParameter, "%v", err)
	}
	if err := transcript.CheckStops(r.Stop); err != nil {
		return refuse(CodeBadParameter, "%v", err)
	}
	switch {
	case len(r.Model) > ModelBytesMax:
		return refuse(CodeBadParameter, "model has %d bytes: at most %d", len(r.Model), ModelBytesMax)
	case r.MaxTokens < 1 || r.MaxTokens > MaxTokensMax:
		return refuse(CodeBadParameter, "max_tokens is %d: it must be from 1 to %d", r.MaxTokens, MaxTokensMax)
	case r.Logprobs < 0 || r.Logprobs > sampler.LogprobsMax:
		return refuse(CodeBadParameter, "logprobs is %d: it must be from 0 to %d", r.Logprobs, sampler.LogprobsMax)
	case len(r.Prompt) > RequestBytesMax:
		return refuse(CodeBadParameter, "prompt has %d bytes: at most %d", len(r.Prompt), RequestBytesMax)
	case r.Turns != nil && (len(r.Turns) == 0 || len(r.Turns) > models.TurnsMax):
		return refuse(CodeBadParameter, "messages has %d entries: 1 to %d", len(r.Turns), models.TurnsMax)
	}
	if r.Schema != "" {
		if _, err := grammar.Compile([]byte(r.Schema)); err != nil {
			return refuse(CodeBadParameter, "%v", err)
		}
		if compacted(r.Schema) != r.Schema {
			return refuse(CodeBadParameter, "schema: there is white space between its parts")
		}
	}
	for i, turn := range r.Turns {
		switch turn.Role {
		case models.System, models.User, models.Assistant:
		default:
			return refuse(CodeBadParameter, "messages[%d].role is %+.40q: it must be system, user or assistant", i, turn.Role)
		}
	}
	return nil
}

// What the encoding of a request begins with.
const (
	requestTag       = "verbatim-request/1\n"
	requestSchemaTag = "verbatim-request/2\n" // of one with a schema
)

// Digest identifies the request: SHA-256 of Encode.
func (r *Request) Digest() transcript.Digest { return sha256.Sum256(r.Encode()) }

// Encode is the canonical encoding of REQUEST.md, which has the defaults filled in.
func (r *Request) Encode() []byte {
	b := []byte(requestTag)
	if r.Schema != "" {
		b = []byte(requestSchemaTag)
	}
	number := func(n uint32) { b = binary.LittleEndian.AppendUint32(b, n) }
	text := func(s string) {
		number(uint32(len(s)))
		b = append(b, s...)
	}
	text(r.Model)
	if r.Turns == nil {
		b = append(b, 0)
		text(r.Prompt)
	} else {
		b = append(b, 1)
		number(uint32(len(r.Turns)))
		for _, turn := range r.Turns {
			text(string(turn.Role))
			text(turn.Content)
		}
	}
	number(uint32(r.MaxTokens))
	s := r.Sampling
	number(math.Float32bits(s.Temperature))
	number(s.TopK)
	number(math.Float32bits(s.TopP))
	number(math.Float32bits(s.MinP))
	number(math.Float32bits(s.RepetitionPenalty))
	number(s.RepetitionWindow)
	b = binary.LittleEndian.AppendUint64(b, s.Seed)
	number(uint32(len(r.Stop)))
	for _, stop := range r.Stop {
		text(stop)
	}
	if r.Schema != "" {
		text(r.Schema)
	}
	return b
}
