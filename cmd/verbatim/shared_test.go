package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http/httptest"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/checkpoint"
	"verbatim/cu/dataitem"
	"verbatim/cu/eval"
	"verbatim/internal/localnet"
)

// Checkpoints go to a gateway and come back, and only those that trusted keys have signed.
func TestSharedCheckpoints(t *testing.T) {
	ctx := context.Background()
	network, err := localnet.Open(localnet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	gateway := httptest.NewServer(network.Gateway())
	defer gateway.Close()
	client, err := arweave.New(arweave.Options{Gateway: gateway.URL})
	if err != nil {
		t.Fatal(err)
	}
	memory := bytes.Repeat([]byte("a memory "), 1000)
	about := checkpoint.Published{
		Process: ao.ID{1}, Module: ao.ID{2}, Nonce: 5, Assignment: ao.ID{3}, HashChain: ao.HashChain{4}, Timestamp: 6, BlockHeight: 7,
		Gzip: true, SHA256: sha256.Sum256(memory),
	}
	publish := func(nonce int64, memory []byte) (owner string) {
		signer, err := dataitem.GenerateEd25519()
		if err != nil {
			t.Fatal(err)
		}
		about := about
		about.Nonce = nonce
		if _, err := (&shared{client: client, signer: signer}).Publish(ctx, about, eval.ImageOf(memory)); err != nil {
			t.Fatal(err)
		}
		return dataitem.Address(signer.Owner())
	}
	trusted, stranger, liar := publish(5, memory), publish(9, memory), publish(7, []byte("another memory"))
	s := &shared{client: client, owners: []string{trusted, liar}}
	found, err := s.Published(ctx, about.Process)
	if err != nil || len(found) != 2 {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, item := range found {
		back, err := s.Memory(ctx, item)
		switch item.Owner {
		case trusted:
			if err != nil || !bytes.Equal(back.Bytes(), memory) || item.Nonce != 5 || item.HashChain != about.HashChain {
				t.Errorf("%+v: %d bytes, %v", item, back.Size(), err)
			}
			item.Nonce = 6
			if _, err := s.Memory(ctx, item); err == nil {
				t.Error("an index that shows another nonce than was signed is believed")
			}
			if _, err := (&shared{client: client, owners: []string{stranger}}).Memory(ctx, item); err == nil {
				t.Error("a checkpoint of somebody who is not trusted is taken")
			}
		case liar:
			if err == nil {
				t.Error("a memory that is not what its tags say is taken")
			}
		default:
			t.Errorf("a checkpoint of %s", item.Owner)
		}
	}
	if found, err = (&shared{client: client}).Published(ctx, about.Process); err != nil || found != nil {
		t.Errorf("nobody is trusted: %+v, %v", found, err)
	}
}
