//go:build linux && (amd64 || arm64)

package cudatest

import (
	"encoding/json"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Driver is the fake driver, loaded.
type Driver struct {
	Path string
	t    testing.TB
	lib  uintptr
}

// Load loads the fake driver with settings, which ../fake/cuda.cc lists. After the test it has its usual ones again.
func Load(t testing.TB, level Level, settings string) *Driver {
	t.Helper()
	d := &Driver{Path: Library(t, level), t: t}
	var err error
	if d.lib, err = purego.Dlopen(d.Path, purego.RTLD_NOW|purego.RTLD_LOCAL); err != nil {
		t.Fatalf("load the fake CUDA driver: %v", err)
	}
	d.Configure(settings)
	t.Cleanup(func() { d.Configure("") })
	return d
}

// Configure changes the settings and begins to count anew.
func (d *Driver) Configure(settings string) {
	text := append([]byte(settings), 0)
	purego.SyscallN(d.symbol("fake_configure"), uintptr(unsafe.Pointer(&text[0])))
}

// Report says what happened since Configure.
func (d *Driver) Report() Report {
	d.t.Helper()
	var r Report
	if err := json.Unmarshal(d.text("fake_report"), &r); err != nil {
		d.t.Fatalf("the fake CUDA driver's report: %v", err)
	}
	return r
}

// Message is what went wrong last, in the fake driver's words.
func (d *Driver) Message() string { return string(d.text("fake_message")) }

func (d *Driver) text(function string) []byte {
	text := make([]byte, 256<<10)
	n, _, _ := purego.SyscallN(d.symbol(function), uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)))
	return text[:n]
}

func (d *Driver) symbol(name string) uintptr {
	address, err := purego.Dlsym(d.lib, name)
	if err != nil {
		d.t.Fatalf("the fake CUDA driver: %v", err)
	}
	return address
}
