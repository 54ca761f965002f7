package wasmtest

import "math/rand/v2"

// RandomWide is a valid module with a 64-bit memory, decided by the seed: a few functions (i64,i64)->(i64), exported as
// f0, f1, ..., that read and write memory in all ways there are, at addresses within and beyond it. It has no imports,
// ends always, and computes no NaN. Every engine must do the same with it.
func RandomWide(seed uint64) Module {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 1))}
	m := Module{Wide: true, PagesMin: uint32(1 + g.rng.IntN(2)), PagesMax: uint32(3 + g.rng.IntN(2)),
		Globals: []Global{{Letter: 'j', Mutable: true, Init: 8}},
		Data:    []Data{DataAt(uint32(g.rng.IntN(65000)), "active data"), DataAt(65536-5, "ends!")},
		Passive: [][]byte{[]byte("a passive segment of some length")}}
	for i := range 4 {
		g.code, g.budget = nil, 60
		g.statements(3 + g.rng.IntN(8))
		g.expr('j', 3)
		m.Functions = append(m.Functions, Function{Export: "f" + string(rune('0'+i)), Params: "jj", Results: "j",
			Locals: randomLocals, Code: g.code})
	}
	return m
}

// RandomAsync is like RandomWide with what asyncify adds to a module: a global that is always 0 unless the host calls
// asyncify_start_unwind, and code that asks for it in all kinds of conditions, around calls of the imported host.see and of
// other functions.
func RandomAsync(seed uint64) Module {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 2)), async: true}
	m := Module{Wide: true, PagesMin: uint32(1 + g.rng.IntN(2)), PagesMax: uint32(3 + g.rng.IntN(2)),
		Imports: ImportOf("host", "see", "", ""),
		Globals: []Global{{Letter: 'j', Mutable: true, Init: 8}, {Letter: 'i', Mutable: true}},
		Data:    []Data{DataAt(uint32(g.rng.IntN(65000)), "active data"), DataAt(65536-5, "ends!")},
		Passive: [][]byte{[]byte("a passive segment of some length")}}
	for i := range 4 {
		g.code, g.budget, g.callable = nil, 80, i
		g.statements(5 + g.rng.IntN(10))
		g.expr('j', 3)
		m.Functions = append(m.Functions, Function{Export: "f" + string(rune('0'+i)), Params: "jj", Results: "j",
			Locals: randomLocals, Code: g.code})
	}
	set := func(state int32) []byte { return Code(I32(state), 0x24, 1) }
	return m.with(Function{Export: "asyncify_get_state", Results: "i", Code: Code(0x23, 1)},
		Function{Export: "asyncify_start_unwind", Params: "j", Code: set(1)}, Function{Export: "asyncify_stop_unwind", Code: set(0)},
		Function{Export: "asyncify_start_rewind", Params: "j", Code: set(2)}, Function{Export: "asyncify_stop_rewind", Code: set(0)})
}

func (m Module) with(more ...Function) Module {
	m.Functions = append(m.Functions, more...)
	return m
}

// state pushes something about the global of asyncify: mostly known, sometimes mixed with what is not.
func (g *generator) state(depth int) {
	switch g.rng.IntN(9) {
	case 0:
		g.emit(0x23, 1)
	case 1, 2:
		g.emit(0x23, 1, 0x45)
	case 3, 4:
		g.emit(0x23, 1, I32(int32(g.rng.IntN(3))), 0x46+g.rng.IntN(2))
	case 5: // compared with something
		g.emit(0x23, 1)
		g.expr('i', depth-1)
		g.emit(0x46 + g.rng.IntN(10))
	case 6: // known and something, either way round
		g.state(depth - 1)
		g.expr('i', depth-1)
		if g.oneIn(2) {
			g.emit(I32(int32(g.rng.IntN(4))), 0x46)
		}
		g.emit(0x71 + g.rng.IntN(2))
	case 7:
		g.expr('i', depth-1)
		g.state(depth - 1)
		g.emit(0x71 + g.rng.IntN(2))
	default:
		g.expr('i', depth-1)
		g.expr('i', depth-1)
		g.state(depth - 1)
		g.emit(0x1b)
	}
}

