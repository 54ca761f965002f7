package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"verbatim/kernels/quant"
	"verbatim/models/gguf"
)

func encode(t testing.TB, pairs []gguf.KeyValue, tensors []gguf.Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.Write(&b, pairs, tensors); err != nil {
		t.Fatalf("write: %v", err)
	}
	return b.Bytes()
}

func samplePairs() []gguf.KeyValue {
	return []gguf.KeyValue{
		{Key: "general.architecture", Value: "llama"},
		{Key: "a.uint32", Value: uint32(7)},
		{Key: "a.uint64", Value: uint64(1) << 40},
		{Key: "a.int32", Value: int32(-3)},
		{Key: "a.float32", Value: float32(0.5)},
		{Key: "a.bool", Value: true},
		{Key: "a.strings", Value: []string{"x", "", "\xff▁y"}},
		{Key: "a.floats", Value: []float32{1, -2}},
		{Key: "a.ints", Value: []int32{-1, 5}},
		{Key: "a.uints", Value: []uint32{1, 5}},
		{Key: "a.bools", Value: []bool{true, false}},
	}
}

func sampleTensors() []gguf.Tensor {
	return []gguf.Tensor{
		{Name: "one", Type: quant.F32, Dims: []int{3, 2}, Data: bytes.Repeat([]byte{1}, 24)},
		{Name: "two", Type: quant.Q8_0, Dims: []int{64}, Data: bytes.Repeat([]byte{2}, 68)},
		{Name: "three", Type: quant.BF16, Dims: []int{2, 3, 4}, Data: bytes.Repeat([]byte{3}, 48)},
	}
}

func TestWrittenFileReadsBack(t *testing.T) {
	f, err := gguf.Parse(encode(t, samplePairs(), sampleTensors()))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(f.Keys()), len(samplePairs()); got != want {
		t.Fatalf("got %d keys, want %d", got, want)
	}
	check := func(what string, got any, err error, want any) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v; want %v", what, got, err, want)
		}
	}
	s, err := f.String("general.architecture")
	check("string", s, err, "llama")
	n, err := f.Uint("a.uint32")
	check("uint32", n, err, uint64(7))
	n, err = f.Uint("a.uint64")
	check("uint64", n, err, uint64(1)<<40)
	x, err := f.Float("a.float32")
	check("float", x, err, float32(0.5))
	b, err := f.Bool("a.bool")
	check("bool", b, err, true)
	list, err := f.Strings("a.strings")
	check("strings", list, err, []string{"x", "", "\xff▁y"})
	floats, err := f.Floats("a.floats")
	check("floats", floats, err, []float32{1, -2})
	ints, err := f.Ints("a.ints")
	check("ints", ints, err, []int32{-1, 5})
	ints, err = f.Ints("a.uints")
	check("uints", ints, err, []int32{1, 5})
	for _, want := range sampleTensors() {
		got, ok := f.Tensor(want.Name)
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("tensor %q: got %v, want %v", want.Name, got, want)
		}
	}
	if three, _ := f.Tensor("three"); three.Rows() != 12 {
		t.Errorf("rows of three: got %d, want 12", three.Rows())
	}
}

