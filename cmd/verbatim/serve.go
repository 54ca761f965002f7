package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/spf13/cobra"

	"verbatim/api"
)

type serveOptions struct {
	unit   unitOptions
	listen string
	warm   []string
}

func newServeCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a compute unit",
		Long: `Serve answers GET /result/MESSAGE?process-id=PROCESS and the other routes of an ao compute unit. Every evaluation is
signed and on disk before it is answered. Ctrl-C or SIGTERM stops it; after a crash the next start repairs and goes on.`,
		Example: `  verbatim serve
  verbatim serve --listen 0.0.0.0:6363 --data /var/lib/verbatim --gateway https://arweave.net --model embedded`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:6363", "address to listen on")
	f.StringVar(&o.unit.scheduler, "scheduler", "", "URL of the scheduler unit; found by each process's Scheduler-Location when not given")
	f.StringArrayVar(&o.warm, "model", nil, "a model to load at start: embedded or a transaction id; may be repeated")
	o.unit.flags(cmd)
	o.unit.network.gatewayFlag(cmd)
	f.StringVar(&o.unit.network.data, "data", defaultDataPath(), "folder of keys, receipts, checkpoints and models")
	return cmd
}

func (o *serveOptions) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	o.unit.logger = log
	u, err := openUnit(ctx, o.unit)
	if err != nil {
		return err
	}
	for _, name := range o.warm {
		engine, err := u.library.Engine(ctx, name)
		if err != nil {
			return errors.Join(err, u.Close())
		}
		log.Info("model loaded", "model", name, "digest", engine.Model().Digest.String(), "level", engine.Backend().Level)
	}
	err = serveHTTP(ctx, o.listen, u.handler, func(address string) {
		log.Info("compute unit listens", "address", address, "data", o.unit.network.data, "build", build())
	})
	return errors.Join(err, u.Close())
}

// serveHTTP serves until ctx ends.
func serveHTTP(ctx context.Context, listen string, handler http.Handler, ready func(address string)) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", listen, err)
	}
	ready(listener.Addr().String())
	return api.Serve(ctx, listener, handler, shutdownMax)
}
