package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/eval/evaltest"
	"verbatim/examples/storyteller/module"
)

// process is one process of the history and what was assigned to it, in nonce order. The first is the process itself.
type process struct {
	id       ao.ID
	kind     *kind
	crons    bool
	messages []ao.ID
	numbers  []int    // of the messages in the history; of the process itself that of the message before which it came, less 1
	said     int      // messages so far, of which the process's own choice of the next depends
	spoken   []*draft // that messengers signed for other processes, to be repeated
}

// kind is a sort of process: its module, and what is said to it.
type kind struct {
	name   string
	share  int // processes among a hundred
	weight int // messages, relative to other processes
	module ao.ID
	tags   ao.Tags
	say    func(p *process, r *rand.Rand) (action string, data string)
}

// history is everything that is on the network when the units are asked.
type history struct {
	processes []*process
	messages  int // without the processes' own items
	of        map[ao.ID]*process
	order     []message // in order of arrival
	counts    map[string]int
	skipped   []string // modules that are not here
}

type message struct {
	process *process
	nonce   int
}

// arrival is when a message of a day of so many is assigned.
func arrival(number, messages int) time.Time {
	return begin.Add(time.Minute + (day-2*time.Minute)*time.Duration(number)/time.Duration(messages))
}

// kinds publishes the modules that are there.
func (w *world) kinds(modules string) (kinds []*kind, skipped []string, err error) {
	ctx := context.Background()
	limit := ao.Tags{{Name: "Compute-Limit", Value: "2000000"}}
	all := []struct {
		kind
		file, format string
		wasm         func() []byte
	}{
		{kind{name: "counter", share: 44, weight: 8, tags: limit, say: sayCounter}, "", module.Format, evaltest.Module},
		{kind{name: "storyteller", share: 6, weight: 2, say: sayStory}, "", module.Format, module.Wasm},
		{kind{name: "aos 2.0.4", share: 26, weight: 3, say: sayLua}, "aos2_0_4_32.wasm", "wasm32-unknown-emscripten4", nil},
		{kind{name: "aos 2.0.6", share: 14, weight: 3, say: sayLua}, "aos2_0_6.wasm", "wasm64-unknown-emscripten-draft_2024_02_15", nil},
		{kind{name: "aos 2.0.4 metering", share: 4, weight: 1, say: sayLua}, "aos2_0_4_32.wasm", "wasm32-unknown-emscripten-metering", nil},
		{kind{name: "sqlite", share: 6, weight: 1, say: saySQL}, "sqlite.wasm", "wasm64-unknown-emscripten-draft_2024_02_15", nil},
	}
	for i := range all {
		a := &all[i]
		var wasm []byte
		if a.wasm != nil {
			wasm = a.wasm()
		} else if wasm, err = os.ReadFile(filepath.Join(modules, a.file)); errors.Is(err, fs.ErrNotExist) {
			skipped = append(skipped, a.name)
			continue
		} else if err != nil {
			return nil, nil, err
		}
		if a.module, err = w.net.PublishModule(ctx, wasm, a.format, nil); err != nil {
			return nil, nil, err
		}
		kinds = append(kinds, &a.kind)
	}
	return kinds, skipped, nil
}

// generate makes processes and messages, spread over a day. Progress hears of every message.
func (w *world) generate(seed uint64, processes, messages int, modules string, progress func()) (*history, error) {
	random := rand.New(rand.NewPCG(seed, 0))
	kinds, skipped, err := w.kinds(modules)
	if err != nil {
		return nil, err
	}
	h := &history{messages: messages, of: map[ao.ID]*process{}, counts: map[string]int{}, skipped: skipped}
	w.history = h
	// Nine tenths of the processes are there from the beginning; others spawn the rest during the first half of the day.
	for range max(processes*9/10, 1) {
		if err := w.spawn(h, kinds, random, nil); err != nil {
			return nil, err
		}
	}
	later := processes - len(h.processes)
	for number := range messages {
		w.at(arrival(number, messages))
		if later > 0 && number >= (processes-later)*messages/(2*processes) {
			later--
			if err := w.spawn(h, kinds, random, h.processes[random.IntN(len(h.processes))]); err != nil {
				return nil, err
			}
		}
		if err := w.message(h, number, pick(h.processes, random), random); err != nil {
			return nil, err
		}
		progress()
	}
	w.at(begin.Add(day))
	return h, nil
}

func pick(processes []*process, random *rand.Rand) *process {
	total := 0
	for _, p := range processes {
		total += p.kind.weight
	}
	at := random.IntN(total)
	for _, p := range processes {
		if at -= p.kind.weight; at < 0 {
			return p
		}
	}
	panic("soak: internal error: weights do not add up")
}

