package cron

// Between is compared with the loop of the reference, second by second, on random schedules.

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"verbatim/cu/ao"
)

// slow is Between as the reference writes it.
func slow(s Schedule, left Point, right int64, blocks []Point) (events []string) {
	var within []Point
	for _, b := range blocks {
		if b.Timestamp > left.Timestamp && b.Timestamp < right {
			within = append(within, b)
		}
	}
	at := left
	for now := left.Timestamp; now < right; now += 1000 {
		if len(within) > 0 && Seconds(now) >= Seconds(within[0].Timestamp) {
			at, within = within[0], within[1:]
			for i, c := range s.blocks {
				if at.Height != s.origin.Height && c.Every != 0 && (at.Height-s.origin.Height)%c.Every == 0 {
					events = append(events, fmt.Sprint(eventName(i, c), at))
				}
			}
		}
		for i, c := range s.second {
			if distance := Seconds(now) - Seconds(s.origin.Timestamp); distance != 0 && c.Every != 0 && distance%c.Every == 0 {
				events = append(events, fmt.Sprint(eventName(i, c), Point{at.Height, now}))
			}
		}
	}
	return events
}

func TestBetween(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var crons []Cron
		for range r.IntN(4) {
			crons = append(crons, Cron{Interval: fmt.Sprint(r.IntN(9)), InBlocks: r.IntN(2) == 0, Every: int64(r.IntN(9))})
		}
		origin := Point{100, 10_000 + int64(r.IntN(3000))}
		s := NewSchedule(crons, origin)
		left := Point{100 + int64(r.IntN(3)), origin.Timestamp + int64(r.IntN(20_000))}
		right := left.Timestamp + int64(r.IntN(40_000)) - 1000
		var blocks []Point
		for height, now := int64(95), int64(5000); height < 130; height++ {
			blocks = append(blocks, Point{height, now})
			now += int64(r.IntN(6000)) - 500
		}
		var got []string
		for e := range s.Between(left, right, blocks) {
			got = append(got, fmt.Sprint(e.Name, e.Point))
		}
		if want := slow(s, left, right, blocks); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("crons %v from %v, between %v and %d, blocks %v:\n got %v\nwant %v", crons, origin, left, right, blocks, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	tags := ao.Tags{{Name: "Cron-Interval", Value: "10-minutes"}, {Name: "Cron-Tag-A", Value: "1"}, {Name: "X", Value: "y"}, {Name: "Cron-Tag-B", Value: "2"},
		{Name: "Cron-Interval", Value: "5-blocks"}, {Name: "Cron-Tag-A", Value: "3"}}
	crons, err := Parse(tags)
	if err != nil || len(crons) != 2 || crons[0].Every != 600 || len(crons[0].Tags) != 2 || !crons[1].InBlocks || crons[1].Every != 5 || crons[1].Tags.Get("A") != "3" {
		t.Errorf("%+v, %v", crons, err)
	}
	for text, want := range map[string]int64{"1-block": 1, "10-seconds": 10, "1.5-minutes": 90, "1-Hour": 3600, "2-weeks": 1209600, "1-year": 31557600, "1-month": 0,
		"x-blocks": 0, "": 0, "-5-seconds": 0, "5000": 5, "7-blocks-x": 7} {
		got, err := Parse(ao.Tags{{Name: "Cron-Interval", Value: text}})
		if err != nil || got[0].Every != want {
			t.Errorf("%q: %+v, %v, want %d", text, got, err, want)
		}
	}
	for _, bad := range []ao.Tags{{{Name: "Cron-Interval", Value: "999-ms"}}, {{Name: "Cron-Interval", Value: "0-seconds"}}, {{Name: "Cron-Tag-X", Value: "1"}}} {
		if got, err := Parse(bad); err == nil {
			t.Errorf("%v: %+v", bad, got)
		}
	}
}
