package models

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"verbatim/kernels/quant"
	"verbatim/models/gguf"
)

// floatPlaces says where the floats of a format are: halves lists the offsets of
// the float16 values in a block (scale and minimum). dense formats are floats
// throughout: adding step to the exponent bits in mask carries into the sign bit
// exactly if they are all ones, that is, for NaN and infinity. mask and step hold
// as many elements as fit 64 bits.
type floatPlaces struct {
	halves     []int
	mask, step uint64
}

func placesOf(t quant.Type) (floatPlaces, bool) {
	switch t {
	case quant.F32:
		return floatPlaces{mask: 0x7f800000_7f800000, step: 0x00800000_00800000}, true
	case quant.F16:
		return floatPlaces{mask: 0x7c007c00_7c007c00, step: 0x04000400_04000400}, true
	case quant.BF16:
		return floatPlaces{mask: 0x7f807f80_7f807f80, step: 0x00800080_00800080}, true
	}
	if !t.Supported() {
		return floatPlaces{}, false
	}
	return floatPlaces{halves: t.Halves()}, true
}

// checkFinite refuses tensors with a NaN or an infinity, in an element or in the
// scale or minimum of a block.
func checkFinite(tensors []gguf.Tensor) error {
	for _, t := range tensors {
		if err := checkTensorFinite(t); err != nil {
			return err
		}
	}
	return nil
}

func checkTensorFinite(t gguf.Tensor) error {
	places, ok := placesOf(t.Type)
	if !ok {
		return fmt.Errorf("model: tensor %q: it is not known where %v keeps its floats", t.Name, t.Type)
	}
	at := -1
	if places.mask != 0 {
		at = findDense(t.Data, places.mask, places.step)
	} else {
		at = findInBlocks(t.Data, t.Type.BlockBytes(), places.halves)
	}
	if at < 0 {
		return nil
	}
	block := at / t.Type.BlockBytes()
	element := block * t.Type.BlockElements()
	return fmt.Errorf("model: tensor %q (%v) is not finite at row %d, column %d", t.Name, t.Type, element/t.Dims[0], element%t.Dims[0])
}

// findDense returns the offset of the first float that is not finite, or -1. The
// tail is padded with zeros.
func findDense(data []byte, mask, step uint64) int {
	signs := (mask + step) &^ mask // where the carry arrives
	first := func(i int, group uint64) int { return i + bits.TrailingZeros64((group&mask+step)&signs)/8 }
	i := 0
	for ; i+8 <= len(data); i += 8 {
		if group := binary.LittleEndian.Uint64(data[i:]); (group&mask+step)&signs != 0 {
			return first(i, group)
		}
	}
	var tail [8]byte
	copy(tail[:], data[i:])
	if group := binary.LittleEndian.Uint64(tail[:]); (group&mask+step)&signs != 0 {
		return first(i, group)
	}
	return -1
}

// findInBlocks returns the offset of a block with a float16 that is not finite,
// or -1.
func findInBlocks(data []byte, blockBytes int, halves []int) int {
	for block := 0; block < len(data); block += blockBytes {
		for _, at := range halves {
			if binary.LittleEndian.Uint16(data[block+at:])&0x7c00 == 0x7c00 {
				return block
			}
		}
	}
	return -1
}
