// Package audit is what verbatim verify and verbatim-verify have in common: it finds the models that a file of evidence
// names, lets package replay judge the file, and says what came out.
package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"verbatim/cu/eval"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
	"verbatim/inference/transcript"
	"verbatim/internal/engines"
)

// Modes of a verification.
const (
	ModeRecompute = "recompute" // runs the model
	ModeFeed      = "feed"      // takes the model's answers from the transcripts
)

// Options say how to verify.
type Options struct {
	Mode     string
	Library  *engines.Library
	Models   []string // names that transcripts may mean
	Compiled string   // folder of compiled modules
	// Checkpoints are files of memories, plain or in gzip, with which histories may begin.
	Checkpoints []string
	// Items are files of signed data items that processes read. Contents finds others; nil: nobody does.
	Items    []string
	Contents replay.Contents
	Progress func(*receipt.Receipt)
}

// Verify judges the file at path. The error says that this machine failed.
func Verify(ctx context.Context, path string, o Options) (replay.Report, error) {
	if o.Mode != ModeRecompute && o.Mode != ModeFeed {
		return replay.Report{}, fmt.Errorf("mode %q: it must be %s or %s", o.Mode, ModeRecompute, ModeFeed)
	}
	f, err := os.Open(path)
	if err != nil {
		return replay.Report{}, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return replay.Report{}, err
	}
	host, err := eval.NewHost(ctx, o.Compiled, eval.InstanceBytesDefault)
	if err != nil {
		return replay.Report{}, err
	}
	defer host.Close(context.WithoutCancel(ctx))
	options := replay.Options{Host: host, Progress: o.Progress}
	if options.Checkpoints, err = memories(o.Checkpoints); err != nil {
		return replay.Report{}, err
	}
	if options.Contents, err = contents(o.Items, o.Contents); err != nil {
		return replay.Report{}, err
	}
	if o.Mode == ModeRecompute {
		options.Engines = (&finder{o.Library, o.Models}).find
	}
	return replay.Verify(ctx, f, size, options)
}

// memories reads files of memories.
func memories(paths []string) (found []*eval.Image, err error) {
	for _, path := range paths {
		memory, err := os.ReadFile(path)
		if err == nil && bytes.HasPrefix(memory, []byte("\x1f\x8b")) {
			memory, err = unzip(memory)
		}
		if err != nil {
			return nil, fmt.Errorf("read checkpoint %s: %w", path, err)
		}
		found = append(found, eval.ImageOf(memory))
	}
	return found, nil
}

// memoryBytesMax limits what a file may unpack to.
const memoryBytesMax = 4<<30 + 1<<20

func unzip(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	memory, err := io.ReadAll(io.LimitReader(r, memoryBytesMax+1))
	if err == nil && len(memory) > memoryBytesMax {
		err = fmt.Errorf("it unpacks to more than %d bytes", uint64(memoryBytesMax))
	}
	return memory, err
}

// Explain writes a report for people.
func Explain(w io.Writer, path string, r *replay.Report) {
	switch r.Verdict {
	case replay.Verified:
		fmt.Fprintf(w, "verified: %s (%s, %s): %d receipts of %d processes, %d inferences, %d tokens\n", path, r.Kind, r.Mode,
			r.Receipts, r.Processes, r.Inferences, r.Tokens)
		for _, signer := range r.Signers {
			fmt.Fprintf(w, "signed by %s\n", signer)
		}
		if r.Note != "" {
			fmt.Fprintln(w, r.Note)
		}
	case replay.Diverged:
		fmt.Fprintf(w, "DIVERGED: %s: %v\n", path, r.Divergence)
	default:
		fmt.Fprintf(w, "NOT USABLE: %s proves nothing: %s\n", path, r.Why)
	}
}

// finder finds the model that a transcript names by its digest: what the process asked for, or what the user named.
type finder struct {
	library *engines.Library
	named   []string
}

func (m *finder) find(ctx context.Context, name string, digest transcript.Digest) (replay.Recomputer, error) {
	candidates := m.named
	if name != "" {
		candidates = append([]string{name}, candidates...)
	} else {
		candidates = append(candidates[:len(candidates):len(candidates)], "embedded")
	}
	var tried []error
	for _, candidate := range candidates {
		engine, err := m.library.Engine(ctx, candidate)
		if err != nil {
			tried = append(tried, err)
			continue
		}
		if digest == (transcript.Digest{}) || transcript.Digest(engine.Model().Digest) == digest {
			return engine, nil
		}
		tried = append(tried, fmt.Errorf("%s is model %s", candidate, engine.Model().Digest))
	}
	return nil, fmt.Errorf("%w: model %s, asked for as %q (%w): name its file with --model", replay.ErrNoModel, digest, name, errors.Join(tried...))
}
