package quant

import "fmt"

// CheckFinite fails when a weight, a scale or a minimum in data is NaN or
// infinite, naming the first such element, or block and its part. data holds
// whole blocks of t. It reads several gigabytes a second.
func CheckFinite(t Type, data []byte) error {
	size := t.BlockBytes()
	if !t.Supported() || len(data)%size != 0 {
		return fmt.Errorf("quant: %d bytes are not whole blocks of %v", len(data), t)
	}
	const (
		f16Exponent  = 0x7C00
		bf16Exponent = 0x7F80
		f32Exponent  = 0x7F800000
	)
	switch t {
	case F32:
		return checkLanes(t, data, 4, f32Exponent)
	case F16:
		return checkLanes(t, data, 2, f16Exponent)
	case BF16:
		return checkLanes(t, data, 2, bf16Exponent)
	}
	parts := [2]string{"scale", "minimum"}
	halves := t.layoutOf().halves
	for b := 0; b < len(data); b += size {
		for i, at := range halves {
			if le.Uint16(data[b+at:])&f16Exponent == f16Exponent {
				return fmt.Errorf("quant: the %s of block %d of %v is not finite", parts[i], b/size, t)
			}
		}
	}
	return nil
}

// checkLanes looks at eight bytes at a time. Adding one unit of the exponent's
// last place to the exponent alone carries into the sign bit exactly when the
// exponent is all ones, and never out of the lane.
func checkLanes(t Type, data []byte, width int, exponent uint64) error {
	unit := exponent & -exponent
	signs := uint64(1) << (8*width - 1)
	for lane := width; lane < 8; lane *= 2 {
		shift := 8 * lane
		exponent, unit, signs = exponent|exponent<<shift, unit|unit<<shift, signs|signs<<shift
	}
	whole := len(data) &^ 7
	first := whole
	for i := 0; i < whole; i += 8 {
		if (le.Uint64(data[i:])&exponent+unit)&signs != 0 {
			first = i
			break
		}
	}
	for i := first; i < len(data); i += width {
		var lane [8]byte
		copy(lane[:], data[i:i+width])
		if (le.Uint64(lane[:])&exponent+unit)&(signs&-signs) != 0 {
			return fmt.Errorf("quant: element %d of %v is not finite", i/width, t)
		}
	}
	return nil
}
