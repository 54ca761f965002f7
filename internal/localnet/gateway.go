package localnet

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
//	GET  /tx/{id}, /tx/{id}/status, /tx/{id}/offset, /tx/{id}/{field}, /chunk/{offset}
//	POST /graphql                 transactions, transaction, blocks, block
//	GET  /info, /height, /block/height/{height}, /block/hash/{hash}, /block/current
//	GET  /price/{bytes}, /tx_anchor, /wallet/{address}/balance, /wallet/{address}/last_tx
//	POST /tx, /tx/arweave         a signed data item, or a signed transaction in JSON
//	POST /chunk                   a part of a transaction's data
func (n *Network) Gateway() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", n.getInfo)
	mux.HandleFunc("GET /info", n.getInfo)
	mux.HandleFunc("GET /{id}", n.getData)
	mux.HandleFunc("GET /raw/{id}", n.getData)
	mux.HandleFunc("GET /item/{id}", n.getItem)
	mux.HandleFunc("GET /tx/{id}", n.getTransaction)
	mux.HandleFunc("GET /tx/{id}/status", n.getStatus)
	mux.HandleFunc("GET /tx/{id}/offset", n.getOffset)
	mux.HandleFunc("GET /tx/{id}/{field}", n.getField)
	mux.HandleFunc("GET /chunk/{offset}", n.getChunk)
	mux.HandleFunc("POST /chunk", n.postChunk)
	mux.HandleFunc("GET /height", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, n.height()) })
	mux.HandleFunc("GET /block/height/{height}", n.getBlock)
	mux.HandleFunc("GET /block/hash/{hash}", n.getBlock)
	mux.HandleFunc("GET /block/current", n.getBlock)
	mux.HandleFunc("GET /tx_anchor", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, n.chain.hash(n.height())) })
	mux.HandleFunc("GET /v1/price/bytes/{bytes}", getFreePrice)
	mux.HandleFunc("GET /price/bytes/{bytes}", getFreePrice)
	mux.HandleFunc("GET /v1/account/balance/{currency}", getFreePrice)
	mux.HandleFunc("GET /account/balance/{currency}", getFreePrice)
	mux.HandleFunc("GET /price/{bytes}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "0") })
	mux.HandleFunc("GET /price/{bytes}/{target}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "0") })
	mux.HandleFunc("GET /wallet/{address}/last_tx", func(http.ResponseWriter, *http.Request) {})
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
	found := n.entryOf(w, r)
	switch {
	case found == nil:
	case found.transaction != nil:
		fail(w, http.StatusNotFound, fmt.Errorf("%s is a transaction, not an item", found.id))
	default:
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
	// RFC 9110, 14.1.1: a range that ends before it begins is invalid, and ignored. The reference's WeaveDrive asks for such
	// ranges when a process has sought to the end, and goes by getting everything.
	var first, last int64
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); n == 2 && last < first {
		r.Header.Del("Range")
	}
	http.ServeContent(w, r, "", time.UnixMilli(e.Timestamp), io.NewSectionReader(file, offset, size))
}

// shown gives an entry in the form of a transaction of the base layer, without its data. Of an item most fields are empty.
func (e *entry) shown() map[string]any {
	if e.transaction != nil {
		return transactionJSON(e.transaction, e.dataBytes)
	}
	return transactionJSON(&dataitem.Transaction{Format: 2, Signature: e.item.Signature, Owner: e.item.Owner, Target: e.item.Target,
		Anchor: e.item.Anchor, Tags: e.item.Tags, Quantity: "0", Reward: "0"}, e.dataBytes)
}

// getTransaction answers 202 while a transaction waits for its data, as nodes do until it is in a block.
func (n *Network) getTransaction(w http.ResponseWriter, r *http.Request) {
	if id, err := ao.ParseID(r.PathValue("id")); err == nil && n.arrivals.has(id) {
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "Pending")
		return
	}
	found := n.entryOf(w, r)
	if found == nil {
		return
	}
	shown := found.shown()
	if shown["format"] == 1 { // the data is signed directly, so it belongs to the transaction
		item, err := n.store.load(found.id)
		if err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		shown["data"] = encode(item.Data)
	}
	reply(w, http.StatusOK, shown)
}

