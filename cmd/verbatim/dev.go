package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"verbatim/examples/storyteller/module"
	"verbatim/internal/localnet"
	"verbatim/internal/mainnet"
)

// nodePortDefault is HyperBEAM's.
const nodePortDefault = 8734

type devOptions struct {
	unit   unitOptions
	folder string
	host   string
	ports  localnet.Ports
	node   int // port
	copies bool
	asJSON bool
}

// devReady is what dev --json prints when everything listens.
type devReady struct {
	Gateway   string `json:"gateway"`
	MU        string `json:"mu"`
	SU        string `json:"su"`
	CU        string `json:"cu"`
	Node      string `json:"node"`
	Scheduler string `json:"scheduler"`
	Authority string `json:"authority"`
	Module    string `json:"module"`
	Model     string `json:"model"`
	Log       string `json:"receipts"`
}

func newDevCommand() *cobra.Command {
	o := devOptions{ports: localnet.DefaultPorts()}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Keep a local ao network running: gateway, scheduler, messenger and compute unit",
		Long: `Dev runs a whole ao network on this machine, with the embedded model and an example module published to it. An
unmodified aoconnect works against it. A façade in the way of a HyperBEAM node lets clients of mainnet in too.
Its data stays in a folder; Ctrl-C stops it at any time, and the next start goes on.`,
		Example: `  verbatim dev
  verbatim dev --data ./my-network --cu-port 7004`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.ports.CU == 0 && !cmd.Flags().Changed("node-port") {
				o.node = 0
			}
			return o.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.folder, "data", "verbatim-dev", "folder that keeps the network")
	f.StringVar(&o.host, "host", "127.0.0.1", "address to listen on")
	f.IntVar(&o.ports.Gateway, "gateway-port", o.ports.Gateway, "port of the gateway and uploader; 0 takes a free one")
	f.IntVar(&o.ports.MU, "mu-port", o.ports.MU, "port of the messenger unit")
	f.IntVar(&o.ports.SU, "su-port", o.ports.SU, "port of the scheduler unit")
	f.IntVar(&o.ports.CU, "cu-port", o.ports.CU, "port of the compute unit")
	f.BoolVar(&o.copies, "take-copies", false, "schedule a message of a process again if it was signed anew, for tests of compute units")
	f.IntVar(&o.node, "node-port", nodePortDefault, "port of the façade for clients of mainnet; a free one unless given if --cu-port is 0")
	f.BoolVar(&o.asJSON, "json", false, "print addresses and ids as JSON")
	o.unit.flags(cmd)
	return cmd
}

func (o *devOptions) run(cmd *cobra.Command) error {
	o.unit.logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	l, err := openLocal(cmd.Context(), o.folder, o.host, o.ports, o.unit)
	if err != nil {
		return err
	}
	if o.copies {
		l.net.TakeCopies()
	}
	ready := devReady{
		Gateway: l.urls.Gateway, MU: l.urls.MU, SU: l.urls.SU, CU: l.urls.CU, Scheduler: l.net.SUAddress(),
		Authority: l.net.MUAddress(), Module: l.story.String(), Model: l.model.String(), Log: l.unit.logPath,
	}
	node, err := o.serveNode(&ready)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer node.Close()
	if o.asJSON {
		err = printJSON(cmd.OutOrStdout(), ready)
	} else {
		err = ready.explain(cmd.OutOrStdout(), o.folder)
	}
	if err == nil {
		<-cmd.Context().Done()
	}
	if closeErr := l.Close(); closeErr != nil {
		return closeErr
	}
	return err
}

// serveNode serves the façade over the units, and says where.
func (o *devOptions) serveNode(ready *devReady) (*http.Server, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(o.host, strconv.Itoa(o.node)))
	if err != nil {
		return nil, fmt.Errorf("listen for the façade for clients of mainnet: %w", err)
	}
	ready.Node = "http://" + net.JoinHostPort(o.host, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	handler := mainnet.New(mainnet.Units{MU: ready.MU, SU: ready.SU, CU: ready.CU}, ready.Scheduler)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second}
	go server.Serve(listener)
	return server, nil
}

func (r *devReady) explain(w io.Writer, folder string) error {
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `A local ao network is running. Its data is in %s; Ctrl-C stops it.

  gateway, uploader   %s
  messenger unit      %s
  scheduler unit      %s   address %s
  compute unit        %s
  node (mainnet)      %s
  embedded model      %s
  storyteller module  %s   format %s
  receipts            %s

Paste into Node (npm install @permaweb/aoconnect arweave):

  import { connect, createDataItemSigner } from '@permaweb/aoconnect'
  import Arweave from 'arweave'
  const signer = createDataItemSigner(await Arweave.init({}).wallets.generate())
  const ao = connect({ MODE: 'legacy', GATEWAY_URL: '%[2]s', MU_URL: '%[3]s', CU_URL: '%[6]s' })
  const process = await ao.spawn({ module: '%[9]s', scheduler: '%[5]s', signer,
    tags: [{ name: 'Authority', value: '%[12]s' }] })
  const message = await ao.message({ process, signer, data: 'Tell me a story about a fox.' })
  console.log((await ao.result({ process, message })).Output.data)

Or as a client of mainnet: connect({ MODE: 'mainnet', URL: '%[7]s', signer }); the rest is alike.

`, absolute, r.Gateway, r.MU, r.SU, r.Scheduler, r.CU, r.Node, r.Model, r.Module, module.Format, r.Log, r.Authority)
	return err
}
