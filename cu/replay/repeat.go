package replay

import (
	"fmt"

	"verbatim/cu/receipt"
)

// First is what is remembered of a step in case that its message comes again.
type First struct {
	content receipt.Content
	result  receipt.Digest
}

// FirstOf gives what to remember of an entry.
func FirstOf(entry *receipt.Entry) First {
	// A message that cannot be read has no content, and nothing repeats it.
	content, _, _ := receipt.ContentOf(entry.Message)
	return First{content, entry.Receipt.Result}
}

// Repeat checks an entry that says that its message came before: it must be the same message, with the same result, and
// must have left the memory alone. A difference comes as *Divergence.
func Repeat(memory Memory, entry *receipt.Entry, first First) error {
	r := entry.Receipt
	content, _, err := receipt.ContentOf(entry.Message)
	is := memory.Is(r.Version)
	switch {
	case err != nil:
		return diverged(r, WhatMessage, err.Error(), "JSON")
	case is != r.MemoryBefore:
		return diverged(r, WhatMemoryBefore, memoryWords(r.MemoryBefore), memoryWords(is))
	case content != first.content || content == (receipt.Content{}):
		return diverged(r, WhatDuplicate, fmt.Sprintf("the message of nonce %d", r.Original), "another message")
	case r.Result != first.result:
		return diverged(r, WhatResult, r.Result.String(), first.result.String())
	}
	return nil
}
