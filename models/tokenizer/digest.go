package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// digestMagic begins the encoding that Digest hashes.
const digestMagic = "verbatim/vocabulary/1\n"

// computeDigest is the SHA-256 of the vocabulary and of its rules as applied,
// encoded as follows; integers are little-endian, a string is a u32 length and
// bytes.
//
//	digestMagic
//	model string, pre-tokenizer string
//	u32 tokens; each: text string, u8 type, u32 bits of the score (0 in gpt2)
//	u32 merges; each: string (0 merges in llama)
//	u32 bos, eos, eot, eom, unknown; 0xFFFFFFFF when absent
//	u8 add BOS, u8 add EOS, u8 add space prefix
//	u32 end tokens; each: u32
func (t *Tokenizer) computeDigest() [32]byte {
	v := &t.vocabulary
	b := []byte(digestMagic)
	text := func(s string) {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	number := func(n uint32) { b = binary.LittleEndian.AppendUint32(b, n) }
	flag := func(yes bool) {
		if yes {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	sentencePiece := v.Model == "llama"
	text(v.Model)
	if sentencePiece {
		text("")
	} else {
		text(v.Pre)
	}
	number(uint32(len(v.Tokens)))
	for id, token := range v.Tokens {
		text(token)
		b = append(b, byte(t.kind(Token(id))))
		if sentencePiece {
			number(math.Float32bits(v.Scores[id]))
		} else {
			number(0)
		}
	}
	if sentencePiece {
		number(0)
	} else {
		number(uint32(len(v.Merges)))
		for _, merge := range v.Merges {
			text(merge)
		}
	}
	for _, token := range []Token{v.BOS, v.EOS, v.EOT, v.EOM, v.Unknown} {
		number(uint32(token))
	}
	flag(t.addBOS)
	flag(t.addEOS)
	flag(t.addSpace)
	number(uint32(len(t.ends)))
	for _, end := range t.ends {
		number(uint32(end))
	}
	return sha256.Sum256(b)
}
