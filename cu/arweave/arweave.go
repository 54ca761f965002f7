// Package arweave is a client of Arweave gateways and uploaders: it fetches what is stored under an id, checks it, keeps a
// copy on disk, and uploads data items.
//
// How an item is checked: its id must be the digest of its signature, and the signature must be its owner's over target,
// anchor, tags and data. The signed item itself comes from GET /item/{id}, which the local network of this project serves.
// From other gateways the item is put together again from their index (GraphQL: signature, owner, anchor, tags) and
// GET /raw/{id}; the signature tells whether it came together right.
//
// Transactions of the base layer are checked by GET /tx/{id}: id and signature as above, and the root of the tree over the
// data, which the signature covers.
//
// What cannot be checked: items whose signature a gateway's index does not have, and transactions of kinds that this package
// does not know. These come with Verified false, and the caller decides. Blocks are never checked.
package arweave

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
	"verbatim/internal/fetch"
)

// Limits on what is accepted from a gateway.
const (
	ItemBytesMax  = 1 << 30   // of an item that is read into memory
	FileBytesMax  = 512 << 30 // of an item that goes to a file
	indexBytesMax = 8 << 20   // of an answer of the index
)

// Errors that callers tell apart with errors.Is. Failures to reach the gateway wrap none of them.
var (
	ErrNotFound  = errors.New("the gateway does not have it")
	ErrForged    = errors.New("the gateway gave something else under this id")
	ErrMalformed = errors.New("the gateway's answer is malformed")
	// ErrUnverified says that there is an answer and nothing to check it by.
	ErrUnverified = errors.New("the gateway's answer cannot be verified")
)

// Options say where to fetch and upload.
type Options struct {
	Gateway     string   // base URL, for example https://arweave.net
	Fallbacks   []string // base URLs of gateways that are asked where the one before has no answer
	Uploader    string   // base URL, for example https://up.arweave.net; "": the gateway's
	CacheFolder string   // "": keep nothing
}

// Client talks to gateways and one uploader. It is safe for concurrent use.
type Client struct {
	gateways []string // in the order in which they are asked
	uploader string
	cache    cache
	fetch    *fetch.Client
}

// New gives a client. It makes the cache folder if need be.
func New(options Options) (*Client, error) {
	if options.Uploader == "" {
		options.Uploader = options.Gateway
	}
	gateways := append([]string{options.Gateway}, options.Fallbacks...)
	for _, base := range append(gateways[:len(gateways):len(gateways)], options.Uploader) {
		if parsed, err := url.Parse(base); err != nil || parsed.Scheme == "" || parsed.Host == "" {
			return nil, fmt.Errorf("gateway or uploader URL %q: want http://host:port", base)
		}
	}
	cache, err := openCache(options.CacheFolder)
	if err != nil {
		return nil, err
	}
	for i, gateway := range gateways {
		gateways[i] = strings.TrimRight(gateway, "/")
	}
	return &Client{gateways, strings.TrimRight(options.Uploader, "/"), cache, fetch.New()}, nil
}

// Fetched is an item as a gateway gave it.
type Fetched struct {
	ID        ao.ID
	Owner     string // ao address of the owner
	Target    string // base64url, or ""
	Anchor    []byte
	Tags      ao.Tags
	Data      []byte
	Signature string // base64url, "" if the gateway does not have it
	Verified  bool   // the owner signed exactly this, and the id is the digest of the signature
}

// Message gives the item as a process receives it that it was assigned to, without the parts that the assignment excludes:
// Data, Tags, Signature or Anchor. The reference compute unit takes the anchor from a gateway's index, where it is base64url.
func (f Fetched) Message(exclude []string) ao.Message {
	message := ao.Message{
		ID: ao.Some(f.ID.String()), Signature: ao.Some(f.Signature), Data: ao.Some(ao.ValidText(f.Data)), Owner: f.Owner, Target: f.Target,
		Anchor: ao.Some(base64.RawURLEncoding.EncodeToString(f.Anchor)), Tags: f.Tags,
	}
	for _, part := range exclude {
		switch part {
		case "Data":
			message.Data = ao.Optional[string]{}
		case "Tags":
			message.Tags = nil
		case "Signature":
			message.Signature = ao.Optional[string]{}
		case "Anchor":
			message.Anchor = ao.Optional[string]{}
		}
	}
	message.From, _ = ao.Sender(message.Tags, f.Owner)
	return message
}

