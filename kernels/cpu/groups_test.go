package cpu_test

import (
	"fmt"
	"testing"

	"verbatim/kernels/cpu"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// TestGroups: every format has the bits of the reference with every number of activation rows that some level's functions
// handle at once, and a tile that is not full.
func TestGroups(t *testing.T) {
	const rows, cols, batchMax = 37, 768, 9
	x := noise(batchMax*cols, 2)
	for _, ty := range packedTypes {
		data := quant.Quantise(ty, noise(rows*cols, 1))
		want := product(t, ref.New(), ty, rows, cols, data, x)
		for _, level := range cpu.Levels()[1:] {
			b := newBackend(t, 1, level)
			for batch := 1; batch <= batchMax; batch++ {
				t.Run(fmt.Sprintf("%s/%v/batch=%d", level, ty, batch), func(t *testing.T) {
					got := product(t, b, ty, rows, cols, data, x[:batch*cols])
					if i := firstDifference(got, want[:batch*rows]); i >= 0 {
						t.Errorf("element %d: got %g, want %g", i, got[i], want[i])
					}
				})
			}
		}
	}
}
