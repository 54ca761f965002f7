package main

import (
	"context"
	"fmt"
	"slices"

	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/checkpoint"
	"verbatim/cu/dataitem"
	"verbatim/cu/eval"
)

// checkpointsListed is how many checkpoints of a process are asked for, as in the reference.
const checkpointsListed = 50

// shared is the cu.Shared of a unit: checkpoints on a gateway.
type shared struct {
	client *arweave.Client
	signer dataitem.Signer
	owners []string // trusted
}

// Publish signs and uploads a checkpoint.
func (s *shared) Publish(ctx context.Context, about checkpoint.Published, memory *eval.Image) (ao.ID, error) {
	data, err := checkpoint.Pack(memory)
	if err != nil {
		return ao.ID{}, err
	}
	item, err := dataitem.Sign(s.signer, dataitem.Draft{Tags: about.Tags("verbatim " + build()), Data: data})
	if err != nil {
		return ao.ID{}, err
	}
	return item.ID(), s.client.Upload(ctx, item)
}

// Published lists checkpoints that the index has of trusted owners. Those that make no sense are left out.
func (s *shared) Published(ctx context.Context, process ao.ID) (found []checkpoint.Published, err error) {
	if len(s.owners) == 0 {
		return nil, nil
	}
	listed, err := s.client.List(ctx, s.owners, ao.Tags{
		{Name: "Process", Value: process.String()}, {Name: "Type", Value: "Checkpoint"}, {Name: "Data-Protocol", Value: "ao"},
	}, checkpointsListed)
	for _, item := range listed {
		if about, err := checkpoint.ParsePublished(item.ID, item.Owner, item.Tags); err == nil {
			found = append(found, about)
		}
	}
	return found, err
}

// Memory fetches a checkpoint. What counts is what its owner signed, and not what the index says.
func (s *shared) Memory(ctx context.Context, about checkpoint.Published) (*eval.Image, error) {
	item, err := s.client.Fetch(ctx, about.ID)
	if err != nil {
		return nil, err
	}
	if !item.Verified || !slices.Contains(s.owners, item.Owner) {
		return nil, fmt.Errorf("checkpoint %s: not signed by who is trusted (owner %s, verified %v)", about.ID, item.Owner, item.Verified)
	}
	signed, err := checkpoint.ParsePublished(item.ID, item.Owner, item.Tags)
	if err != nil {
		return nil, err
	}
	if signed.Owner = about.Owner; signed != about {
		return nil, fmt.Errorf("checkpoint %s: the index shows other tags than were signed", about.ID)
	}
	return signed.Unpack(item.Data)
}
