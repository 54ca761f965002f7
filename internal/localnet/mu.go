package localnet

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
	"verbatim/internal/fetch"
)

const resultBytesMax = 256 << 20

// MU serves the messenger unit:
//
//	POST   /                          a signed message or process: goes to the scheduler, then its results are pushed
//	POST   /?process-id=P&assign=ID   [&exclude=A,B]
//	POST   /push/{id}/{number}?process-id=P   pushes one of the messages in a result again
//	POST   /monitor/{process}, DELETE /monitor/{process}   a signed request to send on what crons send, or to stop it
//	GET    /
func (n *Network) MU() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ao messenger unit") })
	mux.HandleFunc("POST /{$}", n.postMessage)
	mux.HandleFunc("POST /push/{id}/{number}", n.postPush)
	mux.HandleFunc("POST /monitor/{process}", n.postMonitor)
	mux.HandleFunc("DELETE /monitor/{process}", n.postMonitor)
	return allowBrowsers(mux)
}

func (n *Network) postMessage(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	switch assigned, process := query.Get("assign"), query.Get("process-id"); {
	case assigned != "" && process != "":
		message, err := n.deliverAssignment(process, assigned, query.Get("exclude"), "")
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, http.StatusAccepted, map[string]any{"message": "Processing Assignment", "id": message})
		return
	case assigned != "" || process != "":
		fail(w, http.StatusBadRequest, errors.New("You must set both process-id and assign to send an assignment, not just one"))
		return
	}
	stored, err := n.keep(r.Body, messageBytesMax)
	if err == nil {
		err = n.deliver(stored, "")
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusAccepted, map[string]any{"message": "Processing DataItem", "id": stored.id})
}

func (n *Network) postPush(w http.ResponseWriter, r *http.Request) {
	message, err := ao.ParseID(r.PathValue("id"))
	process, errProcess := ao.ParseID(r.URL.Query().Get("process-id"))
	number, errNumber := strconv.ParseUint(r.PathValue("number"), 10, 31)
	if err := errors.Join(err, errProcess, errNumber); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	if _, there := n.plans.find(process, message); !there {
		fail(w, http.StatusBadRequest, fmt.Errorf("message %s on process %s: %w", message, process, errNotStored))
		return
	}
	if err := n.messenger.add(task{Process: process, Message: message, Only: int(number) + 1}); err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusAccepted, map[string]any{"message": "Processing Message Result", "id": message})
}

// deliver gives a stored item to the scheduler and has its results pushed. An item for something that is no process here
// stays on the gateway: that is where a wallet gets its messages.
func (n *Network) deliver(stored *entry, pushedFor string) error {
	item := stored.item
	process := stored.id
	if item.Tags.Has("Type", "Message") && item.Tags.Has("Data-Protocol", "ao") && len(item.Target) > 0 {
		process = ao.ID(item.Target)
		if !n.plans.has(process) {
			return nil
		}
	}
	return n.messenger.begin(task{Process: process, Message: stored.id, PushedFor: pushedFor}, func() error {
		_, err := n.schedule(stored)
		return err
	})
}

// deliverAssignment assigns an item that is on the gateway to a process and has its results pushed.
func (n *Network) deliverAssignment(process, message, exclude, pushedFor string) (ao.ID, error) {
	asked, err := n.askAssignment(process, message, exclude)
	if err != nil {
		return ao.ID{}, err
	}
	return asked.message, n.messenger.begin(task{Process: asked.process, Message: asked.message, PushedFor: pushedFor}, func() error {
		_, err := n.plans.assign(asked)
		return err
	})
}

// task is a scheduled message whose results are to be pushed.
type task struct {
	Process   ao.ID  `json:"process"`
	Message   ao.ID  `json:"message"`
	PushedFor string `json:"pushed_for,omitempty"` // the message that began it all
	Only      int    `json:"only,omitempty"`       // push this message of the result only, counted from 1
}

