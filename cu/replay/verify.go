package replay

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"verbatim/cu/ao"
	"verbatim/cu/eval"
	"verbatim/cu/receipt"
	"verbatim/inference"
	"verbatim/inference/transcript"
)

// Verdict is what a verification comes to.
type Verdict string

// The verdicts.
const (
	Verified Verdict = "verified"
	Diverged Verdict = "diverged" // evaluated, and something else came out
	Unusable Verdict = "unusable" // damaged, forged, or something is missing: it proves nothing
)

// Kinds of files that can be verified.
const (
	KindLog        = "log"
	KindReceipt    = "receipt"
	KindStatement  = "statement"
	KindTranscript = "transcript"
)

// Options say how to verify.
type Options struct {
	Host    *eval.Host
	Engines Engines // nil: feed only, no model is run
	// Contents finds what processes read from the drive; nil: evaluations that read from it prove nothing.
	Contents Contents
	// Signers are the public keys to trust; none: any, and the report names those found.
	Signers [][]byte
	// Checkpoints are memories with which histories may begin that do not begin with their process.
	Checkpoints []*eval.Image
	// Progress, if not nil, hears of each receipt that was verified.
	Progress func(*receipt.Receipt)
}

// Report is what a verification found.
type Report struct {
	Verdict    Verdict         `json:"verdict"`
	Kind       string          `json:"kind"`
	Mode       string          `json:"mode"` // "feed" or "recompute"
	Receipts   int             `json:"receipts"`
	Processes  int             `json:"processes"`
	Inferences int             `json:"inferences"`
	Tokens     int             `json:"tokens"` // output tokens of all transcripts
	Signers    []string        `json:"signers"`
	Head       *receipt.Digest `json:"head,omitempty"` // digest of the last receipt that was verified
	Divergence *Divergence     `json:"divergence,omitempty"`
	Why        string          `json:"why,omitempty"` // of Unusable
	Note       string          `json:"note,omitempty"`
}

// unusable is the error for evidence that proves nothing. Its text is the report's Why.
type unusable struct{ err error }

func (u *unusable) Error() string { return u.err.Error() }
func (u *unusable) Unwrap() error { return u.err }

func unusablef(format string, args ...any) error { return &unusable{fmt.Errorf(format, args...)} }

// transcriptMagic begins the canonical encoding of a transcript.
const transcriptMagic = "verbatim-transcript/"

// Verify reads evidence of any kind and evaluates what it can: a log, a receipt, a statement, or a transcript in its
// canonical encoding or in JSON. The error says that this machine failed; everything that can be said of the evidence is in the report.
func Verify(ctx context.Context, from io.ReaderAt, size int64, options Options) (Report, error) {
	v := &verifier{options: options, report: Report{Mode: "feed", Signers: []string{}}}
	if options.Engines != nil {
		v.report.Mode = "recompute"
	}
	err := v.verify(ctx, from, size)
	var d *Divergence
	var u *unusable
	switch {
	case err == nil:
		v.report.Verdict = Verified
	case errors.As(err, &d):
		v.report.Verdict, v.report.Divergence = Diverged, d
	case errors.As(err, &u):
		v.report.Verdict, v.report.Why = Unusable, u.Error()
	case errors.Is(err, ErrNoModel), errors.Is(err, ErrNoContent), errors.Is(err, eval.ErrModule):
		v.report.Verdict, v.report.Why = Unusable, err.Error()
	default:
		return v.report, err
	}
	return v.report, nil
}

type verifier struct {
	options Options
	report  Report
}

func (v *verifier) verify(ctx context.Context, from io.ReaderAt, size int64) error {
	start := make([]byte, 32)
	n, err := from.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return err
	}
	start = start[:n]
	switch {
	case bytes.HasPrefix(start, []byte(receipt.Magic)):
		v.report.Kind = KindReceipt
		return v.whole(ctx, from, size, receipt.ReceiptBytesMax, v.receipt)
	case bytes.HasPrefix(start, []byte(receipt.StatementMagic[:7])):
		v.report.Kind = KindStatement
		return v.whole(ctx, from, size, receipt.ReceiptBytesMax, v.statement)
	case bytes.HasPrefix(start, []byte(transcriptMagic)), bytes.HasPrefix(bytes.TrimLeft(start, " \t\r\n"), []byte("{")):
		v.report.Kind = KindTranscript
		return v.whole(ctx, from, size, receipt.ReceiptBytesMax, v.transcript)
	case bytes.HasPrefix(start, []byte(receipt.LogMagic[:8])):
		v.report.Kind = KindLog
		return v.log(ctx, from, size)
	}
	return unusablef("it begins with %q: neither a log, nor a receipt, a statement or a transcript", start)
}