// getField shows one field of a transaction as text. Its data is in base64url, or as it is with a suffix: data.png.
func (n *Network) getField(w http.ResponseWriter, r *http.Request) {
	found := n.entryOf(w, r)
	if found == nil {
		return
	}
	field := r.PathValue("field")
	if strings.HasPrefix(field, "data.") {
		n.getData(w, r)
		return
	}
	if field == "data" {
		item, err := n.store.load(found.id)
		if err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		io.WriteString(w, encode(item.Data))
		return
	}
	switch value := found.shown()[field].(type) {
	case nil:
		fail(w, http.StatusBadRequest, fmt.Errorf("transactions have no field %q", field))
	case string, int, ao.ID:
		fmt.Fprint(w, value)
	default:
		reply(w, http.StatusOK, value)
	}
}

func (n *Network) getStatus(w http.ResponseWriter, r *http.Request) {
	if id, err := ao.ParseID(r.PathValue("id")); err == nil && n.arrivals.has(id) {
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "Pending")
		return
	}
	if found := n.entryOf(w, r); found != nil {
		reply(w, http.StatusOK, map[string]any{
			"block_height": found.Height, "block_indep_hash": n.chain.hash(found.Height), "number_of_confirmations": n.height() - found.Height + 1,
		})
	}
}

// getFreePrice answers what uploaders are asked about prices and credits: there is nothing to pay.
func getFreePrice(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusOK, map[string]any{"winc": "0", "balance": "0", "adjustments": []any{}, "fees": []any{}})
}

func (n *Network) getInfo(w http.ResponseWriter, r *http.Request) {
	height := n.height()
	reply(w, http.StatusOK, map[string]any{
		"network": "verbatim.localnet", "version": 5, "release": 1, "height": height, "current": n.chain.hash(height), "blocks": height + 1,
		"peers": 0, "queue_length": 0, "node_state_latency": 0,
	})
}

// getBlock shows a block by its height or hash, or the newest. What it says of a block never changes, so it has no
// transactions.
func (n *Network) getBlock(w http.ResponseWriter, r *http.Request) {
	height, asked := n.height(), r.PathValue("height")
	var err error
	switch {
	case r.PathValue("hash") != "":
		asked = r.PathValue("hash")
		height, err = n.chain.find(asked, height)
	case asked != "":
		height, err = ao.ParseInt("height", asked)
	}
	if err != nil || height > n.height() {
		fail(w, http.StatusNotFound, fmt.Errorf("no block %q", asked))
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"height": height, "indep_hash": n.chain.hash(height), "previous_block": n.chain.hash(height - 1), "timestamp": n.chain.seconds(height), "txs": []string{},
	})
}

// postItem takes an upload. Items begin with a small number, transactions with a brace.
func (n *Network) postItem(w http.ResponseWriter, r *http.Request) {
	body := bufio.NewReader(r.Body)
	if first, _ := body.Peek(1); len(first) == 1 && first[0] == '{' {
		t, err := n.postTransaction(body)
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, http.StatusOK, map[string]any{"id": t.ID()})
		return
	}
	stored, err := n.keep(body, itemBytesMax)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"id": stored.id, "timestamp": stored.Timestamp, "owner": stored.item.Address(), "winc": "0", "block": stored.Height,
		"deadlineHeight": stored.Height, "dataCaches": []string{}, "fastFinalityIndexes": []string{}, "version": "1.0.0",
	})
}

// keep verifies and stores an item, and what is in it if it is a bundle.
func (n *Network) keep(from io.Reader, bytesMax int64) (*entry, error) {
	return n.keepIn(from, bytesMax, ao.ID{})
}

// keepIn keeps an item that came in a bundle, or in none.
func (n *Network) keepIn(from io.Reader, bytesMax int64, bundle ao.ID) (*entry, error) {
	stored, err := n.store.put(from, bytesMax, indexLine{Height: n.height(), Timestamp: n.now().UnixMilli(), In: bundle})
	if err != nil {
		return nil, err
	}
	return stored, n.unbundle(stored)
}

