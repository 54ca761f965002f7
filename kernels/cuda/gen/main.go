// Command gen compiles ../src/*.cu to PTX with clang-19, which needs no CUDA toolkit. It is run by `go generate` in kernels/cuda.
//
// One text an operator and architecture: ptx/sm_70 for cards without mma.sync and cp.async, ptx/sm_80 for all later ones,
// left out where the two are the same. ptx/SOURCES names the compiler and the digests of what went in and came out, so that a
// test without a compiler sees when they part. The same sources and compiler give the same bytes. A text that breaks a rule of
// check.go is not written.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

const compiler = "clang-19"

// architectures for which PTX is made, the oldest first.
var architectures = [...]string{"sm_70", "sm_80"}

// flags of the compiler, but for the architecture and the files. The contraction of a*b + c to fma is on by default.
var flags = [...]string{"-x", "cuda", "--cuda-device-only", "-nocudainc", "-nocudalib", "--cuda-feature=+ptx78", "-fdeclspec",
	"-std=c++17", "-ffp-contract=off", "-O3", "-Wall", "-Wextra", "-Werror", "-S", "-o", "-"}

func main() {
	if err := generate("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// generate writes root/ptx from root/src.
func generate(root string) error {
	version, err := exec.Command(compiler, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s does not run (%w); Debian 12 and later, Ubuntu 24.04 and later: apt-get install --no-install-recommends clang-19", compiler, err)
	}
	line, _, _ := strings.Cut(string(version), "\n")
	texts, err := compile(root)
	if err != nil {
		return err
	}
	for name, text := range texts {
		if found := violations(string(text)); len(found) > 0 {
			return fmt.Errorf("%s breaks the rules:\n  %s", name, strings.Join(found, "\n  "))
		}
	}
	if err := replace(root, texts); err != nil {
		return err
	}
	sources, err := describe(root, line)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "ptx", "SOURCES"), sources, 0o644)
}

// compile gives the texts by their path below root.
func compile(root string) (map[string][]byte, error) {
	files, err := filepath.Glob(filepath.Join(root, "src", "*.cu"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("no src/*.cu here")
	}
	var group sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	out := make([][len(architectures)][]byte, len(files))
	failures := make([]error, len(files)*len(architectures))
	for i, file := range files {
		for j, arch := range architectures {
			group.Go(func() {
				slots <- struct{}{}
				out[i][j], failures[i*len(architectures)+j] = compileOne(file, arch)
				<-slots
			})
		}
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	texts := map[string][]byte{}
	for i, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".cu") + ".ptx"
		var older []byte
		for j, arch := range architectures {
			body := bytes.Replace(out[i][j], []byte(".target "+arch+"\n"), []byte(".target\n"), 1)
			if !bytes.Equal(body, older) {
				texts[filepath.Join("ptx", arch, name)] = out[i][j]
			}
			older = body
		}
	}
	return texts, nil
}

func compileOne(file, arch string) ([]byte, error) {
	command := exec.Command(compiler, append(append([]string{}, flags[:]...), "--cuda-gpu-arch="+arch, file)...)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s for %s: %w\n%s", file, arch, err, problems.String())
	}
	return strip(out.Bytes()), nil
}

// strip takes comments and empty lines away: a fifth of the text.
func strip(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		code, _, _ := bytes.Cut(line, []byte("//"))
		if code = bytes.TrimRight(code, " \t\n"); len(code) > 0 {
			out = append(append(out, code...), '\n')
		}
	}
	return out
}

// replace writes the texts and removes those that are not among them.
func replace(root string, texts map[string][]byte) error {
	old, err := filepath.Glob(filepath.Join(root, "ptx", "sm_*", "*.ptx"))
	if err != nil {
		return err
	}
	for _, path := range old {
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if texts[name] == nil {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, text := range texts {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// describe is the text of SOURCES: the compiler, its flags, and a digest for every file.
func describe(root, version string) ([]byte, error) {
	var text bytes.Buffer
	fmt.Fprintf(&text, "compiler %s\nflags %s\n", version, strings.Join(flags[:], " "))
	for _, pattern := range []string{"src/*.cuh", "src/*.cu", "ptx/sm_*/*.ptx"} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			name, err := filepath.Rel(root, file)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(data), filepath.ToSlash(name))
		}
	}
	return text.Bytes(), nil
}