// Fetch reads an item into memory, from the cache if it is there.
func (c *Client) Fetch(ctx context.Context, id ao.ID) (Fetched, error) {
	if item := c.cache.load(id); item != nil {
		return fetched(item), nil
	}
	raw, err := c.get(ctx, "/item/"+id.String(), ItemBytesMax)
	if errors.Is(err, ErrNotFound) {
		return c.assemble(ctx, id)
	}
	if err != nil {
		return Fetched{}, fmt.Errorf("fetch %s: %w", id, err)
	}
	item, err := dataitem.Parse(raw)
	if err != nil {
		// A gateway that does not know this path may answer with a page of its own.
		return c.assemble(ctx, id)
	}
	if item.ID() != id {
		return Fetched{}, fmt.Errorf("fetch %s: %w: item %s", id, ErrForged, item.ID())
	}
	if err := item.Verify(); err != nil {
		return Fetched{}, fmt.Errorf("fetch %s: %w: %w", id, ErrForged, err)
	}
	c.cache.save(id, raw)
	return fetched(item), nil
}

// assemble puts an item together from a gateway's index and its raw data.
func (c *Client) assemble(ctx context.Context, id ao.ID) (Fetched, error) {
	entry, err := c.entry(ctx, id)
	if err != nil {
		return Fetched{}, fmt.Errorf("fetch %s: %w", id, err)
	}
	data, err := c.get(ctx, "/raw/"+id.String(), ItemBytesMax)
	if err != nil {
		return Fetched{}, fmt.Errorf("fetch %s: %w", id, err)
	}
	for _, item := range entry.candidates() {
		item.Data = data
		if item.ID() == id && item.Verify() == nil {
			c.cache.save(id, item.Bytes())
			return fetched(item), nil
		}
	}
	again := func() (io.Reader, error) { return bytes.NewReader(data), nil }
	signed, err := c.signed(ctx, entry, id, again, int64(len(data)))
	if err != nil {
		return Fetched{}, fmt.Errorf("fetch %s: %w", id, err)
	}
	if signed == nil {
		return entry.unverified(id, data), nil
	}
	signed.Data = data
	return *signed, nil
}

func fetched(item *dataitem.Item) Fetched {
	return Fetched{
		ID: item.ID(), Owner: item.Address(), Target: item.TargetText(), Anchor: item.Anchor, Tags: item.Tags, Data: item.Data,
		Signature: base64.RawURLEncoding.EncodeToString(item.Signature), Verified: true,
	}
}

// Module fetches a module: what its tags say, and its wasm. It is verified if the third value is true.
func (c *Client) Module(ctx context.Context, id ao.ID) (module ao.Module, wasm []byte, verified bool, err error) {
	item, err := c.Fetch(ctx, id)
	if err != nil {
		return module, nil, false, err
	}
	module, err = ao.NewModule(id, item.Owner, item.Tags)
	return module, item.Data, item.Verified, err
}

// Upload sends a signed item to the uploader. Sending it again does no harm.
func (c *Client) Upload(ctx context.Context, item *dataitem.Item) error {
	_, err := c.fetch.Bytes(ctx, fetch.Request{
		Method: http.MethodPost, URL: c.uploader + "/tx", Body: item.Bytes(), ContentType: "application/octet-stream", BytesMax: indexBytesMax,
	})
	if err != nil {
		return fmt.Errorf("upload %s: %w", item.ID(), err)
	}
	return nil
}

