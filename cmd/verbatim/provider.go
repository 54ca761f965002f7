package main

import (
	"context"
	"errors"
	"fmt"

	"verbatim/cu"
	"verbatim/cu/drive"
	"verbatim/cu/eval"
	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/internal/engines"
	"verbatim/kernels"
)

// liveProvider answers the questions of processes with the engines of this machine, and what they open from a drive.
type liveProvider struct {
	library *engines.Library
	drive   func() (*drive.Drive, error)
	onToken func(q eval.Question, e inference.Event) // told of every token; may be nil
}

// Answer implements eval.Provider.
func (p *liveProvider) Answer(ctx context.Context, q eval.Question) (*transcript.Transcript, error) {
	engine, done, err := p.library.Borrow(ctx, q.Model)
	if errors.Is(err, kernels.ErrMemory) {
		return nil, fmt.Errorf("%w: %w", cu.ErrBusy, err)
	}
	if err != nil {
		return nil, err
	}
	defer done()
	var onToken func(inference.Event)
	if p.onToken != nil {
		onToken = func(e inference.Event) { p.onToken(q, e) }
	}
	c, err := engine.Generate(ctx, q.Request, onToken)
	if errors.Is(err, kernels.ErrMemory) {
		return nil, fmt.Errorf("%w: %w", cu.ErrBusy, err)
	}
	if err != nil {
		return nil, err
	}
	return &c.Transcript, nil
}

// Open implements eval.Provider.
func (p *liveProvider) Open(ctx context.Context, o eval.Opening) (*eval.Content, error) {
	d, err := p.drive()
	if err != nil {
		return nil, err
	}
	content, err := d.Open(ctx, o)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", cu.ErrUpstream, err)
	}
	return content, err
}
