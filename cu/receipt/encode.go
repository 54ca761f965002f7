package receipt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"verbatim/cu/ao"
)

// Magic begins the encoding of a receipt. The version follows, one byte.
const Magic = "VBRCPT\x00"

// Version is that of the receipts that are written today.
const Version = 3

// DriveVersion is the first version that states what was read from the drive: evaluations before it had none.
const DriveVersion = 3

// Domains keep a digest or signature of one kind from being taken for one of another kind.
const (
	inputDomain     = "verbatim/input/1\n"
	receiptDomain   = "verbatim/receipt/1\n"
	signatureDomain = "verbatim/receipt-signature/1\n"
)

// Limits of a receipt. They bound what a decoder allocates and what a process can make a log grow by.
const (
	InferencesMax      = 1024     // inferences of one evaluation
	TranscriptBytesMax = 16 << 20 // encoding of one transcript
	RefusalBytesMax    = 1024
	ReadsMax           = 1024     // reads of one evaluation
	ReadBytesMax       = 4 << 20  // content of one read
	TextBytesMax       = 256      // module format, fault, device, build, name of a read
	ReceiptBytesMax    = 64 << 20 // encoding of one receipt
)

// What is special about a receipt, from version 2 on.
const (
	kindPlain     = 0 // not in version 2
	kindCron      = 1
	kindDuplicate = 2
)

// Kinds of an inference in the encoding.
const (
	kindTranscript = 0
	kindRefusal    = 1
)

// appendBody appends everything that is signed: all fields but the signature, in the order of the struct.
func (r *Receipt) appendBody(to []byte) []byte {
	w := writer{to: append(append(to, Magic...), r.Version)}
	w.fixed(r.Signer[:])
	w.uint64(r.Sequence)
	w.fixed(r.Previous[:])
	w.fixed(r.Process[:])
	w.fixed(r.Message[:])
	w.fixed(r.Assignment[:])
	w.uint64(uint64(r.Epoch))
	w.uint64(uint64(r.Nonce))
	w.special(r)
	w.fixed(r.Module[:])
	w.fixed(r.ModuleDigest[:])
	w.bytes([]byte(r.ModuleFormat))
	w.uint64(r.GasMax)
	w.uint64(r.MemoryBytesMax)
	w.memory(r.MemoryBefore)
	w.fixed(r.Input[:])
	w.memory(r.MemoryAfter)
	w.fixed(r.Result[:])
	w.uint64(r.Gas)
	w.bytes([]byte(r.Fault))
	w.uint32(uint32(len(r.Inferences)))
	for _, inference := range r.Inferences {
		if inference.Transcript != nil {
			w.to = append(w.to, kindTranscript)
			w.bytes(inference.Transcript)
		} else {
			w.to = append(w.to, kindRefusal)
			w.bytes([]byte(inference.Refusal))
		}
	}
	if r.Version >= DriveVersion {
		w.reads(r.Reads)
	}
	w.bytes([]byte(r.Device))
	w.bytes([]byte(r.Build))
	return w.to
}

// Encode gives the one encoding of r. It fails if r breaks a limit.
func (r *Receipt) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	encoded := append(r.appendBody(nil), r.Signature[:]...)
	if len(encoded) > ReceiptBytesMax {
		return nil, fmt.Errorf("receipt: %d bytes encoded, limit %d", len(encoded), ReceiptBytesMax)
	}
	return encoded, nil
}

// Decode reads an encoding. It checks the form and not the signature: see Verify.
func Decode(encoded []byte) (*Receipt, error) {
	if len(encoded) > ReceiptBytesMax {
		return nil, fmt.Errorf("receipt: %d bytes, limit %d", len(encoded), ReceiptBytesMax)
	}
	if len(encoded) <= len(Magic) || string(encoded[:len(Magic)]) != Magic {
		return nil, fmt.Errorf("receipt: it does not begin with %q", Magic)
	}
	r, in := &Receipt{Version: encoded[len(Magic)]}, reader{rest: encoded[len(Magic)+1:]}
	if r.Version < 1 || r.Version > Version {
		return nil, fmt.Errorf("receipt: version %d, known are 1 to %d", r.Version, Version)
	}
	in.fixed(r.Signer[:])
	r.Sequence = in.uint64()
	in.fixed(r.Previous[:])
	r.Process, r.Message, r.Assignment = ao.ID(in.digest()), ao.ID(in.digest()), ao.ID(in.digest())
	r.Epoch, r.Nonce = int64(in.uint64()), int64(in.uint64())
	in.special(r)
	r.Module, r.ModuleDigest = ao.ID(in.digest()), in.digest()
	r.ModuleFormat = string(in.bytes("module format", TextBytesMax))
	r.GasMax, r.MemoryBytesMax = in.uint64(), in.uint64()
	r.MemoryBefore, r.Input, r.MemoryAfter, r.Result = in.memory(), in.digest(), in.memory(), in.digest()
	r.Gas = in.uint64()
	r.Fault = string(in.bytes("fault", TextBytesMax))
	for count := in.count("inferences", InferencesMax); count > 0 && in.err == nil; count-- {
		r.Inferences = append(r.Inferences, in.inference())
	}
	if r.Version >= DriveVersion {
		for count := in.count("reads", ReadsMax); count > 0 && in.err == nil; count-- {
			r.Reads = append(r.Reads, in.read())
		}
	}
	r.Device = string(in.bytes("device", TextBytesMax))
	r.Build = string(in.bytes("build", TextBytesMax))
	in.fixed(r.Signature[:])
	if err := in.end(); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return r, r.check()
}

