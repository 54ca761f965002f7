package kerneltest

import (
	"encoding/binary"

	"verbatim/kernels"
	"verbatim/kernels/quant"
)

var (
	blockTypes = [...]quant.Type{quant.Q8_0, quant.Q4_0, quant.Q4_1}
	floatTypes = [...]quant.Type{quant.F32, quant.F16, quant.BF16}
	// laterTypes came after the first digests were committed: their cases follow the others'.
	laterTypes = [...]quant.Type{quant.Q5_0, quant.Q5_1, quant.IQ4_NL, quant.Q4_K, quant.Q6_K, quant.Q5_K, quant.Q3_K, quant.Q2_K, quant.IQ4_XS}
)

// allTypes are the types of all cases.
func allTypes() []quant.Type {
	return append(append(blockTypes[:], floatTypes[:]...), laterTypes[:]...)
}

// matMulCases cover every type with columns around the ends of vectors, blocks
// and segments; rows and batches take turns through lengths around the widths
// of registers and tiles.
func matMulCases() []Case {
	outputs := []int{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 129}
	batches := []int{1, 1, 2, 3, 4, 1, 5, 7, 8, 1, 9, 15, 16, 17, 33}
	var cases []Case
	turn := 0
	add := func(t quant.Type, rows, cols, batch int, c contents) {
		cases = append(cases, matMulCase(t, rows, cols, batch, c))
	}
	addTurn := func(t quant.Type, cols int, c contents) {
		add(t, outputs[turn%len(outputs)], cols, batches[turn%len(batches)], c)
		turn++
	}
	for _, t := range blockTypes {
		for _, cols := range []int{32, 64, 96, 128, 160, 192, 224, 256, 288, 384, 512, 544, 1024} {
			addTurn(t, cols, plain)
		}
		for _, c := range []contents{wide, sparse, ties, huge, nonfinite} {
			for _, cols := range []int{32, 160, 416} {
				addTurn(t, cols, c)
			}
		}
	}
	for _, t := range floatTypes {
		for _, cols := range []int{1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 64, 100, 127, 128, 129, 255, 256, 257, 400} {
			addTurn(t, cols, plain)
		}
		for _, c := range []contents{wide, sparse, huge, nonfinite} {
			for _, cols := range []int{5, 130, 288} {
				addTurn(t, cols, c)
			}
		}
	}
	for _, t := range append(blockTypes[:], floatTypes[:]...) {
		add(t, 3, 4096, 2, plain)
		add(t, 130, 320, 65, plain)
		add(t, 257, 64, 1, sparse)
	}
	cases = append(cases, sharedMatMulCases()...)
	return append(cases, laterMatMulCases()...)
}

// laterMatMulCases do the same for the other block formats. With flat inputs and
// extreme weights the integer sums reach their bounds.
func laterMatMulCases() []Case {
	outputs := []int{1, 2, 15, 16, 17, 31, 33, 64, 65, 3, 8, 32, 40}
	batches := []int{1, 2, 3, 4, 1, 5, 6, 7, 13}
	var cases []Case
	turn := 0
	add := func(t quant.Type, cols int, c contents) {
		cases = append(cases, matMulCase(t, outputs[turn%len(outputs)], cols, batches[turn%len(batches)], c))
		turn++
	}
	for _, t := range laterTypes {
		lengths := []int{32, 64, 96, 128, 160, 288, 544}
		if t.BlockElements() == 256 {
			lengths = []int{256, 512, 1280}
		}
		for _, cols := range lengths {
			add(t, cols, plain)
		}
		for _, c := range []contents{wide, sparse, ties, huge, nonfinite, flat} {
			add(t, t.BlockElements(), c)
			add(t, 3*t.BlockElements(), c)
		}
		cases = append(cases, matMulCase(t, 70, 256, 35, plain))
	}
	for _, types := range [][]quant.Type{{quant.Q4_K, quant.Q4_K, quant.Q6_K}, {quant.Q5_K, quant.Q8_0, quant.F16}, {quant.Q3_K, quant.Q5_0, quant.IQ4_XS}} {
		for _, batch := range []int{1, 3, 8} {
			cases = append(cases, Case{name("matmul-shared", "%v/batch%d", types, batch), func(m *machine) {
				m.matMul(types, []int{40, 24, 9}[:len(types)], 256, batch, plain, plain)
			}})
		}
	}
	return cases
}

func matMulCase(t quant.Type, rows, cols, batch int, c contents) Case {
	return Case{name("matmul", "%v/%dx%d/batch%d/%s", t, rows, cols, batch, c), func(m *machine) {
		weightContents := plain
		if c == sparse || c == huge || c == flat {
			weightContents = sparse
		}
		m.matMul([]quant.Type{t}, []int{rows}, cols, batch, c, weightContents)
	}}
}

// sharedMatMulCases multiply several matrices with one input, as q, k and v do.
func sharedMatMulCases() []Case {
	var cases []Case
	for _, types := range [][]quant.Type{
		{quant.Q8_0, quant.Q8_0, quant.Q8_0}, {quant.Q4_0, quant.Q4_1}, {quant.F16, quant.Q4_0, quant.F32}, {quant.Q8_0, quant.BF16}, {quant.F32, quant.F32},
	} {
		for _, batch := range []int{1, 3, 8, 19} {
			cases = append(cases, Case{name("matmul-shared", "%v/batch%d", types, batch), func(m *machine) {
				m.matMul(types, []int{40, 24, 9}[:len(types)], 192, batch, plain, plain)
			}})
		}
	}
	return cases
}

func (m *machine) matMul(types []quant.Type, rows []int, cols, batch int, c, weightContents contents) {
	var dst []kernels.Buffer
	var weights []kernels.Matrix
	for i, t := range types {
		weights = append(weights, m.matrix(t, rows[i], cols, m.weights(t, rows[i], cols, weightContents)))
		dst = append(dst, m.empty(rows[i]*batch+3))
	}
	src := m.buffer(m.values(cols*batch+5, c))
	m.b.MatMul(dst, weights, src, batch)
	for _, d := range dst {
		m.emit(d)
	}
	m.emit(src)
}

// codeCases read the activation codes themselves, through a matrix with a
// single one in each row.
func codeCases() []Case {
	var cases []Case
	for _, cols := range []int{32, 128, 160, 288} {
		for _, c := range []contents{plain, wide, sparse, ties, huge, nonfinite} {
			cases = append(cases, Case{name("codes", "%d/%s", cols, c), func(m *machine) {
				var data []byte
				for row := range cols {
					for first := 0; first < cols; first += 32 {
						block := make([]byte, 34)
						binary.LittleEndian.PutUint16(block, 0x3C00)
						if row/32 == first/32 {
							block[2+row%32] = 1
						}
						data = append(data, block...)
					}
				}
				const batch = 3
				dst, src := m.empty(cols*batch), m.buffer(m.values(cols*batch, c))
				m.b.MatMul([]kernels.Buffer{dst}, []kernels.Matrix{m.matrix(quant.Q8_0, cols, cols, data)}, src, batch)
				m.emit(dst)
			}})
		}
	}
	return cases
}
