package bench

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"verbatim/cu/eval"
)

//go:embed node/evaluate.mjs
var nodeEvaluate []byte

// What Node does with the memory between messages.
const (
	nodeCopies = "copy" // as the reference compute unit: out after a message, in before the next
	nodeKeeps  = "keep"
)

// nodeAnswer is what the script prints.
type nodeAnswer struct {
	Milliseconds []float64         `json:"milliseconds"`
	CPUMS        float64           `json:"cpu_ms"` // processor time of all messages that were timed
	Results      []json.RawMessage `json:"results"`
	Node         string            `json:"node"`
	Loader       string            `json:"loader"`
}

// node does the messages with ao-loader.
func (r *evaluationRun) node(ctx context.Context, module ModuleFile, lines [][]byte, untimed int, mode string) (answer nodeAnswer, err error) {
	script, messages, env := filepath.Join(r.plan.Folder, "evaluate.mjs"), filepath.Join(r.plan.Folder, "messages.jsonl"), filepath.Join(r.plan.Folder, "env.json")
	err = errors.Join(os.WriteFile(script, nodeEvaluate, 0o600), os.WriteFile(messages, bytes.Join(lines, []byte("\n")), 0o600),
		os.WriteFile(env, benchEnv(module.Format), 0o600))
	if err != nil {
		return answer, err
	}
	output, _, err := runMeasured(ctx, []string{"env", "TZ=UTC", "node", "--no-warnings", "--experimental-wasm-memory64", script, r.plan.Loader, module.Path, module.Format,
		messages, env, mode, strconv.Itoa(untimed)})
	if err != nil {
		return answer, fmt.Errorf("ao-loader on Node: %w", err)
	}
	if err := json.Unmarshal(output, &answer); err != nil {
		return answer, fmt.Errorf("read what ao-loader gave: %w", err)
	}
	if len(answer.Results) != len(lines) || len(answer.Milliseconds) != len(lines)-untimed {
		return answer, fmt.Errorf("ao-loader gave %d results and %d times for %d messages", len(answer.Results), len(answer.Milliseconds), len(lines))
	}
	r.report.Node, r.report.Loader = answer.Node, answer.Loader
	return answer, nil
}

// starts is how often a first result is timed in each run.
const starts = 5

// firstResult times whole programs, from their start to their end: they open a module and evaluate the first message of a
// process. Ours has compiled the module before, as a daemon that starts again; Node has no such thing.
func (r *evaluationRun) firstResult(ctx context.Context, module ModuleFile) error {
	first := message(0, benchOwner, "Process", "", "a process to measure")
	row := r.row(module.name(), "first result of a new program")
	row.Messages = 1
	row.Note = "from the start of the program to its end; ours with the module compiled before"
	path := filepath.Join(r.plan.Folder, "first.jsonl")
	env := filepath.Join(r.plan.Folder, "first-env.json")
	if err := errors.Join(os.WriteFile(path, first, 0o600), os.WriteFile(env, benchEnv(module.Format), 0o600)); err != nil {
		return err
	}
	command := append(r.plan.First[:len(r.plan.First):len(r.plan.First)], module.Path, module.Format, path, env, filepath.Join(r.plan.Folder, "compiled"))
	ours, theirs := []float64(nil), []float64(nil)
	for i := range starts + 1 {
		begin := time.Now()
		if _, _, err := runMeasured(ctx, command); err != nil {
			return err
		}
		if i > 0 {
			ours = append(ours, milli(time.Since(begin)))
		}
		if r.plan.Loader == "" || i == 0 {
			continue
		}
		begin = time.Now()
		if _, err := r.node(ctx, module, [][]byte{first}, 0, nodeCopies); err != nil {
			return err
		}
		theirs = append(theirs, milli(time.Since(begin)))
	}
	row.EachOurs = append(row.EachOurs, startLatency(ours))
	if theirs != nil {
		row.EachReference = append(row.EachReference, startLatency(theirs))
	}
	return nil
}

// FirstResult is what such a program of ours does: it opens a module, whose code may lie compiled in a folder, evaluates the
// first message of a process, and gives what handle returned.
func FirstResult(ctx context.Context, module ModuleFile, messagePath, envPath, compiled string) ([]byte, error) {
	var parts [3][]byte
	for i, path := range [...]string{module.Path, messagePath, envPath} {
		var err error
		if parts[i], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	host, err := eval.NewHost(ctx, compiled, instanceBytes)
	if err != nil {
		return nil, err
	}
	opened, err := host.Compile(ctx, parts[0], module.Format)
	if err != nil {
		return nil, err
	}
	outcome, err := eval.Evaluate(ctx, eval.Step{Module: opened, Message: parts[1], Env: parts[2], Limits: benchLimits()}, nil)
	if err == nil && outcome.Response == nil {
		err = fmt.Errorf("the first message: %s", outcome.Result.Error)
	}
	return outcome.Response, err
}

// startLatency has no rate: nobody starts programs one after the other.
func startLatency(milliseconds []float64) Latency {
	l := latencyOf(milliseconds)
	l.PerSecond = 0
	return l
}
