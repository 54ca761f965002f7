// Package localnet is an ao network in one program, for development and tests: a gateway with an uploader, a scheduler unit
// and a messenger unit, real enough for unmodified clients (aoconnect in legacy mode). The compute unit is somebody else's.
//
// Invariants: nothing is stored unless its signature verifies; nothing is acknowledged before it is on disk; assignments of
// a process have consecutive nonces, an unbroken hash chain and rising timestamps. After a crash a start from the same
// folder goes on where it stopped, and pushes what had not been pushed.
//
// It does not mine, charge, or replicate, and it moves no coins; blocks are made up from the clock.
package localnet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
	"verbatim/internal/durable"
)

// Options say how a network runs.
type Options struct {
	// Folder keeps items, schedules and wallets. "" keeps them in a temporary folder that Close removes.
	Folder string
	// Publisher signs what Publish and PublishModule publish. nil: the developer's key. With a key that others have too, the
	// same data and tags have the same id on every machine.
	Publisher dataitem.Signer
	// CUURL is the compute unit that the messenger asks for results. "": none yet, see SetCU.
	CUURL string
	// Clock gives the time to blocks and schedules. nil: time.Now.
	Clock func() time.Time
	// Log gets a line for each thing that went wrong behind a client's back. nil: nobody.
	Log func(format string, arguments ...any)
}

// Network is a running network. Its methods are safe for concurrent use.
type Network struct {
	log       func(format string, arguments ...any)
	folder    string
	temporary bool
	lock      *os.File
	now       func() time.Time
	chain     chain
	store     *store
	arrivals  *arrivals
	plans     *schedule
	messenger *messenger
	su, mu    dataitem.Signer
	developer dataitem.Signer
	publisher dataitem.Signer

	servers []*http.Server
	cu      atomic.Pointer[http.Handler] // behind the compute unit's port
}

// Open starts a network, or goes on with the one in a folder. It does not listen: see Listen, or serve the handlers.
func Open(options Options) (*Network, error) {
	n := &Network{log: options.Log, folder: options.Folder, now: options.Clock}
	if n.now == nil {
		n.now = time.Now
	}
	if n.log == nil {
		n.log = func(string, ...any) {}
	}
	if err := n.open(options); err != nil {
		n.Close()
		return nil, fmt.Errorf("open local network in %s: %w", n.folder, err)
	}
	return n, nil
}

func (n *Network) open(options Options) (err error) {
	if n.temporary = n.folder == ""; n.temporary {
		if n.folder, err = os.MkdirTemp("", "localnet-*"); err != nil {
			return err
		}
	}
	if err = os.MkdirAll(n.folder, 0o755); err != nil {
		return err
	}
	if n.lock, err = lockFolder(n.folder); err != nil {
		return err
	}
	for name, signer := range map[string]*dataitem.Signer{"scheduler": &n.su, "messenger": &n.mu, "developer": &n.developer} {
		if *signer, err = openWallet(filepath.Join(n.folder, name+"-wallet.json")); err != nil {
			return err
		}
	}
	if n.publisher = options.Publisher; n.publisher == nil {
		n.publisher = n.developer
	}
	if n.store, err = openStore(n.folder); err != nil {
		return err
	}
	if n.arrivals, err = openArrivals(n.folder); err != nil {
		return err
	}
	if err = n.finish(); err != nil {
		return err
	}
	if n.plans, err = openSchedule(n.folder, n.su); err != nil {
		return err
	}
	if n.messenger, err = openMessenger(n); err != nil {
		return err
	}
	if options.CUURL != "" {
		n.messenger.start(options.CUURL)
	}
	return nil
}

// Close stops listening and pushing. A network without a folder is gone after it.
func (n *Network) Close() error {
	var failures []error
	for _, server := range n.servers {
		failures = append(failures, server.Close())
	}
	if n.messenger != nil {
		failures = append(failures, n.messenger.close())
	}
	if n.plans != nil && n.plans.log != nil {
		failures = append(failures, n.plans.close())
	}
	if n.store != nil && n.store.log != nil {
		failures = append(failures, n.store.close())
	}
	if n.lock != nil {
		failures = append(failures, n.lock.Close())
	}
	if n.temporary {
		failures = append(failures, os.RemoveAll(n.folder))
	}
	return errors.Join(failures...)
}

