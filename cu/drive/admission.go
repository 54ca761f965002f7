package drive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/eval"
)

const (
	wordsMax      = 10      // items that vouch for one, of which one must verify
	librariesMax  = 100     // lists that are looked through, the newest first
	libraryBytes  = 4 << 20 // of a list that is looked through
	admissionsMax = 4096    // that are remembered
)

// admits reports whether somebody whose word counts has vouched for an item of data in time: by the scheduler's or an
// attestor's attestation, or by a message that the item is available, alone or in a list. As in the reference, their owners
// and tags decide, not the process whose messages they were made for.
func (d *Drive) admits(ctx context.Context, id ao.ID, a eval.Admission) (bool, error) {
	key := string(a.Availability) + " " + strings.Join(a.Attestors, " ") + " " + id.String()
	if d.admitted.has(key, a.Height) {
		return true, nil
	}
	ok, err := d.vouched(ctx, a, ao.Tags{{Name: "Type", Value: "Attestation"}, {Name: "Message", Value: id.String()}, {Name: "Data-Protocol", Value: "ao"}},
		wordsMax, nil)
	if !ok && err == nil && a.Availability != eval.Assignments {
		ok, err = d.vouched(ctx, a, ao.Tags{{Name: "Type", Value: "Available"}, {Name: "ID", Value: id.String()}, {Name: "Data-Protocol", Value: "WeaveDrive"}},
			wordsMax, nil)
	}
	if !ok && err == nil && a.Availability == eval.Library {
		ok, err = d.vouched(ctx, a, ao.Tags{{Name: "Type", Value: "Available"}, {Name: "Data-Protocol", Value: "WeaveDrive"}},
			librariesMax, func(data []byte) bool { return lists(data, id) })
	}
	if err != nil {
		return false, fmt.Errorf("is %s available: %w", id, err)
	}
	if ok {
		d.admitted.add(key, a.Height)
	}
	return ok, nil
}

// vouched reports whether an attestor signed an item with these tags, whose data holds what it must. The index only says
// where to look.
func (d *Drive) vouched(ctx context.Context, a eval.Admission, tags ao.Tags, first int, holds func(data []byte) bool) (bool, error) {
	listed, err := d.client.ListUpTo(ctx, a.Attestors, tags, first, a.Height)
	if err != nil {
		return false, err
	}
	var unread []error
	for _, found := range listed {
		item, err := d.client.Fetch(ctx, found.ID)
		switch {
		case err == nil && !item.Verified:
			unread = append(unread, fmt.Errorf("%s: %w", found.ID, arweave.ErrUnverified))
		case err != nil:
			unread = append(unread, err)
		case slices.Contains(a.Attestors, item.Owner) && hasAll(item.Tags, tags) && (holds == nil || holds(item.Data)):
			return true, nil
		}
	}
	// To say no, all that might say yes must have been read.
	return false, errors.Join(unread...)
}

func hasAll(tags, wanted ao.Tags) bool {
	for _, tag := range wanted {
		if !tags.Has(tag.Name, tag.Value) {
			return false
		}
	}
	return true
}

// lists reports whether a list names an id. No format is agreed on: ids that something else separates will do, so one a line,
// with commas, or JSON.
func lists(data []byte, id ao.ID) bool {
	between := func(r rune) bool {
		return !(r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}
	return len(data) <= libraryBytes && slices.Contains(strings.FieldsFunc(string(data), between), id.String())
}

// admissions remembers from which height on an item was seen to be available.
type admissions struct {
	mu    sync.Mutex
	since map[string]int64
}

func (a *admissions) has(key string, height int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	since, ok := a.since[key]
	return ok && since <= height
}

func (a *admissions) add(key string, height int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since == nil || len(a.since) == admissionsMax {
		a.since = map[string]int64{} // whoever is forgotten is looked up again
	}
	if since, ok := a.since[key]; !ok || height < since {
		a.since[key] = height
	}
}
