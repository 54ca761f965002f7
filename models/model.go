// Package models opens model files, GGUF and those of llama2.c: a model is the
// SHA-256 of its file, its hyperparameters, its vocabulary and its weights.
//
// Invariants: an opened Model is complete and sane. Every tensor that its
// architecture needs is there with the shape that the hyperparameters ask for,
// none is there that would change the arithmetic unnoticed, no weight is NaN or
// infinite, and the tokenizer works. What is not understood is refused by name,
// never skipped.
//
// The package computes nothing with weights (package inference does), and it
// knows the network only as a function that Store is given.
package models

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"verbatim/models/gguf"
	"verbatim/models/tokenizer"
)

// Digest is the SHA-256 of a model file: the identity of the model. FromLlama2c
// says what it is for a model of two files.
type Digest [sha256.Size]byte

// String is the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Sketch is the SHA-256 of a sample of a model file: known at once, and hardly
// ever the same for two files. It tells what to prepare while the digest, which
// alone says what the file is, is computed.
type Sketch [sha256.Size]byte

func sketchOf(data []byte) Sketch {
	const samples, sampleBytes = 64, 4096
	h := sha256.New()
	fmt.Fprintf(h, "%d bytes\n", len(data))
	for i := range samples {
		at := len(data) / samples * i
		h.Write(data[at:min(at+sampleBytes, len(data))])
	}
	return Sketch(h.Sum(nil))
}

// Meanwhile is what the opener of a file has to do until its digest is known. It
// returns soon after that.
type Meanwhile func(sketch Sketch, known <-chan struct{})

// Model is an opened model file. It does not change and may be shared. Its
// weights alias the file: they must not be used after Close.
type Model struct {
	Digest          Digest
	Sketch          Sketch
	FileBytes       int
	Hyperparameters Hyperparameters
	Tokenizer       *tokenizer.Tokenizer
	ChatTemplate    string // "" when the file has none
	Weights         Weights

	mapping *gguf.Mapping
}

// Open opens the model file at path and checks it: a GGUF file, which is mapped,
// or one of llama2.c with its tokenizer beside it. The digest is computed from
// the file's bytes each time.
func Open(path string) (*Model, error) { return open(path, nil) }

func open(path string, meanwhile Meanwhile) (*Model, error) {
	mapping, err := gguf.Map(path)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", path, err)
	}
	if !bytes.HasPrefix(mapping.Data, []byte("GGUF")) {
		m, err := openLlama2c(path, mapping.Data)
		err = errors.Join(err, mapping.Close())
		if err != nil {
			return nil, fmt.Errorf("open model %s: it is no GGUF file; as a llama2.c file: %w", path, err)
		}
		return m, nil
	}
	// What has been checked needs no memory. Where it stays, Model.Release says why.
	m, err := fromBytes(mapping.Data, func(part []byte) { _ = mapping.Release(part) }, meanwhile)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open model %s: %w", path, err), mapping.Close())
	}
	m.mapping = mapping
	return m, nil
}

// FromBytes checks the model file that data holds. The Model aliases data.
func FromBytes(data []byte) (*Model, error) {
	return fromBytes(data, func([]byte) {}, nil)
}

// fromBytes calls done with the parts of data that it has read to the end: when they are hashed, which begins first and ends
// last.
func fromBytes(data []byte, done func(part []byte), meanwhile Meanwhile) (*Model, error) {
	file, err := gguf.Parse(data)
	if err != nil {
		return nil, err
	}
	// Hashing takes longest, and has a thread of its own.
	var digest Digest
	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		digest = hash(data, done)
	}()
	sketch := sketchOf(data)
	m, err := fromFile(file)
	if err == nil {
		err = checkFinite(file.Tensors())
	}
	if err == nil && meanwhile != nil {
		meanwhile(sketch, hashed)
	}
	<-hashed // also on failure: nothing may read data after the return
	if err != nil {
		return nil, err
	}
	m.Digest, m.Sketch, m.FileBytes = digest, sketch, len(data)
	return m, nil
}

// pieceBytes is about how much is read before memory is given back.
const pieceBytes = 8 << 20

func hash(data []byte, done func(part []byte)) Digest {
	h := sha256.New()
	for len(data) > 0 {
		n := min(len(data), pieceBytes)
		h.Write(data[:n])
		done(data[:n])
		data = data[n:]
	}
	return Digest(h.Sum(nil))
}

func fromFile(file *gguf.File) (*Model, error) {
	a, err := readArchitecture(file)
	if err != nil {
		return nil, err
	}
	vocabulary, err := ReadVocabulary(file)
	if err != nil {
		return nil, err
	}
	m := &Model{}
	if m.Tokenizer, err = tokenizer.New(vocabulary); err != nil {
		return nil, err
	}
	if m.Hyperparameters, err = readHyperparameters(file, a, m.Tokenizer.Size()); err != nil {
		return nil, err
	}
	if m.Weights, err = readWeights(file, a, &m.Hyperparameters); err != nil {
		return nil, err
	}
	m.ChatTemplate, err = file.String("tokenizer.chat_template")
	if err != nil && !errors.Is(err, gguf.ErrAbsent) {
		return nil, err
	}
	return m, nil
}

// Release lets the system take back the memory in which the file was read. The
// model stays as it is: what is needed is read again.
func (m *Model) Release() error {
	if m.mapping == nil {
		return nil
	}
	return m.mapping.Release(m.mapping.Data)
}

// Close releases the file.
func (m *Model) Close() error {
	m.Weights = Weights{}
	if m.mapping == nil {
		return nil
	}
	return m.mapping.Close()
}
