//go:build arm64 && !purego

package cpu

import (
	"runtime"

	"golang.org/x/sys/cpu"

	"verbatim/kernels/quant"
)

// levels lists what this machine can run, slowest first.
func levels() []*level {
	list := []*level{&generic}
	// Every Mac has dot products; not every version of its system says so.
	if cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin" {
		list = append(list, &neon)
	}
	return list
}

func pauseShort() { pause(8) }

var neon = level{
	name:     "neon",
	group:    8,
	unsigned: false,
	blocks: map[quant.Type]tileFuncs[blockFunc]{
		quant.Q8_0:   {[]blockFunc{blocksQ8x1NEON, blocksQ8x2NEON, blocksQ8x3NEON, blocksQ8x4NEON, blocksQ8x5NEON, blocksQ8x6NEON, blocksQ8x7NEON, blocksQ8x8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
		quant.Q4_0:   {[]blockFunc{blocksQ40x1NEON, blocksQ40x2NEON, blocksQ40x3NEON, blocksQ40x4NEON, blocksQ40x5NEON, blocksQ40x6NEON, blocksQ40x7NEON, blocksQ40x8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
		quant.Q4_1:   {[]blockFunc{blocksQ41x1NEON, blocksQ41x2NEON, blocksQ41x3NEON, blocksQ41x4NEON, blocksQ41x5NEON, blocksQ41x6NEON, blocksQ41x7NEON, blocksQ41x8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
		quant.Q5_0:   {[]blockFunc{blocksQ50x1NEON, blocksQ50x2NEON, blocksQ50x3NEON, blocksQ50x4NEON, blocksQ50x5NEON, blocksQ50x6NEON, blocksQ50x7NEON, blocksQ50x8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
		quant.Q5_1:   {[]blockFunc{blocksQ51x1NEON, blocksQ51x2NEON, blocksQ51x3NEON, blocksQ51x4NEON, blocksQ51x5NEON, blocksQ51x6NEON, blocksQ51x7NEON, blocksQ51x8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
		quant.IQ4_NL: {[]blockFunc{blocksIQ4NLx1NEON, blocksIQ4NLx2NEON, blocksIQ4NLx3NEON, blocksIQ4NLx4NEON, blocksIQ4NLx5NEON, blocksIQ4NLx6NEON, blocksIQ4NLx7NEON, blocksIQ4NLx8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
	},
	superblocks: map[quant.Type]tileFuncs[superFunc]{
		quant.Q2_K:   {[]superFunc{superQ2Kx1NEON, superQ2Kx2NEON, superQ2Kx3NEON, superQ2Kx4NEON, superQ2Kx5NEON, superQ2Kx6NEON, superQ2Kx7NEON, superQ2Kx8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
		quant.Q3_K:   {[]superFunc{superQ3Kx1NEON, superQ3Kx2NEON, superQ3Kx3NEON, superQ3Kx4NEON, superQ3Kx5NEON, superQ3Kx6NEON, superQ3Kx7NEON, superQ3Kx8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
		quant.Q4_K:   {[]superFunc{superQ4Kx1NEON, superQ4Kx2NEON, superQ4Kx3NEON, superQ4Kx4NEON, superQ4Kx5NEON, superQ4Kx6NEON, superQ4Kx7NEON, superQ4Kx8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
		quant.Q5_K:   {[]superFunc{superQ5Kx1NEON, superQ5Kx2NEON, superQ5Kx3NEON, superQ5Kx4NEON, superQ5Kx5NEON, superQ5Kx6NEON, superQ5Kx7NEON, superQ5Kx8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
		quant.Q6_K:   {[]superFunc{superQ6Kx1NEON, superQ6Kx2NEON, superQ6Kx3NEON, superQ6Kx4NEON, superQ6Kx5NEON, superQ6Kx6NEON, superQ6Kx7NEON, superQ6Kx8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
		quant.IQ4_XS: {[]superFunc{superIQ4XSx1NEON, superIQ4XSx2NEON, superIQ4XSx3NEON, superIQ4XSx4NEON, superIQ4XSx5NEON, superIQ4XSx6NEON, superIQ4XSx7NEON, superIQ4XSx8NEON}, []int{32, 16, 8, 8, 4, 4, 4, 4}},
	},
	floats: map[quant.Type]tileFuncs[floatFunc]{
		quant.F32:  {[]floatFunc{floatsF32x1NEON, floatsF32x2NEON, floatsF32x3NEON, floatsF32x4NEON, floatsF32x5NEON, floatsF32x6NEON, floatsF32x7NEON, floatsF32x8NEON}, []int{32, 32, 32, 16, 8, 8, 8, 8}},
		quant.F16:  {[]floatFunc{floatsF16x1NEON, floatsF16x2NEON, floatsF16x3NEON, floatsF16x4NEON, floatsF16x5NEON, floatsF16x6NEON, floatsF16x7NEON, floatsF16x8NEON}, []int{32, 32, 32, 16, 8, 8, 8, 8}},
		quant.BF16: {[]floatFunc{floatsBF16x1NEON, floatsBF16x2NEON, floatsBF16x3NEON, floatsBF16x4NEON, floatsBF16x5NEON, floatsBF16x6NEON, floatsBF16x7NEON, floatsBF16x8NEON}, []int{32, 32, 32, 16, 8, 8, 8, 8}},
	},
	heads: []headFuncs{
		{32, [queriesMax]scoresFunc{scores32x1NEON, scores32x2NEON, scores32x3NEON, scores32x4NEON}, [queriesMax]valuesFunc{values32x1NEON, values32x2NEON, values32x3NEON, values32x4NEON}},
		{16, [queriesMax]scoresFunc{scores16x1NEON, scores16x2NEON, scores16x3NEON, scores16x4NEON}, [queriesMax]valuesFunc{values16x1NEON, values16x2NEON, values16x3NEON, values16x4NEON}},
	},
	vectors: vectors{
		largest:    largestNEON,
		encode:     encodeNEON,
		sumSquares: sumSquaresNEON,
		normalise:  normaliseNEON,
		swiglu:     swigluNEON,
		add:        addNEON,
		rotate:     rotateNEON,
		softmax:    softmaxNEON,
		accumulate: accumulateNEON,
		scale:      scaleNEON,
		toF16:      toF16NEON,
		prefetch:   prefetch,
	},
	meters: meters{readNEON, multiplyBytesNEON, multiplyFloatsNEON, 16 * 16, 16 * 4},
}
