//go:build amd64 && !purego

package cpu

import (
	"golang.org/x/sys/cpu"

	"verbatim/kernels/quant"
)

// levels lists what this machine can run, slowest first.
func levels() []*level {
	list := []*level{&generic}
	x := &cpu.X86
	if !(x.HasAVX2 && x.HasFMA && x.HasF16C) {
		return list
	}
	list = append(list, &avx2)
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VL && x.HasAVX512DQ && x.HasAVX512VNNI {
		list = append(list, &avx512)
	}
	return list
}

func pauseShort() { pause(8) }

var avx2 = level{
	name:     "avx2",
	group:    4,
	unsigned: false,
	blocks: map[quant.Type]tileFuncs[blockFunc]{
		quant.Q8_0:   {[]blockFunc{blocksQ8x1AVX2, blocksQ8x2AVX2, blocksQ8x3AVX2, blocksQ8x4AVX2}, []int{32, 16, 8, 8}},
		quant.Q4_0:   {[]blockFunc{blocksQ40x1AVX2, blocksQ40x2AVX2, blocksQ40x3AVX2, blocksQ40x4AVX2}, []int{32, 16, 8, 8}},
		quant.Q4_1:   {[]blockFunc{blocksQ41x1AVX2, blocksQ41x2AVX2, blocksQ41x3AVX2, blocksQ41x4AVX2}, []int{32, 16, 8, 8}},
		quant.Q5_0:   {[]blockFunc{blocksQ50x1AVX2, blocksQ50x2AVX2, blocksQ50x3AVX2, blocksQ50x4AVX2}, []int{32, 16, 8, 8}},
		quant.Q5_1:   {[]blockFunc{blocksQ51x1AVX2, blocksQ51x2AVX2, blocksQ51x3AVX2, blocksQ51x4AVX2}, []int{32, 16, 8, 8}},
		quant.IQ4_NL: {[]blockFunc{blocksIQ4NLx1AVX2, blocksIQ4NLx2AVX2, blocksIQ4NLx3AVX2, blocksIQ4NLx4AVX2}, []int{32, 16, 8, 8}},
	},
	superblocks: map[quant.Type]tileFuncs[superFunc]{
		quant.Q2_K:   {[]superFunc{superQ2Kx1AVX2, superQ2Kx2AVX2, superQ2Kx3AVX2, superQ2Kx4AVX2}, []int{32, 16, 8, 8}},
		quant.Q3_K:   {[]superFunc{superQ3Kx1AVX2, superQ3Kx2AVX2, superQ3Kx3AVX2, superQ3Kx4AVX2}, []int{32, 16, 8, 8}},
		quant.Q4_K:   {[]superFunc{superQ4Kx1AVX2, superQ4Kx2AVX2, superQ4Kx3AVX2, superQ4Kx4AVX2}, []int{32, 16, 8, 8}},
		quant.Q5_K:   {[]superFunc{superQ5Kx1AVX2, superQ5Kx2AVX2, superQ5Kx3AVX2, superQ5Kx4AVX2}, []int{32, 16, 8, 8}},
		quant.Q6_K:   {[]superFunc{superQ6Kx1AVX2, superQ6Kx2AVX2, superQ6Kx3AVX2, superQ6Kx4AVX2}, []int{32, 16, 8, 8}},
		quant.IQ4_XS: {[]superFunc{superIQ4XSx1AVX2, superIQ4XSx2AVX2, superIQ4XSx3AVX2, superIQ4XSx4AVX2}, []int{32, 16, 8, 8}},
	},
	floats: map[quant.Type]tileFuncs[floatFunc]{
		quant.F32:  {[]floatFunc{floatsF32x1AVX2, floatsF32x2AVX2, floatsF32x3AVX2, floatsF32x4AVX2}, []int{32, 32, 32, 16}},
		quant.F16:  {[]floatFunc{floatsF16x1AVX2, floatsF16x2AVX2, floatsF16x3AVX2, floatsF16x4AVX2}, []int{32, 32, 32, 16}},
		quant.BF16: {[]floatFunc{floatsBF16x1AVX2, floatsBF16x2AVX2, floatsBF16x3AVX2, floatsBF16x4AVX2}, []int{32, 32, 32, 16}},
	},
	heads: []headFuncs{
		{16, [queriesMax]scoresFunc{scores16x1AVX2, scores16x2AVX2, scores16x3AVX2, scores16x4AVX2}, [queriesMax]valuesFunc{values16x1AVX2, values16x2AVX2, values16x3AVX2, values16x4AVX2}},
	},
	vectors: vectorsAVX2,
	meters:  meters{readAVX2, multiplyBytesAVX2, multiplyFloatsAVX2, 4 * 32, 12 * 8},
}

