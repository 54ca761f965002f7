// Package replay evaluates receipts again and names the first thing that differs.
//
// Two modes, and both are only another provider of inferences to package eval: feed answers from the transcripts in the
// receipt, so that everything but the model's arithmetic is checked; recompute also computes every transcript anew.
//
// Invariants: an intact log of an honest unit is Verified on every machine; a log of which one bit was changed is not, and
// the report names the record, the receipt or the token; a report never says Verified of something that was not evaluated.
//
// The package does not decide who may sign, and does not ask a scheduler whether the messages in a log are those that it
// assigned: a log proves what follows from its inputs, and holds these inputs for whoever wants to look them up.
package replay

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"verbatim/cu/ao"
	"verbatim/cu/eval"
	"verbatim/cu/receipt"
)

// What a divergence is about. A difference inside a transcript is "transcript." and the field's name in its JSON.
const (
	WhatMemoryBefore = "memory_before"
	WhatModule       = "module"
	WhatMessage      = "message"
	WhatEnv          = "env"
	WhatDuplicate    = "duplicate"
	WhatInference    = "inference"
	WhatRead         = "read"
	WhatFault        = "fault"
	WhatResult       = "result"
	WhatGas          = "gas"
	WhatMemoryAfter  = "memory_after"
	whatTranscript   = "transcript."
)

// Divergence is the first difference between a receipt and its evaluation.
type Divergence struct {
	Sequence  uint64 `json:"sequence"` // of the receipt in its log
	Process   ao.ID  `json:"process"`
	Message   ao.ID  `json:"message"`
	Nonce     int64  `json:"nonce"`
	What      string `json:"what"`
	Inference int    `json:"inference"` // which of the evaluation's; -1 if it is about none
	Token     int    `json:"token"`     // which of the field named by What; -1 if it is about none
	Recorded  string `json:"recorded"`
	Got       string `json:"got"`
}

// Error implements error: a provider that finds a divergence ends the evaluation with it.
func (d *Divergence) Error() string {
	at := d.What
	if d.Inference >= 0 {
		at = fmt.Sprintf("inference %d, %s", d.Inference, at)
	}
	if d.Token >= 0 {
		at = fmt.Sprintf("%s[%d]", at, d.Token)
	}
	return fmt.Sprintf("diverged at receipt %d (process %s, nonce %d, message %s): %s: recorded %s, got %s",
		d.Sequence, d.Process, d.Nonce, d.Message, at, d.Recorded, d.Got)
}

// diverged begins a divergence of one receipt.
func diverged(r *receipt.Receipt, what, recorded, got string) *Divergence {
	return &Divergence{
		Sequence: r.Sequence, Process: r.Process, Message: r.Message, Nonce: r.Nonce,
		What: what, Inference: -1, Token: -1, Recorded: recorded, Got: got,
	}
}

// Memory is a memory and what receipts say of it.
type Memory struct {
	Image  *eval.Image
	sha256 func() [sha256.Size]byte // which only receipts before version 3 state; found out once
}

// MemoryOf gives what receipts say of a memory; nil is that of a process that has not run.
func MemoryOf(image *eval.Image) Memory { return Memory{image, sync.OnceValue(image.SHA256)} }

// Is gives what a receipt of a version says of the memory.
func (m Memory) Is(version uint8) receipt.Memory {
	if version < 3 {
		return receipt.Memory{Digest: m.sha256(), Bytes: uint64(m.Image.Size())}
	}
	return receipt.Memory{Digest: m.Image.Digest(), Bytes: uint64(m.Image.Size())}
}

// After gives the memory after a step.
func (m Memory) After(outcome eval.Outcome) Memory {
	if outcome.Memory == m.Image {
		return m
	}
	return MemoryOf(outcome.Memory)
}