// whole reads a file of a limited size.
func (v *verifier) whole(ctx context.Context, from io.ReaderAt, size, sizeMax int64, verify func(context.Context, []byte) error) error {
	if size > sizeMax {
		return unusablef("%d bytes, limit %d", size, sizeMax)
	}
	content := make([]byte, size)
	if _, err := from.ReadAt(content, 0); err != nil && err != io.EOF {
		return err
	}
	return verify(ctx, content)
}

// process is what the steps so far left of one process.
type process struct {
	memory Memory
	nonce  int64           // of the next assignment
	firsts map[int64]First // by nonce, for messages that come again
	times  times
}

func (v *verifier) log(ctx context.Context, from io.ReaderAt, size int64) error {
	reader, err := receipt.NewReader(from, size)
	if err != nil {
		return &unusable{err}
	}
	modules := newModules(v.options.Host)
	defer modules.close(ctx)
	processes := map[ao.ID]*process{}
	for {
		record, err := reader.Next()
		if err == io.EOF {
			break
		}
		var damaged *receipt.RecordError
		switch {
		case errors.As(err, &damaged):
			return &unusable{err}
		case err != nil:
			return err
		case record.Module != nil:
			modules.add(record.Module)
			continue
		}
		if err := v.entry(ctx, record.Entry, modules, processes); err != nil {
			return err
		}
		v.report.Processes = len(processes)
	}
	if v.report.Receipts == 0 {
		v.report.Note = "the log holds no receipts"
	}
	return nil
}

// entry verifies one entry of a log.
func (v *verifier) entry(ctx context.Context, entry *receipt.Entry, modules *modules, processes map[ao.ID]*process) error {
	r := entry.Receipt
	if err := v.signature(r); err != nil {
		return err
	}
	p := processes[r.Process]
	if p == nil {
		p = &process{nonce: r.Nonce, memory: MemoryOf(nil), firsts: map[int64]First{}}
		if r.Nonce > 0 {
			var ok bool
			if p.memory, ok = v.base(r); !ok {
				return unusablef("receipt %d (process %s): the log begins at nonce %d, and the memory before is not in it: %s",
					r.Sequence, r.Process, r.Nonce, memoryWords(r.MemoryBefore))
			}
			v.report.Note = "processes that begin with a checkpoint were verified from there on"
		}
		processes[r.Process] = p
	}
	next := p.nonce
	if r.Cron != "" {
		next--
	}
	if r.Nonce != next {
		return unusablef("receipt %d (process %s): nonce %d where nonce %d is next", r.Sequence, r.Process, r.Nonce, next)
	}
	module, err := modules.get(ctx, r.ModuleDigest, r.ModuleFormat)
	if err != nil {
		return fmt.Errorf("receipt %d (process %s, nonce %d): %w", r.Sequence, r.Process, r.Nonce, err)
	}
	if err := p.times.follow(entry); err != nil {
		return err
	}
	var outcome eval.Outcome
	if r.Duplicate {
		err = v.repeat(module, entry, p)
	} else {
		outcome, err = v.step(ctx, module, entry, p)
	}
	if err != nil {
		return err
	}
	if r.Cron == "" {
		p.nonce++
		p.firsts[r.Nonce] = FirstOf(entry)
	}
	v.count(r, outcome.Inferences)
	return nil
}

// base finds the memory before a receipt among those that were given.
func (v *verifier) base(r *receipt.Receipt) (Memory, bool) {
	for _, image := range v.options.Checkpoints {
		if memory := MemoryOf(image); memory.Is(r.Version) == r.MemoryBefore {
			return memory, true
		}
	}
	return Memory{}, false
}

// step evaluates an entry.
func (v *verifier) step(ctx context.Context, module *eval.Module, entry *receipt.Entry, p *process) (eval.Outcome, error) {
	provider, err := v.provider(entry)
	if err != nil {
		return eval.Outcome{}, &unusable{err}
	}
	outcome, after, err := Step(ctx, module, p.memory, entry, provider)
	if err == nil {
		p.memory = after
	}
	return outcome, err
}

// repeat checks an entry whose message came before.
func (v *verifier) repeat(module *eval.Module, entry *receipt.Entry, p *process) error {
	r := entry.Receipt
	if err := inputs(entry, module); err != nil {
		return err
	}
	first, ok := p.firsts[r.Original]
	if !ok {
		return unusablef("receipt %d (process %s): it repeats nonce %d, which is not in the log", r.Sequence, r.Process, r.Original)
	}
	return Repeat(p.memory, entry, first)
}