// mask pushes a comparison, which engines may join with an and before it and a branch after it.
func (g *generator) mask(depth int) {
	x, comparison := g.local('i'), 0x48+g.rng.IntN(8)
	switch g.rng.IntN(3) {
	case 0:
		g.expr('i', depth-1)
		g.expr('i', depth-1)
		g.emit(0x71, 0x21, x)
		g.asking()
		g.emit(I32(0), 0x20, x, comparison)
	case 1:
		g.emit(0x20, g.local('i'), 0x20, g.local('i'), 0x71, 0x21, x, 0x20, x, 0x20, g.local('i'), comparison)
	default:
		g.emit(0x20, x, 0x20, g.local('i'), comparison)
	}
}

// asking is a statement of asyncify's.
func (g *generator) asking() {
	switch g.rng.IntN(6) {
	case 0, 1:
		g.state(2)
		g.nested(func() { g.statements(3) }, 0x04)
	case 2:
		g.state(2)
		g.nested(func() {
			g.statements(2)
			g.emit(0x05)
			g.statements(2)
		}, 0x04)
	case 3:
		if g.depth > 0 {
			g.state(2)
			g.emit(0x0d, U32(uint32(g.rng.IntN(g.depth))))
		}
	case 4:
		g.emit(0x10, 0) // host.see
	default:
		if g.callable > 0 {
			g.expr('j', 1)
			g.expr('j', 1)
			g.emit(0x10, U32(uint32(1+g.rng.IntN(g.callable))), 0x21, g.local('j'))
		}
	}
}

// Locals of a random function after its two parameters; the last counts loop turns.
const randomLocals = "jjiifdvvi"

// localsOf gives the indices of the locals of a type that code may write.
func localsOf(t byte) []uint32 {
	return map[byte][]uint32{'j': {0, 1, 2, 3}, 'i': {4, 5}, 'f': {6}, 'd': {7}, 'v': {8, 9}}[t]
}

const turnsLocal = 10

type generator struct {
	rng    *rand.Rand
	code   []byte
	budget int // statements left
	depth  int // of blocks

	async    bool // asks for the state of asyncify, which is global 1
	callable int  // functions that may be called, with async
}

func (g *generator) emit(parts ...any) { g.code = append(g.code, Code(parts...)...) }

func (g *generator) local(t byte) []byte {
	all := localsOf(t)
	return U32(all[g.rng.IntN(len(all))])
}

func (g *generator) oneIn(n int) bool { return g.rng.IntN(n) == 0 }

func (g *generator) statements(n int) {
	for ; n > 0 && g.budget > 0; n-- {
		g.budget--
		g.statement()
	}
}

func (g *generator) statement() {
	if g.async && g.oneIn(2) {
		g.asking()
		return
	}
	types := "jifdv"
	t := types[g.rng.IntN(len(types))]
	switch g.rng.IntN(16) {
	case 0, 1, 2, 3, 4, 5:
		g.store()
	case 6, 7:
		g.expr(t, 2)
		g.tame(t)
		g.emit(0x21, g.local(t))
	case 8:
		g.expr(t, 3)
		g.emit(0x1a)
	case 9:
		g.bulk()
	case 10:
		g.nested(func() { g.statements(3) }, 0x02)
	case 11:
		g.loop()
	case 12:
		g.expr('i', 2)
		g.nested(func() {
			g.statements(2)
			g.emit(0x05)
			g.statements(2)
		}, 0x04)
	case 13:
		if g.depth > 0 {
			g.expr('i', 1)
			g.emit(0x0d, U32(uint32(g.rng.IntN(g.depth))))
		}
	case 14:
		g.expr('j', 2)
		g.emit(0x24, 0)
	default:
		g.storeLane()
	}
}

// tame makes most of the numbers that go into locals good addresses.
func (g *generator) tame(t byte) {
	if t == 'j' && !g.oneIn(12) {
		g.emit(I64(0x7fff), 0x83)
	}
}

func (g *generator) nested(body func(), op int) {
	if g.depth > 4 {
		if op == 0x04 {
			g.emit(0x1a)
		}
		return
	}
	g.emit(op, 0x40)
	g.depth++
	body()
	g.depth--
	g.emit(0x0b)
}