// Location is where a scheduler says that it is, and for how long it may be believed.
type Location struct {
	URL string
	TTL time.Duration // 0: it does not say
}

// ttlMax is the longest time for which a location is believed, in milliseconds: ten years, so that it does not overflow.
const ttlMax = 10 * 365 * 24 * 3600 * 1000

// Locate asks the index where the scheduler with an address is: its newest Scheduler-Location record.
func (c *Client) Locate(ctx context.Context, scheduler string) (Location, error) {
	const query = `query ($owners: [String!]!) {
  transactions(owners: $owners, first: 1, sort: HEIGHT_DESC, tags: [
    {name: "Data-Protocol", values: ["ao"]}, {name: "Type", values: ["Scheduler-Location"]}
  ]) { edges { node { tags { name value } } } }
}`
	var answer struct {
		Transactions struct {
			Edges []struct{ Node indexEntry }
		}
	}
	if err := c.query(ctx, query, map[string]any{"owners": []string{scheduler}}, &answer); err != nil {
		return Location{}, fmt.Errorf("locate scheduler %s: %w", scheduler, err)
	}
	if edges := answer.Transactions.Edges; len(edges) > 0 {
		tags := edges[0].Node.Tags
		// A time that cannot be read is one that is not said.
		milliseconds, _ := ao.ParseInt("Time-To-Live", tags.Get("Time-To-Live"))
		if found := tags.Get("Url"); found != "" {
			return Location{found, time.Duration(min(milliseconds, ttlMax)) * time.Millisecond}, nil
		}
	}
	return Location{}, fmt.Errorf("locate scheduler %s: %w: no Scheduler-Location with a Url", scheduler, ErrNotFound)
}

// Listed is an item as a gateway's index shows it. Nothing of it is verified.
type Listed struct {
	ID    ao.ID
	Owner string
	Tags  ao.Tags
}

// List asks the index for the newest items of owners with these tags, newest first.
func (c *Client) List(ctx context.Context, owners []string, tags ao.Tags, first int) ([]Listed, error) {
	return c.list(ctx, owners, tags, first, nil)
}

// ListUpTo is List without the items that are in no block yet or in one above a height.
func (c *Client) ListUpTo(ctx context.Context, owners []string, tags ao.Tags, first int, height int64) ([]Listed, error) {
	return c.list(ctx, owners, tags, first, map[string]any{"min": 0, "max": height})
}

func (c *Client) list(ctx context.Context, owners []string, tags ao.Tags, first int, heights map[string]any) ([]Listed, error) {
	const query = `query ($owners: [String!]!, $tags: [TagFilter!]!, $first: Int!, $block: BlockFilter) {
  transactions(owners: $owners, tags: $tags, first: $first, block: $block, sort: HEIGHT_DESC) { edges { node { id owner { address } tags { name value } } } }
}`
	filters := make([]map[string]any, len(tags))
	for i, tag := range tags {
		filters[i] = map[string]any{"name": tag.Name, "values": []string{tag.Value}}
	}
	variables := map[string]any{"owners": owners, "tags": filters, "first": first}
	if heights != nil {
		variables["block"] = heights
	}
	var answer struct {
		Transactions struct {
			Edges []struct{ Node indexEntry }
		}
	}
	if err := c.query(ctx, query, variables, &answer); err != nil {
		return nil, fmt.Errorf("list items of %d owners: %w", len(owners), err)
	}
	var listed []Listed
	for _, edge := range answer.Transactions.Edges {
		id, err := ao.ParseID(edge.Node.ID)
		if err != nil {
			return nil, fmt.Errorf("list items: %w: %w", ErrMalformed, err)
		}
		listed = append(listed, Listed{id, edge.Node.Owner.Address, edge.Node.Tags})
	}
	return listed, nil
}

// Block is when a block was made.
type Block struct {
	Height    int64
	Timestamp int64 // milliseconds since 1970
}

// blocksPerPage is what gateways give at a time.
const blocksPerPage = 90

