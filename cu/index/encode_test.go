package index

import (
	"bytes"
	"testing"

	"verbatim/cu/receipt"
)

func TestEncodings(t *testing.T) {
	place := receipt.Place{Offset: 7, Previous: receipt.Digest{8}}
	step := receipt.Step{Place: place, Nonce: -1, Cron: "0-1-block", Duplicate: true, Failed: true, Timestamp: 5, BlockHeight: 6}
	if got, err := decodeStep(appendStep(nil, step)); err != nil || got != step {
		t.Errorf("step: %+v, %v, want %+v", got, err, step)
	}
	history := receipt.History{Steps: 3, First: -1, Last: 1}
	if got, err := decodeHistory(appendHistory(nil, history)); err != nil || got != history {
		t.Errorf("history: %+v, %v, want %+v", got, err, history)
	}
	until := receipt.Until{Head: receipt.Head{Records: 1, Receipts: 2, Bytes: 3, Checksum: receipt.Digest{4}, Receipt: receipt.Digest{5}}, Last: place}
	encoded := appendUntil(nil, until)
	if got, err := decodeUntil(encoded); err != nil || got != until {
		t.Errorf("until: %+v, %v, want %+v", got, err, until)
	}
	for n := range encoded {
		if _, err := decodeUntil(encoded[:n]); err == nil {
			t.Errorf("%d of %d bytes decode", n, len(encoded))
		}
	}
}

// FuzzDecode looks for a value that decodes and is not what its reading encodes to.
func FuzzDecode(f *testing.F) {
	f.Add(appendStep(nil, receipt.Step{Cron: "x"}))
	f.Add(appendUntil(nil, receipt.Until{}))
	f.Fuzz(func(t *testing.T, value []byte) {
		if step, err := decodeStep(value); err == nil && !bytes.Equal(appendStep(nil, step), withoutUnknownFlags(value)) {
			t.Errorf("step %x", value)
		}
		if until, err := decodeUntil(value); err == nil && !bytes.Equal(appendUntil(nil, until), value) {
			t.Errorf("until %x", value)
		}
		if history, err := decodeHistory(value); err == nil && !bytes.Equal(appendHistory(nil, history), value) {
			t.Errorf("history %x", value)
		}
	})
}

func withoutUnknownFlags(value []byte) []byte {
	clean := bytes.Clone(value)
	clean[placeBytes+24] &= flagDuplicate | flagFailed
	return clean
}