// loop turns at most seven times.
func (g *generator) loop() {
	if g.depth > 2 {
		return
	}
	g.emit(I32(7), 0x21, turnsLocal)
	g.emit(0x02, 0x40, 0x03, 0x40)
	g.emit(0x20, turnsLocal, 0x45, 0x0d, 1, 0x20, turnsLocal, I32(1), 0x6b, 0x22, turnsLocal, 0x45, 0x0d, 1)
	depth := g.depth
	g.depth = 0 // branches of the body stay within it
	g.nested(func() { g.statements(4) }, 0x02)
	g.depth = depth
	g.emit(0x0c, 0, 0x0b, 0x0b)
}

// address pushes an i64 that is mostly in memory, and now and then anywhere.
func (g *generator) address(depth int) {
	if g.oneIn(60) {
		g.emit(I64(g.edge()))
		return
	}
	switch g.rng.IntN(12) {
	case 0, 1:
		g.expr('j', depth)
		g.tame('j')
	case 2:
		g.expr('i', depth)
		g.emit(I32(0xffff), 0x71, 0xad)
	case 3, 4:
		g.expr('j', depth)
		g.emit(I64(0xffff), 0x83)
	case 5:
		g.expr('j', depth)
		g.emit(I64(int64(46+g.rng.IntN(24))), 0x88)
	case 6:
		g.emit(I64(int64(g.rng.IntN(70000))))
	case 7:
		g.emit(0x20, g.local('j'), I64(0xffff), 0x83, 0x22, g.local('j'))
	default:
		g.emit(0x20, g.local('j'))
	}
}

// edge is a number near a border of memory or of 32 bits.
func (g *generator) edge() int64 {
	edges := []int64{0, 65536, 131072, 4 * 65536, 1 << 31, 1 << 32, 1<<32 + 65536, 1 << 33, -1, -65536, -1 << 63, 1<<63 - 1}
	return edges[g.rng.IntN(len(edges))] + int64(g.rng.IntN(40)) - 20
}

// memArg is alignment and offset of an access of 1<<align bytes.
func (g *generator) memArg(align int) []byte {
	offset := uint64(g.rng.IntN(64))
	switch g.rng.IntN(200) {
	case 0, 1, 2, 3:
		offset = 65500 + uint64(g.rng.IntN(40))
	case 4:
		offset = uint64(g.edge())
	}
	return Code(g.rng.IntN(align+1), unsigned(offset))
}

func unsigned(v uint64) []byte {
	var out []byte
	for v >= 0x80 {
		out, v = append(out, byte(v)|0x80), v>>7
	}
	return append(out, byte(v))
}

func (g *generator) store() {
	ops := []struct {
		op, align int
		t         byte
	}{{0x36, 2, 'i'}, {0x37, 3, 'j'}, {0x37, 3, 'j'}, {0x38, 2, 'f'}, {0x39, 3, 'd'}, {0x3a, 0, 'i'}, {0x3b, 1, 'i'},
		{0x3c, 0, 'j'}, {0x3d, 1, 'j'}, {0x3e, 2, 'j'}, {11, 4, 'v'}}
	o := ops[g.rng.IntN(len(ops))]
	g.address(2)
	g.expr(o.t, 2)
	if o.t == 'v' {
		g.emit(0xfd)
	}
	g.emit(o.op, g.memArg(o.align))
}

func (g *generator) storeLane() {
	size := g.rng.IntN(4)
	g.address(1)
	g.expr('v', 1)
	g.emit(0xfd, 88+size, g.memArg(size), g.rng.IntN(16>>size))
}

// bulk is memory.init, copy or fill.
func (g *generator) bulk() {
	g.address(1)
	switch g.rng.IntN(4) {
	case 0:
		g.emit(I32(int32(g.rng.IntN(34))), I32(int32(g.rng.IntN(20))), 0xfc, 8, 2, 0)
	case 1, 2:
		g.address(1)
		g.length()
		g.emit(0xfc, 10, 0, 0)
	default:
		g.expr('i', 1)
		g.length()
		g.emit(0xfc, 11, 0)
	}
}

func (g *generator) length() {
	if g.oneIn(40) {
		g.emit(I64(g.edge()))
		return
	}
	g.emit(I64(int64(g.rng.IntN(300))))
}

