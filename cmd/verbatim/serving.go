package main

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/dataitem"
)

// dryRunWindow is the time for which --dry-run-rate counts.
const dryRunWindow = time.Minute

// servingOptions say whom a unit serves, and how long it makes clients wait.
type servingOptions struct {
	busyAfter     time.Duration
	behindMax     int64
	dryRunQueue   int
	dryRunRate    int
	behindProxies bool
	hyperBEAM     bool
	allow, deny   []string
	owners        []string
	publishSteps  int64
	trusted       []string // owners of checkpoints
	gateways      []string // asked where the first has no answer
}

func (o *servingOptions) flags(f *pflag.FlagSet) {
	f.DurationVar(&o.busyAfter, "busy-after", 0, "answer 202 when an evaluation takes longer, and let it go on; 0 waits")
	f.Int64Var(&o.behindMax, "behind-max", 200, "answer 503 while a process is further behind than so many messages; 0 never does")
	f.IntVar(&o.dryRunQueue, "dry-run-queue", 3000, "dry runs that may wait at a time; 0 is any number")
	f.IntVar(&o.dryRunRate, "dry-run-rate", 0, "dry runs that one client may ask for in a minute; 0 is any number")
	f.BoolVar(&o.behindProxies, "behind-proxies", false, "believe X-Forwarded-For about who a client is")
	f.BoolVar(&o.hyperBEAM, "hyperbeam", false, "let a HyperBEAM node delegate evaluations; whoever reaches the unit then decides what was assigned")
	f.StringSliceVar(&o.allow, "allow-process", nil, "serve these processes and no other; may be repeated")
	f.StringSliceVar(&o.deny, "deny-process", nil, "do not serve these processes; may be repeated")
	f.StringSliceVar(&o.owners, "allow-owner", nil, "serve processes of these owners and no other; may be repeated")
	f.StringSliceVar(&o.gateways, "fallback-gateway", nil, "a gateway to ask where the one before has no answer; may be repeated")
	f.Int64Var(&o.publishSteps, "publish-checkpoints", 0, "publish a checkpoint of a process after so many messages, at most one in half an hour; 0 never does")
	f.StringSliceVar(&o.trusted, "trust-checkpoints", nil, "begin unknown processes from checkpoints that this address published; may be repeated")
}

// shared gives what keeps checkpoints for others and takes theirs; nil if neither is wanted.
func (o *servingOptions) shared(client *arweave.Client, key ed25519.PrivateKey) (cu.Shared, error) {
	if o.publishSteps == 0 && len(o.trusted) == 0 {
		return nil, nil
	}
	signer, err := dataitem.NewEd25519Signer(key.Seed())
	if err != nil {
		return nil, err
	}
	return &shared{client, signer, o.trusted}, nil
}

func (o *servingOptions) access() (access cu.Access, err error) {
	access.Owners = o.owners
	for _, list := range [...]struct {
		flag string
		ids  []string
		into *[]ao.ID
	}{{"allow-process", o.allow, &access.Processes}, {"deny-process", o.deny, &access.Denied}} {
		for _, text := range list.ids {
			id, err := ao.ParseID(text)
			if err != nil {
				return access, fmt.Errorf("--%s: %w", list.flag, err)
			}
			*list.into = append(*list.into, id)
		}
	}
	return access, nil
}
