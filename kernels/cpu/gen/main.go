// Command gen writes the assembly of kernels/cpu and the Go declarations beside it.
//
// Every function keeps rows of a matrix, positions of a page or elements of a vector in the lanes of a register, so that
// each lane runs one reduction of kernels/SPEC.md in the order written there. The same text makes the AVX2 and the
// AVX-512 functions; only what differs between the instruction sets is written twice. Those for arm64 are in the files
// neon*.go.
//
// Run it with `go generate ./kernels/cpu` from the repository's root. It has a module of its own, so that the program
// does not depend on the assembler.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// gen is an assembly file in the making.
type gen struct {
	*build.Context
	labels int
}

// text begins a function that calls nothing and needs no stack.
func (g *gen) text(name, doc, signature string) {
	g.Function(name)
	g.Attributes(attr.NOSPLIT)
	g.Doc(doc)
	g.SignatureExpr(signature)
	g.labels = 0
}

// label makes a name for a jump target, unique in its function.
func (g *gen) label(name string) string {
	g.labels++
	return fmt.Sprintf("%s%d", name, g.labels)
}

// param loads an argument into a register.
func (g *gen) param(name string) reg.GPVirtual {
	r := g.GP64()
	g.Load(g.Param(name), r)
	return r
}

// mem is the address base + disp.
func mem(base reg.Register, disp int) operand.Mem {
	return operand.Mem{Base: base, Disp: disp}
}

// write compiles the file and prints NAME_amd64.s and NAME_amd64.go.
func (g *gen) write(dir, name string) error {
	file, err := g.Result()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := pass.Compile.Execute(file); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	config := printer.Config{Argv: []string{"go", "generate"}, Pkg: "cpu"}
	for suffix, p := range map[string]printer.Printer{
		"_amd64.s":  printer.NewGoAsm(config),
		"_amd64.go": printer.NewStubs(config),
	} {
		out, err := p.Print(file)
		if err != nil {
			return fmt.Errorf("print %s%s: %w", name, suffix, err)
		}
		out = append(bytes.TrimRight(out, "\n"), '\n')
		if err := os.WriteFile(filepath.Join(dir, name+suffix), out, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	dir := flag.String("dir", "..", "where to write")
	flag.Parse()
	log.SetFlags(0)
	for _, f := range []struct {
		name string
		fill func(*gen)
	}{
		{"blocks", blocks},
		{"superblocks", superblocks},
		{"floats", floats},
		{"attention", attention},
		{"vector", vector},
		{"limits", limits},
	} {
		g := &gen{Context: build.NewContext()}
		g.ConstraintExpr("amd64,!purego")
		f.fill(g)
		if err := g.write(*dir, f.name); err != nil {
			log.Fatal("gen: ", err)
		}
	}
	for _, f := range []struct {
		name string
		fill func(*arm)
	}{
		{"blocks", neonBlocks},
		{"superblocks", neonSuperblocks},
		{"floats", neonFloats},
		{"attention", neonAttention},
		{"vector", neonVector},
		{"limits", neonLimits},
	} {
		a := newArm()
		f.fill(a)
		if err := a.write(*dir, f.name); err != nil {
			log.Fatal("gen: ", err)
		}
	}
}
