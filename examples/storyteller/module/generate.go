//go:build ignore

// Generate builds the storyteller and writes storyteller.wasm.zst and storyteller.sum. Run it with go generate.
package main

import (
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/klauspost/compress/zstd"
)

func main() {
	folder, err := os.MkdirTemp("", "storyteller")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "storyteller.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", file, "..")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWASM=")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		log.Fatal(err)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("storyteller.wasm.zst", encoder.EncodeAll(wasm, nil), 0o644); err != nil {
		log.Fatal(err)
	}
	sum := fmt.Sprintf("%s %x\n", runtime.Version(), sha256.Sum256(wasm))
	if err := os.WriteFile("storyteller.sum", []byte(sum), 0o644); err != nil {
		log.Fatal(err)
	}
}
