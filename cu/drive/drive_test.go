package drive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/dataitem"
	"verbatim/cu/drive"
	"verbatim/cu/eval"
	"verbatim/cu/replay"
)

// between is a server in front of a gateway that counts what is asked, and may answer itself.
type between struct {
	next   http.Handler
	asked  sync.Map // paths, to *atomic.Int64
	answer atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
}

func (b *between) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	count, _ := b.asked.LoadOrStore(r.URL.Path, new(atomic.Int64))
	count.(*atomic.Int64).Add(1)
	if answer := b.answer.Load(); answer != nil && (*answer)(w, r) {
		return
	}
	b.next.ServeHTTP(w, r)
}

func (b *between) count(path string) int64 {
	count, ok := b.asked.Load(path)
	if !ok {
		return 0
	}
	return count.(*atomic.Int64).Load()
}

// setUp gives a chain, what stands in front of it, and a drive with a folder.
func setUp(t *testing.T, folder string, bytesMax int64) (*chain, *between, *drive.Drive) {
	t.Helper()
	c := newChain(t)
	front := &between{next: c.net.Gateway()}
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	return c, front, driveOn(t, server.URL, folder, bytesMax)
}

func driveOn(t *testing.T, url, folder string, bytesMax int64) *drive.Drive {
	t.Helper()
	client, err := arweave.New(arweave.Options{Gateway: url})
	if err != nil {
		t.Fatal(err)
	}
	d, err := drive.New(client, folder, bytesMax)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// read opens a name and gives all of it; nil if there is nothing.
func read(t *testing.T, d *drive.Drive, name string, admission *eval.Admission) ([]byte, error) {
	t.Helper()
	content, err := d.Open(t.Context(), eval.Opening{Name: name, Admission: admission})
	if err != nil || content == nil {
		return nil, err
	}
	data := make([]byte, content.Size())
	if _, err := content.ReadAt(data, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if strings.HasPrefix(name, "/data/") && content.SHA256 != sha256.Sum256(data) {
		t.Errorf("%s: digest %x of %d bytes, want %x", name, content.SHA256, len(data), sha256.Sum256(data))
	}
	if content.Close != nil {
		if err := content.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return data, nil
}

// Who may read what: all kinds of availability against all ways in which an item may be vouched for.
func TestAdmission(t *testing.T) {
	c, _, d := setUp(t, t.TempDir(), 1<<20)
	scheduler, attestor, stranger := key(t, 1), key(t, 2), key(t, 3)
	items := map[string]ao.ID{}
	for _, name := range []string{"attested by the scheduler", "attested by an attestor", "attested by a stranger", "attested late", "available", "available from a stranger",
		"available as ao", "listed", "listed in JSON", "listed by a stranger", "nowhere"} {
		items[name] = c.put(stranger, name)
	}
	vouch := func(signer dataitem.Signer, name, protocol, kind, tag, data string) {
		c.put(signer, data, "Data-Protocol", protocol, "Type", kind, tag, items[name].String())
	}
	vouch(scheduler, "attested by the scheduler", "ao", "Attestation", "Message", "")
	vouch(attestor, "attested by an attestor", "ao", "Attestation", "Message", "some data")
	vouch(stranger, "attested by a stranger", "ao", "Attestation", "Message", "")
	vouch(attestor, "available", "WeaveDrive", "Available", "ID", "")
	vouch(stranger, "available from a stranger", "WeaveDrive", "Available", "ID", "")
	vouch(scheduler, "available as ao", "ao", "Available", "ID", "")
	c.put(attestor, "one\n"+items["listed"].String()+"\ntwo\n", "Data-Protocol", "WeaveDrive", "Type", "Available")
	list, err := json.Marshal([]ao.ID{{1}, items["listed in JSON"]})
	if err != nil {
		t.Fatal(err)
	}
	c.put(scheduler, string(list), "Data-Protocol", "WeaveDrive", "Type", "Available")
	c.put(stranger, items["listed by a stranger"].String(), "Data-Protocol", "WeaveDrive", "Type", "Available")
	height := c.height()
	c.at = c.at.Add(time.Hour)
	vouch(scheduler, "attested late", "ao", "Attestation", "Message", "")
	late := c.height()
	if late == height {
		t.Fatal("an hour makes no block")
	}
	attested := map[string]bool{"attested by the scheduler": true, "attested by an attestor": true}
	individual := map[string]bool{"available": true}
	listed := map[string]bool{"listed": true, "listed in JSON": true}
	for name, id := range items {
		for _, at := range []int64{height, late, height} {
			for _, mode := range []eval.Availability{eval.Assignments, eval.Individual, eval.Library} {
				want := attested[name] || at == late && name == "attested late" || mode != eval.Assignments && individual[name] || mode == eval.Library && listed[name]
				got, err := read(t, d, "/data/"+id.String(), &eval.Admission{
					Availability: mode, Attestors: []string{address(scheduler), address(attestor)}, Height: at,
				})
				if err != nil || (got != nil) != want || got != nil && string(got) != name {
					t.Errorf("%s, %s at height %d: %q, %v; want it there: %v", name, mode, at, got, err, want)
				}
			}
		}
		if got, err := read(t, d, "/data/"+id.String(), nil); err != nil || string(got) != name {
			t.Errorf("%s without a condition: %q, %v", name, got, err)
		}
	}
}

// An index that lies admits nothing, and what cannot be asked is an error.
func TestLyingIndex(t *testing.T) {
	c, front, d := setUp(t, t.TempDir(), 1<<20)
	id := c.put(key(t, 3), "wanted")
	other := c.put(key(t, 3), "says nothing of the kind", "Data-Protocol", "ao", "Type", "Attestation", "Message", id.String())
	admission := &eval.Admission{Availability: eval.Library, Attestors: []string{address(key(t, 1))}, Height: c.height()}
	lie := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/graphql" {
			return false
		}
		fmt.Fprintf(w, `{"data":{"transactions":{"edges":[{"node":{"id":%q,"owner":{"address":%q},"tags":[]}}]}}}`, other, address(key(t, 1)))
		return true
	}
	front.answer.Store(&lie)
	if got, err := read(t, d, "/data/"+id.String(), admission); got != nil || err != nil {
		t.Errorf("somebody else's word: %q, %v", got, err)
	}
	gone := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/item/"+other.String() || r.URL.Path == "/raw/"+other.String() {
			http.NotFound(w, r)
			return true
		}
		return lie(w, r)
	}
	front.answer.Store(&gone)
	if got, err := read(t, d, "/data/"+id.String(), admission); got != nil || err == nil {
		t.Errorf("a word that cannot be read: %q, %v; want an error", got, err)
	}
	broken := func(w http.ResponseWriter, r *http.Request) bool {
		http.Error(w, "no", http.StatusForbidden)
		return true
	}
	front.answer.Store(&broken)
	for _, name := range []string{"/data/" + id.String(), "/tx/" + id.String(), "/block/1600000"} {
		if got, err := read(t, d, name, admission); got != nil || err == nil || errors.Is(err, replay.ErrNoContent) {
			t.Errorf("%s of a broken gateway: %q, %v; want an error", name, got, err)
		}
	}
}