func TestAccessorsNameKeyAndType(t *testing.T) {
	pairs := append(samplePairs(), gguf.KeyValue{Key: "a.nan", Value: float32(math.NaN())})
	f, err := gguf.Parse(encode(t, pairs, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Uint("nowhere"); !errors.Is(err, gguf.ErrAbsent) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("absent key: got %v", err)
	}
	for name, err := range map[string]error{
		`"a.int32" is -3, want an integer that is not negative`:   second(f.Uint("a.int32")),
		`"a.bool" is bool, want an integer`:                       second(f.Uint("a.bool")),
		`"a.strings" is array of 3 string, want string`:           second(f.String("a.strings")),
		`"a.uint32" is uint32, want bool`:                         second(f.Bool("a.uint32")),
		`"a.nan" is NaN, want a finite number`:                    second(f.Float("a.nan")),
		`"a.uint32" is uint32, want a float`:                      second(f.Float("a.uint32")),
		`"a.ints" is array of 2 int32, want array of string`:      second(f.Strings("a.ints")),
		`"a.strings" is array of 3 string, want array of float32`: second(f.Floats("a.strings")),
		`"a.bools" is array of 2 bool, want array of int32`:       second(f.Ints("a.bools")),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error with %q", err, name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Every shorter file is refused: no length is believed beyond the end.
func TestEveryTruncationIsRefused(t *testing.T) {
	// The padding after the last tensor is not needed, so cut it off first.
	whole := encode(t, samplePairs(), sampleTensors())
	whole = whole[:len(whole)-16]
	if _, err := gguf.Parse(whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if _, err := gguf.Parse(whole[:n]); err == nil {
			t.Fatalf("a file cut to %d of %d bytes was accepted", n, len(whole))
		}
	}
}

// patch returns a copy of a written file with bytes replaced after a marker.
func patch(t *testing.T, file []byte, marker string, skip int, with []byte) []byte {
	t.Helper()
	at := bytes.Index(file, []byte(marker))
	if at < 0 {
		t.Fatalf("no %q in the file", marker)
	}
	out := bytes.Clone(file)
	copy(out[at+len(marker)+skip:], with)
	return out
}

func le32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
func le64(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func TestBadFilesAreRefusedByName(t *testing.T) {
	file := encode(t, samplePairs(), sampleTensors())
	noTensors := encode(t, samplePairs(), nil)
	pair := func(key string, value any) []byte {
		return encode(t, []gguf.KeyValue{{Key: key, Value: value}}, nil)
	}
	tensors := func(list ...gguf.Tensor) []byte { return encode(t, nil, list) }
	f32 := func(name string, dims ...int) gguf.Tensor {
		return gguf.Tensor{Name: name, Type: quant.F32, Dims: dims, Data: make([]byte, 4)}
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "file ends inside magic"},
		{"magic", []byte("GGML000000000000"), "not a GGUF file"},
		{"version 1", patch(t, file, "GGUF", 0, le32(1)), "version 1 is not supported"},
		{"version 4", patch(t, file, "GGUF", 0, le32(4)), "version 4 is not supported"},
		{"big-endian", patch(t, file, "GGUF", 0, []byte{0, 0, 0, 3}), "big-endian"},
		{"tensor count", patch(t, file, "GGUF", 4, le64(gguf.TensorsMax+1)), "65537 tensors exceed the limit of 65536"},
		{"tensor count at the limit", patch(t, noTensors, "GGUF", 4, le64(gguf.TensorsMax)), "file ends inside name of tensor 0"},
		{"key-value count", patch(t, file, "GGUF", 12, le64(gguf.KeyValuesMax+1)), "65537 key-values exceed the limit of 65536"},
		{"key-value count at the limit", patch(t, noTensors, "GGUF", 12, le64(gguf.KeyValuesMax)), "file ends inside key 11"},
		{"key length", patch(t, file, "GGUF", 20, le64(gguf.KeyBytesMax+1)), "key 0 has 65536 bytes, more than the limit of 65535"},
		{"key length at the limit", patch(t, file, "GGUF", 20, le64(gguf.KeyBytesMax)), "file ends inside key 0"},
		{"empty key", pair("", uint32(1)), "key 0 is empty"},
		{"twice the same key", encode(t, []gguf.KeyValue{{Key: "k", Value: true}, {Key: "k", Value: true}}, nil), `key "k" appears twice`},
		{"value type", patch(t, file, "a.uint32", 0, le32(13)), `key "a.uint32" has unknown value type 13`},
		{"element type", patch(t, file, "a.ints", 4, le32(99)), `key "a.ints" has elements of unknown value type 99`},
		{"string length", patch(t, file, "architecture", 4, le64(gguf.StringBytesMax+1)), `key "general.architecture" has 16777217 bytes, more than the limit`},
		{"string length at the limit", patch(t, file, "architecture", 4, le64(gguf.StringBytesMax)), "file ends inside"},
		{"array length", patch(t, file, "a.ints", 8, le64(gguf.ArrayElementsMax+1)), `key "a.ints" has 16777217 elements, more than the limit`},
		{"array length at the limit", patch(t, file, "a.ints", 8, le64(gguf.ArrayElementsMax)), "file ends inside"},
		{"bool", patch(t, file, "a.bool", 4, []byte{2}), "bool with byte 2"},
		{"bool in an array", patch(t, file, "a.bools", 16, []byte{2}), "element 0 of 2"},
		{"alignment 0", patch(t, pair("general.alignmenx", uint32(0)), "general.alignmen", 0, []byte("t")), "must be a power of two"},
		{"alignment 48", patch(t, pair("general.alignmenx", uint32(48)), "general.alignmen", 0, []byte("t")), "is 48: it must be a power of two"},
		{"alignment above the limit", patch(t, pair("general.alignmenx", uint32(1<<17)), "general.alignmen", 0, []byte("t")), "is 131072"},
		{"tensor twice", tensors(f32("t", 1), f32("t", 1)), `tensor "t" appears twice`},
		{"tensor name", tensors(f32(strings.Repeat("n", 65), 1)), "name of tensor 0 has 65 bytes, more than the limit of 64"},
		{"no dimension", tensors(f32("t")), `tensor "t" has 0 dimensions`},
		{"five dimensions", tensors(f32("t", 1, 1, 1, 1, 1)), `tensor "t" has 5 dimensions`},
		{"dimension 0", tensors(f32("t", 1, 0)), `tensor "t" has dimension 1 of size 0`},
		{"dimension above int32", tensors(f32("t", 1<<31)), "of size 2147483648"},
		{"product overflows", tensors(f32("t", 1<<20, 1<<30, 1<<30, 1<<30)), "overflow"},
		{"unsupported type", patch(t, file, "two", 4+8, le32(uint32(quant.Q8_K))), `tensor "two" has type Q8_K, which is not supported (supported: F32`},
		{"type of the future", patch(t, file, "two", 4+8, le32(4711)), "type 4711"},
		{"ragged row", patch(t, file, "two", 4, le64(63)), `a row of 63 values is not a positive multiple of the 32`},
		{"misaligned offset", patch(t, file, "two", 4+8+4, le64(33)), `tensor "two" has offset 33, which is not a multiple`},
		{"points outside", patch(t, file, "two", 4+8+4, le64(1<<20)), `tensor "two" (68 bytes at offset 1048576`},
		{"offset wraps", patch(t, file, "two", 4+8+4, le64(math.MaxUint64-31)), "points outside the file"},
		{"overlap", patch(t, file, "two", 4+8+4, le64(0)), "overlap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := gguf.Parse(c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestLimitsAreReached(t *testing.T) {
	name := strings.Repeat("n", gguf.TensorNameMax)
	if _, err := gguf.Parse(encode(t, nil, []gguf.Tensor{{Name: name, Type: quant.F32, Dims: []int{1, 1, 1, 1}, Data: make([]byte, 4)}})); err != nil {
		t.Errorf("a name of 64 bytes with 4 dimensions: %v", err)
	}
	key := strings.Repeat("k", gguf.KeyBytesMax)
	if _, err := gguf.Parse(encode(t, []gguf.KeyValue{{Key: key, Value: true}}, nil)); err != nil {
		t.Errorf("a key of 65535 bytes: %v", err)
	}
}

func TestAlignmentMovesTheData(t *testing.T) {
	// A file with general.alignment = 64, assembled by hand.
	var b []byte
	text := func(s string) { b = append(append(b, le64(uint64(len(s)))...), s...) }
	b = append(append(append(append(b, "GGUF"...), le32(2)...), le64(1)...), le64(1)...)
	text("general.alignment")
	b = append(append(b, le32(4)...), le32(64)...)
	text("t")
	b = append(append(append(append(b, le32(1)...), le64(1)...), le32(0)...), le64(64)...)
	b = append(b, make([]byte, 128-len(b)+64)...)
	b = append(b, 1, 2, 3, 4)
	f, err := gguf.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	tensor, _ := f.Tensor("t")
	if f.Alignment != 64 || f.Version != 2 || !bytes.Equal(tensor.Data, []byte{1, 2, 3, 4}) {
		t.Errorf("got alignment %d, version %d, data %v; want 64, 2, [1 2 3 4]", f.Alignment, f.Version, tensor.Data)
	}
}

func TestArraysNestOnlyTwice(t *testing.T) {
	nested := func(depth int) []byte {
		b := append(append(append(append([]byte(nil), "GGUF"...), le32(3)...), le64(0)...), le64(1)...)
		b = append(append(b, le64(1)...), 'k')
		b = append(b, le32(uint32(gguf.TypeArray))...)
		for range depth - 1 {
			b = append(append(b, le32(uint32(gguf.TypeArray))...), le64(1)...)
		}
		return append(append(append(b, le32(uint32(gguf.TypeUint8))...), le64(1)...), 9)
	}
	if _, err := gguf.Parse(nested(gguf.ArrayNestingMax)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := gguf.Parse(nested(gguf.ArrayNestingMax + 1)); err == nil || !strings.Contains(err.Error(), "nests arrays deeper") {
		t.Errorf("above the limit: got %v", err)
	}
}

func TestMap(t *testing.T) {
	want := encode(t, samplePairs(), sampleTensors())
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := gguf.Map(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.Data, want) {
		t.Error("mapped bytes differ from the file")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := gguf.Map(t.TempDir()); err == nil {
		t.Error("a folder was mapped")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(encode(f, samplePairs(), sampleTensors()))
	f.Add(encode(f, nil, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := gguf.Parse(data)
		if err != nil {
			return
		}
		for _, key := range file.Keys() {
			file.String(key)
			file.Bool(key)
			file.Uint(key)
			file.Float(key)
			file.Strings(key)
			file.Floats(key)
			file.Ints(key)
		}
		total := 0
		for _, tensor := range file.Tensors() {
			total += len(tensor.Data)
			rowBytes, err := quant.RowBytes(tensor.Type, tensor.Dims[0])
			if err != nil || rowBytes*tensor.Rows() != len(tensor.Data) {
				t.Errorf("tensor %q: %d bytes for %d rows of %d", tensor.Name, len(tensor.Data), tensor.Rows(), rowBytes)
			}
		}
		if total > len(data) {
			t.Errorf("tensors hold %d bytes of a file of %d", total, len(data))
		}
	})
}

// TestRelease: a released mapping has the same bytes.
func TestRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	want := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := gguf.Map(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	n := len(want)
	for _, part := range [][]byte{m.Data, m.Data[:0], m.Data[1:n:n], m.Data[n-1:], m.Data[5000:5001], m.Data[100:20000], m.Data[4096:8192]} {
		if err := m.Release(part); err != nil || !bytes.Equal(m.Data, want) {
			t.Errorf("%d bytes: got error %v, bytes equal %v; want no error and the same bytes", len(part), err, bytes.Equal(m.Data, want))
		}
	}
}
