package receipt

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// LogMagic begins a log file; the two digits are the version.
const LogMagic = "verbatim log 01\n"

// RecordBytesMax limits what a record holds, before compression.
const RecordBytesMax = 256 << 20

// Limits of the byte strings of an entry.
const (
	MessageBytesMax = 64 << 20
	EnvBytesMax     = 16 << 20
	ResultBytesMax  = 64<<20 + 4096 // what a module may return, and the keys around it
)

const (
	recordHeaderBytes = 16
	// recordOverheadBytes is what a record takes beside its payload.
	recordOverheadBytes = recordHeaderBytes + sha256.Size
)

// Kinds of a record.
const (
	recordModule = 1 // wasm of a module
	recordEntry  = 2 // one evaluation
)

// Entry is what the log keeps of one evaluation: the signed receipt, the exact bytes that went into handle, and the
// canonical encoding of the result. With the module (a record of its own) it is all that a replay needs besides models.
type Entry struct {
	Receipt *Receipt
	Message []byte // JSON, first argument of handle
	Env     []byte // JSON, second argument of handle
	Result  []byte // canonical encoding of ao.Result
}

// check compares the digests that the receipt states with the bytes beside it.
func (e *Entry) check() error {
	if got := InputDigest(e.Message, e.Env); got != e.Receipt.Input {
		return fmt.Errorf("receipt %d: message and environment have digest %s, the receipt says %s", e.Receipt.Sequence, got, e.Receipt.Input)
	}
	if got := Digest(sha256.Sum256(e.Result)); got != e.Receipt.Result {
		return fmt.Errorf("receipt %d: the result has digest %s, the receipt says %s", e.Receipt.Sequence, got, e.Receipt.Result)
	}
	return nil
}

func (e *Entry) encode() ([]byte, error) {
	encoded, err := e.Receipt.Encode()
	if err != nil {
		return nil, err
	}
	for _, part := range [...]struct {
		name     string
		bytes    []byte
		bytesMax int
	}{{"message", e.Message, MessageBytesMax}, {"environment", e.Env, EnvBytesMax}, {"result", e.Result, ResultBytesMax}} {
		if len(part.bytes) > part.bytesMax {
			return nil, fmt.Errorf("receipt %d: %s of %d bytes, limit %d", e.Receipt.Sequence, part.name, len(part.bytes), part.bytesMax)
		}
	}
	var w writer
	w.bytes(encoded)
	w.bytes(e.Message)
	w.bytes(e.Env)
	w.bytes(e.Result)
	return w.to, nil
}

func decodeEntry(encoded []byte) (*Entry, error) {
	in := reader{rest: encoded}
	receiptBytes := in.bytes("receipt", ReceiptBytesMax)
	entry := &Entry{
		Message: in.bytes("message", MessageBytesMax), Env: in.bytes("environment", EnvBytesMax), Result: in.bytes("result", ResultBytesMax),
	}
	if err := in.end(); err != nil {
		return nil, err
	}
	var err error
	if entry.Receipt, err = Decode(receiptBytes); err != nil {
		return nil, err
	}
	return entry, entry.check()
}

// codec compresses and decompresses payloads. It may be used by several goroutines.
type codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newCodec() codec {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic("receipt: internal error: " + err.Error())
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(RecordBytesMax))
	if err != nil {
		panic("receipt: internal error: " + err.Error())
	}
	return codec{encoder, decoder}
}

// record builds the bytes of a record that follows a record with checksum previous, and gives its own checksum.
//
//	 0  4  kind
//	 4  4  bytes of the payload, compressed
//	 8  4  bytes of the content, before compression
//	12  4  CRC-32C of the twelve bytes above
//	16  n  payload: one zstd frame
//	    32 checksum: SHA-256 of (checksum of the record before, everything above)
func (c codec) record(kind uint32, content []byte, previous Digest) ([]byte, Digest, error) {
	if len(content) > RecordBytesMax {
		return nil, Digest{}, fmt.Errorf("record of %d bytes, limit %d", len(content), RecordBytesMax)
	}
	record := c.encoder.EncodeAll(content, make([]byte, recordHeaderBytes, recordOverheadBytes+len(content)/2))
	binary.LittleEndian.PutUint32(record[0:], kind)
	binary.LittleEndian.PutUint32(record[4:], uint32(len(record)-recordHeaderBytes))
	binary.LittleEndian.PutUint32(record[8:], uint32(len(content)))
	binary.LittleEndian.PutUint32(record[12:], headerCRC(record))
	checksum := chain(previous, record)
	return append(record, checksum[:]...), checksum, nil
}

func headerCRC(record []byte) uint32 {
	return crc32.Checksum(record[:12], crc32.MakeTable(crc32.Castagnoli))
}

func chain(previous Digest, record []byte) Digest {
	hash := sha256.New()
	hash.Write(previous[:])
	hash.Write(record)
	return Digest(hash.Sum(nil))
}

// Record is one record of a log, taken apart: either the wasm of a module or an entry.
type Record struct {
	Number int   // from 0
	Offset int64 // of its first byte in the file
	Bytes  int64 // with header and checksum
	Module []byte
	Entry  *Entry

	checksum, previous Digest // its own, and that of the record before
}

