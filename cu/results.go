package cu

import (
	"errors"
	"sort"

	"verbatim/cu/ao"
	"verbatim/cu/receipt"
)

// Bound is a place among the results of a process: a nonce, or the last nonce that was assigned at a time or before.
type Bound struct {
	Nonce     int64 // -1: Timestamp counts
	Timestamp int64 // milliseconds since 1970
}

// Query selects results. A page begins after From and ends with To; nil bounds are open. Descending turns the direction,
// and with it the meaning of before and after.
type Query struct {
	From, To   *Bound
	Limit      int
	Descending bool
}

// Evaluated is one result of a page.
type Evaluated struct {
	Nonce     int64
	Timestamp int64
	Entry     *receipt.Entry
}

// Results gives a page of what was evaluated on a process, and whether there is more. It evaluates nothing. Results with
// an Error are left out: nobody may act on them.
func (u *Unit) Results(process ao.ID, query Query) (page []Evaluated, more bool, err error) {
	first, last, err := u.config.Log.Nonces(process)
	if errors.Is(err, receipt.ErrAbsent) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	first = max(first, 0) // the boot step was assigned by nobody
	low, high, err := u.span(process, query, first, last)
	if err != nil {
		return nil, false, err
	}
	for nonce := low; nonce <= high; nonce++ {
		at := nonce
		if query.Descending {
			at = high - (nonce - low)
		}
		entry, err := u.config.Log.At(process, at)
		if err != nil {
			return nil, false, err
		}
		result, err := ao.ParseResult(entry.Result)
		if err != nil {
			return nil, false, err
		}
		if result.Error != nil {
			continue
		}
		if len(page) == query.Limit {
			return page, true, nil
		}
		_, time, err := describes(entry)
		if err != nil {
			return nil, false, err
		}
		page = append(page, Evaluated{Nonce: at, Timestamp: time.timestamp, Entry: entry})
	}
	return page, false, nil
}

// span turns the bounds of a query into the lowest and the highest nonce, both inclusive.
func (u *Unit) span(process ao.ID, query Query, first, last int64) (low, high int64, err error) {
	low, high = first, last
	if query.From != nil {
		at, err := u.nonceOf(process, *query.From, first, last)
		if err != nil {
			return 0, 0, err
		}
		if query.Descending {
			high = min(high, at-1)
		} else {
			low = max(low, at+1)
		}
	}
	if query.To != nil {
		at, err := u.nonceOf(process, *query.To, first, last)
		if err != nil {
			return 0, 0, err
		}
		if query.Descending {
			low = max(low, at)
		} else {
			high = min(high, at)
		}
	}
	return low, high, nil
}

// nonceOf gives the nonce of a bound: for a time, the last that was assigned then or before, first-1 if there is none.
func (u *Unit) nonceOf(process ao.ID, bound Bound, first, last int64) (nonce int64, err error) {
	if bound.Nonce >= 0 {
		return bound.Nonce, nil
	}
	later := sort.Search(int(last-first+1), func(i int) bool {
		entry, readErr := u.config.Log.At(process, first+int64(i))
		if readErr == nil {
			var at moment
			if _, at, readErr = describes(entry); readErr == nil {
				return at.timestamp > bound.Timestamp
			}
		}
		err = readErr
		return true
	})
	return first + int64(later) - 1, err
}
