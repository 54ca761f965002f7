#!/usr/bin/env python3
"""A SentencePiece-style vocabulary for the embedded model: trained here, encoded here.

Pieces: <unk> <s> </s>, 256 bytes, merges in the order they were learned, single characters, and two control
tokens for chats. A space is "\u2581"; a space is put before the text and before what follows a control token.
Encoding merges, again and again, the neighbours whose joined piece has the highest score (leftmost first);
the score of a merge is minus its number, so that encoding repeats the training. Pieces never cross the border
of a word, so encoding word by word equals encoding the whole text; `python3 tokenizer.py` checks that.
"""

import collections
import heapq
import re

import stories

SPACE = "\u2581"
PIECES = 1024
UNK, BOS, EOS_UNUSED = 0, 1, 2
FIRST_BYTE = 3
IM_START_TEXT, IM_END_TEXT = "<|im_start|>", "<|im_end|>"
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # token types of GGUF
WORD = re.compile("%s?[A-Za-z]+|%s?[^A-Za-z\n%s]|%s|\n" % ((SPACE,) * 4))


class Tokenizer:
    def __init__(self, pieces, scores, types):
        self.pieces, self.scores, self.types = pieces, scores, types
        self.ids = {p: i for i, p in enumerate(pieces) if types[i] == NORMAL}
        self.im_start, self.im_end = pieces.index(IM_START_TEXT), pieces.index(IM_END_TEXT)
        self.cache = {}

    def merge(self, text):
        """Token ids of text, in which spaces are already SPACE."""
        parts = list(text)
        right = list(range(1, len(parts))) + [-1]
        left = list(range(-1, len(parts) - 1))
        queue = []

        def offer(i):
            j = right[i] if i >= 0 else -1
            if j >= 0 and parts[i] + parts[j] in self.ids:
                joined = parts[i] + parts[j]
                heapq.heappush(queue, (-self.scores[self.ids[joined]], i, j, joined))

        for i in range(len(parts)):
            offer(i)
        while queue:
            _, i, j, joined = heapq.heappop(queue)
            if parts[i] is None or parts[j] is None or right[i] != j or parts[i] + parts[j] != joined:
                continue
            parts[i], parts[j] = joined, None
            right[i] = right[j]
            if right[i] >= 0:
                left[right[i]] = i
            offer(left[i])
            offer(i)
        out = []
        for p in parts:
            if p is not None:
                out += [self.ids[p]] if p in self.ids else [FIRST_BYTE + b for b in p.encode()]
        return out

    def encode(self, text, prefix=True):
        """Token ids of text without control tokens; prefix puts the space before it."""
        out = []
        for word in WORD.findall((SPACE if prefix else "") + text.replace(" ", SPACE)):
            if word not in self.cache:
                self.cache[word] = self.merge(word)
            out += self.cache[word]
        return out

    def encode_sample(self, sample, prefix=True):
        """Token ids of a sample of stories.py, with the control tokens of the ChatML form."""
        ids = [BOS]
        for n, (speaker, text) in enumerate(sample):
            if speaker is None:
                return ids + self.encode(text) + [self.im_end]
            if n:
                ids += self.encode("\n", prefix)
            ids += [self.im_start] + self.encode(speaker + "\n" + text, prefix) + [self.im_end]
        return ids

    def decode(self, ids):
        data = b""
        for i in ids:
            if self.types[i] == BYTE:
                data += bytes([i - FIRST_BYTE])
            elif self.types[i] == NORMAL:
                data += self.pieces[i].replace(SPACE, " ").encode()
        return data.decode("utf-8", "replace")


# Every printable ASCII character is a piece, so that a question in other words is not read as bytes.
CHARACTERS = [SPACE] + [chr(c) for c in range(33, 127)]
MERGES = PIECES - FIRST_BYTE - 256 - len(CHARACTERS) - 2


def build(merges):
    """The tokenizer with these merges, in the order in which they were learned."""
    pieces = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + merges + CHARACTERS + [IM_START_TEXT, IM_END_TEXT]
    normal = len(merges) + len(CHARACTERS)
    scores = [0.0] * (FIRST_BYTE + 256) + [-float(i) for i in range(normal)] + [0.0, 0.0]
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * normal + [CONTROL, CONTROL]
    assert len(pieces) == len(scores) == len(types) == PIECES
    return Tokenizer(pieces, scores, types)


def learn(seed, samples):
    """Learns the merges from the first samples of the corpus."""
    words = collections.Counter()
    for i in range(samples):
        for speaker, text in stories.sample(seed, i):
            head = "" if speaker is None else speaker + "\n"
            words.update(WORD.findall(SPACE + (head + text).replace(" ", SPACE)))
    words.pop("\n", None)
    splits = {w: tuple(w) for w in sorted(words)}
    merges = []
    while len(merges) < MERGES:
        pairs = collections.Counter()
        for w, parts in splits.items():
            for a, b in zip(parts, parts[1:]):
                pairs[a, b] += words[w]
        a, b = min(pairs, key=lambda p: (-pairs[p], p))
        if a + b not in merges:
            merges.append(a + b)
        for w, parts in splits.items():
            if a in parts and b in parts:
                splits[w] = join(parts, a, b)
    return merges


def join(parts, a, b):
    out, i = [], 0
    while i < len(parts):
        if i + 1 < len(parts) and parts[i] == a and parts[i + 1] == b:
            out.append(a + b)
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return tuple(out)


def main():
    t = build(learn(1, 8000))
    tokens = words = 0
    for i in range(300):
        for speaker, text in stories.sample(2, i):
            whole = t.merge(SPACE + text.replace(" ", SPACE))
            assert whole == t.encode(text), text
            assert t.decode(whole) == " " + text, text
            tokens, words = tokens + len(whole), words + len(text.split())
    print("vocabulary of %d, %.2f tokens a word" % (len(t.pieces), tokens / words))
    print([t.pieces[i] for i in t.encode("Tell me a story about a fox named Pip. What is 12 plus 7?")])


if __name__ == "__main__":
    main()