// Step evaluates the step of one entry with the memory that the steps before gave, compares everything that the receipt
// states, and gives the memory after it. A divergence comes as *Divergence; any other error says that nothing was found out.
func Step(ctx context.Context, module *eval.Module, memory Memory, entry *receipt.Entry, provider eval.Provider) (eval.Outcome, Memory, error) {
	r := entry.Receipt
	if err := inputs(entry, module); err != nil {
		return eval.Outcome{}, memory, err
	}
	if before := memory.Is(r.Version); before != r.MemoryBefore {
		return eval.Outcome{}, memory, diverged(r, WhatMemoryBefore, memoryWords(r.MemoryBefore), memoryWords(before))
	}
	outcome, err := eval.Evaluate(ctx, eval.Step{
		Module: module, Memory: memory.Image, Message: entry.Message, Env: entry.Env,
		Limits:  eval.Limits{GasMax: r.GasMax, MemoryBytesMax: r.MemoryBytesMax},
		NoDrive: r.Version < receipt.DriveVersion,
	}, provider)
	var d *Divergence
	switch {
	case errors.As(err, &d):
		return eval.Outcome{}, memory, d
	case err != nil:
		return eval.Outcome{}, memory, fmt.Errorf("receipt %d (process %s, nonce %d): %w", r.Sequence, r.Process, r.Nonce, err)
	}
	after := memory.After(outcome)
	if d := compare(entry, outcome, after.Is(r.Version)); d != nil {
		return eval.Outcome{}, memory, d
	}
	return outcome, after, nil
}

// compare gives the first difference between a receipt and an outcome.
func compare(entry *receipt.Entry, outcome eval.Outcome, after receipt.Memory) error {
	r := entry.Receipt
	result := outcome.Result.AppendJSON(nil)
	if d := compareInferences(r, outcome.Inferences); d != nil {
		return d
	}
	if d := compareReads(r, outcome.Reads); d != nil {
		return d
	}
	switch {
	case outcome.Fault != r.Fault:
		return diverged(r, WhatFault, faultWords(r.Fault), faultWords(outcome.Fault))
	case receipt.Digest(outcome.Result.Digest()) != r.Result:
		recorded, got := excerpts(entry.Result, result)
		return diverged(r, WhatResult, recorded, got)
	case outcome.Gas != r.Gas:
		return diverged(r, WhatGas, fmt.Sprint(r.Gas), fmt.Sprint(outcome.Gas))
	case after != r.MemoryAfter:
		return diverged(r, WhatMemoryAfter, memoryWords(r.MemoryAfter), memoryWords(after))
	}
	return nil
}

// compareInferences compares what the process was told. What stands in transcripts was compared when they were given.
func compareInferences(r *receipt.Receipt, got []eval.Inference) error {
	if len(got) != len(r.Inferences) {
		return diverged(r, WhatInference, fmt.Sprintf("%d inferences", len(r.Inferences)), fmt.Sprintf("%d inferences", len(got)))
	}
	words := func(answered bool, refusal string) string {
		if answered {
			return "a transcript"
		}
		return fmt.Sprintf("refusal %q", refusal)
	}
	for i, recorded := range r.Inferences {
		a, b := words(recorded.Transcript != nil, recorded.Refusal), words(got[i].Transcript != nil, got[i].Refusal)
		if a != b {
			d := diverged(r, WhatInference, a, b)
			d.Inference = i
			return d
		}
	}
	return nil
}

func faultWords(fault string) string {
	if fault == "" {
		return "no fault"
	}
	return fault
}

func memoryWords(m receipt.Memory) string {
	return fmt.Sprintf("%d bytes, digest %s", m.Bytes, m.Digest)
}

// excerpts shows two texts from a little before the first byte in which they differ.
func excerpts(a, b []byte) (string, string) {
	const before, shown = 20, 80
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	excerpt := func(text []byte) string {
		from := max(0, same-before)
		return fmt.Sprintf("%q at byte %d of %d", text[from:min(from+shown, len(text))], from, len(text))
	}
	return excerpt(a), excerpt(b)
}