// spawn begins a process: a user's, or one that another process asked for.
func (w *world) spawn(h *history, kinds []*kind, random *rand.Rand, by *process) error {
	number, at := len(h.processes), 0
	for _, k := range kinds {
		at += k.share
	}
	// Every kind comes early: the k-th process is of the kind at 37 k of the shares, which steps through all of them.
	at = number * 37 % at
	chosen := kinds[0]
	for _, k := range kinds {
		if at -= k.share; at < 0 {
			chosen = k
			break
		}
	}
	d := draft{by: "user-" + strconv.Itoa(number%3), number: number, data: fmt.Appendf(nil, "process %d", number), tags: ao.Tags{
		{Name: "Data-Protocol", Value: "ao"}, {Name: "Variant", Value: "ao.TN.1"}, {Name: "Type", Value: "Process"},
		{Name: "Module", Value: chosen.module.String()}, {Name: "Scheduler", Value: w.net.SUAddress()},
		{Name: "Authority", Value: w.net.MUAddress()}, {Name: "Name", Value: "soak-" + strconv.Itoa(number)},
	}}
	d.tags = append(d.tags, chosen.tags...)
	if by != nil {
		d.by = "messenger"
		d.tags = append(d.tags, ao.Tag{Name: "From-Process", Value: by.id.String()}, ao.Tag{Name: "Pushed-For", Value: by.messages[0].String()})
		h.counts["processes spawned by processes"]++
	}
	p := &process{kind: chosen, crons: number%12 == 5}
	if p.crons {
		interval := [...]string{"15-minutes", "1-hour", "30-blocks"}[number/12%3]
		d.tags = append(d.tags, ao.Tag{Name: "Cron-Interval", Value: interval}, ao.Tag{Name: "Cron-Tag-Action", Value: "Tick"})
		h.counts["processes with crons"]++
	}
	var err error
	if p.id, err = w.send(d); err != nil {
		return fmt.Errorf("spawn process %d (%s): %w", number, chosen.name, err)
	}
	p.messages, p.numbers = append(p.messages, p.id), append(p.numbers, len(h.order)-1)
	h.processes = append(h.processes, p)
	h.of[p.id] = p
	h.counts["processes: "+chosen.name]++
	return nil
}

// message adds one message to a process: from a user, from another process, again, or by assignment.
func (w *world) message(h *history, number int, p *process, random *rand.Rand) (err error) {
	action, data := p.kind.say(p, random)
	p.said++
	owner := w.owner(p, h)
	d := draft{by: owner, target: p.id, number: 1_000_000 + number, data: []byte(data), tags: ao.Tags{
		{Name: "Data-Protocol", Value: "ao"}, {Name: "Variant", Value: "ao.TN.1"}, {Name: "Type", Value: "Message"}, {Name: "Action", Value: action},
	}}
	if p.kind.name == "storyteller" {
		d.tags = append(d.tags, ao.Tag{Name: "Max-Tokens", Value: strconv.Itoa(4 + random.IntN(8))})
	}
	var id ao.ID
	switch draw := random.IntN(100); {
	case draw < 84:
		id, err = w.send(d)
		h.counts["messages of users"]++
	case draw < 94: // a messenger signs for another process
		from := h.processes[random.IntN(len(h.processes))]
		d.by = "messenger"
		d.tags = append(d.tags, ao.Tag{Name: "From-Process", Value: from.id.String()}, ao.Tag{Name: "From-Module", Value: from.kind.module.String()},
			ao.Tag{Name: "Pushed-For", Value: from.messages[0].String()})
		id, err = w.send(d)
		p.spoken = append(p.spoken, &d)
		h.counts["messages of processes"]++
	case draw < 96 && len(p.spoken) > 0: // a second messenger signs what a first one has signed
		at := random.IntN(len(p.spoken))
		again := *p.spoken[at]
		p.spoken = append(p.spoken[:at], p.spoken[at+1:]...)
		again.by = "second-messenger"
		id, err = w.send(again)
		h.counts["duplicates"]++
	case draw < 98: // the item is on the gateway only
		exclude := [...]string{"", "", "Data", "Anchor", "Data,Anchor,Signature"}[random.IntN(5)]
		id, err = w.assign(p.id, d, exclude)
		h.counts["assignments"]++
	default: // data that is no text: the scheduler cannot show it as it is
		d.data = append([]byte(data+" -- "), 0xff, 0xfe, 'x', 0xc3)
		id, err = w.send(d)
		h.counts["messages that are not UTF-8"]++
	}
	if err != nil {
		return fmt.Errorf("message %d: %w", number, err)
	}
	p.messages, p.numbers = append(p.messages, id), append(p.numbers, number)
	h.order = append(h.order, message{p, len(p.messages) - 1})
	return nil
}

// owner is who a process listens to: its user, or, if a messenger has spawned it, anybody.
func (w *world) owner(p *process, h *history) string {
	for number, other := range h.processes {
		if other == p {
			return "user-" + strconv.Itoa(number%3)
		}
	}
	return "user-0"
}