// Why a record is not whole.
var (
	// ErrTorn says that a log ends in the middle of a record, as after a crash during a write.
	ErrTorn = errors.New("the log ends in the middle of it")
	// ErrDamaged says that the bytes of a record are not those that were written.
	ErrDamaged = errors.New("it is damaged")
)

// RecordError names the first record of a log that could not be read. It wraps ErrTorn, ErrDamaged, or the read's error.
type RecordError struct {
	Number int
	Offset int64
	Err    error
}

// Error implements error.
func (e *RecordError) Error() string {
	return fmt.Sprintf("log record %d at byte %d: %v", e.Number, e.Offset, e.Err)
}

// Unwrap implements errors.Unwrap.
func (e *RecordError) Unwrap() error { return e.Err }

// Reader reads a log from its beginning, checks every checksum and the chain of receipts, and stops at the first record
// that is not whole. It does not verify signatures.
type Reader struct {
	from     io.ReaderAt
	bytes    int64
	codec    codec
	number   int
	offset   int64
	checksum Digest // of the record before
	sequence uint64 // of the next receipt
	previous Digest // of the receipt before
}

// NewReader begins to read a log of bytes bytes.
func NewReader(from io.ReaderAt, bytes int64) (*Reader, error) {
	magic := make([]byte, len(LogMagic))
	if n, err := from.ReadAt(magic, 0); n < len(magic) {
		if err == io.EOF {
			return nil, fmt.Errorf("log of %d bytes: too short for its header: %w", bytes, ErrTorn)
		}
		return nil, fmt.Errorf("read log header: %w", err)
	}
	if string(magic) != LogMagic {
		return nil, fmt.Errorf("log begins with %q, want %q (another version, or no log)", magic, LogMagic)
	}
	return &Reader{from: from, bytes: bytes, codec: newCodec(), offset: int64(len(LogMagic)), checksum: sha256.Sum256(magic)}, nil
}

// Next gives the next record; io.EOF after the last; a *RecordError if it is not whole.
func (l *Reader) Next() (Record, error) {
	if l.offset == l.bytes {
		return Record{}, io.EOF
	}
	record, err := l.codec.read(l.from, l.offset, l.bytes, l.checksum)
	record.Number = l.number
	if err == nil && record.Entry != nil {
		err = l.follows(record.Entry.Receipt)
	}
	if err != nil {
		return Record{}, &RecordError{Number: l.number, Offset: l.offset, Err: err}
	}
	l.number++
	l.offset += record.Bytes
	l.checksum = record.checksum
	return record, nil
}

// follows checks the chain of receipts.
func (l *Reader) follows(r *Receipt) error {
	if r.Sequence != l.sequence || r.Previous != l.previous {
		return fmt.Errorf("%w: receipt %d after %s, but the log before it ends with receipt %d after %s", ErrDamaged, r.Sequence, r.Previous, l.sequence, l.previous)
	}
	l.sequence++
	l.previous = r.Digest()
	return nil
}

// read takes the record at offset apart. The file ends at end; previous is the checksum of the record before.
func (c codec) read(from io.ReaderAt, offset, end int64, previous Digest) (Record, error) {
	var header [recordHeaderBytes]byte
	if end-offset < recordOverheadBytes {
		return Record{}, ErrTorn
	}
	if _, err := from.ReadAt(header[:], offset); err != nil {
		return Record{}, err
	}
	if binary.LittleEndian.Uint32(header[12:]) != headerCRC(header[:]) {
		return Record{}, fmt.Errorf("%w: the checksum of its header is wrong", ErrDamaged)
	}
	payloadBytes, contentBytes := binary.LittleEndian.Uint32(header[4:]), binary.LittleEndian.Uint32(header[8:])
	if payloadBytes > RecordBytesMax || contentBytes > RecordBytesMax {
		return Record{}, fmt.Errorf("%w: it holds %d bytes in %d, limit %d", ErrDamaged, contentBytes, payloadBytes, RecordBytesMax)
	}
	record := Record{Offset: offset, Bytes: recordOverheadBytes + int64(payloadBytes)}
	if record.Bytes > end-offset {
		return Record{}, ErrTorn
	}
	whole := make([]byte, record.Bytes)
	if _, err := from.ReadAt(whole, offset); err != nil {
		return Record{}, err
	}
	record.checksum = chain(previous, whole[:len(whole)-sha256.Size])
	if record.checksum != Digest(whole[len(whole)-sha256.Size:]) {
		return Record{}, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	content, err := c.decoder.DecodeAll(whole[recordHeaderBytes:len(whole)-sha256.Size], make([]byte, 0, min(contentBytes, 1<<20))) // grown as needed: the header may lie
	if err != nil || len(content) != int(contentBytes) {
		return Record{}, fmt.Errorf("%w: it holds %d bytes, its header says %d (%v)", ErrDamaged, len(content), contentBytes, err)
	}
	switch kind := binary.LittleEndian.Uint32(header[0:]); kind {
	case recordModule:
		record.Module = content
	case recordEntry:
		record.Entry, err = decodeEntry(content)
	default:
		err = fmt.Errorf("kind %d is unknown", kind)
	}
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return record, nil
}
