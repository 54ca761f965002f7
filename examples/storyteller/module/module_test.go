package module

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The committed binary is what the sources give, bit for bit, with the Go version that storyteller.sum names.
func TestModuleIsBuiltFromItsSources(t *testing.T) {
	recorded, err := os.ReadFile("storyteller.sum")
	if err != nil {
		t.Fatal(err)
	}
	version, want, _ := strings.Cut(strings.TrimSpace(string(recorded)), " ")
	if got := fmt.Sprintf("%x", sha256.Sum256(Wasm())); got != want {
		t.Errorf("embedded module has digest %s, want %s", got, want)
	}
	if version != runtime.Version() {
		t.Skipf("built with %s, this is %s", version, runtime.Version())
	}
	if testing.Short() {
		t.Skip("builds a program")
	}
	file := filepath.Join(t.TempDir(), "storyteller.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", file, "..")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWASM=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(wasm)); got != want {
		t.Errorf("the sources give %s, storyteller.sum says %s: run make generate", got, want)
	}
}
