//go:build linux && (amd64 || arm64)

package cudatest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Library gives the path of the fake driver. The test is skipped where there is no compiler.
func Library(t testing.TB, level Level) string {
	t.Helper()
	path, err := build(level)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("the fake CUDA driver: %v", err)
	}
	if err != nil {
		t.Fatalf("the fake CUDA driver: %v", err)
	}
	return path
}

// build compiles what is not in the cache.
func build(level Level) (string, error) {
	compiler, err := findCompiler()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	b := builder{compiler: compiler, folder: filepath.Join(cache, "verbatim", "emulator"), level: level}
	if err := os.MkdirAll(b.folder, 0o755); err != nil {
		return "", err
	}
	return b.library()
}

func findCompiler() (string, error) {
	for _, name := range []string{"g++", "clang++", "clang++-19"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w without g++ or clang++ to compile it", errors.ErrUnsupported)
}

type builder struct {
	compiler, folder string
	level            Level
	digest           string // of what all objects depend on
}

func (b *builder) flags() []string {
	return []string{"-std=c++17", "-O2", "-fPIC", "-ffp-contract=off", "-fwrapv", "-march=native", "-Wall", "-DEMULATED", fmt.Sprintf("-DARCH=%d", b.level)}
}

// library compiles each source by itself, as many at a time as there are processors, and links them.
func (b *builder) library() (string, error) {
	root := sources()
	var files []string
	for _, pattern := range []string{"emulator/*.cc", "fake/*.cc", "src/*.cu"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	if err := b.digestFlags(); err != nil {
		return "", err
	}
	objects, failures := make([]string, len(files)), make([]error, len(files))
	var group sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for i, file := range files {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			objects[i], failures[i] = b.object(file)
		})
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join(objects, "\n")))
	path := filepath.Join(b.folder, "libcuda-"+hex.EncodeToString(sum[:8])+".so")
	return path, b.produce(path, append([]string{"-shared", "-o", "OUTPUT", "-lpthread"}, objects...))
}

// object is the compiled form of one source.
func (b *builder) object(file string) (string, error) {
	h := sha256.New()
	io.WriteString(h, b.digest)
	if err := write(h, file, map[string]bool{}); err != nil {
		return "", err
	}
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	path := filepath.Join(b.folder, name+"-"+hex.EncodeToString(h.Sum(nil)[:8])+".o")
	return path, b.produce(path, append(b.flags(), "-x", "c++", "-c", file, "-o", "OUTPUT"))
}

// produce runs the compiler unless its output is there; nobody ever sees half of it. A lock keeps test programs that run at the
// same time from doing it twice.
func (b *builder) produce(path string, args []string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	half := path + ".half"
	args = slices.Clone(args)
	args[slices.Index(args, "OUTPUT")] = half
	if text, err := exec.Command(b.compiler, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", b.compiler, strings.Join(args, " "), err, text)
	}
	return os.Rename(half, path)
}

// digestFlags makes every object depend on the compiler, its flags and the processor.
func (b *builder) digestFlags() error {
	version, err := exec.Command(b.compiler, "--version").Output()
	if err != nil {
		return err
	}
	processor, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err
	}
	features := ""
	for line := range strings.Lines(string(processor)) {
		if strings.HasPrefix(line, "flags") || strings.HasPrefix(line, "Features") {
			features = line
			break
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s%s%q", features, version, b.flags()))
	b.digest = hex.EncodeToString(sum[:])
	return nil
}

// write adds a source and what it includes from our folders.
func write(h io.Writer, file string, seen map[string]bool) error {
	if seen[file] {
		return nil
	}
	seen[file] = true
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fmt.Fprintf(h, "%s %d\n%s", filepath.Base(file), len(text), text)
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), `#include "`)
		if name, _, closed := strings.Cut(rest, `"`); ok && closed {
			if err := write(h, filepath.Join(filepath.Dir(file), name), seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// sources is the folder of kernels/cuda.
func sources() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}
