package cu

import (
	"context"
	"fmt"

	"verbatim/cu/ao"
	"verbatim/cu/receipt"
)

// Bound is a place among the results of a process: the result of an assignment, that of a cron message after it, or a time.
type Bound struct {
	Nonce     int64 // -1: Timestamp counts
	Cron      string
	Timestamp int64 // milliseconds since 1970
}

// Query selects results. A page begins after From and ends with To; nil bounds are open. Descending turns the direction,
// and with it the meaning of before and after.
type Query struct {
	From, To   *Bound
	Limit      int
	Descending bool
	OnlyCron   bool
}

// Evaluated is one result of a page.
type Evaluated struct {
	receipt.Step
	Entry *receipt.Entry
}

// Results gives a page of what was evaluated on a process, and whether there is more. It evaluates nothing. Results with
// an Error are left out, since nobody may act on them, and so are those of messages that came before.
func (u *Unit) Results(process ao.ID, query Query) (page []Evaluated, more bool, err error) {
	if err := u.serves(process); err != nil {
		return nil, false, err
	}
	history, err := u.config.Log.Steps(process)
	if err != nil {
		return nil, false, err
	}
	low, high, err := u.span(process, query, history)
	if err != nil {
		return nil, false, err
	}
	for number := low; number <= high; number++ {
		at := number
		if query.Descending {
			at = high - (number - low)
		}
		step, err := u.config.Log.Step(process, at)
		if err != nil {
			return nil, false, err
		}
		boot := step.Nonce == receipt.BootNonce && step.Cron == "" // assigned by nobody
		if boot || step.Failed || step.Duplicate || (query.OnlyCron && step.Cron == "") {
			continue
		}
		if len(page) == query.Limit {
			return page, true, nil
		}
		entry, err := u.config.Log.Read(step)
		if err != nil {
			return nil, false, err
		}
		page = append(page, Evaluated{step, entry})
	}
	return page, false, nil
}

// CronResults evaluates everything that is assigned to a process and everything that its crons have sent it by now, and
// gives a page of the results of the crons, in ascending order.
func (u *Unit) CronResults(ctx context.Context, process ao.ID, query Query) (page []Evaluated, more bool, err error) {
	if err := u.serves(process); err != nil {
		return nil, false, err
	}
	if _, _, err := u.tip(ctx, process); err != nil {
		return nil, false, err
	}
	query.OnlyCron, query.Descending = true, false
	return u.Results(process, query)
}

// span turns the bounds of a query into the lowest and the highest number of a step, both inclusive.
func (u *Unit) span(process ao.ID, query Query, history receipt.History) (low, high int64, err error) {
	low, high = 0, history.Steps-1
	if query.From != nil {
		first, after, err := u.placeOf(process, *query.From)
		if err != nil {
			return 0, 0, err
		}
		if query.Descending {
			high = min(high, first-1)
		} else {
			low = max(low, after)
		}
	}
	if query.To != nil {
		first, after, err := u.placeOf(process, *query.To)
		if err != nil {
			return 0, 0, err
		}
		if query.Descending {
			low = max(low, first)
		} else {
			high = min(high, after-1)
		}
	}
	return low, high, nil
}

// placeOf gives the numbers of the first step that is at a bound or later, and of the first that is later.
func (u *Unit) placeOf(process ao.ID, bound Bound) (first, after int64, err error) {
	log := u.config.Log
	seek := func(later func(receipt.Step) bool) int64 {
		number, seekErr := log.Seek(process, later)
		if seekErr != nil && err == nil {
			err = fmt.Errorf("find a place among the results of process %s: %w", process, seekErr)
		}
		return number
	}
	switch {
	case bound.Nonce < 0:
		first = seek(func(s receipt.Step) bool { return s.Timestamp >= bound.Timestamp })
		after = seek(func(s receipt.Step) bool { return s.Timestamp > bound.Timestamp })
		return first, after, err
	case bound.Cron == "":
		first = seek(func(s receipt.Step) bool { return s.Nonce >= bound.Nonce })
		after = seek(func(s receipt.Step) bool { return s.Nonce > bound.Nonce || (s.Nonce == bound.Nonce && s.Cron != "") })
		return first, after, err
	}
	// Cron messages before the first assignment have its nonce in cursors, as in those of the reference.
	for _, nonce := range [...]int64{bound.Nonce, min(bound.Nonce, 1) - 1} {
		first = seek(func(s receipt.Step) bool {
			return s.Nonce > nonce || (s.Nonce == nonce && s.Cron != "" && s.Timestamp >= bound.Timestamp)
		})
		for number := first; err == nil; number++ {
			step, stepErr := log.Step(process, number)
			if stepErr != nil || step.Nonce != nonce || step.Timestamp > bound.Timestamp {
				break
			}
			if step.Cron == bound.Cron {
				return number, number + 1, nil
			}
		}
	}
	first = seek(func(s receipt.Step) bool { return s.Timestamp >= bound.Timestamp })
	return first, first, err
}
