package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"verbatim/cu/ao"
	"verbatim/cu/eval"
	"verbatim/inference"
	"verbatim/internal/localnet"
)

// demoQuestions are what the demo asks, in one process, so that the third meets the memory of the first two.
var demoQuestions = []string{
	"Tell me a story about a fox named Pip.",
	"Tell me a story about a girl and a kite.",
	"Where does the owl live?",
}

// demoTags let a story come to its end.
var demoTags = ao.Tags{{Name: "Action", Value: "Ask"}, {Name: "Max-Tokens", Value: "250"}}

// demo is one run of the scripted demonstration.
type demo struct {
	out    io.Writer
	local  *local
	tokens int
}

func newDemoCommand() *cobra.Command {
	o := unitOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "A local network, a process that asks a model, receipts verified, a forgery refused",
		Long: `Demo starts an ao network on this machine, publishes a model and a module to it, spawns a process and asks it three
questions. Then a second program, in plain Go, computes every answer again from the log alone. It takes under a minute,
needs no network, and leaves nothing behind.`,
		Example: "  verbatim demo",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return runDemo(cmd, o) },
	}
	o.flags(cmd)
	return cmd
}

func runDemo(cmd *cobra.Command, o unitOptions) (err error) {
	ctx := cmd.Context()
	folder, err := os.MkdirTemp("", "verbatim-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	d := demo{out: cmd.OutOrStdout()}
	o.logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	o.onToken = d.token
	begin := time.Now()
	d.step("A local ao network: gateway, scheduler, messenger, compute unit")
	if d.local, err = openLocal(ctx, folder, "127.0.0.1", localnet.Ports{}, o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.local.Close()) }()
	fmt.Fprintf(d.out, "compute unit   %s\nmodel          %s (published to the gateway)\nmodule         %s\n", d.local.urls.CU, d.local.model, d.local.story)
	process, err := d.local.net.Spawn(ctx, d.local.story, ao.Tags{{Name: "Name", Value: "storyteller"},
		{Name: eval.ModelTag, Value: d.local.model.String()}}, nil)
	if err != nil {
		return fmt.Errorf("spawn the process: %w", err)
	}
	fmt.Fprintf(d.out, "process        %s\n", process)
	for _, question := range demoQuestions {
		if err := d.ask(ctx, process, question); err != nil {
			return err
		}
	}
	if err := d.check(ctx, folder); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nDone in %.1f s.\n", time.Since(begin).Seconds())
	return nil
}

func (d *demo) step(title string) { fmt.Fprintf(d.out, "\n== %s\n", title) }

// token prints what the unit's engine generates, while it does.
func (d *demo) token(_ eval.Question, e inference.Event) {
	d.tokens++
	fmt.Fprint(d.out, e.Text)
}

// ask sends a message as a client would and reads its result over HTTP.
func (d *demo) ask(ctx context.Context, process ao.ID, question string) error {
	d.step("Asked: " + question)
	message, err := d.local.net.Send(ctx, process, demoTags, []byte(question))
	if err != nil {
		return fmt.Errorf("send a message: %w", err)
	}
	tokens, begin := d.tokens, time.Now()
	url := fmt.Sprintf("%s/result/%s?process-id=%s", d.local.urls.CU, message, process)
	body, err := get(ctx, url)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	var result struct {
		Error    any
		Messages []struct{ Tags ao.Tags }
	}
	if err := json.Unmarshal(body, &result); err != nil {
		return fmt.Errorf("read %s: %w", url, err)
	}
	if result.Error != nil {
		return fmt.Errorf("the process answered with an error: %v", result.Error)
	}
	receipt := ""
	if len(result.Messages) > 0 {
		receipt = result.Messages[0].Tags.Get("Receipt")
	}
	fmt.Fprintf(d.out, "\n   [%d tokens in %.2f s; transcript %s]\n", d.tokens-tokens, took.Seconds(), receipt)
	return nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<26))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read %s: %s: %s", url, response.Status, body)
	}
	return body, nil
}

// check lets another program verify the log, then a log with one flipped bit, then one that a liar signed.
func (d *demo) check(ctx context.Context, folder string) error {
	log, err := os.ReadFile(d.local.unit.logPath)
	if err != nil {
		return err
	}
	d.step("Verified by a second program: plain Go instead of assembly, its own caches, one prefill for each answer")
	intact := filepath.Join(folder, "intact.log")
	if err := d.verify(ctx, folder, intact, log, 0); err != nil {
		return err
	}
	d.step("The same log with one bit flipped")
	damaged := bytes.Clone(log)
	damaged[len(damaged)-200] ^= 1 // in the last answer
	if err := d.verify(ctx, folder, filepath.Join(folder, "damaged.log"), damaged, exitUnusable); err != nil {
		return err
	}
	d.step("A log in which a liar changed one word of an answer and signed everything again")
	forged, err := forgeLog(log, filepath.Join(folder, "liar"))
	if err != nil {
		return err
	}
	return d.verify(ctx, folder, filepath.Join(folder, "forged.log"), forged, exitDiverged)
}

// verify runs this program again on a log and expects an exit code.
func (d *demo) verify(ctx context.Context, folder, path string, log []byte, want int) error {
	if err := os.WriteFile(path, log, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "verify", path, "--gateway", d.local.urls.Gateway)
	cmd.Env = append(os.Environ(), "VERBATIM_CPU=generic", "XDG_DATA_HOME="+filepath.Join(folder, "second"))
	text, err := cmd.CombinedOutput()
	fmt.Fprint(d.out, strings.ReplaceAll(string(text), folder+string(filepath.Separator), ""))
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("run %s verify: %w", self, err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		return fmt.Errorf("verify %s: exit code %d, want %d", filepath.Base(path), got, want)
	}
	fmt.Fprintf(d.out, "   [exit code %d]\n", want)
	return nil
}
