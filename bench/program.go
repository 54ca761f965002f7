package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Program does workloads in a process of its own.
type Program struct {
	Name string

	command []string
	llama   bool // it is llama-bench, with options and output of its own
}

// NodePeer names the script that runs llama.cpp as npm's node-llama-cpp brings it, from the root of the repository.
const NodePeer = "node-llama-cpp"

// nodeScript is where that script lies.
const nodeScript = "e2e/llamacpp/bench.mjs"

// NewProgram takes a command, words separated by spaces: a program whose options are those of "verbatim bench work" and
// whose output is a Sample in JSON, NodePeer, or a path whose last part is llama-bench.
func NewProgram(name, command string) (Program, error) {
	words := strings.Fields(command)
	if len(words) == 0 {
		return Program{}, fmt.Errorf("the command of %s is empty", name)
	}
	p := Program{Name: name, command: words}
	if command == NodePeer {
		p.command = []string{"node", nodeScript}
		if _, err := os.Stat(nodeScript); err != nil {
			return Program{}, fmt.Errorf("%s runs in the repository's root: %w", NodePeer, err)
		}
	}
	p.llama = strings.TrimSuffix(filepath.Base(p.command[len(p.command)-1]), ".exe") == "llama-bench"
	return p, nil
}

// Run starts the program for one workload. ok is false if the program cannot do it.
func (p *Program) Run(ctx context.Context, model string, threads int, w Workload) (s Sample, ok bool, err error) {
	if p.llama && w.Sequences > 1 {
		return s, false, nil
	}
	command := append([]string(nil), p.command...)
	if p.llama {
		command = append(command, llamaOptions(model, threads, w)...)
	} else {
		command = append(command, WorkOptions(model, threads, w)...)
	}
	output, peak, err := runMeasured(ctx, command)
	if err != nil {
		return s, false, fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	if p.llama {
		s, err = parseLlama(output)
	} else {
		err = json.Unmarshal(output, &s)
	}
	if err != nil {
		return s, false, fmt.Errorf("read what %s printed: %w", strings.Join(command, " "), err)
	}
	s.PeakBytes = peak
	return s, true, nil
}

// WorkOptions are the options that describe a workload.
func WorkOptions(model string, threads int, w Workload) []string {
	return []string{"--model", model, "--threads", strconv.Itoa(threads), "--decode=" + strconv.FormatBool(w.Decode),
		"--tokens", strconv.Itoa(w.Tokens), "--depth", strconv.Itoa(w.Depth), "--sequences", strconv.Itoa(w.Sequences)}
}

func llamaOptions(model string, threads int, w Workload) []string {
	prompt, generate := w.Tokens, 0
	if w.Decode {
		prompt, generate = 0, w.Tokens
	}
	return []string{"-m", model, "-t", strconv.Itoa(threads), "-ngl", "0", "-p", strconv.Itoa(prompt), "-n", strconv.Itoa(generate),
		"-d", strconv.Itoa(w.Depth), "-r", "1", "-o", "json"}
}

// parseLlama reads the output of llama-bench -o json: a list with one element, as only one test was asked for.
func parseLlama(output []byte) (Sample, error) {
	var tests []struct {
		BuildCommit string  `json:"build_commit"`
		CPUInfo     string  `json:"cpu_info"`
		AverageTS   float64 `json:"avg_ts"`
	}
	if err := json.Unmarshal(output, &tests); err != nil {
		return Sample{}, err
	}
	if len(tests) != 1 {
		return Sample{}, fmt.Errorf("%d tests, want 1", len(tests))
	}
	return Sample{Engine: "llama.cpp " + tests[0].BuildCommit, TokensPerSecond: tests[0].AverageTS}, nil
}

// runMeasured runs a command and returns its output and the most memory that it had.
func runMeasured(ctx context.Context, command []string) (output []byte, peak int64, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				err = fmt.Errorf("%w: %s", err, lastLine(stderr.String()))
			}
			return stdout.Bytes(), peak, err
		case <-tick.C:
			peak = max(peak, peakOf(cmd.Process.Pid))
		}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
