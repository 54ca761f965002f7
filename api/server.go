// Package api serves a compute unit over HTTP: the routes of the reference compute unit, in its shapes, and beside them the
// receipts.
//
// Invariants: an answer about an assigned message is given only after its receipt is on stable storage (package cu sees to
// that); every error is {"error": text}, with a status that is chosen in one place; no request takes the daemon down.
//
// The package holds no state of processes and decides nothing about them. It is the only one that knows gin.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"verbatim/cu"
)

// BodyBytesMax limits the body of a request: the longest message that a module takes.
const BodyBytesMax = 16 << 20

// StateBytesMax limits a memory, in gzip, that a HyperBEAM node sends.
const StateBytesMax = 512 << 20

// Config is what a server is made of.
type Config struct {
	Unit    *cu.Unit
	Address string // of the unit's wallet, shown at /
	Metrics *Metrics
	Logger  *slog.Logger

	BusyAfter     time.Duration // how long clients wait before they are told that an evaluation goes on; 0: until it ends
	DryRuns       int           // dry runs that one client may ask for within a DryRunWindow; 0: any number
	DryRunWindow  time.Duration
	Delivered     *cu.Delivered // what HyperBEAM nodes deliver to; nil: their routes do not exist
	BehindProxies bool          // believe what X-Forwarded-For says about who the client is
}

type server struct {
	Config
	dryRuns rates
}

// New gives the handler of all routes.
func New(config Config) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	s := &server{Config: config, dryRuns: rates{count: config.DryRuns, window: config.DryRunWindow, asked: map[string][]time.Time{}}}
	config.Metrics.watch(config.Unit)
	engine := gin.New()
	if !config.BehindProxies {
		// No address is wrong in an empty list.
		_ = engine.SetTrustedProxies(nil)
	}
	engine.RedirectTrailingSlash = false // /result/ is no route either, and is answered like any other
	engine.Use(s.observe, s.survive, allowOrigins)
	engine.NoRoute(func(c *gin.Context) { fail(c, errNoRoute) })
	get := func(path string, answer gin.HandlerFunc) {
		engine.Match([]string{http.MethodGet, http.MethodHead}, path, answer) // net/http leaves out the body of HEAD
	}
	get("/", s.root)
	get("/result/:messageTxId", s.result)
	get("/results/:processId", s.results)
	get("/cron/:processId", s.cron)
	get("/state/:processId", s.state)
	engine.POST("/dry-run", s.dryRun)
	if config.Delivered != nil {
		s.hyperBEAM(engine)
	}
	get("/receipts/:messageTxId", s.receipt)
	get("/receipts/head", s.head)
	get("/receipts/log", s.log)
	get("/health", s.health)
	get("/metrics", gin.WrapH(config.Metrics.handler()))
	return engine
}

func (s *server) root(c *gin.Context) {
	c.JSON(http.StatusOK, struct {
		Address   string `json:"address"`
		Timestamp int64  `json:"timestamp"`
	}{s.Address, time.Now().UnixMilli()})
}

// Serve answers requests on listener until ctx ends, and then gives those under way as long as grace to finish. Ends with
// nil after that.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, grace time.Duration) error {
	// No limit on the time to write: an evaluation takes as long as it takes.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		err := server.Shutdown(limited)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		stopped <- err
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