// writer appends the parts of an encoding: integers little-endian, byte strings after their length.
type writer struct{ to []byte }

func (w *writer) fixed(value []byte)  { w.to = append(w.to, value...) }
func (w *writer) uint32(value uint32) { w.to = binary.LittleEndian.AppendUint32(w.to, value) }
func (w *writer) uint64(value uint64) { w.to = binary.LittleEndian.AppendUint64(w.to, value) }

func (w *writer) bytes(value []byte) {
	if len(value) > math.MaxUint32 {
		panic("receipt: internal error: byte string of 4 GiB")
	}
	w.uint32(uint32(len(value)))
	w.to = append(w.to, value...)
}

func (w *writer) special(r *Receipt) {
	switch {
	case r.Version == 1:
	case r.Cron != "":
		w.to = append(w.to, kindCron)
		w.bytes([]byte(r.Cron))
	case r.Duplicate:
		w.to = append(w.to, kindDuplicate)
		w.uint64(uint64(r.Original))
	default:
		w.to = append(w.to, kindPlain)
	}
}

func (w *writer) reads(reads []Read) {
	w.uint32(uint32(len(reads)))
	for _, read := range reads {
		w.bytes([]byte(read.Name))
		w.to = append(w.to, read.Kind)
		switch read.Kind {
		case ReadDigest:
			w.fixed(read.Digest[:])
			w.uint64(read.Bytes)
		case ReadInline:
			w.bytes(read.Content)
		}
	}
}

func (w *writer) memory(value Memory) {
	w.fixed(value.Digest[:])
	w.uint64(value.Bytes)
}

var errShort = errors.New("it ends too early")

// reader takes the parts of an encoding apart. After the first error it gives zero values only.
type reader struct {
	rest []byte
	err  error
}

// take gives the next n bytes, as a part of the input.
func (in *reader) take(n int) []byte {
	if in.err == nil && n > len(in.rest) {
		in.err = errShort
	}
	if in.err != nil {
		return nil
	}
	taken := in.rest[:n:n]
	in.rest = in.rest[n:]
	return taken
}

func (in *reader) fixed(value []byte) { copy(value, in.take(len(value))) }

func (in *reader) digest() (value Digest) {
	in.fixed(value[:])
	return value
}

func (in *reader) memory() Memory { return Memory{Digest: in.digest(), Bytes: in.uint64()} }

func (in *reader) uint32() uint32 {
	if taken := in.take(4); taken != nil {
		return binary.LittleEndian.Uint32(taken)
	}
	return 0
}

func (in *reader) uint64() uint64 {
	if taken := in.take(8); taken != nil {
		return binary.LittleEndian.Uint64(taken)
	}
	return 0
}

func (in *reader) count(what string, countMax int) int {
	count := in.uint32()
	if in.err == nil && uint64(count) > uint64(countMax) {
		in.err = fmt.Errorf("%d %s, limit %d", count, what, countMax)
	}
	return int(count)
}

// bytes gives a copy of the next byte string, never nil.
func (in *reader) bytes(what string, bytesMax int) []byte {
	length := in.uint32()
	if in.err == nil && uint64(length) > uint64(bytesMax) {
		in.err = fmt.Errorf("%s of %d bytes, limit %d", what, length, bytesMax)
	}
	return append([]byte{}, in.take(int(length))...)
}

func (in *reader) inference() Inference {
	kind := in.take(1)
	switch {
	case kind == nil:
	case kind[0] == kindTranscript:
		return Inference{Transcript: in.bytes("transcript", TranscriptBytesMax)}
	case kind[0] == kindRefusal:
		return Inference{Refusal: string(in.bytes("refusal", RefusalBytesMax))}
	default:
		in.err = fmt.Errorf("inference of kind %d, want %d or %d", kind[0], kindTranscript, kindRefusal)
	}
	return Inference{}
}

// read reads a read of the drive.
func (in *reader) read() Read {
	read := Read{Name: string(in.bytes("name of a read", TextBytesMax))}
	if kind := in.take(1); kind != nil {
		read.Kind = kind[0]
	}
	switch read.Kind {
	case ReadDigest:
		read.Digest, read.Bytes = in.digest(), in.uint64()
	case ReadInline:
		read.Content = in.bytes("content of a read", ReadBytesMax)
	}
	return read
}

// special reads what is special about r, which version 1 does not say and version 2 always does.
func (in *reader) special(r *Receipt) {
	if r.Version == 1 {
		return
	}
	kind := in.take(1)
	switch {
	case kind == nil:
	case kind[0] == kindPlain && r.Version > 2:
	case kind[0] == kindCron:
		if r.Cron = string(in.bytes("cron", TextBytesMax)); in.err == nil && r.Cron == "" {
			in.err = errors.New("a cron without a name")
		}
	case kind[0] == kindDuplicate:
		r.Duplicate, r.Original = true, int64(in.uint64())
	default:
		in.err = fmt.Errorf("special of kind %d is unknown in version %d", kind[0], r.Version)
	}
}

// end reports the first error, or bytes that nothing has asked for.
func (in *reader) end() error {
	if in.err == nil && len(in.rest) != 0 {
		in.err = fmt.Errorf("%d bytes too many", len(in.rest))
	}
	return in.err
}