// messenger pushes results: one message after the other for each process, processes side by side. messenger.log holds a line
// when a task comes, before the message is scheduled, and one when it is done. Tasks that a crash leaves are done again; that
// does no harm, because the same key signs the same items and the scheduler knows them.
type messenger struct {
	network *Network
	fetch   *fetch.Client
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	noting sync.Mutex
	log    *lineLog

	mu       sync.Mutex
	cu       string // "": tasks wait
	queues   map[ao.ID][]task
	busy     map[ao.ID]bool
	monitors monitors
}

type messengerLine struct {
	task
	Done bool `json:"done,omitempty"`
}

func openMessenger(n *Network) (*messenger, error) {
	m := &messenger{network: n, fetch: fetch.NewPatient(), queues: map[ao.ID][]task{}, busy: map[ao.ID]bool{}}
	m.ctx, m.stop = context.WithCancel(context.Background())
	var err error
	m.log, err = openLog(filepath.Join(n.folder, "messenger.log"), func(text []byte) error {
		var line messengerLine
		if err := json.Unmarshal(text, &line); err != nil {
			return err
		}
		queue := m.queues[line.Process]
		if !line.Done {
			m.queues[line.Process] = append(queue, line.task)
			return nil
		}
		at := slices.Index(queue, line.task)
		if at < 0 {
			return fmt.Errorf("task of message %s is done before it came", line.Message)
		}
		m.queues[line.Process] = slices.Delete(queue, at, at+1)
		return nil
	})
	if err == nil {
		m.monitors, err = openMonitors(n.folder)
	}
	return m, err
}

// start names the compute unit and begins with what waits.
func (m *messenger) start(cu string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cu = cu
	for process := range m.queues {
		m.wake(process)
	}
	for process := range m.monitors.cursors {
		m.startMonitor(process)
	}
}

// begin notes a task, schedules its message, and then takes the task. A crash before the message is scheduled leaves a task
// without a message, which the next start forgets: nobody was told that it was taken.
func (m *messenger) begin(t task, schedule func() error) error {
	if err := m.note(messengerLine{task: t}); err != nil {
		return err
	}
	if err := schedule(); err != nil {
		return errors.Join(err, m.note(messengerLine{t, true}))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues[t.Process] = append(m.queues[t.Process], t)
	m.wake(t.Process)
	return nil
}

// add takes a task. It is on disk when add returns.
func (m *messenger) add(t task) error {
	return m.begin(t, func() error { return nil })
}

func (m *messenger) note(line messengerLine) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	m.noting.Lock()
	defer m.noting.Unlock()
	return m.log.append(text)
}

// wake has someone work on the queue of a process. The caller holds the lock.
func (m *messenger) wake(process ao.ID) {
	if m.cu == "" || m.busy[process] || len(m.queues[process]) == 0 || m.ctx.Err() != nil {
		return
	}
	m.busy[process] = true
	m.running.Add(1)
	go m.work(process)
}

func (m *messenger) work(process ao.ID) {
	defer m.running.Done()
	for {
		m.mu.Lock()
		if len(m.queues[process]) == 0 || m.ctx.Err() != nil {
			delete(m.busy, process)
			m.mu.Unlock()
			return
		}
		next, cu := m.queues[process][0], m.cu
		m.mu.Unlock()

		if _, scheduled := m.network.plans.find(next.Process, next.Message); !scheduled {
			m.network.log("message %s was not scheduled on process %s before the last stop", next.Message, next.Process)
		} else if err := m.push(next, cu); err != nil {
			if m.ctx.Err() != nil {
				continue // not done: the next start does it
			}
			m.network.log("push the results of message %s on process %s: %v", next.Message, next.Process, err)
		}
		if err := m.note(messengerLine{next, true}); err != nil {
			m.network.log("%v", err)
		}
		m.mu.Lock()
		m.queues[process] = m.queues[process][1:]
		m.mu.Unlock()
	}
}

func (m *messenger) close() error {
	m.stop()
	m.running.Wait()
	if m.log == nil {
		return nil
	}
	return m.log.close()
}

// The parts of a result that a messenger acts on.
type (
	outTag struct {
		Name  string          `json:"name"`
		Value json.RawMessage `json:"value"`
	}
	outItem struct {
		Target string
		Anchor *string
		Tags   []outTag
		Data   json.RawMessage
	}
	outAssignment struct {
		Processes []string
		Message   string
		Exclude   []string
	}
	outResult struct {
		Messages    []outItem
		Spawns      []outItem
		Assignments []outAssignment
	}
)

