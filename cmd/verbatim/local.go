package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
	"verbatim/examples/storyteller/module"
	"verbatim/internal/localnet"
	"verbatim/models/embedded"
)

// publisherSeed is the public key of nobody: the embedded model and the storyteller have the same ids on every machine, and
// so have the transcripts of what is asked of them.
const publisherSeed = "verbatim local network publisher"

// local is an ao network on this machine with our compute unit in it, and a model and a module published to it.
type local struct {
	net   *localnet.Network
	urls  localnet.URLs
	unit  *unit
	model ao.ID
	story ao.ID // the storyteller module
}

// openLocal starts a network from a folder. What was published to it before is published again only if it is gone.
func openLocal(ctx context.Context, folder, host string, ports localnet.Ports, o unitOptions) (l *local, err error) {
	l = &local{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	publisher, err := dataitem.NewEd25519Signer([]byte(publisherSeed))
	if err != nil {
		return l, err
	}
	logf := func(format string, arguments ...any) { o.logger.Warn(fmt.Sprintf(format, arguments...)) }
	if l.net, err = localnet.Open(localnet.Options{Folder: filepath.Join(folder, "network"), Publisher: publisher, Log: logf}); err != nil {
		return l, err
	}
	if l.urls, err = l.net.Listen(host, ports); err != nil {
		return l, err
	}
	o.network.gateway, o.network.data = l.urls.Gateway, filepath.Join(folder, "unit")
	if l.unit, err = openUnit(ctx, o); err != nil {
		return l, err
	}
	l.net.ServeCU(l.unit.handler, l.urls.CU)
	modelTags := ao.Tags{{Name: "Content-Type", Value: "application/octet-stream"}, {Name: "Type", Value: "Model"},
		{Name: "Model-Format", Value: "GGUF"}, {Name: "Name", Value: "embedded"}, {Name: "SHA-256", Value: embedded.SHA256}}
	if l.model, err = l.net.Publish(ctx, embedded.GGUF(), modelTags); err != nil {
		return l, err
	}
	l.story, err = l.net.PublishModule(ctx, module.Wasm(), module.Format, ao.Tags{{Name: "Name", Value: "storyteller"}})
	return l, err
}

// Close stops the network before the unit, so that nobody asks a unit that is gone.
func (l *local) Close() error {
	var errs []error
	if l.net != nil {
		errs = append(errs, l.net.Close())
	}
	if l.unit != nil {
		errs = append(errs, l.unit.Close())
	}
	return errors.Join(errs...)
}
