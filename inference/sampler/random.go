package sampler

import (
	"encoding/binary"
	"math/rand/v2"
)

// domain is the first half of every key, 16 bytes.
const domain = "verbatim/sampler"

// Uniform is the random number in [0, 1) of a position, section 11.1: the upper 24 bits of the first output of chacha8rand
// (C2SP) under a key made of the domain, the seed and the position.
func Uniform(seed, position uint64) float32 {
	var random rand.ChaCha8
	return uniform(&random, seed, position)
}

// uniform is Uniform with the generator's memory, which would be allocated for each number.
func uniform(random *rand.ChaCha8, seed, position uint64) float32 {
	var key [32]byte
	copy(key[:], domain)
	binary.LittleEndian.PutUint64(key[16:], seed)
	binary.LittleEndian.PutUint64(key[24:], position)
	random.Seed(key)
	return float32(random.Uint64()>>40) * 0x1p-24
}
