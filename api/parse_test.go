package api

import (
	"testing"

	"verbatim/cu/ao"
)

// FuzzAOS2 looks for a page that makes the reader fall over, or for an assignment that is of no process or slot.
func FuzzAOS2(f *testing.F) {
	f.Add([]byte(`{"page_info":{"timestamp":"1"},"edges":[{"node":{"message":{"Id":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","Owner":"o","Tags":[]},"assignment":{"Id":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","Tags":[{"name":"Process","value":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},{"name":"Slot","value":1},{"name":"Timestamp","value":"2"},{"name":"Block-Height","value":"3"},{"name":"Hash-Chain","value":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}}}]}`))
	f.Add([]byte(`{"edges":[{"node":{"message":null}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		assignments, _, err := parseAOS2(body, ao.ID{})
		for _, assignment := range assignments {
			if err == nil && (assignment.Nonce < 0 || assignment.Timestamp < 0 || (!assignment.Hydrate && assignment.Message.Target == "")) {
				t.Errorf("%q gives %+v", body, assignment)
			}
		}
	})
}

// FuzzBound looks for a cursor that makes the reader fall over, or for one that is no place.
func FuzzBound(f *testing.F) {
	f.Add("1000")
	cron := "0-1-block"
	f.Add(cursor{Timestamp: 1, Ordinate: "2", Cron: &cron, Sort: "ASC"}.String())
	f.Fuzz(func(t *testing.T, text string) {
		bound, _, err := parseBound(text)
		if err == nil && bound.Nonce < -1 {
			t.Errorf("%q gives %+v", text, bound)
		}
	})
}
