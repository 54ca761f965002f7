package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"verbatim/cu/eval"
	"verbatim/inference/transcript"
	"verbatim/internal/engines"
)

const messageBytesMax = 64 << 20 // a line of the messages file

// defaultEnv is a process and a module whose ids are all zeros.
const defaultEnv = `{"Process":{"Id":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","Owner":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","Tags":[]},` +
	`"Module":{"Id":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","Owner":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","Tags":[]}}`

type evalOptions struct {
	device                        engines.Device
	network                       network
	module, format, messages, env string
	limits                        eval.Limits
}

// evaluated is the line that eval prints for a message.
type evaluated struct {
	Result       json.RawMessage          `json:"result"`
	Gas          uint64                   `json:"gas"`
	MemoryBytes  int                      `json:"memory_bytes"`
	MemorySHA256 string                   `json:"memory_sha256"`
	Transcripts  []*transcript.Transcript `json:"transcripts"`
	Error        json.RawMessage          `json:"error"` // null, or the result's Error
}

func newEvalCommand() *cobra.Command {
	var o evalOptions
	cmd := &cobra.Command{
		Use:   "eval --module M.wasm --messages FILE.jsonl",
		Short: "Evaluate messages on a module, offline",
		Long: `Eval runs a module on the messages of a file, one JSON object a line, as a process would see them: each message
meets the memory that the ones before it left. It prints one JSON object for each.`,
		Example: `  verbatim eval --module aos.wasm --messages messages.jsonl --env env.json
  verbatim eval --module process.wasm --format wasm32-unknown-plain --messages -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.module, "module", "", "the module's wasm file")
	f.StringVar(&o.format, "format", "", "its Module-Format; found out from the wasm when not given")
	f.StringVar(&o.messages, "messages", "", "messages, one JSON object a line; - reads standard input")
	f.StringVar(&o.env, "env", "", "the environment that handle receives: {Process, Module}")
	f.Uint64Var(&o.limits.GasMax, "gas-max", 0, "end an evaluation that uses more gas; 0 is the default limit")
	f.Uint64Var(&o.limits.MemoryBytesMax, "memory-max", 0, "end an evaluation that needs more memory, bytes; 0 is the module's own limit")
	for _, name := range []string{"module", "messages"} {
		cobra.CheckErr(cmd.MarkFlagRequired(name))
	}
	deviceFlags(cmd, &o.device)
	o.network.gatewayFlag(cmd)
	return cmd
}

func (o *evalOptions) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	wasm, err := os.ReadFile(o.module)
	if err != nil {
		return err
	}
	env, err := readEnv(o.env)
	if err != nil {
		return err
	}
	host, err := eval.NewHost(ctx, filepath.Join(defaultDataPath(), "compiled"), eval.InstanceBytesDefault)
	if err != nil {
		return err
	}
	defer host.Close(ctx)
	module, err := host.Compile(ctx, wasm, o.format)
	if err != nil {
		return fmt.Errorf("%s: %w", o.module, err)
	}
	lib := o.network.library(o.device)
	defer lib.Close()
	in, closeIn, err := openInput(o.messages, interruptible{ctx, cmd.InOrStdin()})
	if err != nil {
		return err
	}
	defer closeIn()
	step := eval.Step{Module: module, Env: env, Limits: o.limits}
	provider := &liveProvider{library: lib, drive: o.network.lateDrive()}
	return eachLine(in, o.messages, func(line []byte) error {
		step.Message = line
		outcome, err := eval.Evaluate(ctx, step, provider)
		if err != nil {
			return err
		}
		step.Memory = outcome.Memory
		return printEvaluated(cmd.OutOrStdout(), &outcome)
	})
}

func printEvaluated(w io.Writer, outcome *eval.Outcome) error {
	result, err := loaderResult(outcome)
	if err != nil {
		return err
	}
	sum := outcome.Memory.SHA256()
	line := evaluated{
		Result: result, Gas: outcome.Gas, MemoryBytes: outcome.Memory.Size(), MemorySHA256: hex.EncodeToString(sum[:]),
		Transcripts: []*transcript.Transcript{}, Error: outcome.Result.Error,
	}
	for _, i := range outcome.Inferences {
		if i.Transcript != nil {
			line.Transcripts = append(line.Transcripts, i.Transcript)
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(line)
}

// loaderResult is the result in the shape that ao-loader returns, less the memory: what handle returned, Patches, GasUsed.
// The compute unit's own answers keep the members that clients of a compute unit read.
func loaderResult(outcome *eval.Outcome) (json.RawMessage, error) {
	var handled struct {
		OK       bool            `json:"ok"`
		Response json.RawMessage `json:"response"`
	}
	if outcome.Response == nil || json.Unmarshal(outcome.Response, &handled) != nil || !handled.OK {
		return outcome.Result.AppendJSON(nil), nil
	}
	var response struct {
		Error       json.RawMessage `json:"Error,omitempty"`
		Output      json.RawMessage `json:"Output,omitempty"`
		Messages    json.RawMessage `json:"Messages,omitempty"`
		Spawns      json.RawMessage `json:"Spawns,omitempty"`
		Assignments json.RawMessage `json:"Assignments,omitempty"`
		Patches     json.RawMessage `json:"Patches"`
		GasUsed     int64           `json:"GasUsed"`
	}
	response.Patches, response.GasUsed = json.RawMessage("[]"), outcome.Result.GasUsed
	if err := json.Unmarshal(handled.Response, &response); err != nil {
		return nil, fmt.Errorf("read what handle returned: %w", err)
	}
	response.GasUsed = outcome.Result.GasUsed
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(&response)
	return text.Bytes(), err
}

func readEnv(path string) ([]byte, error) {
	if path == "" {
		return []byte(defaultEnv), nil
	}
	env, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !json.Valid(env) {
		return nil, fmt.Errorf("%s: not JSON", path)
	}
	return bytes.TrimSpace(env), nil
}

func openInput(path string, stdin io.Reader) (io.Reader, func() error, error) {
	if path == "-" {
		return stdin, func() error { return nil }, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	return f, f.Close, nil
}

// eachLine calls do with every line that is not empty, and refuses what is not JSON by its number.
func eachLine(in io.Reader, name string, do func(line []byte) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<16), messageBytesMax)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if !json.Valid(line) {
			return fmt.Errorf("%s, line %d: not JSON", name, n)
		}
		if err := do(bytes.Clone(line)); err != nil {
			return fmt.Errorf("%s, line %d: %w", name, n, err)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%s: a line is longer than %d bytes", name, messageBytesMax)
	} else if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
