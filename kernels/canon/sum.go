package canon

// Lanes is the number of partial sums of a strided sum.
const Lanes = 32

// TreeSum adds 32 values as a fixed tree, section 1.5 of SPEC.md. It leaves v
// changed.
func TreeSum(v *[Lanes]float32) float32 {
	for h := Lanes / 2; h > 0; h /= 2 {
		for i := range h {
			v[i] += v[i+h]
		}
	}
	return v[0]
}

// StridedSum adds x in 32 partial sums and their tree, section 1.6 of SPEC.md.
func StridedSum(x []float32) float32 {
	var p [Lanes]float32
	for i, v := range x {
		p[i%Lanes] += v
	}
	return TreeSum(&p)
}

// StridedSumOfSquares is the strided sum with p = fma(x, x, p).
func StridedSumOfSquares(x []float32) float32 {
	var p [Lanes]float32
	for i, v := range x {
		p[i%Lanes] = FMA(v, v, p[i%Lanes])
	}
	return TreeSum(&p)
}
