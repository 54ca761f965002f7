package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = ".."

// TestSources: what ptx/SOURCES says of sources, flags and texts is so. It needs no compiler.
func TestSources(t *testing.T) {
	got, err := os.ReadFile(filepath.Join(root, "ptx", "SOURCES"))
	if err != nil {
		t.Fatal(err)
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(string(got), "compiler "), "\n")
	want, err := describe(root, version)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("ptx/SOURCES is not what src and ptx give (run `go generate ./kernels/cuda`):\n%s", difference(string(got), string(want)))
	}
}

func difference(got, want string) string {
	var out strings.Builder
	for _, line := range strings.Split(want, "\n") {
		if !strings.Contains(got, line+"\n") && line != "" {
			out.WriteString("is      " + line + "\n")
		}
	}
	for _, line := range strings.Split(got, "\n") {
		if !strings.Contains(want, line+"\n") && line != "" {
			out.WriteString("SOURCES " + line + "\n")
		}
	}
	return out.String()
}

// TestRules holds every text to the rules.
func TestRules(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "ptx", "sm_*", "*.ptx"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d texts, error %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range violations(string(text)) {
			t.Errorf("%s: %s", file, v)
		}
	}
}

// TestRulesFind has one bad line for each rule, and good ones that look alike.
func TestRulesFind(t *testing.T) {
	for _, bad := range []string{
		"ex2.approx.f32 %f1, %f2;", "div.full.f32 %f1, %f2, %f3;", "add.rn.ftz.f32 %f1, %f2, %f3;", "add.sat.f32 %f1, %f2, %f3;",
		"add.f32 %f1, %f2, %f3;", "mul.f32 %f1, %f2, %f3;", "@%p1 sub.f32 %f1, %f2, %f3;", "fma.rz.f32 %f1, %f2, %f3, %f4;",
		"mad.rm.f32 %f1, %f2, %f3, %f4;", "sqrt.f32 %f1, %f2;", "atom.global.add.f32 %f1, [%rd1], %f2;", "red.global.add.f32 [%rd1], %f2;",
		"add.rn.f64 %fd1, %fd2, %fd3;", "mov.f64 %fd1, %fd2;", "fma.rn.f16x2 %r1, %r2, %r3, %r4;", "add.rn.bf16 %rs1, %rs2, %rs3;",
		"rsqrt.approx.f32 %f1, %f2;", "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1}, {%r1}, {%r2}, {%f1};",
		".local .align 16 .b8 __local_depot0[64];", "ld.local.u32 %r1, [%rd1];", "call.uni (retval0), f, (param0);", "mov.u64 %rd1, %clock64;",
		"cvt.rzi.s32.f32 %r1, %f1;", "cvt.rz.f16.f32 %rs1, %f1;", "cvt.rn.f32.s64 %f1, %rd1;",
	} {
		if found := violations("ret;\n\t" + strings.Replace(bad, " ", "\t", 1) + "\nret;"); len(found) == 0 {
			t.Errorf("no rule speaks of %q", bad)
		}
	}
	for _, good := range []string{
		"add.rn.f32 %f1, %f2, %f3;", "add.s32 %r1, %r2, %r3;", "mul.wide.u32 %rd1, %r2, 4;", "@%p1 fma.rn.f32 %f1, %f2, %f3, %f4;",
		"cvt.rn.f32.s32 %f1, %r1;", "cvt.u32.u64 %r1, %rd1;", "max.u32 %r1, %r2, %r3;", "mov.f32 %f1, 0f00000000;",
		"mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r1}, {%r2}, {%r3}, {%r1};", "setp.lt.f32 %p1, %f1, 0f42B00000;",
		"mad.lo.s32 %r1, %r2, %r3, %r4; // not add.f32", "atom.global.add.u32 %r1, [%rd1], %r2;", "div.rn.f32 %f1, %f2, %f3;",
	} {
		if found := violations(good); len(found) > 0 {
			t.Errorf("%q breaks a rule: %v", good, found)
		}
	}
}
