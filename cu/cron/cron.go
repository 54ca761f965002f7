// Package cron says which messages a process sends itself: what its tags Cron-Interval and Cron-Tag-* ask for, and which of
// these messages fall between two points of its schedule.
//
// It follows the reference compute unit (servers/cu, loadMessages.js), also where that is peculiar: time goes in steps of a
// second from the assignment on the left; a block is noticed at the first step whose second has reached the block's, one block
// a step, and not at all if the next assignment comes first; block crons come before time crons, in the order of their tags,
// and time crons in the order of their intervals.
//
// Invariants: the same tags, points and blocks give the same messages on every machine; what falls before a point does not
// depend on how far beyond it one asks, as long as blocks are added at the end only. The package does no I/O and knows no clock.
package cron

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"verbatim/cu/ao"
)

// Tags of a process that this package reads.
const (
	intervalTag = "Cron-Interval"
	tagPrefix   = "Cron-Tag-"
)

// Cron is a message that a process sends itself again and again.
type Cron struct {
	Interval string // as the tag has it, for example "10-blocks" or "5-minutes"
	InBlocks bool   // otherwise in seconds
	Every    int64  // blocks or seconds; 0: never, because nobody could read the interval
	Tags     ao.Tags
}

// Parse reads the crons of a process from its tags.
func Parse(tags ao.Tags) (crons []Cron, err error) {
	for _, tag := range tags {
		if tag.Name == intervalTag {
			parsed, err := parseInterval(tag.Value)
			if err != nil {
				return nil, err
			}
			crons = append(crons, parsed)
			continue
		}
		name, ok := strings.CutPrefix(tag.Name, tagPrefix)
		if !ok || name == "" {
			continue
		}
		if len(crons) == 0 {
			return nil, fmt.Errorf("tag %s: no tag %s comes before it", tag.Name, intervalTag)
		}
		last := &crons[len(crons)-1]
		last.Tags = append(last.Tags, ao.Tag{Name: name, Value: tag.Value})
	}
	return crons, nil
}

func parseInterval(text string) (Cron, error) {
	parts := append(strings.Split(text, "-"), "", "")
	value, unit := strings.TrimSpace(parts[0]), strings.TrimSpace(parts[1])
	parsed := Cron{Interval: text, Tags: ao.Tags{}}
	if unit == "block" || unit == "blocks" {
		parsed.InBlocks = true
		parsed.Every = leadingInteger(value)
		return parsed, nil
	}
	milliseconds, ok := duration(value + " " + unit)
	if !ok {
		return parsed, nil
	}
	if parsed.Every = int64(math.Floor(milliseconds / 1000)); parsed.Every <= 0 {
		return parsed, fmt.Errorf("tag %s %q: less than a second", intervalTag, text)
	}
	return parsed, nil
}

// leadingInteger is JavaScript's parseInt, with 0 for what is no number.
func leadingInteger(text string) int64 {
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	number, err := strconv.ParseInt(text[:end], 10, 64)
	if err != nil {
		return 0
	}
	return number
}

// duration reads what the npm package ms reads, in milliseconds.
func duration(text string) (milliseconds float64, ok bool) {
	const second, minute, hour, day = 1000.0, 60000.0, 3600000.0, 86400000.0
	parts := regexp.MustCompile(`^(-?(?:[0-9]+)?\.?[0-9]+) *([a-z]*)$`).FindStringSubmatch(strings.ToLower(text))
	if parts == nil || len(text) > 100 {
		return 0, false
	}
	number, err := strconv.ParseFloat(parts[1], 64)
	if err != nil {
		return 0, false
	}
	unit := map[string]float64{
		"years": 365.25 * day, "year": 365.25 * day, "yrs": 365.25 * day, "yr": 365.25 * day, "y": 365.25 * day,
		"weeks": 7 * day, "week": 7 * day, "w": 7 * day, "days": day, "day": day, "d": day,
		"hours": hour, "hour": hour, "hrs": hour, "hr": hour, "h": hour,
		"minutes": minute, "minute": minute, "mins": minute, "min": minute, "m": minute,
		"seconds": second, "second": second, "secs": second, "sec": second, "s": second,
		"milliseconds": 1, "millisecond": 1, "msecs": 1, "msec": 1, "ms": 1, "": 1,
	}[parts[2]]
	return number * unit, unit != 0
}

