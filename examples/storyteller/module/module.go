// Package module holds the compiled storyteller, so that a program without a Go toolchain can run it.
//
// storyteller.wasm.zst is built from the folder above by generate.go (make generate); storyteller.sum names the Go
// version and the SHA-256 of the WebAssembly binary inside. A test builds it again and compares.
package module

//go:generate go run generate.go

import (
	_ "embed"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Format is the value of the tag Module-Format that belongs to the module.
const Format = "wasm32-unknown-plain"

//go:embed storyteller.wasm.zst
var compressed []byte

// Wasm returns the WebAssembly binary.
func Wasm() []byte {
	d, err := zstd.NewReader(nil)
	if err != nil {
		panic(fmt.Sprintf("storyteller: internal error: %v", err))
	}
	defer d.Close()
	wasm, err := d.DecodeAll(compressed, nil)
	if err != nil {
		panic(fmt.Sprintf("storyteller: internal error: the embedded module is damaged: %v", err))
	}
	return wasm
}
