package cu_test

// Cron messages are steps like others: in order, once, in the log, and found by cursors. The method: a process with crons is
// polled at every possible moment, or not at all, and in one life or many; its log must say the same each time.

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/cron"
	"verbatim/cu/cutest"
	"verbatim/cu/eval/evaltest"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

// cronTags make a process that is sent something every 2 and every 3 seconds, and every second block.
func cronTags() []ao.Tag {
	return []ao.Tag{
		{Name: "Cron-Interval", Value: "3-seconds"}, {Name: "Cron-Tag-Action", Value: "three"},
		{Name: "Cron-Interval", Value: "2-blocks"}, {Name: "Cron-Tag-Action", Value: "blocks"},
		{Name: "Cron-Interval", Value: "2-seconds"}, {Name: "Cron-Tag-Action", Value: "two"},
	}
}

// story gives the steps of a process as texts.
func story(t *testing.T, rig *cutest.Rig, process ao.ID) (steps []string) {
	t.Helper()
	history, err := rig.Log.Steps(process)
	if err != nil {
		t.Fatal(err)
	}
	for number := range history.Steps {
		step, err := rig.Log.Step(process, number)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, fmt.Sprintf("%d %s@%d/%d", step.Nonce, step.Cron, step.Timestamp, step.BlockHeight))
	}
	return steps
}

func TestCron(t *testing.T) {
	host := cutest.Host(t)
	var want []string
	for _, poll := range []int64{1_000_000, 1000, 1700} { // milliseconds between polls
		for _, restart := range []bool{false, true} {
			network, folder := cutest.NewNetwork(), t.TempDir()
			network.SetBlocks([]cron.Point{{Height: 100, Timestamp: 1000}, {Height: 101, Timestamp: 5000}, {Height: 102, Timestamp: 7000}, {Height: 103, Timestamp: 13000}, {Height: 104, Timestamp: 14000}})
			rig := cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, nil)
			network.SetNow(1500)
			process := network.Spawn("p", true, cronTags()...)
			ask := func(now int64) {
				network.SetNow(now)
				if _, err := rig.Unit.Memory(background, process, 0); err != nil {
					t.Fatal(err)
				}
				if restart {
					rig.Close()
					rig = cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, nil)
				}
			}
			for now := int64(1500); now < 8200; now += poll {
				ask(now)
			}
			network.SetNow(8200)
			network.Send(process, "@c")
			for now := int64(8200); now < 16000; now += poll {
				ask(now)
			}
			ask(16000)
			got := story(t, rig, process)
			if want == nil {
				want = got
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("polled every %d ms, restarted %v:\n%s\nwant\n%s", poll, restart, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			checkCronPages(t, rig, process)
			rig.Close()
			verifyFolder(t, folder)
		}
	}
	// Two before the message is due at seconds 2, 4, 6, 8 after the process's own, with the millisecond of the assignment.
	for _, step := range []string{"0 @1500/100", "0 0-2-seconds@3500/100", "0 1-3-seconds@4500/100", "0 0-2-blocks@7000/102", "1 @8200/101"} {
		if !strings.Contains("\n"+strings.Join(want, "\n")+"\n", "\n"+step+"\n") {
			t.Errorf("%s is not among\n%s", step, strings.Join(want, "\n"))
		}
	}
}

// checkCronPages walks the results of crons in pages of two, and those of everything downward.
func checkCronPages(t *testing.T, rig *cutest.Rig, process ao.ID) {
	t.Helper()
	for _, only := range []bool{true, false} {
		var up, down []string
		for _, descending := range []bool{false, true} {
			var from *cu.Bound
			for {
				page, more, err := rig.Unit.Results(process, cu.Query{From: from, Limit: 2, OnlyCron: only, Descending: descending})
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range page {
					text := fmt.Sprint(e.Nonce, e.Cron, e.Timestamp)
					if descending {
						down = append([]string{text}, down...)
					} else {
						up = append(up, text)
					}
					from = &cu.Bound{Nonce: e.Nonce, Cron: e.Cron, Timestamp: e.Timestamp}
				}
				if !more {
					break
				}
			}
		}
		if history, _ := rig.Log.Steps(process); strings.Join(up, " ") != strings.Join(down, " ") || (!only && len(up) != int(history.Steps)) || len(up) < 8 {
			t.Errorf("only crons %v: upward %d %v\ndownward %d %v", only, len(up), up, len(down), down)
		}
	}
}

func verifyFolder(t *testing.T, folder string) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(folder, receipt.LogName))
	if err != nil {
		t.Fatal(err)
	}
	report, err := replay.Verify(background, bytes.NewReader(log), int64(len(log)), replay.Options{Host: cutest.Host(t)})
	if err != nil || report.Verdict != replay.Verified {
		t.Errorf("%+v, %v", report, err)
	}
}

// A message that comes again is not evaluated again, and is answered with what came of it the first time.
func TestDuplicates(t *testing.T) {
	network, folder, host := cutest.NewNetwork(), t.TempDir(), cutest.Host(t)
	for _, restart := range []bool{false, true} {
		process := network.Spawn(fmt.Sprint("p", restart), true)
		rig := cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, nil)
		first := network.Push(process, "messenger a", "@c")
		other := network.Push(process, "messenger a", "@c more")
		sent := network.Send(process, "@c")
		if restart {
			output(t, rig, process, sent)
			rig.Close()
			rig = cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, nil)
		}
		again := network.Push(process, "messenger b", "@c")
		network.Again(process, sent)
		last := network.Send(process, "@c last")
		for _, test := range []struct {
			message ao.ID
			want    string
		}{{last, `"0005"`}, {first, `"0002"`}, {other, `"0003"`}, {sent, `"0004"`}, {again, `"0002"`}} {
			if got := output(t, rig, process, test.message); got != test.want {
				t.Errorf("restart %v: got %s, want %s", restart, got, test.want)
			}
		}
		if entry := mustAt(t, rig, process, 4); !entry.Receipt.Duplicate || entry.Receipt.Original != 1 || entry.Receipt.Message != again {
			t.Errorf("nonce 4: %+v", entry.Receipt)
		}
		if page, _, err := rig.Unit.Results(process, cu.Query{Limit: 10}); err != nil || len(page) != 5 {
			t.Errorf("%d results, %v; want those that were evaluated", len(page), err)
		}
		rig.Close()
		verifyFolder(t, folder)
	}
}

// An older memory is that of its time.
func TestPast(t *testing.T) {
	network := cutest.NewNetwork()
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), &evaltest.Provider{}, nil)
	defer rig.Close()
	process := network.Spawn("p", true)
	var messages []ao.ID
	for range 4 {
		messages = append(messages, network.Send(process, "@c"))
	}
	for i, message := range messages {
		result, _, err := rig.Unit.DryRun(background, process, []byte(`{"Data":"@c"}`), cu.DryRunOptions{After: message})
		if want := fmt.Sprintf(`"%04d"`, i+3); err != nil || string(result.Output) != want {
			t.Errorf("after message %d: %s, %v, want %s", i, result.Output, err, want)
		}
		state, err := rig.Unit.Memory(background, process, int64(2000+1000*i))
		if err != nil || state.Nonce != int64(i+1) || replay.MemoryOf(state.Memory).Is(receipt.Version) != mustAt(t, rig, process, int64(i+1)).Receipt.MemoryAfter {
			t.Errorf("memory after message %d: nonce %d, %v", i, state.Nonce, err)
		}
	}
}