// push asks the compute unit for the result of a message and sends on what the process wants sent.
func (m *messenger) push(t task, cu string) error {
	address := cu + "/result/" + t.Message.String() + "?" + url.Values{"process-id": {t.Process.String()}, "no-busy": {"1"}}.Encode()
	body, err := m.fetch.Bytes(m.ctx, fetch.Request{Method: http.MethodGet, URL: address, BytesMax: resultBytesMax})
	if err != nil {
		return err
	}
	var result outResult
	if err := json.Unmarshal(body, &result); err != nil {
		return fmt.Errorf("GET %s: %w", address, err)
	}
	if t.PushedFor == "" {
		t.PushedFor = t.Message.String()
	}
	if t.Only > 0 {
		if t.Only > len(result.Messages) {
			return fmt.Errorf("there is no message %d in the result", t.Only-1)
		}
		result = outResult{Messages: result.Messages[t.Only-1 : t.Only]}
	}
	return m.sendOn(t, result)
}

// sendOn sends on what is in a result.
func (m *messenger) sendOn(t task, result outResult) error {
	var failures []error
	for i, message := range result.Messages {
		if why := message.strange(); why != "" {
			m.network.log("message %d of process %s has %s: the public network's messengers leave it out", i, t.Process, why)
		}
		if err := m.pushMessage(t, message); err != nil {
			failures = append(failures, fmt.Errorf("message %d: %w", i, err))
		}
	}
	for i, spawn := range result.Spawns {
		if err := m.pushSpawn(t, spawn); err != nil {
			failures = append(failures, fmt.Errorf("spawn %d: %w", i, err))
		}
	}
	for i, assigned := range result.Assignments {
		if err := m.pushAssignment(t, assigned); err != nil {
			failures = append(failures, fmt.Errorf("assignment %d: %w", i, err))
		}
	}
	return errors.Join(failures...)
}

// pushMessage signs a process's message on its behalf and delivers it.
func (m *messenger) pushMessage(t task, message outItem) error {
	target, err := ao.ParseID(message.Target)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	tags := message.tags().Without("Data-Protocol", "Type", "From-Process", "From-Module", "Assignments")
	tags = append(tags,
		ao.Tag{Name: "Data-Protocol", Value: "ao"}, ao.Tag{Name: "Type", Value: "Message"},
		ao.Tag{Name: "From-Process", Value: t.Process.String()}, ao.Tag{Name: "From-Module", Value: m.network.moduleOf(t.Process)},
	)
	tags = t.origin(tags)
	id, err := m.send(t, dataitem.Draft{Target: target, Anchor: message.anchor(), Tags: tags, Data: message.data()})
	if err != nil {
		return err
	}
	if also := message.assignees(); len(also) > 0 {
		return m.pushAssignment(t, outAssignment{Processes: also, Message: id.String()})
	}
	return nil
}

// pushSpawn starts the process that a process asked for, and tells it when that is done.
func (m *messenger) pushSpawn(t task, spawn outItem) error {
	asked := spawn.tags()
	tags := append(asked.Without("Data-Protocol", "Type", "Variant"),
		ao.Tag{Name: "Data-Protocol", Value: "ao"}, ao.Tag{Name: "Type", Value: "Process"}, ao.Tag{Name: "Variant", Value: "ao.TN.1"},
		ao.Tag{Name: "From-Process", Value: t.Process.String()},
	)
	tags = t.origin(tags)
	if asked.Get("Scheduler") == "" {
		tags = tags.Append("Scheduler", m.network.SUAddress())
	}
	for i := range tags {
		if tags[i].Name == "From-Module" {
			tags[i].Value = m.network.moduleOf(t.Process)
		}
	}
	process, err := m.send(t, dataitem.Draft{Anchor: spawn.anchor(), Tags: tags, Data: spawn.data()})
	if err != nil {
		return err
	}
	variant := asked.Get("Variant")
	if variant == "" {
		variant = "ao.TN.1"
	}
	_, err = m.send(t, dataitem.Draft{Target: t.Process, Data: []byte(" "), Tags: append(asked.Without("Data-Protocol", "Type", "Variant"),
		ao.Tag{Name: "Data-Protocol", Value: "ao"}, ao.Tag{Name: "Type", Value: "Message"}, ao.Tag{Name: "Process", Value: process.String()},
		ao.Tag{Name: "Action", Value: "Spawned"}, ao.Tag{Name: "Variant", Value: variant},
	)})
	return err
}