func (v *verifier) provider(entry *receipt.Entry) (eval.Provider, error) {
	if v.options.Engines == nil {
		return Feed(entry, v.options.Contents)
	}
	return Recompute(entry, v.options.Contents, v.options.Engines)
}

// count adds a verified receipt to the report.
func (v *verifier) count(r *receipt.Receipt, inferences []eval.Inference) {
	digest := r.Digest()
	v.report.Receipts++
	v.report.Head = &digest
	v.report.Inferences += len(inferences)
	for _, made := range inferences {
		if made.Transcript != nil {
			v.report.Tokens += len(made.Transcript.Output)
		}
	}
	if v.options.Progress != nil {
		v.options.Progress(r)
	}
}

// signature checks who signed a receipt.
func (v *verifier) signature(r *receipt.Receipt) error {
	if err := r.Verify(); err != nil {
		return &unusable{err}
	}
	if err := v.signer(r.Signer[:]); err != nil {
		return unusablef("receipt %d (process %s, nonce %d): %w", r.Sequence, r.Process, r.Nonce, err)
	}
	return nil
}

// signer checks that a signer is trusted, and notes it.
func (v *verifier) signer(public []byte) error {
	name := hex.EncodeToString(public)
	if len(v.options.Signers) > 0 && !slices.ContainsFunc(v.options.Signers, func(key []byte) bool { return bytes.Equal(key, public) }) {
		return fmt.Errorf("signed by %s, who is not trusted", name)
	}
	if !slices.Contains(v.report.Signers, name) {
		v.report.Signers = append(v.report.Signers, name)
	}
	return nil
}

// receipt verifies a receipt that came without its log: the signature, and the transcripts in it.
func (v *verifier) receipt(ctx context.Context, encoded []byte) error {
	r, err := receipt.Decode(encoded)
	if err != nil {
		return &unusable{err}
	}
	if err := v.signature(r); err != nil {
		return err
	}
	answers, err := decode(r)
	if err != nil {
		return &unusable{err}
	}
	for i, answer := range answers {
		if answer.Transcript == nil {
			continue
		}
		if err := v.recompute(ctx, answer.Transcript, func(what string) *Divergence {
			d := diverged(r, what, "", "")
			d.Inference = i
			return d
		}); err != nil {
			return err
		}
	}
	v.count(r, answers)
	v.report.Processes = 1
	v.report.Note = "a receipt alone shows its signature and its transcripts; to evaluate the message too, verify the log"
	return nil
}

// statement verifies a signed transcript.
func (v *verifier) statement(ctx context.Context, encoded []byte) error {
	s, err := receipt.DecodeStatement(encoded)
	if err == nil {
		err = s.Verify()
	}
	if err == nil {
		err = v.signer(s.Signer[:])
	}
	if err != nil {
		return &unusable{err}
	}
	t, err := transcript.Decode(s.Transcript)
	if err != nil {
		return &unusable{err}
	}
	return v.inference(ctx, t)
}

// transcript verifies the record of one inference.
func (v *verifier) transcript(ctx context.Context, encoded []byte) error {
	t := new(transcript.Transcript)
	var err error
	if bytes.HasPrefix(encoded, []byte(transcriptMagic)) {
		t, err = transcript.Decode(encoded)
	} else {
		err = json.Unmarshal(encoded, t)
	}
	if err != nil {
		return &unusable{err}
	}
	return v.inference(ctx, t)
}

// inference verifies a transcript that belongs to no evaluation.
func (v *verifier) inference(ctx context.Context, t *transcript.Transcript) error {
	if v.options.Engines == nil {
		return unusablef("a transcript alone can only be recomputed")
	}
	v.report.Inferences, v.report.Tokens = 1, len(t.Output)
	return v.recompute(ctx, t, func(what string) *Divergence {
		return &Divergence{What: what, Inference: 0, Token: -1}
	})
}

// recompute runs the model that a transcript names; begin gives a divergence that says where the transcript stands.
func (v *verifier) recompute(ctx context.Context, t *transcript.Transcript, begin func(what string) *Divergence) error {
	if v.options.Engines == nil {
		return nil
	}
	engine, err := v.options.Engines(ctx, "", t.Model)
	if err != nil {
		return err
	}
	found, err := engine.Recompute(ctx, t)
	if errors.Is(err, inference.ErrNotComparable) {
		return &unusable{err}
	}
	if err != nil || found == nil {
		return err
	}
	d := begin(whatTranscript + found.Field)
	d.Token, d.Recorded, d.Got = found.Index, found.Recorded, found.Recomputed
	return d
}
