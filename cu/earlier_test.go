package cu_test

// A log that an earlier build wrote, with receipts of versions 1 and 2: testdata/earlier. It is verified as it is, and a unit
// goes on from it, with the checkpoints of that build or without any.

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/cron"
	"verbatim/cu/cutest"
	"verbatim/cu/eval/evaltest"
	"verbatim/cu/receipt"
)

// earlierNetwork gives the network as it was when the log was written.
func earlierNetwork() (network *cutest.Network, crons, plain ao.ID) {
	network = cutest.NewNetwork()
	network.SetBlocks([]cron.Point{{Height: 100, Timestamp: 1000}, {Height: 101, Timestamp: 5000}, {Height: 102, Timestamp: 7000}})
	network.SetNow(1500)
	crons = network.Spawn("p", true, cronTags()...)
	plain = network.Spawn("q", false)
	network.SetNow(8200)
	network.Send(crons, "@c")
	for _, data := range []string{"@c", "@i1", "@e", "@l", "@t", "@c"} {
		network.Send(plain, data)
	}
	network.Push(plain, "one", "@c")
	network.Push(plain, "other", "@c")
	return network, crons, plain
}

func TestEarlierLog(t *testing.T) {
	for _, withCheckpoints := range []bool{true, false} {
		folder := t.TempDir()
		if err := os.CopyFS(folder, os.DirFS("testdata/earlier")); err != nil {
			t.Fatal(err)
		}
		if !withCheckpoints {
			os.RemoveAll(filepath.Join(folder, "checkpoints"))
		}
		verifyFolder(t, folder)
		network, crons, plain := earlierNetwork()
		provider, evaluated := &evaltest.Provider{}, 0
		rig := cutest.NewRig(t, folder, network, cutest.Host(t), provider, func(c *cu.Config) {
			c.Observe = func(o cu.Observation) {
				if o.Recovery {
					evaluated++
				}
			}
		})
		before := rig.Log.Head().Receipts
		if got := output(t, rig, plain, network.Send(plain, "@c")); got != `"0006"` {
			t.Errorf("the next count is %s", got)
		}
		network.Push(plain, "third", "@c") // came before the change of versions
		network.SetNow(9800)
		for _, process := range []ao.ID{crons, plain} {
			if _, err := rig.Unit.Memory(background, process, 0); err != nil {
				t.Fatal(err)
			}
		}
		if (evaluated == 0) != withCheckpoints || provider.Asked() != 0 {
			t.Errorf("checkpoints %v: %d steps evaluated again, %d questions", withCheckpoints, evaluated, provider.Asked())
		}
		rig.Close()
		checkVersions(t, filepath.Join(folder, receipt.LogName), before)
		verifyFolder(t, folder)
	}
}

// checkVersions checks that a log has receipts of all versions, new ones from a place on.
func checkVersions(t *testing.T, path string, from uint64) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	size, _ := file.Seek(0, io.SeekEnd)
	reader, err := receipt.NewReader(file, size)
	seen := map[string]int{}
	for err == nil {
		var record receipt.Record
		if record, err = reader.Next(); record.Entry == nil {
			continue
		}
		r := record.Entry.Receipt
		if (r.Version == receipt.Version) != (r.Sequence >= from) {
			t.Errorf("receipt %d is of version %d", r.Sequence, r.Version)
		}
		switch {
		case r.Cron != "":
			seen[fmt.Sprint(r.Version, " cron")]++
		case r.Duplicate:
			seen[fmt.Sprint(r.Version, " duplicate")]++
		default:
			seen[fmt.Sprint(r.Version)]++
		}
	}
	for _, kind := range []string{"1", "2 cron", "2 duplicate", "3", "3 cron", "3 duplicate"} {
		if seen[kind] == 0 {
			t.Errorf("no receipt of kind %s: %v (%v)", kind, seen, err)
		}
	}
}
