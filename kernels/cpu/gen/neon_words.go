package main

import "fmt"

// Go's assembler does not know these instructions. Each function gives the 32 bits of one, and its text as
// binutils writes it. The layouts are those of the Arm Architecture Reference Manual, C7.2.

// word is an instruction.
type word struct {
	bits uint32
	text string
}

// vreg is the number of a vector register.
type vreg int

func three(base uint32, d, n, m vreg) uint32 {
	return base | uint32(m)<<16 | uint32(n)<<5 | uint32(d)
}

// four is an operation on vectors of four 32-bit lanes.
func four(name string, base uint32, d, n, m vreg) word {
	return word{three(base, d, n, m), fmt.Sprintf("%s\tv%d.4s, v%d.4s, v%d.4s", name, d, n, m)}
}

func fadd(d, n, m vreg) word { return four("fadd", 0x4E20D400, d, n, m) }
func fsub(d, n, m vreg) word { return four("fsub", 0x4EA0D400, d, n, m) }
func fmul(d, n, m vreg) word { return four("fmul", 0x6E20DC00, d, n, m) }
func fdiv(d, n, m vreg) word { return four("fdiv", 0x6E20FC00, d, n, m) }
func fmax(d, n, m vreg) word { return four("fmax", 0x4E20F400, d, n, m) }
func mul(d, n, m vreg) word  { return four("mul", 0x4EA09C00, d, n, m) }
func mla(d, n, m vreg) word  { return four("mla", 0x4EA09400, d, n, m) }

// fcmgt sets the bits of a lane of d where n > m.
func fcmgt(d, n, m vreg) word { return four("fcmgt", 0x6EA0E400, d, n, m) }

func two(name string, base uint32, d vreg, to string, n vreg, from, rest string) word {
	return word{three(base, d, n, 0), fmt.Sprintf("%s\tv%d.%s, v%d.%s%s", name, d, to, n, from, rest)}
}

func fneg(d, n vreg) word  { return two("fneg", 0x6EA0F800, d, "4s", n, "4s", "") }
func scvtf(d, n vreg) word { return two("scvtf", 0x4E21D800, d, "4s", n, "4s", "") }

// upper is the bit that makes an instruction use the upper half of its 64-bit operand's register.
const upper = 0x40000000

// widen has two forms, for the lower and the upper four 16-bit lanes of n.
func widen(name string, base uint32, high bool, d, n vreg, rest string) word {
	if high {
		return two(name+"2", base|upper, d, "4s", n, "8h", rest)
	}
	return two(name, base, d, "4s", n, "4h", rest)
}

func fcvtl(high bool, d, n vreg) word  { return widen("fcvtl", 0x0E217800, high, d, n, "") }
func sxtl(high bool, d, n vreg) word   { return widen("sxtl", 0x0F10A400, high, d, n, "") }
func shll16(high bool, d, n vreg) word { return widen("shll", 0x2E613800, high, d, n, ", #16") }

// fcvtn rounds four lanes to f16: to the lower half of d, or to the upper one, which leaves the lower as it is.
func fcvtn(high bool, d, n vreg) word {
	if high {
		return two("fcvtn2", 0x0E216800|upper, d, "8h", n, "4s", "")
	}
	return two("fcvtn", 0x0E216800, d, "4h", n, "4s", "")
}

// sshr shifts 16-bit lanes to the right, 1 to 16 bits, and keeps their signs.
func sshr(d, n vreg, shift int) word {
	return word{three(0x4F000400, d, n, vreg(32-shift)), fmt.Sprintf("sshr\tv%d.8h, v%d.8h, #%d", d, n, shift)}
}

// across reduces four lanes to one.
func across(name string, base uint32, d, n vreg) word {
	return word{three(base, d, n, 0), fmt.Sprintf("%s\ts%d, v%d.4s", name, d, n)}
}

func fmaxv(d, n vreg) word { return across("fmaxv", 0x6E30F800, d, n) }
func umaxv(d, n vreg) word { return across("umaxv", 0x6EB0A800, d, n) }

// lane is one of the 32-bit lanes of a register.
type lane struct {
	v     vreg
	index int
}

// byLane adds a 32-bit lane's index to an instruction: its bits are L, 21, and H, 11.
func byLane(base uint32, d, n vreg, m lane) uint32 {
	return three(base, d, n, m.v) | uint32(m.index&1)<<21 | uint32(m.index>>1)<<11
}

// fmlaLane is d = fma(n, m, d).
func fmlaLane(d, n vreg, m lane) word {
	return word{byLane(0x4F801000, d, n, m), fmt.Sprintf("fmla\tv%d.4s, v%d.4s, v%d.s[%d]", d, n, m.v, m.index)}
}

// sdotLane adds to every 32-bit lane of d the four products of the signed bytes of n's lane and m.
func sdotLane(d, n vreg, m lane) word {
	return word{byLane(0x4F80E000, d, n, m), fmt.Sprintf("sdot\tv%d.4s, v%d.16b, v%d.4b[%d]", d, n, m.v, m.index)}
}

func sdot(d, n, m vreg) word {
	return word{three(0x4E809400, d, n, m), fmt.Sprintf("sdot\tv%d.4s, v%d.16b, v%d.16b", d, n, m)}
}

// smullHalf is d = n * m, four 16-bit lanes and one half of a lane, which is in one of the registers 0 to 15. Its number's bits
// are H, 11, L, 21, and M, 20.
func smullHalf(high bool, d, n vreg, m lane, half int) word {
	return byHalf("smull", 0x0F40A000, high, d, n, m.v, 2*m.index+half)
}

// smlalHalf is d = d + n * m.
func smlalHalf(high bool, d, n vreg, m lane, half int) word {
	return byHalf("smlal", 0x0F402000, high, d, n, m.v, 2*m.index+half)
}

func byHalf(name string, base uint32, high bool, d, n, m vreg, index int) word {
	if m > 15 {
		panic(fmt.Sprintf("gen: internal error: %s with a half of register %d; the limit is 15", name, m))
	}
	from := "4h"
	if high {
		name, base, from = name+"2", base|upper, "8h"
	}
	bits := three(base, d, n, m) | uint32(index&1)<<20 | uint32(index>>1&1)<<21 | uint32(index>>2)<<11
	return word{bits, fmt.Sprintf("%s\tv%d.4s, v%d.%s, v%d.h[%d]", name, d, n, from, m, index)}
}