// What no gateway has is not there; what is forged or too large is an error.
func TestWhatIsNotThere(t *testing.T) {
	c, front, d := setUp(t, t.TempDir(), 100)
	small, large := c.put(key(t, 3), strings.Repeat("s", 100)), c.put(key(t, 3), strings.Repeat("l", 101))
	for _, name := range []string{"/data/" + ao.ID{7}.String(), "/tx/" + ao.ID{7}.String(), "/block/99999999999", "/block/" + strings.Repeat("x", 64)} {
		if got, err := read(t, d, name, nil); got != nil || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	signature := make([]byte, 65) // of secp256k1: the id binds nothing else
	unbound := func(w http.ResponseWriter, r *http.Request) bool {
		fmt.Fprintf(w, `{"format":2,"owner":"","signature":%q}`, base64.RawURLEncoding.EncodeToString(signature))
		return true
	}
	front.answer.Store(&unbound)
	if got, err := read(t, d, "/tx/"+ao.ID(sha256.Sum256(signature)).String(), nil); got != nil || err != nil {
		t.Errorf("a transaction without an owner: %q, %v", got, err)
	}
	if got, err := read(t, d, "/tx/"+small.String(), nil); got != nil || err == nil {
		t.Errorf("another transaction without an owner: %q, %v", got, err)
	}
	front.answer.Store(nil)
	if got, err := read(t, d, "/data/"+large.String(), nil); got != nil || err == nil {
		t.Errorf("101 bytes: %d bytes, %v", len(got), err)
	}
	forge := func(w http.ResponseWriter, r *http.Request) bool {
		answer := httptest.NewRecorder()
		front.next.ServeHTTP(answer, r)
		body := bytes.Replace(answer.Body.Bytes(), []byte("ssss"), []byte("sss$"), 1)
		w.WriteHeader(answer.Code)
		_, err := w.Write(body)
		return err == nil
	}
	front.answer.Store(&forge)
	if got, err := read(t, d, "/data/"+small.String(), nil); got != nil || err == nil {
		t.Errorf("forged: %q, %v", got, err)
	}
	front.answer.Store(nil)
	if got, err := read(t, d, "/data/"+small.String(), nil); len(got) != 100 || err != nil {
		t.Errorf("100 bytes: %d, %v", len(got), err)
	}
	if _, err := d.Contents(t.Context(), "/data/"+ao.ID{7}.String()); !errors.Is(err, replay.ErrNoContent) {
		t.Errorf("contents of what nobody has: %v", err)
	}
	if _, err := d.Contents(t.Context(), "/tx/"+small.String()); !errors.Is(err, replay.ErrNoContent) {
		t.Errorf("contents of a transaction: %v", err)
	}
}

// An item is fetched once for everyone, lies on disk until others need the room, and is digested again after a start.
func TestStore(t *testing.T) {
	folder := t.TempDir()
	c, front, d := setUp(t, folder, 250)
	names := make([]string, 3)
	for i := range names {
		names[i] = "/data/" + c.put(key(t, 3), strings.Repeat(string(rune('a'+i)), 100)).String()
	}
	item := func(i int) string { return strings.Replace(names[i], "/data/", "/item/", 1) }
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if got, err := read(t, d, names[0], nil); len(got) != 100 || err != nil {
				t.Errorf("together: %d bytes, %v", len(got), err)
			}
		})
	}
	group.Wait()
	if n := front.count(item(0)); n != 1 {
		t.Errorf("fetched %d times, want once", n)
	}
	kept, err := d.Open(t.Context(), eval.Opening{Name: names[0]})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 2, 1} { // there is room for two
		if got, err := read(t, d, names[i], nil); len(got) != 100 || err != nil {
			t.Errorf("item %d: %d bytes, %v", i, len(got), err)
		}
	}
	if files, _ := os.ReadDir(folder); len(files) != 2 || front.count(item(1)) != 1 {
		t.Errorf("%d files, item 1 fetched %d times; want 2, once", len(files), front.count(item(1)))
	}
	if data, err := io.ReadAll(kept); len(data) != 100 || err != nil {
		t.Errorf("what was open when it went: %d bytes, %v", len(data), err)
	}
	if err := kept.Close(); err != nil {
		t.Error(err)
	}
	server := httptest.NewServer(front)
	defer server.Close()
	again := driveOn(t, server.URL, folder, 250)
	if got, err := read(t, again, names[1], nil); len(got) != 100 || err != nil || front.count(item(1)) != 1 {
		t.Errorf("after a start: %d bytes, %v, fetched %d times", len(got), err, front.count(item(1)))
	}
	for _, damage := range []func(path string) error{
		func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("x"), 100), 0o644) }, // of the same size
		func(path string) error { return os.Truncate(path, 10) },
		os.Remove,
	} {
		before := front.count(item(1))
		again = driveOn(t, server.URL, folder, 250)
		found, err := filepath.Glob(filepath.Join(folder, strings.TrimPrefix(names[1], "/data/")+".*"))
		if err != nil || len(found) != 1 {
			t.Fatalf("files %q, %v", found, err)
		}
		if err := damage(found[0]); err != nil {
			t.Fatal(err)
		}
		if got, err := read(t, again, names[1], nil); string(got) != strings.Repeat("b", 100) || err != nil || front.count(item(1)) != before+1 {
			t.Errorf("damaged: %q, %v, fetched %d times more", got, err, front.count(item(1))-before)
		}
	}
}

