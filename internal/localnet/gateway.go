package localnet

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

const (
	queryBytesMax  = 1 << 20
	edgesPerPage   = 10
	edgesMax       = 1000
	bundleBytesMax = 1 << 30
)

// Gateway serves what is stored, as an Arweave gateway does, and takes uploads, as an uploader does:
//
//	GET  /raw/{id}, GET /{id}     the data, with ranges
//	GET  /item/{id}               the whole signed item, which no public gateway has: clients verify with it
//	GET  /tx/{id}, /tx/{id}/status
//	POST /graphql                 transactions, transaction, blocks, block
//	GET  /info, /block/height/{height}, /price/{bytes}, /tx_anchor, /wallet/{address}/balance
//	POST /tx, /tx/arweave         a signed data item
func (n *Network) Gateway() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", n.getInfo)
	mux.HandleFunc("GET /info", n.getInfo)
	mux.HandleFunc("GET /{id}", n.getData)
	mux.HandleFunc("GET /raw/{id}", n.getData)
	mux.HandleFunc("GET /item/{id}", n.getItem)
	mux.HandleFunc("GET /tx/{id}", n.getTransaction)
	mux.HandleFunc("GET /tx/{id}/status", n.getStatus)
	mux.HandleFunc("GET /block/height/{height}", n.getBlock)
	mux.HandleFunc("GET /tx_anchor", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, n.chain.hash(n.height())) })
	mux.HandleFunc("GET /price/{bytes}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "0") })
	mux.HandleFunc("GET /price/{bytes}/{target}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "0") })
	mux.HandleFunc("GET /wallet/{address}/balance", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "0") })
	mux.HandleFunc("POST /graphql", n.postGraphQL)
	for _, path := range [...]string{"/tx", "/tx/{currency}", "/v1/tx", "/v1/tx/{currency}"} {
		mux.HandleFunc("POST "+path, n.postItem)
	}
	return allowBrowsers(mux)
}

// entryOf finds the item that the path names, or answers that there is none.
func (n *Network) entryOf(w http.ResponseWriter, r *http.Request) *entry {
	id, err := ao.ParseID(r.PathValue("id"))
	if err != nil {
		fail(w, http.StatusNotFound, err)
		return nil
	}
	found := n.store.get(id)
	if found == nil {
		fail(w, http.StatusNotFound, fmt.Errorf("item %s: %w", id, errNotStored))
	}
	return found
}

func (n *Network) getData(w http.ResponseWriter, r *http.Request) {
	if found := n.entryOf(w, r); found != nil {
		kind := found.item.Tags.Get("Content-Type")
		if kind == "" {
			kind = "application/octet-stream"
		}
		n.serve(w, r, found, kind, found.headerBytes, found.dataBytes)
	}
}

func (n *Network) getItem(w http.ResponseWriter, r *http.Request) {
	if found := n.entryOf(w, r); found != nil {
		n.serve(w, r, found, "application/octet-stream", 0, found.headerBytes+found.dataBytes)
	}
}

func (n *Network) serve(w http.ResponseWriter, r *http.Request, e *entry, kind string, offset, size int64) {
	file, err := n.store.open(e)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Etag", strconv.Quote(e.id.String()))
	http.ServeContent(w, r, "", time.UnixMilli(e.timestamp), io.NewSectionReader(file, offset, size))
}

// getTransaction shows an item in the form of a transaction of the base layer, without its data.
func (n *Network) getTransaction(w http.ResponseWriter, r *http.Request) {
	found := n.entryOf(w, r)
	if found == nil {
		return
	}
	tags := make([]map[string]string, len(found.item.Tags))
	for i, tag := range found.item.Tags {
		tags[i] = map[string]string{"name": encode([]byte(tag.Name)), "value": encode([]byte(tag.Value))}
	}
	reply(w, http.StatusOK, map[string]any{
		"format": 2, "id": found.id, "last_tx": encode(found.item.Anchor), "owner": encode(found.item.Owner), "tags": tags,
		"target": found.item.TargetText(), "quantity": "0", "data": "", "data_size": strconv.FormatInt(found.dataBytes, 10), "data_root": "",
		"reward": "0", "signature": encode(found.item.Signature),
	})
}

func (n *Network) getStatus(w http.ResponseWriter, r *http.Request) {
	if found := n.entryOf(w, r); found != nil {
		reply(w, http.StatusOK, map[string]any{
			"block_height": found.height, "block_indep_hash": n.chain.hash(found.height), "number_of_confirmations": n.height() - found.height + 1,
		})
	}
}

