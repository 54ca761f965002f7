package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
	"verbatim/internal/localnet"
)

// begin is when the day of the world begins. It is as good as any after the first block of the local network.
var begin = time.UnixMilli(1_767_225_600_000)

const day = 24 * time.Hour

// world is a local network with a clock and keys of its own, so that one seed gives one history, ids included.
type world struct {
	net    *localnet.Network
	folder string
	clock  atomic.Int64 // nanoseconds since 1970
	su     http.Handler
	signer map[string]dataitem.Signer
	front  struct{ gateway, su *front }

	history *history
	shown   atomic.Int64 // the messages below this number are on the network by now
}

// openWorld makes an empty network in a folder.
func openWorld(folder string, seed uint64) (*world, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	w := &world{folder: folder, signer: map[string]dataitem.Signer{}}
	w.clock.Store(begin.UnixNano())
	for _, name := range [...]string{"scheduler", "messenger", "developer", "second-messenger", "user-0", "user-1", "user-2"} {
		digest := sha256.Sum256(fmt.Appendf(nil, "soak %d %s", seed, name))
		signer, err := dataitem.NewEd25519Signer(digest[:])
		if err != nil {
			return nil, err
		}
		w.signer[name] = signer
		wallet, err := dataitem.MarshalJWK(signer)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(folder, name+"-wallet.json"), wallet, 0o600); err != nil {
			return nil, err
		}
	}
	var err error
	w.net, err = localnet.Open(localnet.Options{
		Folder: folder, Clock: func() time.Time { return time.Unix(0, w.clock.Load()) },
		Log: func(format string, arguments ...any) { fmt.Fprintf(os.Stderr, format+"\n", arguments...) },
	})
	if err != nil {
		return nil, err
	}
	w.net.TakeCopies() // as schedulers did for a time: what two messengers sign for one message is for the unit to notice
	w.su = w.net.SU()
	return w, nil
}

// at sets the clock of the world.
func (w *world) at(t time.Time) { w.clock.Store(t.UnixNano()) }

// show sets the world to the moment at which message number was assigned: later ones are not there yet.
func (w *world) show(number int) {
	for {
		before := w.shown.Load()
		if before > int64(number) {
			return
		}
		if w.shown.CompareAndSwap(before, int64(number)+1) {
			break
		}
	}
	at := arrival(number, w.history.messages)
	for before := w.clock.Load(); before < at.UnixNano(); before = w.clock.Load() {
		if w.clock.CompareAndSwap(before, at.UnixNano()) {
			return
		}
	}
}

// rewind sets the world to its morning.
func (w *world) rewind() {
	w.shown.Store(0)
	w.at(begin)
}

// evening sets the world to the end of its day, if everything is there.
func (w *world) evening() {
	if int(w.shown.Load()) == w.history.messages {
		w.at(begin.Add(day))
	}
}

// latest answers what the last assignment of a process is by now. All other requests go to the scheduler as they are: nobody
// asks it for what was not shown yet.
func (w *world) latest(rw http.ResponseWriter, r *http.Request) {
	name, is := strings.CutSuffix(r.URL.Path, "/latest")
	id, err := ao.ParseID(strings.TrimPrefix(name, "/"))
	p := w.history.of[id]
	if !is || err != nil || p == nil {
		w.su.ServeHTTP(rw, r)
		return
	}
	shown := int(w.shown.Load())
	last := sort.SearchInts(p.numbers, shown) - 1
	url := fmt.Sprintf("http://localhost/%s?process-id=%s&from-nonce=%d&to-nonce=%d", id, id, last-1, last)
	if last == 0 {
		url = fmt.Sprintf("http://localhost/%s?process-id=%s&limit=1", id, id)
	}
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, nil)
	answer := newRecorder()
	var found struct {
		Edges []struct{ Node json.RawMessage }
	}
	if err == nil {
		w.su.ServeHTTP(answer, request)
		err = json.Unmarshal(answer.body.Bytes(), &found)
	}
	if err != nil || len(found.Edges) != 1 {
		http.Error(rw, fmt.Sprintf("soak: nonce %d of process %s: %v", last, id, err), http.StatusNotImplemented)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Write(found.Edges[0].Node)
}

// post hands an item to the scheduler. It gets the next nonce of its process.
func (w *world) post(path string, body []byte) error {
	return posted(w.su, path, body)
}

// posted makes a request of a handler and wants a good answer.
func posted(handler http.Handler, path string, body []byte) error {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer := newRecorder()
	handler.ServeHTTP(answer, request)
	if answer.status/100 != 2 {
		return fmt.Errorf("POST %s: status %d: %.300s", path, answer.status, answer.body.Bytes())
	}
	return nil
}

// draft is what somebody says to the network.
type draft struct {
	by     string // name of the key
	target ao.ID  // zero: none
	tags   ao.Tags
	data   []byte
	number int // makes two drafts alike two items
}

func (w *world) sign(d draft) (*dataitem.Item, error) {
	anchor := sha256.Sum256(fmt.Appendf(nil, "anchor %d", d.number))
	if len(d.data) == 0 {
		d.data = []byte(" ")
	}
	return dataitem.Sign(w.signer[d.by], dataitem.Draft{
		Target: d.target, Anchor: fmt.Appendf(nil, "%x", anchor[:dataitem.AnchorBytes/2]), Tags: d.tags, Data: d.data,
	})
}

// send signs a message or process and has it scheduled.
func (w *world) send(d draft) (ao.ID, error) {
	item, err := w.sign(d)
	if err != nil {
		return ao.ID{}, err
	}
	return item.ID(), w.post("/", item.Bytes())
}

// assign uploads an item to the gateway only, and has it assigned to a process from there.
func (w *world) assign(process ao.ID, d draft, exclude string) (ao.ID, error) {
	item, err := w.sign(d)
	if err != nil {
		return ao.ID{}, err
	}
	if err := posted(w.net.Gateway(), "/tx", item.Bytes()); err != nil {
		return ao.ID{}, err
	}
	query := url.Values{"process-id": {process.String()}, "assign": {item.ID().String()}}
	if exclude != "" {
		query.Set("exclude", exclude)
	}
	return item.ID(), w.post("/?"+query.Encode(), nil)
}

// listen puts the scheduler and the gateway behind fronts, and says on the network where the scheduler is.
func (w *world) listen(seed uint64) (err error) {
	if w.front.su, err = newFront("scheduler", http.HandlerFunc(w.latest), seed); err != nil {
		return err
	}
	if w.front.gateway, err = newFront("gateway", w.net.Gateway(), seed+1); err != nil {
		return err
	}
	return w.net.AnnounceSU(w.front.su.url)
}

func (w *world) close() {
	for _, f := range [...]*front{w.front.su, w.front.gateway} {
		if f != nil {
			f.close()
		}
	}
	w.net.Close()
}

// recorder keeps an answer.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func newRecorder() *recorder { return &recorder{status: http.StatusOK, header: http.Header{}} }

func (r *recorder) Header() http.Header             { return r.header }
func (r *recorder) WriteHeader(status int)          { r.status = status }
func (r *recorder) Write(piece []byte) (int, error) { return r.body.Write(piece) }
