package eval

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"verbatim/cu/ao"
	"verbatim/inference"
	"verbatim/inference/transcript"
)

// ModelEmbedded is the name of the model inside the program, and the model of a process that names none.
const ModelEmbedded = "embedded"

// Limits of what one evaluation may ask. They bound its receipt, and are part of the contract with processes.
const (
	InferencesMax       = 256
	TranscriptsBytesMax = 16 << 20 // encodings of all transcripts of one evaluation, together
	refusalBytesMax     = 512
)

// Question is a request of a process to a model, checked.
type Question struct {
	Index   int    // of the inference within its evaluation
	Model   string // ModelEmbedded or the id of an Arweave transaction
	Request inference.Request
}

// Provider answers what a module asks of the world: live, from a receipt, or in a test from a table.
type Provider interface {
	// Answer gives the transcript of the inference that q asks for. A *Refusal says that this question has no answer, on
	// any machine, and why: the process is told. Any other error ends the evaluation without an outcome.
	Answer(ctx context.Context, q Question) (*transcript.Transcript, error)
	// Open gives what lies under a name of the drive; nil if there is nothing, or the process may not read it: it is told the
	// same. An error ends the evaluation without an outcome.
	Open(ctx context.Context, o Opening) (*Content, error)
}

// Refusal is a question that gets no answer: a prompt that does not fit, a model that does not exist.
type Refusal struct{ Why string }

// Error implements error.
func (r *Refusal) Error() string { return "request refused: " + r.Why }

// Inference is a question that went to the provider, and what came back: either a transcript or a refusal.
type Inference struct {
	Transcript *transcript.Transcript
	Refusal    string
}

// hostCalls is the inferencer and the drive that a module talks to. It belongs to one evaluation.
type hostCalls struct {
	provider        Provider
	env             *Env
	message         []byte
	made            []Inference
	transcriptBytes int
	reads           []Read
	inlineBytes     int64
	opened          []func() error
}

// Infer implements wasmhost.Inferencer.
func (h *hostCalls) Infer(ctx context.Context, raw []byte) ([]byte, error) {
	request, err := inference.ParseRequest(raw)
	if err != nil {
		return inference.ErrorResponse(refused(err)), nil
	}
	model, err := h.resolve(request.Model)
	if err != nil {
		return inference.ErrorResponse(refused(err)), nil
	}
	if len(h.made) == InferencesMax {
		return inference.ErrorResponse(fmt.Sprintf("%d inferences in one evaluation are the limit", InferencesMax)), nil
	}
	request.Model = model // so that the request's digest binds what was asked of
	answer, err := h.provider.Answer(ctx, Question{Index: len(h.made), Model: model, Request: request})
	if err == nil {
		err = h.fits(&request, answer)
	}
	var refusal *Refusal
	var asked *inference.RequestError
	switch {
	case err == nil:
	case errors.As(err, &refusal):
		return h.refuse(refusal.Why), nil
	case errors.As(err, &asked):
		return h.refuse(refused(asked)), nil
	default:
		return nil, err
	}
	h.made = append(h.made, Inference{Transcript: answer})
	return inference.Response(answer)
}

// refuse records that a question got no answer. A replay without the model cannot know it otherwise.
func (h *hostCalls) refuse(why string) []byte {
	h.made = append(h.made, Inference{Refusal: why})
	return inference.ErrorResponse(why)
}

// refused gives the text of a refusal: never empty, and short.
func refused(err error) string {
	why := strings.ToValidUTF8(err.Error(), "\uFFFD")
	if len(why) > refusalBytesMax {
		why = strings.ToValidUTF8(why[:refusalBytesMax], "")
	}
	if why == "" {
		return "refused"
	}
	return why
}

// fits counts a transcript against what one evaluation may leave behind.
func (h *hostCalls) fits(request *inference.Request, answer *transcript.Transcript) error {
	if asked := request.Digest(); answer.Request != asked {
		return fmt.Errorf("inference %d: the transcript answers request %s, asked was %s", len(h.made), answer.Request, asked)
	}
	encoded, err := transcript.Encode(answer)
	if err != nil {
		return err
	}
	if h.transcriptBytes+len(encoded) > TranscriptsBytesMax {
		return &Refusal{fmt.Sprintf("the transcripts of one evaluation are limited to %d bytes", TranscriptsBytesMax)}
	}
	h.transcriptBytes += len(encoded)
	return nil
}

// resolve decides which model answers. A process names the embedded model or a transaction: the name of a file would mean
// another model on every machine, and would let a process look around on this one.
func (h *hostCalls) resolve(model string) (string, error) {
	if model == "" {
		model = h.env.model()
	}
	if model == ModelEmbedded {
		return model, nil
	}
	if _, err := ao.ParseID(model); err != nil {
		return "", fmt.Errorf("model %.64q: want %q or the id of a transaction", model, ModelEmbedded)
	}
	return model, nil
}

// Encode gives the canonical encoding of the transcript; nil for a refusal.
func (i Inference) Encode() ([]byte, error) {
	if i.Transcript == nil {
		return nil, nil
	}
	return transcript.Encode(i.Transcript)
}