func (n *Network) getInfo(w http.ResponseWriter, r *http.Request) {
	height := n.height()
	reply(w, http.StatusOK, map[string]any{
		"network": "verbatim.localnet", "version": 5, "release": 1, "height": height, "current": n.chain.hash(height), "blocks": height + 1,
		"peers": 0, "queue_length": 0, "node_state_latency": 0,
	})
}

func (n *Network) getBlock(w http.ResponseWriter, r *http.Request) {
	height, err := ao.ParseInt("height", r.PathValue("height"))
	if err != nil || height > n.height() {
		fail(w, http.StatusNotFound, fmt.Errorf("no block %q", r.PathValue("height")))
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"height": height, "indep_hash": n.chain.hash(height), "previous_block": n.chain.hash(height - 1), "timestamp": n.chain.seconds(height), "txs": []string{},
	})
}

// postItem takes an upload.
func (n *Network) postItem(w http.ResponseWriter, r *http.Request) {
	stored, err := n.keep(r.Body, itemBytesMax)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"id": stored.id, "timestamp": stored.timestamp, "owner": stored.item.Address(), "winc": "0", "block": stored.height,
		"deadlineHeight": stored.height, "dataCaches": []string{}, "fastFinalityIndexes": []string{}, "version": "1.0.0",
	})
}

// keep verifies and stores an item, and what is in it if it is a bundle.
func (n *Network) keep(from io.Reader, bytesMax int64) (*entry, error) {
	stored, err := n.store.put(from, bytesMax, n.height(), n.now().UnixMilli())
	if err != nil {
		return nil, err
	}
	if stored.item.Tags.Get("Bundle-Format") == "binary" && stored.dataBytes <= bundleBytesMax {
		err = n.unbundle(stored)
	}
	return stored, err
}

func (n *Network) unbundle(stored *entry) error {
	bundle, err := n.store.load(stored.id)
	if err != nil {
		return err
	}
	items, err := dataitem.ParseBundle(bundle.Data)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", stored.id, err)
	}
	for _, item := range items {
		if err := n.keepItem(item); err != nil {
			return fmt.Errorf("bundle %s: %w", stored.id, err)
		}
	}
	return nil
}

func (n *Network) postGraphQL(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Query     string
		Variables map[string]any
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, queryBytesMax)).Decode(&request); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	if request.Variables == nil {
		request.Variables = map[string]any{}
	}
	parsed, err := parseQuery(request.Query)
	var data map[string]any
	if err == nil {
		data, err = parsed.answer(request.Variables, map[string]resolver{
			"transactions": n.queryTransactions, "transaction": n.queryTransaction, "blocks": n.queryBlocks, "block": n.queryBlock,
		})
	}
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]any{"errors": []map[string]string{{"message": err.Error()}}})
		return
	}
	reply(w, http.StatusOK, map[string]any{"data": data})
}

// filter is what a query asks of transactions. An empty list asks nothing.
type filter struct {
	ids, owners, recipients []string
	tags                    []tagFilter
	heightMin, heightMax    int64
}

type tagFilter struct {
	name    string
	values  []string
	without bool
}

func newFilter(arguments map[string]any) filter {
	f := filter{ids: texts(arguments["ids"]), owners: texts(arguments["owners"]), recipients: texts(arguments["recipients"]), heightMax: 1 << 62}
	for _, tag := range list(arguments["tags"]) {
		fields, _ := tag.(map[string]any)
		f.tags = append(f.tags, tagFilter{text(fields["name"]), texts(fields["values"]), text(fields["op"]) == "NEQ"})
	}
	if block, _ := arguments["block"].(map[string]any); block != nil {
		f.heightMin = number(block["min"], 0)
		f.heightMax = number(block["max"], f.heightMax)
	}
	return f
}

func (f filter) matches(e *entry) bool {
	if e.height < f.heightMin || e.height > f.heightMax ||
		len(f.ids) > 0 && !slices.Contains(f.ids, e.id.String()) ||
		len(f.owners) > 0 && !slices.Contains(f.owners, e.item.Address()) ||
		len(f.recipients) > 0 && !slices.Contains(f.recipients, e.item.TargetText()) {
		return false
	}
	for _, tag := range f.tags {
		carries := slices.ContainsFunc(e.item.Tags, func(t ao.Tag) bool { return t.Name == tag.name && slices.Contains(tag.values, t.Value) })
		if carries == tag.without {
			return false
		}
	}
	return true
}