func lockFolder(folder string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("another network runs in this folder: %w", err)
	}
	return lock, nil
}

// openWallet reads a wallet, or makes one. Ed25519 keys are made at once, unlike RSA's, and sign alike each time.
func openWallet(path string) (dataitem.Signer, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return dataitem.ParseJWK(text)
	}
	if !os.IsNotExist(err) {
		return nil, err
	}
	signer, err := dataitem.GenerateEd25519()
	if err != nil {
		return nil, err
	}
	if text, err = dataitem.MarshalJWK(signer); err != nil {
		return nil, err
	}
	return signer, durable.Write(path, 0o600, func(to io.Writer) error {
		_, err := to.Write(text)
		return err
	})
}

// TakeCopies has the scheduler take a message of a process again if a messenger signed it anew, and an item that is assigned
// again, as schedulers may. Compute units have to notice then.
func (n *Network) TakeCopies() { n.plans.copies.Store(true) }

func (n *Network) height() int64 { return n.chain.height(n.now().Unix()) }

func keyDigest(owner []byte) string { return ao.ID(sha256.Sum256(owner)).String() }

// SUAddress is the address of the scheduler: the value of the tag Scheduler of processes.
func (n *Network) SUAddress() string { return dataitem.Address(n.su.Owner()) }

// MUAddress is the address of the messenger: a process that accepts pushed messages has it in a tag Authority.
func (n *Network) MUAddress() string { return dataitem.Address(n.mu.Owner()) }

// Developer is a key for experiments: Spawn and Send sign with it.
func (n *Network) Developer() dataitem.Signer { return n.developer }

// Ports are TCP ports; 0 takes any that is free.
type Ports struct{ Gateway, MU, SU, CU int }

// DefaultPorts are the ports that other local ao networks use too.
func DefaultPorts() Ports { return Ports{Gateway: 4000, MU: 4002, SU: 4003, CU: 4004} }

// URLs are where the units listen.
type URLs struct{ Gateway, MU, SU, CU string }

// Listen opens the four ports on a host, publishes where the scheduler is, and serves until Close. The compute unit's port
// answers 503 until ServeCU says what is behind it.
func (n *Network) Listen(host string, ports Ports) (URLs, error) {
	var urls URLs
	for _, unit := range [...]struct {
		name    string
		port    int
		handler http.Handler
		url     *string
	}{
		{"gateway", ports.Gateway, n.Gateway(), &urls.Gateway}, {"messenger", ports.MU, n.MU(), &urls.MU},
		{"scheduler", ports.SU, n.SU(), &urls.SU}, {"compute unit", ports.CU, http.HandlerFunc(n.toCU), &urls.CU},
	} {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(unit.port)))
		if err != nil {
			return URLs{}, fmt.Errorf("listen for the %s: %w", unit.name, err)
		}
		server := &http.Server{Handler: unit.handler, ReadHeaderTimeout: 30 * time.Second}
		n.servers = append(n.servers, server)
		go server.Serve(listener)
		*unit.url = "http://" + net.JoinHostPort(host, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	}
	return urls, n.AnnounceSU(urls.SU)
}

// ServeCU puts a compute unit behind its port and lets the messenger ask it for results.
func (n *Network) ServeCU(handler http.Handler, url string) {
	n.cu.Store(&handler)
	n.SetCU(url)
}

// SetCU names the compute unit that the messenger asks for results. What waits to be pushed is pushed then.
func (n *Network) SetCU(url string) { n.messenger.start(url) }

func (n *Network) toCU(w http.ResponseWriter, r *http.Request) {
	handler := n.cu.Load()
	if handler == nil {
		fail(w, http.StatusServiceUnavailable, errors.New("the compute unit is not running yet"))
		return
	}
	(*handler).ServeHTTP(w, r)
}

