package selftest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// compilers in the order of preference.
var compilers = [...]string{"g++", "clang++", "clang++-19"}

// TestEmulator builds testdata and lets it check itself; it prints a line for each check.
func TestEmulator(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the emulator runs on Linux, on amd64 and arm64")
	}
	compiler := ""
	for _, name := range compilers {
		if path, err := exec.LookPath(name); err == nil {
			compiler = path
			break
		}
	}
	if compiler == "" {
		t.Skipf("none of %v is installed", compilers)
	}
	for _, arch := range []string{"80", "70"} {
		t.Run("sm_"+arch, func(t *testing.T) { check(t, compiler, arch) })
	}
}

// seen reads what the compiler is going to read: go test keeps a result until a file that the test itself read changes.
func seen(t *testing.T) {
	for _, pattern := range []string{"../*.h", "../*.cc", "testdata/*", "../../src/device.cuh"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, file := range files {
			if _, err := os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func check(t *testing.T, compiler, arch string) {
	seen(t)
	program := filepath.Join(t.TempDir(), "selftest")
	args := []string{"-std=c++17", "-O1", "-ffp-contract=off", "-fwrapv", "-Wall", "-Wextra", "-DEMULATED", "-DARCH=" + arch, "-I../../src", "-I..",
		"-o", program, "../emulator.cc", "testdata/main.cc", "-x", "c++", "testdata/kernels.cu", "-lpthread"}
	if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", compiler, strings.Join(args, " "), err, out)
	}
	out, err := exec.Command(program).CombinedOutput()
	checks := 0
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "ok ") {
			checks++
		} else {
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil || checks < 30 {
		t.Errorf("%d checks, want at least 30; %v", checks, err)
	}
}