// Whoever gives up does not keep the others from getting it.
func TestCancelled(t *testing.T) {
	c, front, d := setUp(t, t.TempDir(), 1<<20)
	name := "/data/" + c.put(key(t, 3), "slow").String()
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow := func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { close(reached) })
		<-release
		return false
	}
	front.answer.Store(&slow)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := d.Open(ctx, eval.Opening{Name: name})
		first <- err
	}()
	<-reached
	second := make(chan error)
	go func() {
		got, err := read(t, d, name, nil)
		if err == nil && string(got) != "slow" {
			err = fmt.Errorf("got %q", got)
		}
		second <- err
	}()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("whoever gave up: %v", err)
	}
	close(release)
	if err := <-second; err != nil {
		t.Errorf("the other: %v", err)
	}
}

// Memory use does not grow with what is read.
func TestLargeItem(t *testing.T) {
	const size = 48 << 20
	path := filepath.Join(t.TempDir(), "item")
	item, err := dataitem.Sign(key(t, 1), dataitem.Draft{Data: make([]byte, size)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, item.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	name := "/data/" + item.ID().String()
	item = nil
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }))
	defer server.Close()
	d := driveOn(t, server.URL, t.TempDir(), size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	content, err := d.Open(t.Context(), eval.Opening{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	part := make([]byte, 1<<10)
	for at := int64(0); at < size; at += 1 << 20 {
		if _, err := content.ReadAt(part, at); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; content.Size() != size || allocated > 4<<20 {
		t.Errorf("%d bytes, of which %d were allocated", content.Size(), allocated)
	}
}