// Point is a place in time: of a block, an assignment, or the process's own beginning.
type Point struct {
	Height    int64
	Timestamp int64 // milliseconds since 1970
}

// Event is one message of a cron.
type Event struct {
	Name string // place among the crons of its kind, and interval: "0-10-blocks"
	Tags ao.Tags
	Point
}

// Message gives the message as the process receives it.
func (e Event) Message(process ao.Process) ao.Message {
	return ao.Message{
		Owner: process.Owner, Target: process.ID.String(), From: process.Owner, Tags: e.Tags.Without("From", "Owner"),
		Timestamp: e.Timestamp, BlockHeight: e.Height, Cron: true,
	}
}

// Schedule gives the crons' messages between points.
type Schedule struct {
	origin         Point // the process's own
	blocks, second []Cron
}

// NewSchedule orders the crons of a process that began at origin.
func NewSchedule(crons []Cron, origin Point) Schedule {
	s := Schedule{origin: origin}
	for _, c := range crons {
		if c.InBlocks {
			s.blocks = append(s.blocks, c)
		} else {
			s.second = append(s.second, c)
		}
	}
	slices.SortStableFunc(s.second, func(a, b Cron) int {
		if a.Every == 0 || b.Every == 0 {
			return 0
		}
		return cmp.Compare(a.Every, b.Every)
	})
	return s
}

// Empty reports whether there is no cron.
func (s Schedule) Empty() bool { return len(s.blocks) == 0 && len(s.second) == 0 }

// Find gives the cron with the name that its events have.
func (s Schedule) Find(name string) (Cron, bool) {
	for _, kind := range [...][]Cron{s.blocks, s.second} {
		for i, c := range kind {
			if eventName(i, c) == name {
				return c, true
			}
		}
	}
	return Cron{}, false
}

func eventName(i int, c Cron) string { return strconv.Itoa(i) + "-" + c.Interval }

// Between gives the messages from left on that come before the time right. Blocks are in order of height; those outside are
// not looked at.
func (s Schedule) Between(left Point, right int64, blocks []Point) iter.Seq[Event] {
	const step = 1000
	return func(yield func(Event) bool) {
		within := slices.DeleteFunc(slices.Clone(blocks), func(b Point) bool { return b.Timestamp <= left.Timestamp || b.Timestamp >= right })
		at, begin := left, Seconds(left.Timestamp)
		// Step i is at left.Timestamp + 1000 i: only the steps at which something happens are looked at.
		for i := int64(0); ; i++ {
			if len(within) == 0 {
				i = s.nextDue(i, begin)
			} else {
				i = min(s.nextDue(i, begin), max(i, Seconds(within[0].Timestamp)-begin))
			}
			if i == never || left.Timestamp+i*step >= right {
				return
			}
			if len(within) > 0 && begin+i >= Seconds(within[0].Timestamp) {
				at, within = within[0], within[1:]
				for j, c := range s.blocks {
					if due(at.Height-s.origin.Height, c.Every) && !yield(Event{eventName(j, c), c.Tags, at}) {
						return
					}
				}
			}
			for j, c := range s.second {
				if due(begin+i-Seconds(s.origin.Timestamp), c.Every) && !yield(Event{eventName(j, c), c.Tags, Point{at.Height, left.Timestamp + i*step}}) {
					return
				}
			}
		}
	}
}

const never = math.MaxInt64

// nextDue gives the first step from i on at which a time cron is due, if step 0 is in this second.
func (s Schedule) nextDue(i, second int64) int64 {
	first := int64(never)
	for _, c := range s.second {
		if c.Every == 0 {
			continue
		}
		distance := second + i - Seconds(s.origin.Timestamp)
		wait := -distance % c.Every
		if wait < 0 {
			wait += c.Every
		}
		if distance+wait == 0 {
			wait += c.Every
		}
		first = min(first, i+wait)
	}
	return first
}

// due reports whether something falls on this distance from the origin. The origin itself does not count.
func due(distance, every int64) bool { return every != 0 && distance != 0 && distance%every == 0 }

// Seconds gives the second of a time in milliseconds. It rounds down, also before 1970.
func Seconds(milliseconds int64) int64 {
	s := milliseconds / 1000
	if milliseconds%1000 < 0 {
		s--
	}
	return s
}
