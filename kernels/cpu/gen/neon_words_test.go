package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// words are all instructions with registers and lanes of every number.
func allWords() []word {
	var list []word
	for _, r := range [][3]vreg{{0, 1, 2}, {31, 0, 15}, {7, 30, 8}, {16, 16, 11}} {
		d, n, m := r[0], r[1], r[2]
		list = append(list, fadd(d, n, m), fsub(d, n, m), fmul(d, n, m), fdiv(d, n, m), fmax(d, n, m), mul(d, n, m), mla(d, n, m),
			fcmgt(d, n, m), sdot(d, n, m), fneg(d, n), scvtf(d, n), fmaxv(d, n), umaxv(d, n))
		for _, high := range []bool{false, true} {
			list = append(list, fcvtl(high, d, n), sxtl(high, d, n), shll16(high, d, n), fcvtn(high, d, n))
		}
		for i := range 4 {
			list = append(list, fmlaLane(d, n, lane{m, i}), fmlaLane(m, d, lane{n, i}), sdotLane(d, n, lane{m, i}), sdotLane(m, d, lane{n, i}))
			for half := range 2 {
				for _, high := range []bool{false, true} {
					list = append(list, smullHalf(high, d, n, lane{m, i}, half), smlalHalf(high, d, n, lane{m, i}, half))
				}
			}
		}
		for shift := 1; shift <= 16; shift++ {
			list = append(list, sshr(d, n, shift))
		}
	}
	return list
}

// TestWords compares with what an assembler made.
func TestWords(t *testing.T) {
	known := map[string]uint32{
		"fadd v0.4s, v1.4s, v2.4s":        0x4E22D420,
		"fsub v31.4s, v0.4s, v15.4s":      0x4EAFD41F,
		"fmul v7.4s, v30.4s, v8.4s":       0x6E28DFC7,
		"fdiv v16.4s, v16.4s, v11.4s":     0x6E2BFE10,
		"fmax v0.4s, v1.4s, v2.4s":        0x4E22F420,
		"mul v31.4s, v0.4s, v15.4s":       0x4EAF9C1F,
		"mla v7.4s, v30.4s, v8.4s":        0x4EA897C7,
		"fcmgt v16.4s, v16.4s, v11.4s":    0x6EABE610,
		"sdot v0.4s, v1.16b, v2.16b":      0x4E829420,
		"fneg v31.4s, v0.4s":              0x6EA0F81F,
		"scvtf v7.4s, v30.4s":             0x4E21DBC7,
		"fmaxv s16, v16.4s":               0x6E30FA10,
		"umaxv s0, v1.4s":                 0x6EB0A820,
		"fcvtl v31.4s, v0.4h":             0x0E21781F,
		"fcvtl2 v7.4s, v30.8h":            0x4E217BC7,
		"sxtl v16.4s, v16.4h":             0x0F10A610,
		"sxtl2 v0.4s, v1.8h":              0x4F10A420,
		"shll v31.4s, v0.4h, #16":         0x2E61381F,
		"shll2 v7.4s, v30.8h, #16":        0x6E613BC7,
		"fcvtn v16.4h, v16.4s":            0x0E216A10,
		"fcvtn2 v0.8h, v1.4s":             0x4E216820,
		"fmla v0.4s, v1.4s, v2.s[0]":      0x4F821020,
		"fmla v8.4s, v7.4s, v30.s[3]":     0x4FBE18E8,
		"sdot v31.4s, v0.16b, v15.4b[1]":  0x4FAFE01F,
		"sdot v11.4s, v16.16b, v16.4b[2]": 0x4F90EA0B,
		"smull v0.4s, v1.4h, v2.h[7]":     0x0F72A820,
		"smull2 v31.4s, v0.8h, v15.h[4]":  0x4F4FA81F,
		"smlal v7.4s, v30.4h, v8.h[2]":    0x0F6823C7,
		"smlal2 v16.4s, v16.8h, v11.h[1]": 0x4F5B2210,
		"sshr v0.8h, v1.8h, #1":           0x4F1F0420,
		"sshr v31.8h, v0.8h, #16":         0x4F10041F,
	}
	found := 0
	for _, w := range allWords() {
		want, ok := known[strings.ReplaceAll(w.text, "\t", " ")]
		if ok && w.bits != want {
			t.Errorf("%s: got %#08x, want %#08x", w.text, w.bits, want)
		}
		if ok {
			found++
		}
	}
	if found != len(known) {
		t.Errorf("got %d of the %d instructions", found, len(known))
	}
}

// TestDisassembly reads all of them back with binutils.
func TestDisassembly(t *testing.T) {
	const objdump = "aarch64-linux-gnu-objdump"
	if _, err := exec.LookPath(objdump); err != nil {
		t.Skip(objdump + " is not installed")
	}
	var code []byte
	for _, w := range allWords() {
		code = binary.LittleEndian.AppendUint32(code, w.bits)
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "aarch64", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^ *[0-9a-f]+:\t[0-9a-f]{8} \t(.*)$`).FindAllStringSubmatch(string(out), -1)
	if len(lines) != len(allWords()) {
		t.Fatalf("got %d lines, want %d", len(lines), len(allWords()))
	}
	for i, w := range allWords() {
		if lines[i][1] != w.text {
			t.Errorf("%#08x: got %q, want %q", w.bits, w.text, lines[i][1])
		}
	}
}
