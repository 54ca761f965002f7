package ref

import "verbatim/kernels"

// Add is section 9 of SPEC.md.
func (Backend) Add(dst, src kernels.Buffer, elements int) {
	to, from := row(dst, 0, elements), row(src, 0, elements)
	for i := range to {
		to[i] += from[i]
	}
}