// expr pushes a value of a type.
func (g *generator) expr(t byte, depth int) {
	if depth <= 0 || g.oneIn(4) {
		g.leaf(t)
		return
	}
	if g.oneIn(6) {
		g.expr(t, depth-1)
		g.tame(t)
		g.emit(0x22, g.local(t))
		return
	}
	if g.oneIn(8) {
		g.expr(t, depth-1)
		g.expr(t, depth-1)
		g.expr('i', depth-1)
		g.emit(0x1c, 1, valueTypes(string(t))[1:])
		return
	}
	switch t {
	case 'j':
		g.expr64(depth)
	case 'i':
		g.expr32(depth)
	case 'v':
		g.vector(depth)
	default:
		g.address(depth - 1)
		g.emit(map[byte]int{'f': 0x2a, 'd': 0x2b}[t], g.memArg(2))
	}
}

func (g *generator) leaf(t byte) {
	if !g.oneIn(3) {
		g.emit(0x20, g.local(t))
		return
	}
	switch t {
	case 'j':
		if g.oneIn(12) {
			g.emit(I64(g.edge()))
		} else {
			g.emit(I64(int64(g.rng.IntN(1000))))
		}
	case 'i':
		g.emit(I32(int32(g.rng.Uint32())))
	case 'f':
		g.emit(0x43, 0, 0, 0x80, 0x3f)
	case 'd':
		g.emit(0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f)
	case 'v':
		g.emit(0xfd, 12, []byte("sixteen bytes: !"))
	}
}

func (g *generator) expr64(depth int) {
	switch g.rng.IntN(9) {
	case 0, 1, 2, 3:
		ops := [][2]int{{0x29, 3}, {0x30, 0}, {0x31, 0}, {0x32, 1}, {0x33, 1}, {0x34, 2}, {0x35, 2}}
		o := ops[g.rng.IntN(len(ops))]
		g.address(depth - 1)
		g.emit(o[0], g.memArg(o[1]))
	case 4:
		g.emit(0x3f, 0)
	case 5:
		if g.oneIn(3) {
			g.emit(I64(g.edge()), 0x40, 0)
		} else {
			g.emit(I64(int64(g.rng.IntN(2))), 0x40, 0)
		}
	case 6:
		g.expr('i', depth-1)
		g.emit(0xac + g.rng.IntN(2))
	default:
		binary := []int{0x7c, 0x7d, 0x7e, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89}
		g.expr('j', depth-1)
		g.expr('j', depth-1)
		g.emit(binary[g.rng.IntN(len(binary))])
	}
}

func (g *generator) expr32(depth int) {
	if g.async && g.oneIn(4) {
		g.state(depth)
		return
	}
	if g.async && g.oneIn(3) {
		g.mask(depth)
		return
	}
	switch g.rng.IntN(6) {
	case 0, 1:
		ops := [][2]int{{0x28, 2}, {0x2c, 0}, {0x2d, 0}, {0x2e, 1}, {0x2f, 1}}
		o := ops[g.rng.IntN(len(ops))]
		g.address(depth - 1)
		g.emit(o[0], g.memArg(o[1]))
	case 2:
		g.expr('j', depth-1)
		g.emit(0xa7)
	case 3:
		g.expr('j', depth-1)
		g.expr('j', depth-1)
		g.emit(0x51 + g.rng.IntN(10))
	default:
		g.expr('i', depth-1)
		g.expr('i', depth-1)
		g.emit([]int{0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73}[g.rng.IntN(6)])
	}
}

func (g *generator) vector(depth int) {
	switch g.rng.IntN(4) {
	case 0: // loads, widening and splatting ones and those of one lane with zeros included
		sub, align := g.rng.IntN(13), []int{4, 3, 3, 3, 3, 3, 3, 0, 1, 2, 3, 2, 3}
		code := sub
		if sub >= 11 {
			code = 92 + sub - 11
		}
		g.address(depth - 1)
		g.emit(0xfd, code, g.memArg(align[sub]))
	case 1:
		size := g.rng.IntN(4)
		g.address(depth - 1)
		g.expr('v', depth-1)
		g.emit(0xfd, 84+size, g.memArg(size), g.rng.IntN(16>>size))
	case 2:
		g.expr('j', depth-1)
		g.emit(0xfd, 18) // i64x2.splat
	default:
		g.expr('v', depth-1)
		g.expr('v', depth-1)
		g.emit(0xfd, []int{78, 80, 81}[g.rng.IntN(3)]) // and, or, xor
	}
}
