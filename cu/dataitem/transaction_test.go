package dataitem_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"verbatim/cu/dataitem"
)

type transactionVector struct {
	Bytes       int64
	Transaction json.RawMessage
}

func transactionVectors(t testing.TB) (vectors []transactionVector) {
	t.Helper()
	raw, err := os.ReadFile("testdata/transactions.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

func vectorData(size int64) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*31 + i>>8)
	}
	return data
}

// Transactions that arweave.js signed verify, and the root over their data is the one that they sign.
func TestTransactions(t *testing.T) {
	for _, vector := range transactionVectors(t) {
		transaction, err := dataitem.ParseTransaction(vector.Transaction)
		if err != nil {
			t.Fatalf("%d bytes: %v", vector.Bytes, err)
		}
		var shown struct{ ID string }
		if err := json.Unmarshal(vector.Transaction, &shown); err != nil {
			t.Fatal(err)
		}
		if got := transaction.ID().String(); got != shown.ID {
			t.Errorf("%d bytes: id %s, want %s", vector.Bytes, got, shown.ID)
		}
		if err := transaction.Verify(); err != nil {
			t.Errorf("%d bytes: %v", vector.Bytes, err)
		}
		if got := transaction.Tags.Get("Content-Type"); got != "application/octet-stream" {
			t.Errorf("%d bytes: tag Content-Type %q", vector.Bytes, got)
		}
		data := vectorData(vector.Bytes)
		if transaction.Format == 1 {
			if !bytes.Equal(transaction.Data, data) {
				t.Errorf("%d bytes: format 1 shows other data", vector.Bytes)
			}
			continue
		}
		root, err := dataitem.DataRoot(bytes.NewReader(data), transaction.DataSize)
		if err != nil || !bytes.Equal(root[:], transaction.DataRoot) {
			t.Errorf("%d bytes: root %x, want %x, %v", vector.Bytes, root, transaction.DataRoot, err)
		}
		for _, wrong := range []int64{vector.Bytes - 1, vector.Bytes + 1} {
			if _, err := dataitem.DataRoot(bytes.NewReader(data), wrong); err == nil {
				t.Errorf("%d bytes read as %d: no error", vector.Bytes, wrong)
			}
		}
		data[len(data)/2] ^= 1
		if root, _ := dataitem.DataRoot(bytes.NewReader(data), vector.Bytes); bytes.Equal(root[:], transaction.DataRoot) {
			t.Errorf("%d bytes: a flipped bit does not change the root", vector.Bytes)
		}
	}
}

// Whatever is signed cannot be changed unnoticed.
func TestTransactionsChanged(t *testing.T) {
	for _, vector := range transactionVectors(t) {
		for name, change := range map[string]func(*dataitem.Transaction){
			"owner":     func(tx *dataitem.Transaction) { tx.Owner[3] ^= 1 },
			"no owner":  func(tx *dataitem.Transaction) { tx.Owner = nil },
			"target":    func(tx *dataitem.Transaction) { tx.Target = append(tx.Target, 1) },
			"anchor":    func(tx *dataitem.Transaction) { tx.Anchor[0] ^= 1 },
			"division":  func(tx *dataitem.Transaction) { tx.Denomination = 1 },
			"tag":       func(tx *dataitem.Transaction) { tx.Tags[0].Value += "x" },
			"quantity":  func(tx *dataitem.Transaction) { tx.Quantity += "0" },
			"reward":    func(tx *dataitem.Transaction) { tx.Reward += "0" },
			"signature": func(tx *dataitem.Transaction) { tx.Signature[9] ^= 1 },
			"data": func(tx *dataitem.Transaction) {
				tx.Data, tx.DataRoot = append(tx.Data, 1), append(tx.DataRoot, 1)
			},
		} {
			transaction, err := dataitem.ParseTransaction(vector.Transaction)
			if err != nil {
				t.Fatal(err)
			}
			if change(transaction); !errors.Is(transaction.Verify(), dataitem.ErrSignature) {
				t.Errorf("format %d, %s changed: %v, want %v", transaction.Format, name, transaction.Verify(), dataitem.ErrSignature)
			}
		}
	}
}

// What a signature of secp256k1 says binds nobody: it is that of some key whatever it is of.
func TestUnbound(t *testing.T) {
	raw := fmt.Appendf(nil, `{"format":2,"owner":"","signature":%q,"denomination":"2","data_size":"7"}`, base64.RawURLEncoding.EncodeToString(make([]byte, 65)))
	transaction, err := dataitem.ParseTransaction(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !transaction.Unbound() || !errors.Is(transaction.Verify(), dataitem.ErrSignature) || transaction.Denomination != 2 || transaction.DataSize != 7 {
		t.Errorf("unbound %v, %v, denomination %d, %d bytes", transaction.Unbound(), transaction.Verify(), transaction.Denomination, transaction.DataSize)
	}
	for _, number := range []string{`"-1"`, `"x"`, `1.5`, `{}`} {
		if _, err := dataitem.ParseTransaction([]byte(`{"format":2,"data_size":` + number + `}`)); !errors.Is(err, dataitem.ErrFormat) {
			t.Errorf("data_size %s: %v", number, err)
		}
	}
}

func FuzzParseTransaction(f *testing.F) {
	for _, vector := range transactionVectors(f) {
		f.Add([]byte(vector.Transaction))
	}
	f.Add([]byte(`{"format":2,"data_size":12,"tags":[{"name":"","value":"!"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		transaction, err := dataitem.ParseTransaction(raw)
		if err == nil {
			_ = transaction.Verify() // must not panic
		}
	})
}
