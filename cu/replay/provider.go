package replay

import (
	"context"
	"errors"
	"fmt"

	"verbatim/cu/eval"
	"verbatim/cu/receipt"
	"verbatim/inference"
	"verbatim/inference/transcript"
)

// Recomputer is a model that can check transcripts: *inference.Engine, and in tests a table.
type Recomputer interface {
	Recompute(ctx context.Context, recorded *transcript.Transcript) (*inference.Divergence, error)
	RecomputeRequest(ctx context.Context, request inference.Request, recorded *transcript.Transcript) (*inference.Divergence, error)
	Generate(ctx context.Context, request inference.Request, onToken func(inference.Event)) (inference.Completion, error)
}

// Engines finds the model that a transcript names. Name is what the process asked for ("embedded", a transaction, or "" if
// nobody knows); digest is the model's, zero where only the name is known. An error that wraps ErrNoModel says that the
// caller does not have it.
type Engines func(ctx context.Context, name string, digest transcript.Digest) (Recomputer, error)

// ErrNoModel says that a recompute needs a model that is not here.
var ErrNoModel = errors.New("the model is not here")

// Feed gives the provider that answers from an entry's own record. It fails with a *Divergence where the process asks
// something else. Contents may be nil where nothing was read that the receipt does not hold.
func Feed(entry *receipt.Entry, contents Contents) (eval.Provider, error) {
	answers, err := decode(entry.Receipt)
	return &feed{entry.Receipt, answers, contents}, err
}

// Recompute is Feed with each answer computed again and compared before it is given.
func Recompute(entry *receipt.Entry, contents Contents, engines Engines) (eval.Provider, error) {
	answers, err := decode(entry.Receipt)
	return &recompute{feed{entry.Receipt, answers, contents}, engines}, err
}

func decode(r *receipt.Receipt) ([]eval.Inference, error) {
	var answers []eval.Inference
	for i, inference := range r.Inferences {
		if inference.Transcript == nil {
			answers = append(answers, eval.Inference{Refusal: inference.Refusal})
			continue
		}
		t, err := transcript.Decode(inference.Transcript)
		if err != nil {
			return nil, fmt.Errorf("receipt %d (process %s, nonce %d): inference %d: %w", r.Sequence, r.Process, r.Nonce, i, err)
		}
		answers = append(answers, eval.Inference{Transcript: t})
	}
	return answers, nil
}

type feed struct {
	receipt  *receipt.Receipt
	answers  []eval.Inference
	contents Contents
}

// Answer implements eval.Provider.
func (f *feed) Answer(_ context.Context, q eval.Question) (*transcript.Transcript, error) {
	recorded, err := f.recorded(q)
	if err != nil {
		return nil, err
	}
	if recorded.Transcript == nil {
		return nil, &eval.Refusal{Why: recorded.Refusal}
	}
	return recorded.Transcript, nil
}

// recorded gives the record of a question, or a divergence if it is of another question.
func (f *feed) recorded(q eval.Question) (eval.Inference, error) {
	if q.Index >= len(f.answers) {
		return eval.Inference{}, f.diverged(q, WhatInference, "nothing", fmt.Sprintf("request %s", q.Request.Digest()))
	}
	recorded := f.answers[q.Index]
	if t := recorded.Transcript; t != nil && t.Request != q.Request.Digest() {
		return eval.Inference{}, f.diverged(q, whatTranscript+"request", t.Request.String(), q.Request.Digest().String())
	}
	return recorded, nil
}

func (f *feed) diverged(q eval.Question, what, recorded, got string) *Divergence {
	d := diverged(f.receipt, what, recorded, got)
	d.Inference = q.Index
	return d
}

type recompute struct {
	feed
	engines Engines
}

// Answer implements eval.Provider.
func (c *recompute) Answer(ctx context.Context, q eval.Question) (*transcript.Transcript, error) {
	recorded, err := c.recorded(q)
	if err != nil {
		return nil, err
	}
	if recorded.Transcript == nil {
		return c.refusal(ctx, q)
	}
	engine, err := c.engines(ctx, q.Model, recorded.Transcript.Model)
	if err != nil {
		return nil, err
	}
	found, err := engine.RecomputeRequest(ctx, q.Request, recorded.Transcript)
	if err != nil {
		return nil, err
	}
	if found != nil {
		d := c.diverged(q, whatTranscript+found.Field, found.Recorded, found.Recomputed)
		d.Token = found.Index
		return nil, d
	}
	return recorded.Transcript, nil
}

// refusal asks again what was refused. Whatever comes, the comparison of the whole evaluation judges it: package eval
// refuses answers too, where they do not fit into a receipt.
func (c *recompute) refusal(ctx context.Context, q eval.Question) (*transcript.Transcript, error) {
	engine, err := c.engines(ctx, q.Model, transcript.Digest{})
	if err != nil {
		return nil, err
	}
	completion, err := engine.Generate(ctx, q.Request, nil)
	return &completion.Transcript, err
}