// queryTransactions answers transactions(ids, owners, recipients, tags, block, first, after, sort). A cursor is the place of
// an item in order of arrival.
func (n *Network) queryTransactions(arguments map[string]any) (any, error) {
	wanted, entries := newFilter(arguments), n.store.all()
	first := int(min(max(number(arguments["first"], edgesPerPage), 1), edgesMax))
	ascending := text(arguments["sort"]) == "HEIGHT_ASC"
	step, at := -1, len(entries)-1
	if ascending {
		step, at = 1, 0
	}
	if after := text(arguments["after"]); after != "" {
		place, err := strconv.Atoi(after)
		if err != nil {
			return nil, fmt.Errorf("cursor %q is not one of ours", after)
		}
		at = place + step
	}
	edges, more := []any{}, false
	for ; at >= 0 && at < len(entries); at += step {
		if !wanted.matches(entries[at]) {
			continue
		}
		if more = len(edges) == first; more {
			break
		}
		edges = append(edges, map[string]any{"cursor": strconv.Itoa(at), "node": n.node(entries[at])})
	}
	return map[string]any{"pageInfo": map[string]any{"hasNextPage": more}, "edges": edges}, nil
}

func (n *Network) queryTransaction(arguments map[string]any) (any, error) {
	id, err := ao.ParseID(text(arguments["id"]))
	if err != nil {
		return nil, err
	}
	if found := n.store.get(id); found != nil {
		return n.node(found), nil
	}
	return nil, nil
}

func (n *Network) node(e *entry) map[string]any {
	tags := make([]any, len(e.item.Tags))
	for i, tag := range e.item.Tags {
		tags[i] = map[string]any{"name": ao.ValidText([]byte(tag.Name)), "value": ao.ValidText([]byte(tag.Value))}
	}
	none := map[string]any{"winston": "0", "ar": "0.000000000000"}
	return map[string]any{
		"id": e.id, "anchor": encode(e.item.Anchor), "signature": encode(e.item.Signature), "recipient": e.item.TargetText(),
		"owner": map[string]any{"address": e.item.Address(), "key": encode(e.item.Owner)}, "fee": none, "quantity": none,
		"data": map[string]any{"size": strconv.FormatInt(e.dataBytes, 10), "type": e.item.Tags.Get("Content-Type")}, "tags": tags,
		"block": n.blockNode(e.height), "parent": nil, "bundledIn": nil, "ingested_at": e.timestamp / 1000,
	}
}

func (n *Network) blockNode(height int64) map[string]any {
	return map[string]any{
		"id": n.chain.hash(height), "height": height, "timestamp": n.chain.seconds(height), "previous": n.chain.hash(height - 1),
	}
}

func (n *Network) queryBlocks(arguments map[string]any) (any, error) {
	heights, _ := arguments["height"].(map[string]any)
	low, high := number(heights["min"], n.chain.first()), min(number(heights["max"], n.height()), n.height())
	first := min(max(number(arguments["first"], edgesPerPage), 1), edgesMax)
	at, step := high, int64(-1)
	if text(arguments["sort"]) == "HEIGHT_ASC" {
		at, step = low, 1
	}
	if after := text(arguments["after"]); after != "" {
		place, err := ao.ParseInt("cursor", after)
		if err != nil {
			return nil, err
		}
		at = place + step
	}
	edges := []any{}
	for ; at >= low && at <= high && int64(len(edges)) < first; at += step {
		edges = append(edges, map[string]any{"cursor": strconv.FormatInt(at, 10), "node": n.blockNode(at)})
	}
	return map[string]any{"pageInfo": map[string]any{"hasNextPage": at >= low && at <= high}, "edges": edges}, nil
}

func (n *Network) queryBlock(arguments map[string]any) (any, error) {
	return n.blockNode(number(arguments["height"], n.height())), nil
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func text(value any) string {
	said, _ := value.(string)
	return said
}

func list(value any) []any {
	switch value := value.(type) {
	case nil:
		return nil
	case []any:
		return value
	}
	return []any{value} // GraphQL lets one value stand for a list of one
}

func texts(value any) (said []string) {
	for _, element := range list(value) {
		said = append(said, text(element))
	}
	return said
}

func number(value any, otherwise int64) int64 {
	if said, ok := value.(float64); ok {
		return int64(said)
	}
	return otherwise
}

// allowBrowsers lets pages from anywhere talk to a unit, as the public ones do.
func allowBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
		w.Header().Set("Access-Control-Allow-Headers", "*")
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(value) // the client may have gone
}

func fail(w http.ResponseWriter, status int, err error) {
	reply(w, status, map[string]string{"error": err.Error()})
}

// refuse answers an item or an assignment that was not accepted.
func refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, errTooLarge):
		fail(w, http.StatusRequestEntityTooLarge, err)
	case errors.Is(err, dataitem.ErrFormat), errors.Is(err, dataitem.ErrSignature), errors.Is(err, errDuplicate), errors.Is(err, errNotStored),
		errors.Is(err, errNotAO):
		fail(w, http.StatusBadRequest, err)
	default:
		fail(w, http.StatusInternalServerError, err)
	}
}
