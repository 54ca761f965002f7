#!/usr/bin/env python3
"""Reads stories.gguf back and runs it in float64: an oracle that shares no code with the writer or the Go engine.

    python3 check.py tell "Once upon a time"            greedy continuation
    python3 check.py tell --chat "Tell me a story."     the same, as a question in ChatML
    python3 check.py golden                             write testdata/golden_once.json

Weights are what the file says (Q8_0 codes times their f16 scale); activations are not quantised. An engine that
rounds activations to int8 agrees with these logits only to a few hundredths, so the golden prompts were chosen
for a clear winner at every step; the smallest margin of each stands in the file.
"""

import argparse
import hashlib
import json
import os
import re
import struct

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
GOLDEN = [  # (prompt, tokens at most)
    ("Once upon a time, a clever fox named Toby lived in a deep green wood. Everyone knew him, because he was so friendly. "
     "One fine morning, Toby decided to make some bread for the village fair. He looked in every cupboard, but there were no seeds. "
     "He did not know what to do. After a while, a wise deer walked by. \"Can you help me?\" asked Toby.", 40),
    ("On a long white beach, there lived a kind seal called Tom. Tom had one wish: he wanted to grow the biggest pumpkin. "
     "But nothing grew in his dry garden. On a fine summer day, he told a friendly penguin about it. "
     "\"What do you wish for?\" asked the penguin. \"I want to grow the biggest pumpkin,\" said Tom. \"I know what to do,\" said the penguin.", 40),
    ("<|im_start|>user\nWhere does the owl live?<|im_end|>\n<|im_start|>assistant\n", 40),
]


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def scalar(self, form):
        v = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return v

    def string(self):
        n = self.scalar("<Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            inner, n = self.scalar("<I"), self.scalar("<Q")
            return [self.value(inner) for _ in range(n)]
        return self.scalar(SCALARS[kind])


def read_gguf(data):
    """-> (metadata, name -> float64 array)"""
    r = Reader(data)
    assert data[:4] == b"GGUF"
    r.at = 4
    assert r.scalar("<I") == 3
    tensor_count, field_count = r.scalar("<Q"), r.scalar("<Q")
    meta = {}
    for _ in range(field_count):
        key = r.string()
        meta[key] = r.value(r.scalar("<I"))
    infos = []
    for _ in range(tensor_count):
        name = r.string()
        shape = [r.scalar("<Q") for _ in range(r.scalar("<I"))][::-1]
        infos.append((name, shape, r.scalar("<I"), r.scalar("<Q")))
    alignment = meta["general.alignment"]
    base = -(-r.at // alignment) * alignment
    tensors = {}
    for name, shape, kind, offset in infos:
        n = int(np.prod(shape))
        if kind == 0:
            t = np.frombuffer(data, "<f4", n, base + offset).astype(np.float64)
        else:
            assert kind == 8, kind
            blocks = np.frombuffer(data, np.dtype([("d", "<f2"), ("q", "i1", 32)]), n // 32, base + offset)
            t = blocks["d"].astype(np.float64)[:, None] * blocks["q"]
        tensors[name] = t.reshape(shape)
    return meta, tensors


class Oracle:
    def __init__(self, path):
        with open(path, "rb") as f:
            data = f.read()
        self.digest = hashlib.sha256(data).hexdigest()
        self.meta, self.w = read_gguf(data)
        self.pieces, self.scores, self.types = (self.meta["tokenizer.ggml." + k] for k in ("tokens", "scores", "token_type"))
        self.ids = {p: i for i, p in enumerate(self.pieces) if self.types[i] == 1}
        self.control = {p: i for i, p in enumerate(self.pieces) if self.types[i] == 3}
        self.eos = self.meta["tokenizer.ggml.eos_token_id"]
        self.reset()

    def reset(self):
        self.cache = [([], []) for _ in range(self.meta["llama.block_count"])]
        self.position = 0

    def encode(self, prompt):
        """Token ids with BOS; control tokens are recognised, and a space is put before each text between them."""
        out = [self.meta["tokenizer.ggml.bos_token_id"]]
        for part in re.split("(" + "|".join(map(re.escape, sorted(self.control))) + ")", prompt):
            if part in self.control:
                out.append(self.control[part])
            elif part:
                out += self.merge((" " + part).replace(" ", "\u2581"))
        return out

    def merge(self, text):
        parts = list(text)
        while True:
            best = None
            for i in range(len(parts) - 1):
                piece = self.ids.get(parts[i] + parts[i + 1])
                if piece is not None and (best is None or self.scores[piece] > best[0]):
                    best = (self.scores[piece], i)
            if best is None:
                break
            i = best[1]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        out = []
        for p in parts:
            out += [self.ids[p]] if p in self.ids else [self.pieces.index("<0x%02X>" % b) for b in p.encode()]
        return out

    def decode(self, ids):
        data = b""
        for i in ids:
            if self.types[i] == 6:
                data += bytes([int(self.pieces[i][3:5], 16)])
            elif self.types[i] == 1:
                data += self.pieces[i].replace("\u2581", " ").encode()
        return data.decode("utf-8", "replace")

    def norm(self, x, weight):
        return x / np.sqrt(np.mean(x * x) + self.meta["llama.attention.layer_norm_rms_epsilon"]) * weight

    def rotate(self, x):
        """x (heads, head): turns the pairs (0,1), (2,3), ... by the position."""
        head = x.shape[1]
        angle = self.position * self.meta["llama.rope.freq_base"] ** (-np.arange(0, head, 2) / head)
        pairs = (x[:, 0::2] + 1j * x[:, 1::2]) * np.exp(1j * angle)
        return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)

    def step(self, token):
        """Takes a token, returns the logits of the next."""
        m, w = self.meta, self.w
        heads, kv_heads = m["llama.attention.head_count"], m["llama.attention.head_count_kv"]
        x = w["token_embd.weight"][token].copy()
        for i in range(m["llama.block_count"]):
            t = lambda name: w["blk.%d.%s.weight" % (i, name)]
            h = self.norm(x, t("attn_norm"))
            q = self.rotate((t("attn_q") @ h).reshape(heads, -1))
            keys, values = self.cache[i]
            keys.append(self.rotate((t("attn_k") @ h).reshape(kv_heads, -1)))
            values.append((t("attn_v") @ h).reshape(kv_heads, -1))
            out = []
            for n in range(heads):
                group = n // (heads // kv_heads)
                s = np.array([k[group] for k in keys]) @ q[n] / np.sqrt(q.shape[1])
                p = np.exp(s - s.max())
                out.append((p / p.sum()) @ np.array([v[group] for v in values]))
            x = x + t("attn_output") @ np.concatenate(out)
            h = self.norm(x, t("ffn_norm"))
            gate = t("ffn_gate") @ h
            x = x + t("ffn_down") @ (gate / (1 + np.exp(-gate)) * (t("ffn_up") @ h))
        self.position += 1
        return w["token_embd.weight"] @ self.norm(x, w["output_norm.weight"])

    def generate(self, prompt, tokens_max, temperature=0.0, seed=0):
        """-> (prompt ids, ids, logits of each step); ends after the end token."""
        self.reset()
        rng, prompt_ids, ids, steps = np.random.default_rng(seed), self.encode(prompt), [], []
        for token in prompt_ids:
            logits = self.step(token)
        while len(ids) < tokens_max:
            steps.append(logits)
            if temperature:
                p = np.exp((logits - logits.max()) / temperature)
                token = int(rng.choice(len(p), p=p / p.sum()))
            else:
                token = int(np.argmax(logits))
            ids.append(token)
            if token == self.eos:
                break
            logits = self.step(token)
        return prompt_ids, ids, steps


def chat(question):
    return "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n" % question


def golden(oracle):
    cases = []
    for prompt, count in GOLDEN:
        prompt_ids, ids, steps = oracle.generate(prompt, count)
        top = [[[int(i), round(float(s[i]), 5)] for i in np.argsort(-s, kind="stable")[:5]] for s in steps]
        margin = min(t[0][1] - t[1][1] for t in top)
        print("%r\n  -> %r\n  smallest margin %.3f" % (prompt, oracle.decode(ids), margin))
        cases.append({"prompt": prompt, "prompt_ids": prompt_ids, "tokens": ids, "text": oracle.decode(ids),
                      "margin_min": round(margin, 5), "top5": top})
    path = os.path.join(HERE, "testdata", "golden_once.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    head = {"made_by": "models/embedded/check.py golden (float64, numpy)", "model_sha256": oracle.digest}
    with open(path, "w") as f:
        body = ",\n".join("  {" + ",\n   ".join("%s: %s" % (json.dumps(k), json.dumps(v)) for k, v in c.items()) + "}" for c in cases)
        f.write("{" + ", ".join("%s: %s" % (json.dumps(k), json.dumps(v)) for k, v in head.items()) + ",\n \"cases\": [\n" + body + "\n]}\n")
    with open(path) as f:
        json.load(f)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("command", choices=["tell", "golden"])
    a.add_argument("prompt", nargs="*")
    a.add_argument("--chat", action="store_true")
    a.add_argument("--temperature", type=float, default=0)
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--tokens", type=int, default=300)
    a.add_argument("--gguf", default=os.path.join(HERE, "stories.gguf"))
    args = a.parse_intermixed_args()
    oracle = Oracle(args.gguf)
    if args.command == "golden":
        return golden(oracle)
    for prompt in args.prompt:
        prompt_ids, ids, steps = oracle.generate(chat(prompt) if args.chat else prompt, args.tokens, args.temperature, args.seed)
        margin = min((np.sort(s)[-1] - np.sort(s)[-2] for s in steps), default=0)
        end = "end" if ids[-1] == oracle.eos else "cut"
        print("%s\n  -> %s\n  (%d tokens, %s, smallest margin %.3f)" % (prompt, oracle.decode(ids), len(ids), end, margin))


if __name__ == "__main__":
    main()
