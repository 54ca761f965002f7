package replay_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/cron"
	"verbatim/cu/cutest"
	"verbatim/cu/eval/evaltest"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

// A liar who has the key moves cron messages in time. Results do not depend on it here, so only the times can tell.
func TestCronTimes(t *testing.T) {
	network, folder := cutest.NewNetwork(), t.TempDir()
	network.SetBlocks([]cron.Point{{Height: 100, Timestamp: 1000}, {Height: 101, Timestamp: 5000}, {Height: 102, Timestamp: 7000}, {Height: 103, Timestamp: 8100}, {Height: 104, Timestamp: 9000}})
	rig := cutest.NewRig(t, folder, network, cutest.Host(t), &evaltest.Provider{}, nil)
	network.SetNow(1500)
	process := network.Spawn("p", true, ao.Tag{Name: "Cron-Interval", Value: "2-blocks"}, ao.Tag{Name: "Cron-Interval", Value: "2-seconds"})
	network.SetNow(9800)
	if _, err := rig.Unit.Memory(background, process, 0); err != nil {
		t.Fatal(err)
	}
	rig.Close()
	log, err := os.ReadFile(filepath.Join(folder, receipt.LogName))
	if err != nil {
		t.Fatal(err)
	}
	move := func(timestamp, height, toTimestamp, toHeight int64) func(*receipt.Entry) {
		return func(e *receipt.Entry) {
			words := func(timestamp, height int64) []byte {
				return fmt.Appendf(nil, `"Timestamp":%d,"Block-Height":%d`, timestamp, height)
			}
			e.Message = bytes.Replace(e.Message, words(timestamp, height), words(toTimestamp, toHeight), 1)
		}
	}
	for _, test := range []struct {
		name    string
		change  func(*receipt.Entry)
		verdict replay.Verdict
	}{
		{"as it is", func(*receipt.Entry) {}, replay.Verified},
		{"half a second later", move(3500, 100, 4000, 100), replay.Diverged},
		{"a second later", move(5500, 101, 6500, 101), replay.Diverged},
		{"before the assignment", move(3500, 100, 500, 100), replay.Diverged},
		{"out of order", move(7500, 102, 3500, 102), replay.Diverged},
		{"at another block", move(9000, 104, 9000, 103), replay.Diverged},
		{"a block before the assignment", move(7000, 102, 7000, 98), replay.Diverged},
		{"a block that was made before the assignment", move(7000, 102, 1000, 102), replay.Diverged},
	} {
		modules, all := entries(t, log)
		crons, changed := 0, false
		for _, e := range all {
			if e.Receipt.Cron != "" {
				before := bytes.Clone(e.Message)
				test.change(e)
				crons, changed = crons+1, changed || !bytes.Equal(before, e.Message)
			}
		}
		if crons != 6 || changed != (test.verdict == replay.Diverged) {
			t.Fatalf("%s: %d messages of crons, changed: %v", test.name, crons, changed)
		}
		report := verify(t, forge(t, modules, all), replay.Options{})
		if report.Verdict != test.verdict || (report.Divergence != nil && report.Divergence.What != replay.WhatMessage) {
			t.Errorf("%s: %+v, %v", test.name, report, report.Divergence)
		}
	}
}