// Blocks lists the blocks from a height on, in order, up to the first that is later than until or to the newest.
func (c *Client) Blocks(ctx context.Context, height, until int64) (blocks []Block, err error) {
	const query = `query ($min: Int!, $limit: Int!) {
  blocks(height: {min: $min}, first: $limit, sort: HEIGHT_ASC) { pageInfo { hasNextPage } edges { node { timestamp height } } }
}`
	for next := height; ; {
		var answer struct {
			Blocks struct {
				PageInfo struct{ HasNextPage bool }
				Edges    []struct {
					Node struct{ Height, Timestamp int64 }
				}
			}
		}
		if err := c.query(ctx, query, map[string]any{"min": next, "limit": blocksPerPage}, &answer); err != nil {
			return nil, fmt.Errorf("list blocks from height %d on: %w", next, err)
		}
		for _, edge := range answer.Blocks.Edges {
			if edge.Node.Height != next {
				return nil, fmt.Errorf("list blocks from height %d on: %w: height %d comes next", next, ErrMalformed, edge.Node.Height)
			}
			blocks = append(blocks, Block{edge.Node.Height, 1000 * edge.Node.Timestamp})
			if next++; 1000*edge.Node.Timestamp > until {
				return blocks, nil
			}
		}
		if !answer.Blocks.PageInfo.HasNextPage || len(answer.Blocks.Edges) == 0 {
			return blocks, nil
		}
	}
}

// BlockHeight asks for the height of the newest block.
func (c *Client) BlockHeight(ctx context.Context) (int64, error) {
	body, err := c.get(ctx, "/info", indexBytesMax)
	if err != nil {
		return 0, err
	}
	var info struct {
		Height json.Number `json:"height"`
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return 0, fmt.Errorf("GET /info: %w: %w", ErrMalformed, err)
	}
	height, err := strconv.ParseInt(info.Height.String(), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("GET /info: %w: height %q", ErrMalformed, info.Height)
	}
	return height, nil
}

func (c *Client) get(ctx context.Context, path string, bytesMax int64) (body []byte, err error) {
	err = c.each(ctx, func(gateway string) (err error) {
		body, err = c.fetch.Bytes(ctx, fetch.Request{Method: http.MethodGet, URL: gateway + path, BytesMax: bytesMax})
		return err
	})
	return body, notFound(err)
}

// each asks one gateway after the other until one has an answer. If none has, the first one's error counts, unless that only
// says that it does not have it and another could not be asked.
func (c *Client) each(ctx context.Context, ask func(gateway string) error) error {
	var first error
	for _, gateway := range c.gateways {
		err := ask(gateway)
		if err == nil || ctx.Err() != nil {
			return err
		}
		absent := func(err error) bool { return fetch.NotFound(err) || errors.Is(err, ErrNotFound) }
		if first == nil || (absent(first) && !absent(err)) {
			first = err
		}
	}
	return first
}

// notFound adds ErrNotFound to an error that says so.
func notFound(err error) error {
	if fetch.NotFound(err) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

func (c *Client) query(ctx context.Context, query string, variables map[string]any, into any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	return notFound(c.each(ctx, func(gateway string) error { return c.queryOne(ctx, gateway, body, into) }))
}

func (c *Client) queryOne(ctx context.Context, gateway string, body []byte, into any) error {
	answer, err := c.fetch.Bytes(ctx, fetch.Request{
		Method: http.MethodPost, URL: gateway + "/graphql", Body: body, ContentType: "application/json", BytesMax: indexBytesMax,
	})
	if err != nil {
		return err
	}
	var envelope struct {
		Data   json.RawMessage
		Errors json.RawMessage
	}
	if err := json.Unmarshal(answer, &envelope); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(envelope.Data) == 0 || bytes.Equal(envelope.Data, []byte("null")) {
		return fmt.Errorf("%w: GraphQL errors %.300s", ErrMalformed, envelope.Errors)
	}
	if err := json.Unmarshal(envelope.Data, into); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}
