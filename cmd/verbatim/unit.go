package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"verbatim/api"
	"verbatim/cu"
	"verbatim/cu/arweave"
	"verbatim/cu/checkpoint"
	"verbatim/cu/dataitem"
	"verbatim/cu/drive"
	"verbatim/cu/eval"
	"verbatim/cu/index"
	"verbatim/cu/receipt"
	"verbatim/inference"
	"verbatim/internal/engines"
)

// shutdownMax is how long requests may go on after the daemon was told to stop.
const shutdownMax = 10 * time.Second

const evaluationsMax = 1024

// unitOptions say what a compute unit runs on.
type unitOptions struct {
	device      engines.Device
	network     network
	scheduler   string // URL; "": located by each process's Scheduler-Location
	limits      eval.Limits
	evaluations int
	memory      int64
	instances   int64
	drive       int64
	serving     servingOptions
	onToken     func(q eval.Question, e inference.Event)
	logger      *slog.Logger
}

func (o *unitOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Uint64Var(&o.limits.GasMax, "gas-max", 300_000_000_000, "gas that one evaluation may use")
	f.Uint64Var(&o.limits.MemoryBytesMax, "memory-max", 4<<30-65536, "bytes of memory that one process may have")
	f.IntVar(&o.evaluations, "evaluations", 2, "evaluations at a time")
	f.Int64Var(&o.memory, "idle-memory", 4<<30, "bytes for the memories of processes that are kept at hand")
	f.Int64Var(&o.instances, "instance-memory", eval.InstanceBytesDefault, "bytes for instances of modules that wait for the next message")
	f.Int64Var(&o.drive, "drive-cache", driveBytes, "bytes of what processes read from Arweave to keep on disk; larger items cannot be read")
	o.serving.flags(f)
	deviceFlags(cmd, &o.device)
}

// check refuses what would only fail, or never answer, once somebody asks.
func (o *unitOptions) check() error {
	switch {
	case o.network.data == "":
		return errors.New("the folder for data has no name")
	case o.evaluations < 1 || o.evaluations > evaluationsMax:
		return fmt.Errorf("%d evaluations at a time: from 1 to %d are possible", o.evaluations, evaluationsMax)
	case o.memory < 0 || o.instances < 0:
		return fmt.Errorf("%d bytes for memories and %d for instances: it cannot be less than 0", o.memory, o.instances)
	case o.drive < 0:
		return fmt.Errorf("%d bytes for what processes read: it cannot be less than 0", o.drive)
	case o.serving.busyAfter < 0 || o.serving.behindMax < 0 || o.serving.publishSteps < 0 || o.serving.dryRunQueue < 0 || o.serving.dryRunRate < 0:
		return errors.New("a limit on what clients may ask cannot be less than 0")
	case o.device.PrefillChunk < 0:
		return fmt.Errorf("a prefill chunk of %d tokens: it cannot be less than 0", o.device.PrefillChunk)
	}
	return nil
}

// unit is a running compute unit and everything that it opened.
type unit struct {
	cu      *cu.Unit
	handler http.Handler
	library *engines.Library
	log     *receipt.Log
	logPath string
	key     ed25519.PrivateKey
	address string // of the key that signs
	closers []func() error
}

func (u *unit) Close() error {
	var errs []error
	for i := len(u.closers) - 1; i >= 0; i-- {
		errs = append(errs, u.closers[i]())
	}
	return errors.Join(errs...)
}