// origin adds the message that began it all, which crons do not have.
func (t task) origin(tags ao.Tags) ao.Tags {
	if t.PushedFor == "" {
		return tags
	}
	return tags.Append("Pushed-For", t.PushedFor)
}

func (m *messenger) pushAssignment(t task, assigned outAssignment) error {
	var failures []error
	for _, process := range assigned.Processes {
		exclude := ""
		for _, part := range assigned.Exclude {
			exclude += part + ","
		}
		_, err := m.network.deliverAssignment(process, assigned.Message, exclude, t.PushedFor)
		if err != nil && !errors.Is(err, errDuplicate) {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// send signs, stores and delivers. What was delivered before a crash is not delivered twice.
func (m *messenger) send(t task, draft dataitem.Draft) (ao.ID, error) {
	item, err := dataitem.Sign(m.network.signerFor(draft.Target), draft)
	if err != nil {
		return ao.ID{}, err
	}
	if err := m.network.keepItem(item); err != nil {
		return ao.ID{}, err
	}
	err = m.network.deliver(m.network.store.get(item.ID()), t.PushedFor)
	if errors.Is(err, errDuplicate) {
		err = nil
	}
	return item.ID(), err
}

// signerFor gives the key that a process takes pushed messages of. Clients of mainnet name one address as scheduler and as
// authority, because a HyperBEAM node has one key: their processes hear from the scheduler's.
func (n *Network) signerFor(target ao.ID) dataitem.Signer {
	if found := n.store.get(target); found != nil {
		tags := found.item.Tags
		if tags.Has("Authority", n.SUAddress()) && !tags.Has("Authority", n.MUAddress()) {
			return n.su
		}
	}
	return n.mu
}

// moduleOf gives the module of a process, or "".
func (n *Network) moduleOf(process ao.ID) string {
	if found := n.store.get(process); found != nil {
		return found.item.Tags.Get("Module")
	}
	return ""
}

func (o outItem) tags() ao.Tags {
	tags := make(ao.Tags, 0, len(o.Tags))
	for _, tag := range o.Tags {
		tags = append(tags, ao.Tag{Name: tag.Name, Value: asText(tag.Value)})
	}
	return tags
}

// assignees are the processes of a tag Assignments, whose value is a list.
func (o outItem) assignees() (processes []string) {
	for _, tag := range o.Tags {
		if tag.Name == "Assignments" && json.Unmarshal(tag.Value, &processes) == nil {
			return processes
		}
	}
	return nil
}

// strange says what other messengers do not take of a message; "" if they take it.
func (o outItem) strange() string {
	switch {
	case o.Anchor == nil:
		return "no Anchor"
	case o.Tags == nil:
		return "no Tags"
	}
	for _, tag := range o.Tags {
		if len(tag.Value) == 0 || tag.Value[0] != '"' {
			return fmt.Sprintf("a tag %q whose value is not a string", tag.Name)
		}
	}
	return ""
}

// anchor gives the anchor in the 32 bytes that items have: as it is if it fits, else a digest of it.
func (o outItem) anchor() []byte {
	if o.Anchor == nil || *o.Anchor == "" {
		return nil
	}
	if len(*o.Anchor) == dataitem.AnchorBytes {
		return []byte(*o.Anchor)
	}
	digest := sha256.Sum256([]byte(*o.Anchor))
	return []byte(fmt.Sprintf("%x", digest[:dataitem.AnchorBytes/2]))
}

// data gives the data as other messengers send it: never empty.
func (o outItem) data() []byte {
	if text := asText(o.Data); text != "" && text != "null" {
		return []byte(text)
	}
	return []byte(" ")
}
