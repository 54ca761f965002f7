package arweave

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// indexEntry is what a gateway's index knows of an item. Gateways fill in what they have.
type indexEntry struct {
	ID        string  `json:"id"`
	Signature string  `json:"signature"`
	Anchor    string  `json:"anchor"`
	Recipient string  `json:"recipient"`
	Tags      ao.Tags `json:"tags"`
	Owner     struct {
		Address string `json:"address"`
		Key     string `json:"key"`
	} `json:"owner"`
}

func (c *Client) entry(ctx context.Context, id ao.ID) (indexEntry, error) {
	const query = `query ($ids: [ID!]!) {
  transactions(ids: $ids) { edges { node { id signature anchor recipient owner { address key } tags { name value } } } }
}`
	body, err := json.Marshal(map[string]any{"query": query, "variables": map[string]any{"ids": []string{id.String()}}})
	if err != nil {
		return indexEntry{}, err
	}
	var found indexEntry
	err = c.each(ctx, func(gateway string) error {
		var answer struct {
			Transactions struct {
				Edges []struct{ Node indexEntry }
			}
		}
		if err := c.queryOne(ctx, gateway, body, &answer); err != nil {
			return err
		}
		for _, edge := range answer.Transactions.Edges {
			if edge.Node.ID == id.String() {
				found = edge.Node
				return nil
			}
		}
		return fmt.Errorf("%w: not in its index", ErrNotFound)
	})
	return found, notFound(err)
}

// candidates gives the items without data that this entry may describe. The index does not say how an item is signed, nor
// whether its anchor is written as text or in base64url.
func (e indexEntry) candidates() (items []*dataitem.Item) {
	signature, errSignature := base64.RawURLEncoding.DecodeString(e.Signature)
	owner, errOwner := base64.RawURLEncoding.DecodeString(e.Owner.Key)
	if errSignature != nil || errOwner != nil {
		return nil
	}
	draft := dataitem.Draft{Tags: e.Tags}
	if e.Recipient != "" {
		target, err := ao.ParseID(e.Recipient)
		if err != nil {
			return nil
		}
		draft.Target = target
	}
	anchors := [][]byte{[]byte(e.Anchor)}
	if decoded, err := base64.RawURLEncoding.DecodeString(e.Anchor); err == nil && e.Anchor != "" {
		anchors = append(anchors, decoded)
	}
	for _, kind := range dataitem.TypesOf(len(owner), len(signature)) {
		for _, anchor := range anchors {
			draft.Anchor = anchor
			if item, err := dataitem.Assemble(kind, owner, signature, draft); err == nil {
				items = append(items, item)
			}
		}
	}
	return items
}

func (e indexEntry) unverified(id ao.ID, data []byte) Fetched {
	owner := e.Owner.Address
	if key, err := base64.RawURLEncoding.DecodeString(e.Owner.Key); err == nil && len(key) > 0 {
		owner = dataitem.Address(key)
	}
	anchor := []byte(e.Anchor)
	if decoded, err := base64.RawURLEncoding.DecodeString(e.Anchor); err == nil && len(decoded) == dataitem.AnchorBytes {
		anchor = decoded
	}
	return Fetched{ID: id, Owner: owner, Target: e.Recipient, Anchor: anchor, Tags: e.Tags, Data: data, Signature: e.Signature}
}