// unbundle keeps what is in an item or a transaction, if it is a bundle.
func (n *Network) unbundle(stored *entry) error {
	if stored.item.Tags.Get("Bundle-Format") != "binary" || stored.dataBytes > bundleBytesMax {
		return nil
	}
	bundle, err := n.store.load(stored.id)
	if err != nil {
		return err
	}
	items, err := dataitem.ParseBundle(bundle.Data)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", stored.id, err)
	}
	for _, item := range items {
		if _, err := n.keepIn(bytes.NewReader(item.Bytes()), itemBytesMax, stored.id); err != nil {
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
	ids, owners, recipients, bundles []string
	tags                             []tagFilter
	heightMin, heightMax             int64
}

type tagFilter struct {
	name    string
	values  []string
	without bool
}

func newFilter(arguments map[string]any) filter {
	f := filter{ids: texts(arguments["ids"]), owners: texts(arguments["owners"]), recipients: texts(arguments["recipients"]),
		bundles: texts(arguments["bundledIn"]), heightMax: 1 << 62}
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
	if e.Height < f.heightMin || e.Height > f.heightMax ||
		len(f.ids) > 0 && !slices.Contains(f.ids, e.id.String()) ||
		len(f.owners) > 0 && !slices.Contains(f.owners, e.item.Address()) ||
		len(f.recipients) > 0 && !slices.Contains(f.recipients, e.item.TargetText()) ||
		len(f.bundles) > 0 && (e.In.IsZero() || !slices.Contains(f.bundles, e.In.String())) {
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

// candidates are the entries that may match, in order of arrival: with ids, which most queries have, only those.
func (n *Network) candidates(f filter) []*entry {
	if len(f.ids) == 0 {
		return n.store.all()
	}
	var found []*entry
	for _, text := range f.ids {
		if id, err := ao.ParseID(text); err == nil {
			if e := n.store.get(id); e != nil {
				found = append(found, e)
			}
		}
	}
	slices.SortFunc(found, func(a, b *entry) int { return a.place - b.place })
	return slices.Compact(found)
}

// queryTransactions answers transactions(ids, owners, recipients, tags, bundledIn, block, first, after, sort). A cursor is the
// place of an item in order of arrival.
func (n *Network) queryTransactions(arguments map[string]any) (any, error) {
	wanted := newFilter(arguments)
	entries := n.candidates(wanted)
	first := int(min(max(number(arguments["first"], edgesPerPage), 1), edgesMax))
	ascending := strings.HasSuffix(text(arguments["sort"]), "_ASC") // HEIGHT_ASC, or INGESTED_AT_ASC, which is the same here
	step, at := -1, len(entries)-1
	if ascending {
		step, at = 1, 0
	}
	if after := text(arguments["after"]); after != "" {
		place, err := strconv.Atoi(after)
		if err != nil {
			return nil, fmt.Errorf("cursor %q is not one of ours", after)
		}
		at, _ = slices.BinarySearchFunc(entries, place, func(e *entry, place int) int { return e.place - place })
		if !ascending || at < len(entries) && entries[at].place == place {
			at += step
		}
	}
	edges, more := []any{}, false
	for ; at >= 0 && at < len(entries); at += step {
		if !wanted.matches(entries[at]) {
			continue
		}
		if more = len(edges) == first; more {
			break
		}
		edges = append(edges, map[string]any{"cursor": strconv.Itoa(entries[at].place), "node": n.node(entries[at])})
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
	none, quantity := winston("0"), winston("0")
	if e.transaction != nil {
		quantity = winston(e.transaction.Quantity)
	}
	var bundle any // the items' own would be a map without fields
	if !e.In.IsZero() {
		bundle = map[string]any{"id": e.In}
	}
	return map[string]any{
		"id": e.id, "anchor": encode(e.item.Anchor), "signature": encode(e.item.Signature), "recipient": e.item.TargetText(),
		"owner": map[string]any{"address": e.item.Address(), "key": encode(e.item.Owner)}, "fee": none, "quantity": quantity,
		"data": map[string]any{"size": strconv.FormatInt(e.dataBytes, 10), "type": e.item.Tags.Get("Content-Type")}, "tags": tags,
		"block": n.blockNode(e.Height), "parent": bundle, "bundledIn": bundle, "ingested_at": e.Timestamp / 1000,
	}
}

// winston shows an amount of coins: 12 decimals after the point.
func winston(amount string) map[string]any {
	padded := strings.Repeat("0", max(13-len(amount), 0)) + amount
	return map[string]any{"winston": amount, "ar": padded[:len(padded)-12] + "." + padded[len(padded)-12:]}
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
	height := number(arguments["height"], n.height())
	if id := text(arguments["id"]); id != "" {
		found, err := n.chain.find(id, height)
		if err != nil {
			return nil, nil
		}
		height = found
	}
	if height > n.height() {
		return nil, nil
	}
	return n.blockNode(height), nil
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
		errors.Is(err, errNotAO), errors.Is(err, errDataRoot), errors.Is(err, errNoRoot), errors.Is(err, errProof):
		fail(w, http.StatusBadRequest, err)
	default:
		fail(w, http.StatusInternalServerError, err)
	}
}
