package inference

import (
	"bytes"
	"encoding/json"
	"strings"

	"verbatim/inference/transcript"
	"verbatim/models/tokenizer"
)

// response is the JSON that answers a request: REQUEST.md.
type response struct {
	Text         string            `json:"text"`
	Tokens       []tokenizer.Token `json:"tokens"`
	FinishReason string            `json:"finish_reason"`
	Receipt      transcript.Digest `json:"receipt"`
	Usage        usage             `json:"usage"`
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
}

type errorResponse struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// Response is the JSON that answers a request, a function of the transcript alone: whoever has the transcript can give a
// process the same bytes without the model.
func Response(t *transcript.Transcript) ([]byte, error) {
	digest, err := t.Digest()
	if err != nil {
		return nil, err
	}
	return compact(response{
		Text: printable(t.Text), Tokens: t.Output, FinishReason: t.Finish.String(), Receipt: digest,
		Usage: usage{len(t.Prompt), len(t.Output)},
	}), nil
}

// ErrorResponse is the JSON for a request that has no answer. why is the text of a RequestError; other texts get the code
// "refused".
func ErrorResponse(why string) []byte {
	var r errorResponse
	r.Error.Code, r.Error.Message = CodeRefused, printable([]byte(why))
	if code, message, found := strings.Cut(why, ": "); found && knownCode(code) {
		r.Error.Code, r.Error.Message = code, printable([]byte(message))
	}
	return compact(r)
}

func knownCode(code string) bool {
	switch code {
	case CodeBadRequest, CodeBadParameter, CodeModelNotFound, CodeNoChatTemplate, CodePromptTooLong, CodeNonFiniteLogits, CodeRefused:
		return true
	}
	return false
}

// printable replaces each byte that is no part of UTF-8 by U+FFFD.
func printable(text []byte) string { return string([]rune(string(text))) }

// compact is v as JSON without escaped <, > and & and without white space. v has nothing that cannot be encoded.
func compact(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic("inference: internal error: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
