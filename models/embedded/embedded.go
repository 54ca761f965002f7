// Package embedded carries the little language model that is compiled into the program, so that everything runs
// offline from a bare clone. The model is a Llama of 2.6 million weights that tells short stories; README.md says
// how it was made. The package only holds the bytes: package models opens them like any other model.
//
// Invariant: GGUF is a GGUF v3 file whose SHA-256 digest is SHA256.
package embedded

import _ "embed"

// SHA256 is the digest of the file, in hexadecimal: the identity of the model in transcripts and receipts.
const SHA256 = "a44b07735809d091de1641ad9237192791f8bac927be529d520acc8b688bce6b"

//go:embed stories.gguf
var stories string

// GGUF returns a fresh copy of the whole file, so that no caller can change the model of another.
func GGUF() []byte { return []byte(stories) }
