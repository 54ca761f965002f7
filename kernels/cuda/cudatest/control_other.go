//go:build !linux || !(amd64 || arm64)

package cudatest

import "testing"

// Driver is the fake driver, which there is none of here.
type Driver struct{ Path string }

// Load skips the test.
func Load(t testing.TB, _ Level, _ string) *Driver {
	t.Helper()
	t.Skip("the fake CUDA driver is for Linux on amd64 and arm64")
	return nil
}

// Configure does nothing.
func (d *Driver) Configure(string) {}

// Report is empty.
func (d *Driver) Report() Report { return Report{} }

// Message is empty.
func (d *Driver) Message() string { return "" }