// openUnit opens the folder of a unit and everything that it needs. A crash at any point leaves a folder that the next
// openUnit repairs.
func openUnit(ctx context.Context, o unitOptions) (u *unit, err error) {
	u = &unit{}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.Close())
		}
	}()
	if err := o.check(); err != nil {
		return u, err
	}
	if err := os.MkdirAll(o.network.data, 0o700); err != nil {
		return u, err
	}
	if err := u.openLog(o); err != nil {
		return u, err
	}
	net, err := openOutside(o)
	if err != nil {
		return u, err
	}
	checkpoints, err := checkpoint.Open(filepath.Join(o.network.data, "checkpoints"), o.logger)
	if err != nil {
		return u, err
	}
	host, err := eval.NewHost(ctx, filepath.Join(o.network.data, "compiled"), o.instances)
	if err != nil {
		return u, err
	}
	u.closers = append(u.closers, func() error { return host.Close(context.Background()) })
	u.library = o.network.library(o.device)
	u.library.Warn = func(err error) { o.logger.Warn("model", "error", err) }
	u.closers = append(u.closers, u.library.Close)
	level, err := levelOf(o.device)
	if err != nil {
		return u, err
	}
	source, delivered := cu.Scheduler(net.schedulers), (*cu.Delivered)(nil)
	if o.serving.hyperBEAM {
		delivered = cu.NewDelivered(u.log, net.schedulers)
		source = delivered
	}
	access, err := o.serving.access()
	if err != nil {
		return u, err
	}
	keeper, err := o.serving.shared(net.client, u.key)
	if err != nil {
		return u, err
	}
	metrics := api.NewMetrics()
	metrics.Register(modelMetrics{u.library})
	metrics.Register(instanceMetrics(host)...)
	u.cu = cu.New(cu.Config{
		Scheduler: source, Archive: archive{net.client}, Host: host, Log: u.log,
		Provider: &liveProvider{u.library, net.openedDrive, o.onToken}, Contents: net.drive.Contents,
		Checkpoints: checkpoints, Logger: o.logger, Limits: o.limits, EvaluationsMax: o.evaluations, MemoryBytesMax: o.memory,
		BehindMax: o.serving.behindMax, DryRunsMax: o.serving.dryRunQueue, Access: access,
		Shared: keeper, PublishSteps: o.serving.publishSteps,
		Device: level, Build: build(), Observe: metrics.Observe,
	})
	u.closers = append(u.closers, func() error { u.cu.Close(); return nil })
	u.handler = api.New(api.Config{
		Unit: u.cu, Address: u.address, Metrics: metrics, Logger: o.logger, BusyAfter: o.serving.busyAfter,
		DryRuns: o.serving.dryRunRate, DryRunWindow: dryRunWindow, BehindProxies: o.serving.behindProxies, Delivered: delivered,
	})
	return u, nil
}

// outside is what a unit asks of the network.
type outside struct {
	client     *arweave.Client
	schedulers *schedulers
	drive      *drive.Drive
}

func (net outside) openedDrive() (*drive.Drive, error) { return net.drive, nil }

func openOutside(o unitOptions) (net outside, err error) {
	net.client, err = arweave.New(arweave.Options{
		Gateway: o.network.gateway, Fallbacks: o.serving.gateways, CacheFolder: filepath.Join(o.network.data, "items"),
	})
	if err != nil {
		return net, err
	}
	if net.drive, err = o.network.openDrive(net.client, "drive", o.drive); err != nil {
		return net, err
	}
	net.schedulers, err = newSchedulers(o.scheduler, net.client)
	return net, err
}

// levelOf names what a device computes with, as receipts say it.
func levelOf(d engines.Device) (string, error) {
	backend, err := d.Backend()
	if err != nil {
		return "", err
	}
	info := backend.Info()
	return info.Name + " " + info.Level, backend.Close()
}

// openLog opens the receipts and tells what a crash left behind.
func (u *unit) openLog(o unitOptions) error {
	key, err := loadKey(filepath.Join(o.network.data, "key.json"))
	if err != nil {
		return err
	}
	folder := filepath.Join(o.network.data, "receipts")
	store, err := receipt.OpenFolder(folder)
	if err != nil {
		return err
	}
	places, damaged, err := index.Open(folder)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	if damaged != "" {
		o.logger.Warn("the index of the receipts could not be read and is made anew", "kept_as", damaged)
	}
	log, recovery, err := receipt.OpenIndexed(store, key, places)
	if err != nil {
		return errors.Join(fmt.Errorf("open the receipts in %s: %w", folder, err), places.Close(), store.Close())
	}
	u.closers = append(u.closers, places.Close)
	u.key, u.address = key, dataitem.Address(key.Public().(ed25519.PublicKey))
	u.log, u.logPath = log, filepath.Join(folder, receipt.LogName)
	u.closers = append(u.closers, log.Close)
	o.logger.Info("receipts opened", "folder", folder, "receipts", recovery.Receipts, "indexed", recovery.Indexed)
	if recovery.TornBytes > 0 {
		o.logger.Warn("the log ended in a record that was never acknowledged: it was taken off", "bytes", recovery.TornBytes,
			"kept_as", recovery.TornSavedAs, "why", recovery.TornWhy)
	}
	return nil
}