// AnnounceSU publishes a Scheduler-Location record, by which clients find the scheduler that a process names.
func (n *Network) AnnounceSU(url string) error {
	item, err := dataitem.Sign(n.su, dataitem.Draft{Tags: ao.Tags{
		{Name: "Data-Protocol", Value: "ao"}, {Name: "Variant", Value: "ao.TN.1"}, {Name: "Type", Value: "Scheduler-Location"},
		{Name: "Url", Value: url}, {Name: "Time-To-Live", Value: "3600000"},
		// A record that was published before would not become the newest one.
		{Name: "Timestamp", Value: strconv.FormatInt(n.now().UnixMilli(), 10)},
	}, Data: []byte(" ")})
	if err != nil {
		return err
	}
	return n.keepItem(item)
}

// Publish signs data with tags and stores it.
func (n *Network) Publish(ctx context.Context, data []byte, tags ao.Tags) (ao.ID, error) {
	item, err := dataitem.Sign(n.publisher, dataitem.Draft{Tags: tags, Data: data})
	if err != nil {
		return ao.ID{}, err
	}
	return item.ID(), n.keepItem(item)
}

// PublishModule publishes wasm with the tags of a module. More tags come after; they do not replace any.
func (n *Network) PublishModule(ctx context.Context, wasm []byte, format string, more ao.Tags) (ao.ID, error) {
	return n.Publish(ctx, wasm, append(ao.Tags{
		{Name: "Data-Protocol", Value: "ao"}, {Name: "Variant", Value: "ao.TN.1"}, {Name: "Type", Value: "Module"},
		{Name: "Module-Format", Value: format}, {Name: "Input-Encoding", Value: "JSON-V1"}, {Name: "Output-Encoding", Value: "JSON-V1"},
		{Name: "Memory-Limit", Value: "1-gb"}, {Name: "Compute-Limit", Value: "9000000000000"}, {Name: "Content-Type", Value: "application/wasm"},
	}, more...))
}

// Spawn starts a process of a module, as a client would through the messenger. The process accepts pushed messages.
func (n *Network) Spawn(ctx context.Context, module ao.ID, tags ao.Tags, data []byte) (ao.ID, error) {
	return n.submit(dataitem.Draft{Data: data, Tags: append(ao.Tags{
		{Name: "Data-Protocol", Value: "ao"}, {Name: "Variant", Value: "ao.TN.1"}, {Name: "Type", Value: "Process"},
		{Name: "Module", Value: module.String()}, {Name: "Scheduler", Value: n.SUAddress()}, {Name: "Authority", Value: n.MUAddress()},
		{Name: "Timestamp", Value: strconv.FormatInt(n.now().UnixNano(), 10)}, // two processes alike have two ids
	}, tags...)})
}

// Send sends a message to a process, as a client would through the messenger.
func (n *Network) Send(ctx context.Context, process ao.ID, tags ao.Tags, data []byte) (ao.ID, error) {
	anchor := sha256.Sum256([]byte(strconv.FormatInt(n.now().UnixNano(), 10))) // two messages alike have two ids
	return n.submit(dataitem.Draft{Target: process, Anchor: []byte(fmt.Sprintf("%x", anchor[:dataitem.AnchorBytes/2])), Data: data, Tags: append(ao.Tags{
		{Name: "Data-Protocol", Value: "ao"}, {Name: "Variant", Value: "ao.TN.1"}, {Name: "Type", Value: "Message"},
	}, tags...)})
}

func (n *Network) submit(draft dataitem.Draft) (ao.ID, error) {
	if len(draft.Data) == 0 {
		draft.Data = []byte(" ") // as other clients do
	}
	item, err := dataitem.Sign(n.developer, draft)
	if err != nil {
		return ao.ID{}, err
	}
	if err := n.keepItem(item); err != nil {
		return ao.ID{}, err
	}
	return item.ID(), n.deliver(n.store.get(item.ID()), "")
}