var avx512 = level{
	name:     "avx512",
	group:    6,
	unsigned: true,
	blocks: map[quant.Type]tileFuncs[blockFunc]{
		quant.Q8_0:   {[]blockFunc{blocksQ8x1AVX512, blocksQ8x2AVX512, blocksQ8x3AVX512, blocksQ8x4AVX512, blocksQ8x5AVX512, blocksQ8x6AVX512}, []int{32, 32, 32, 32, 32, 32}},
		quant.Q4_0:   {[]blockFunc{blocksQ40x1AVX512, blocksQ40x2AVX512, blocksQ40x3AVX512, blocksQ40x4AVX512, blocksQ40x5AVX512, blocksQ40x6AVX512}, []int{32, 32, 32, 32, 32, 32}},
		quant.Q4_1:   {[]blockFunc{blocksQ41x1AVX512, blocksQ41x2AVX512, blocksQ41x3AVX512, blocksQ41x4AVX512, blocksQ41x5AVX512, blocksQ41x6AVX512}, []int{32, 32, 32, 32, 32, 32}},
		quant.Q5_0:   {[]blockFunc{blocksQ50x1AVX512, blocksQ50x2AVX512, blocksQ50x3AVX512, blocksQ50x4AVX512, blocksQ50x5AVX512, blocksQ50x6AVX512}, []int{32, 32, 32, 32, 32, 32}},
		quant.Q5_1:   {[]blockFunc{blocksQ51x1AVX512, blocksQ51x2AVX512, blocksQ51x3AVX512, blocksQ51x4AVX512, blocksQ51x5AVX512, blocksQ51x6AVX512}, []int{32, 32, 32, 32, 32, 32}},
		quant.IQ4_NL: {[]blockFunc{blocksIQ4NLx1AVX512, blocksIQ4NLx2AVX512, blocksIQ4NLx3AVX512, blocksIQ4NLx4AVX512, blocksIQ4NLx5AVX512, blocksIQ4NLx6AVX512}, []int{32, 32, 32, 32, 32, 32}},
	},
	superblocks: map[quant.Type]tileFuncs[superFunc]{
		quant.Q2_K:   {[]superFunc{superQ2Kx1AVX512, superQ2Kx2AVX512, superQ2Kx3AVX512, superQ2Kx4AVX512, superQ2Kx5AVX512, superQ2Kx6AVX512}, []int{32, 32, 32, 32, 32, 32}},
		quant.Q3_K:   {[]superFunc{superQ3Kx1AVX512, superQ3Kx2AVX512, superQ3Kx3AVX512, superQ3Kx4AVX512, superQ3Kx5AVX512, superQ3Kx6AVX512}, []int{32, 32, 32, 32, 32, 32}},
		quant.Q4_K:   {[]superFunc{superQ4Kx1AVX512, superQ4Kx2AVX512, superQ4Kx3AVX512, superQ4Kx4AVX512, superQ4Kx5AVX512, superQ4Kx6AVX512}, []int{32, 32, 32, 32, 32, 32}},
		quant.Q5_K:   {[]superFunc{superQ5Kx1AVX512, superQ5Kx2AVX512, superQ5Kx3AVX512, superQ5Kx4AVX512, superQ5Kx5AVX512, superQ5Kx6AVX512}, []int{32, 32, 32, 32, 16, 16}},
		quant.Q6_K:   {[]superFunc{superQ6Kx1AVX512, superQ6Kx2AVX512, superQ6Kx3AVX512, superQ6Kx4AVX512, superQ6Kx5AVX512, superQ6Kx6AVX512}, []int{32, 32, 32, 32, 16, 16}},
		quant.IQ4_XS: {[]superFunc{superIQ4XSx1AVX512, superIQ4XSx2AVX512, superIQ4XSx3AVX512, superIQ4XSx4AVX512, superIQ4XSx5AVX512, superIQ4XSx6AVX512}, []int{32, 32, 32, 32, 16, 16}},
	},
	floats: map[quant.Type]tileFuncs[floatFunc]{
		quant.F32:  {[]floatFunc{floatsF32x1AVX512, floatsF32x2AVX512, floatsF32x3AVX512, floatsF32x4AVX512, floatsF32x5AVX512, floatsF32x6AVX512}, []int{32, 32, 32, 32, 32, 32}},
		quant.F16:  {[]floatFunc{floatsF16x1AVX512, floatsF16x2AVX512, floatsF16x3AVX512, floatsF16x4AVX512, floatsF16x5AVX512, floatsF16x6AVX512}, []int{32, 32, 32, 32, 32, 32}},
		quant.BF16: {[]floatFunc{floatsBF16x1AVX512, floatsBF16x2AVX512, floatsBF16x3AVX512, floatsBF16x4AVX512, floatsBF16x5AVX512, floatsBF16x6AVX512}, []int{32, 32, 32, 32, 32, 32}},
	},
	heads: []headFuncs{
		{64, [queriesMax]scoresFunc{scores64x1AVX512, scores64x2AVX512, scores64x3AVX512, scores64x4AVX512}, [queriesMax]valuesFunc{values64x1AVX512, values64x2AVX512, values64x3AVX512, values64x4AVX512}},
		{16, [queriesMax]scoresFunc{scores16x1AVX512, scores16x2AVX512, scores16x3AVX512, scores16x4AVX512}, [queriesMax]valuesFunc{values16x1AVX512, values16x2AVX512, values16x3AVX512, values16x4AVX512}},
	},
	far: &farFuncs{
		scores: [...]func(*float32, uint64, *byte, uint64, *float32, uint64, *byte){scores64x1FarAVX512, scores64x2FarAVX512, scores64x3FarAVX512, scores64x4FarAVX512},
		values: [...]func(*float32, uint64, *byte, uint64, *float32, uint64, uint64, *byte){values64x1FarAVX512, values64x2FarAVX512, values64x3FarAVX512, values64x4FarAVX512},
	},
	softmaxes: [...]func(*float32, uint64, *float32){softmaxes1AVX512, softmaxes2AVX512, softmaxes3AVX512, softmaxes4AVX512},
	vectors:   vectorsAVX512(),
	meters:    meters{readAVX2, multiplyBytesAVX512, multiplyFloatsAVX512, 16 * 64, 16 * 16},
}

var vectorsAVX2 = vectors{
	largest:    largestAVX2,
	encode:     encodeAVX2,
	sumSquares: sumSquaresAVX2,
	normalise:  normaliseAVX2,
	swiglu:     swigluAVX2,
	add:        addAVX2,
	rotate:     rotateAVX2,
	softmax:    softmaxAVX2,
	accumulate: accumulateAVX2,
	scale:      scaleAVX2,
	toF16:      toF16AVX2,
	prefetch:   prefetch,
}

func vectorsAVX512() vectors {
	v := vectorsAVX2
	v.swiglu, v.softmax = swigluAVX512, softmaxAVX512
	return v
}
