package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/receipt"
)

func signed(t testing.TB) receipt.Receipt {
	t.Helper()
	r, _, _, _ := sample("p", 3)
	r.Sequence, r.Previous = 5, receipt.Digest{1, 2, 3}
	if err := r.Sign(key()); err != nil {
		t.Fatal(err)
	}
	return r
}

func encode(t testing.TB, r *receipt.Receipt) []byte {
	t.Helper()
	encoded, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// specials gives receipts of each kind and version.
func specials(t testing.TB) map[string]receipt.Receipt {
	t.Helper()
	all := map[string]receipt.Receipt{}
	for name, change := range map[string]func(*receipt.Receipt){
		"plain": func(*receipt.Receipt) {}, "cron": beCron, "duplicate": beDuplicate, "reading": beReading,
		"plain 1":     func(r *receipt.Receipt) { r.Version = 1 },
		"cron 2":      func(r *receipt.Receipt) { beCron(r); r.Version = 2 },
		"duplicate 2": func(r *receipt.Receipt) { beDuplicate(r); r.Version = 2 },
	} {
		r := signed(t)
		change(&r)
		if err := r.Sign(key()); err != nil {
			t.Fatal(err)
		}
		all[name] = r
	}
	return all
}

func beCron(r *receipt.Receipt) { r.Cron, r.Message, r.Assignment = "0-10-blocks", ao.ID{}, ao.ID{} }

func beDuplicate(r *receipt.Receipt) {
	r.Duplicate, r.Original, r.MemoryAfter, r.Gas, r.Fault, r.Inferences = true, 2, r.MemoryBefore, 0, "", nil
}

func beReading(r *receipt.Receipt) {
	r.Reads = []receipt.Read{
		{Name: "/data/a", Kind: receipt.ReadDigest, Digest: receipt.Digest{1, 2}, Bytes: 70_000}, {Name: "/data/b"},
		{Name: "/tx/a", Kind: receipt.ReadInline, Content: []byte(`{"id":"a"}`)}, {Name: "/block/7", Kind: receipt.ReadInline, Content: []byte{}},
	}
}

func TestRoundTrip(t *testing.T) {
	for _, r := range specials(t) {
		roundTrip(t, r)
	}
}

func roundTrip(t *testing.T, r receipt.Receipt) {
	t.Helper()
	encoded := encode(t, &r)
	back, err := receipt.Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if again := encode(t, back); !bytes.Equal(again, encoded) {
		t.Errorf("encode(decode(x)):\n got %x\nwant %x", again, encoded)
	}
	if back.Digest() != r.Digest() || back.Verify() != nil {
		t.Errorf("digest %s, want %s; verify: %v", back.Digest(), r.Digest(), back.Verify())
	}
}

// Every truncation is refused; every flipped bit is refused by the decoder or by the signature.
func TestDamageIsNoticed(t *testing.T) {
	for _, r := range specials(t) {
		damage(t, &r)
	}
}

func damage(t *testing.T, r *receipt.Receipt) {
	t.Helper()
	encoded := encode(t, r)
	for n := range encoded {
		if _, err := receipt.Decode(encoded[:n]); err == nil {
			t.Errorf("the first %d of %d bytes decode", n, len(encoded))
		}
	}
	if _, err := receipt.Decode(append(bytes.Clone(encoded), 0)); err == nil {
		t.Error("a byte too many is accepted")
	}
	for bit := range 8 * len(encoded) {
		flipped := bytes.Clone(encoded)
		flipped[bit/8] ^= 1 << (bit % 8)
		back, err := receipt.Decode(flipped)
		if err == nil {
			err = back.Verify()
			if !errors.Is(err, receipt.ErrSignature) {
				t.Errorf("bit %d of byte %d flipped: %v", bit%8, bit/8, err)
			}
		}
	}
}

func TestSignatureNamesItsSigner(t *testing.T) {
	r := signed(t)
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	copy(r.Signer[:], other.Public().(ed25519.PublicKey))
	if err := r.Verify(); !errors.Is(err, receipt.ErrSignature) {
		t.Errorf("with another signer's key: %v", err)
	}
}

func TestLimits(t *testing.T) {
	text := func(bytes int) string { return strings.Repeat("x", bytes) }
	for _, test := range []struct {
		name   string
		change func(*receipt.Receipt)
		ok     bool
	}{
		{"as it is", func(*receipt.Receipt) {}, true},
		{"longest texts", func(r *receipt.Receipt) { r.Device, r.Build = text(receipt.TextBytesMax), text(receipt.TextBytesMax) }, true},
		{"device too long", func(r *receipt.Receipt) { r.Device = text(receipt.TextBytesMax + 1) }, false},
		{"build too long", func(r *receipt.Receipt) { r.Build = text(receipt.TextBytesMax + 1) }, false},
		{"fault too long", func(r *receipt.Receipt) { r.Fault = text(receipt.TextBytesMax + 1) }, false},
		{"format too long", func(r *receipt.Receipt) { r.ModuleFormat = text(receipt.TextBytesMax + 1) }, false},
		{"longest refusal", func(r *receipt.Receipt) { r.Inferences[1].Refusal = text(receipt.RefusalBytesMax) }, true},
		{"refusal too long", func(r *receipt.Receipt) { r.Inferences[1].Refusal = text(receipt.RefusalBytesMax + 1) }, false},
		{"longest transcript", func(r *receipt.Receipt) { r.Inferences[0].Transcript = []byte(text(receipt.TranscriptBytesMax)) }, true},
		{"transcript too long", func(r *receipt.Receipt) { r.Inferences[0].Transcript = []byte(text(receipt.TranscriptBytesMax + 1)) }, false},
		{"transcript and refusal", func(r *receipt.Receipt) { r.Inferences[0].Refusal = "no" }, false},
		{"neither", func(r *receipt.Receipt) { r.Inferences[1].Refusal = "" }, false},
		{"most inferences", func(r *receipt.Receipt) { r.Inferences = make([]receipt.Inference, receipt.InferencesMax); refuse(r) }, true},
		{"too many inferences", func(r *receipt.Receipt) { r.Inferences = make([]receipt.Inference, receipt.InferencesMax+1); refuse(r) }, false},
		{"boot", func(r *receipt.Receipt) { r.Nonce, r.Assignment = receipt.BootNonce, ao.ID{} }, true},
		{"boot with assignment", func(r *receipt.Receipt) { r.Nonce = receipt.BootNonce }, false},
		{"no assignment", func(r *receipt.Receipt) { r.Assignment = ao.ID{} }, false},
		{"nonce below boot", func(r *receipt.Receipt) { r.Nonce = receipt.BootNonce - 1 }, false},
		{"negative epoch", func(r *receipt.Receipt) { r.Epoch = -1 }, false},
		{"previous at sequence 0", func(r *receipt.Receipt) { r.Sequence = 0 }, false},
		{"cron", beCron, true},
		{"cron before the first assignment", func(r *receipt.Receipt) { beCron(r); r.Nonce = receipt.BootNonce }, true},
		{"cron with a message", func(r *receipt.Receipt) { r.Cron, r.Assignment = "0-1-block", ao.ID{} }, false},
		{"cron with an assignment", func(r *receipt.Receipt) { r.Cron, r.Message = "0-1-block", ao.ID{} }, false},
		{"cron with an epoch", func(r *receipt.Receipt) { beCron(r); r.Epoch = 1 }, false},
		{"longest cron", func(r *receipt.Receipt) { beCron(r); r.Cron = text(receipt.TextBytesMax) }, true},
		{"cron too long", func(r *receipt.Receipt) { beCron(r); r.Cron = text(receipt.TextBytesMax + 1) }, false},
		{"duplicate", beDuplicate, true},
		{"duplicate of itself", func(r *receipt.Receipt) { beDuplicate(r); r.Original = r.Nonce }, false},
		{"duplicate of nothing", func(r *receipt.Receipt) { beDuplicate(r); r.Original = -1 }, false},
		{"duplicate with gas", func(r *receipt.Receipt) { beDuplicate(r); r.Gas = 1 }, false},
		{"duplicate with another memory", func(r *receipt.Receipt) { beDuplicate(r); r.MemoryAfter.Bytes++ }, false},
		{"original without duplicate", func(r *receipt.Receipt) { r.Original = 1 }, false},
		{"duplicate of a cron", func(r *receipt.Receipt) { beDuplicate(r); beCron(r) }, false},
		{"reads", beReading, true},
		{"a read twice", func(r *receipt.Receipt) { beReading(r); r.Reads[1].Name = r.Reads[0].Name }, false},
		{"a read without a name", func(r *receipt.Receipt) { r.Reads = []receipt.Read{{}} }, false},
		{"longest name", func(r *receipt.Receipt) { r.Reads = []receipt.Read{{Name: text(receipt.TextBytesMax)}} }, true},
		{"name too long", func(r *receipt.Receipt) { r.Reads = []receipt.Read{{Name: text(receipt.TextBytesMax + 1)}} }, false},
		{"read of another kind", func(r *receipt.Receipt) { r.Reads = []receipt.Read{{Name: "a", Kind: receipt.ReadInline + 1}} }, false},
		{"longest content", func(r *receipt.Receipt) { beReading(r); r.Reads[2].Content = []byte(text(receipt.ReadBytesMax)) }, true},
		{"content too long", func(r *receipt.Receipt) { beReading(r); r.Reads[2].Content = []byte(text(receipt.ReadBytesMax + 1)) }, false},
		{"no content", func(r *receipt.Receipt) { beReading(r); r.Reads[2].Content = nil }, false},
		{"content beside a digest", func(r *receipt.Receipt) { beReading(r); r.Reads[0].Content = []byte{} }, false},
		{"size of what is not there", func(r *receipt.Receipt) { beReading(r); r.Reads[1].Bytes = 1 }, false},
		{"digest of what is inline", func(r *receipt.Receipt) { beReading(r); r.Reads[2].Digest[0] = 1 }, false},
		{"most reads", func(r *receipt.Receipt) { r.Reads = reads(receipt.ReadsMax) }, true},
		{"too many reads", func(r *receipt.Receipt) { r.Reads = reads(receipt.ReadsMax + 1) }, false},
		{"reads of a duplicate", func(r *receipt.Receipt) { beDuplicate(r); r.Reads = reads(1) }, false},
		{"version 0", func(r *receipt.Receipt) { r.Version = 0 }, false},
		{"version 1", func(r *receipt.Receipt) { r.Version = 1 }, true},
		{"reads in version 1", func(r *receipt.Receipt) { r.Version, r.Reads = 1, reads(1) }, false},
		{"cron in version 1", func(r *receipt.Receipt) { beCron(r); r.Version = 1 }, false},
		{"nothing special in version 2", func(r *receipt.Receipt) { r.Version = 2 }, false},
		{"a later version", func(r *receipt.Receipt) { r.Version = receipt.Version + 1 }, false},
		{"no previous", func(r *receipt.Receipt) { r.Previous = receipt.Digest{} }, false},
	} {
		r := signed(t)
		test.change(&r)
		encoded, err := r.Encode()
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, short(err))
		}
		if err == nil {
			if _, err := receipt.Decode(encoded); err != nil {
				t.Errorf("%s: decode: %v", test.name, short(err))
			}
		}
	}
}

func reads(n int) (out []receipt.Read) {
	for i := range n {
		out = append(out, receipt.Read{Name: fmt.Sprint(i)})
	}
	return out
}

func refuse(r *receipt.Receipt) {
	for i := range r.Inferences {
		r.Inferences[i].Refusal = "no"
	}
}

// FuzzDecode looks for bytes that decode and yet are not the one encoding of what they give.
func FuzzDecode(f *testing.F) {
	for _, r := range specials(f) {
		f.Add(encode(f, &r))
	}
	f.Add([]byte(receipt.Magic))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		r, err := receipt.Decode(encoded)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, encoded) {
			t.Errorf("%x came back as %x, %v", encoded, again, err)
		}
	})
}
