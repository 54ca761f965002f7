package cuda

import "verbatim/kernels"

// codes says where the activation codes of a batch lie: struct Codes of src/encode.cuh, which draws the layout. rounded is its R.
type codes struct {
	codes, dx, sums32, sums16 uint64
	stride, rounded           int32
}

type encodeArgs struct {
	out                  codes
	x                    uint64
	rows, cols, segments int32
	_                    int32
}

type swigluEncodeArgs struct {
	out                  codes
	dst, gate, up        uint64
	rows, cols, segments int32
	_                    int32
}

// encode records the activation codes of x (rows, cols), section 4 of SPEC.md. They hold until the next encode. Where the
// launch just before makes x, it makes the codes as well.
func (b *Backend) encode(x uint64, rows, cols int) codes {
	s := &b.small
	segments, rounded := ceilDiv(cols, kernels.SegmentElements), ceilDiv(rows, 8)*8
	out := codes{stride: int32(segments * kernels.SegmentElements), rounded: int32(rounded)}
	out.codes = b.need(&s.codes, rows*int(out.stride))
	out.dx = b.need(&s.dx, 4*segments*rounded)
	out.sums32 = b.need(&s.sums32, 4*4*segments*rounded)
	out.sums16 = b.need(&s.sums16, 4*8*segments*rounded)
	if b.failing() {
		return out
	}
	if args, c := last[normArgs](b, s.rmsNorm); c != nil && args.dst == x && int(args.n) == cols && int(c.grid[0]) == rows {
		args.codes = out
		return out
	}
	if args, c := last[combineArgs](b, b.attention.combine); c != nil && args.out == x && int(args.heads*args.headDim) == cols && int(c.grid[1]) == rows {
		args.codes = out
		return out
	}
	warps := rows * segments
	if args, c := last[swigluArgs](b, s.swiglu); c != nil && args.dst == x && args.elements == int64(rows)*int64(cols) {
		both := swigluEncodeArgs{out: out, dst: x, gate: args.gate, up: args.up, rows: int32(rows), cols: int32(cols), segments: int32(segments)}
		b.dropLast()
		launch(b, s.swigluEncode, grid1(ceilDiv(warps, blockWarps)), elementThreads, 0, both)
		return out
	}
	launch(b, s.encode, grid1(ceilDiv(warps, blockWarps)), elementThreads, 0,
		encodeArgs{out: out, x: x, rows: int32(rows), cols: int32(cols), segments: int32(segments)})
	return out
}
