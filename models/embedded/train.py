#!/usr/bin/env python3
"""Trains the embedded model with PyTorch on a CPU and writes it as GGUF.

    python3 train.py train  --minutes 30 --out /tmp/embedded     train, keeping /tmp/embedded/model.pt
    python3 train.py export --out /tmp/embedded                  write stories.gguf from it

The architecture is that of Llama: RMSNorm, rotary embedding of adjacent pairs (so that the rows of Q and K are
already in the order that GGUF readers expect), grouped-query attention, SwiGLU, and an output that shares the embedding.
All row lengths are multiples of 256, so that every GGUF block format can hold the weights.
"""

import argparse
import hashlib
import math
import os
import random
import time

import torch
import torch.nn.functional as F

import gguf_write
import stories
import tokenizer

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD = 256, 512, 4, 4, 2, 64
EPSILON, ROPE_BASE, CONTEXT = 1e-5, 10000.0, 512
SEED = 1
HERE = os.path.dirname(os.path.abspath(__file__))


def rope_table():
    angles = torch.outer(torch.arange(CONTEXT).float(), ROPE_BASE ** (-torch.arange(0, HEAD, 2).float() / HEAD))
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """x (batch, heads, positions, HEAD): turns the pairs (0,1), (2,3), ..."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


class Model(torch.nn.Module):
    """Parameters carry the names of their GGUF tensors (dots become underscores)."""

    def __init__(self):
        super().__init__()
        new = lambda rows, cols, std: torch.nn.Parameter(torch.randn(rows, cols) * std)
        ones = lambda: torch.nn.Parameter(torch.ones(DIM))
        small = 0.06 / math.sqrt(2 * LAYERS)
        p = {"token_embd": new(tokenizer.PIECES, DIM, 0.02), "output_norm": ones()}
        for i in range(LAYERS):
            p.update({f"blk_{i}_attn_norm": ones(), f"blk_{i}_ffn_norm": ones(),
                      f"blk_{i}_attn_q": new(HEADS * HEAD, DIM, 0.06), f"blk_{i}_attn_k": new(KV_HEADS * HEAD, DIM, 0.06),
                      f"blk_{i}_attn_v": new(KV_HEADS * HEAD, DIM, 0.06), f"blk_{i}_attn_output": new(DIM, HEADS * HEAD, small),
                      f"blk_{i}_ffn_gate": new(HIDDEN, DIM, 0.06), f"blk_{i}_ffn_up": new(HIDDEN, DIM, 0.06),
                      f"blk_{i}_ffn_down": new(DIM, HIDDEN, small)})
        self.p = torch.nn.ParameterDict(p)
        cos, sin = rope_table()
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, ids):
        """ids (batch, positions) -> hidden (batch, positions, DIM) after the last norm."""
        p, (batch, length) = self.p, ids.shape
        cos, sin = self.cos[:length], self.sin[:length]
        x = F.embedding(ids, p["token_embd"])
        for i in range(LAYERS):
            w = lambda name: p[f"blk_{i}_{name}"]
            h = F.rms_norm(x, (DIM,), w("attn_norm"), EPSILON)
            heads = lambda name, n: F.linear(h, w(name)).view(batch, length, n, HEAD).transpose(1, 2)
            q, k = rotate(heads("attn_q", HEADS), cos, sin), rotate(heads("attn_k", KV_HEADS), cos, sin)
            k, v = (t.repeat_interleave(HEADS // KV_HEADS, 1) for t in (k, heads("attn_v", KV_HEADS)))
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, length, HEADS * HEAD)
            x = x + F.linear(a, w("attn_output"))
            h = F.rms_norm(x, (DIM,), w("ffn_norm"), EPSILON)
            x = x + F.linear(F.silu(F.linear(h, w("ffn_gate"))) * F.linear(h, w("ffn_up")), w("ffn_down"))
        return F.rms_norm(x, (DIM,), p["output_norm"], EPSILON)

    def loss(self, ids, targets):
        """Mean cross entropy over the targets that are not -100; padding costs no output row."""
        hidden = self.forward(ids)
        kept = targets != -100
        return F.cross_entropy(F.linear(hidden[kept], self.p["token_embd"]), targets[kept])


def batches(tok, seed, talk, plot, cut, tokens_per_batch, chunk=2048):
    """Endless (ids, targets), samples of similar length together; no sample comes twice.

    cut: when not 0, three samples in four lose what follows this many tokens. What the request decides is
    decided in the first sentences of a story, so this teaches more of it in the same time.
    """
    first, rng = 0, random.Random(seed)
    while True:
        encoded = []
        for i in range(first, first + chunk):
            # Some engines put no space after a control token: one sample in eight is written their way.
            ids = tok.encode_sample(stories.sample(seed, i, talk, plot), prefix=i % 8 != 0)
            if len(ids) <= CONTEXT:
                encoded.append(ids[:cut] if cut and i % 4 else ids)
        first += chunk
        encoded.sort(key=len)
        groups, group = [], []
        for ids in encoded:
            if group and (len(group) + 1) * len(ids) > tokens_per_batch:
                groups, group = groups + [group], []
            group.append(ids)
        groups.append(group)
        rng.shuffle(groups)
        for group in groups:
            yield pad(group)


def pad(group):
    length = max(len(ids) for ids in group) - 1
    x = torch.zeros(len(group), length, dtype=torch.long)
    y = torch.full((len(group), length), -100, dtype=torch.long)
    for row, ids in enumerate(group):
        x[row, :len(ids) - 1] = torch.tensor(ids[:-1])
        y[row, :len(ids) - 1] = torch.tensor(ids[1:])
    return x, y


def held_out_loss(model, tok):
    """Loss on samples of another seed."""
    total = count = 0
    with torch.no_grad():
        for (x, y), _ in zip(batches(tok, SEED + 1000, 0.10, 0.0, 0, 4096, 256), range(8)):
            n = int((y != -100).sum())
            total, count = total + float(model.loss(x, y)) * n, count + n
    return total / count


def save(model, merges, path):
    torch.save({"weights": model.state_dict(), "merges": merges}, path)


def load(model, path):
    """Fills the model; returns the merges of its vocabulary."""
    checkpoint = torch.load(path)
    model.load_state_dict(checkpoint["weights"])
    return checkpoint["merges"]


def train(args):
    torch.manual_seed(SEED)
    torch.set_num_threads(args.threads)
    model = Model()
    if args.resume:
        merges = load(model, args.resume)
    else:
        merges = tokenizer.learn(SEED, 8000)
    tok = tokenizer.build(merges)
    matrices = [v for v in model.parameters() if v.dim() == 2]
    norms = [v for v in model.parameters() if v.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}],
                                  lr=args.rate, betas=(0.9, 0.95), fused=True)
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "model.pt")
    start, step, seen, mean = time.time(), 0, 0, None
    for x, y in batches(tok, args.data, args.talk, args.plot, args.cut, args.batch):
        # The clock or the number of steps says how far the training is; only the latter can be repeated.
        done = step / args.steps if args.steps else (time.time() - start) / (60 * args.minutes)
        if done >= 1:
            break
        rate = args.rate * min(1, (step + 1) / 60) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = model.loss(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step, seen, now = step + 1, seen + int((y != -100).sum()), loss.item()
        mean = now if mean is None else 0.95 * mean + 0.05 * now
        if step % 20 == 0:
            print("step %d  tokens %d  loss %.4f  rate %.5f  seconds %.0f" % (step, seen, mean, rate, time.time() - start), flush=True)
        if step % 100 == 0:
            save(model, merges, path)
    save(model, merges, path)
    print("steps %d  tokens %d  seconds %.0f  held-out loss %.4f" % (step, seen, time.time() - start, held_out_loss(model, tok)), flush=True)


def export(args):
    model = Model()
    tok = tokenizer.build(load(model, os.path.join(args.out, "model.pt")))
    hyper = dict(dim=DIM, hidden=HIDDEN, layers=LAYERS, heads=HEADS, kv_heads=KV_HEADS, head=HEAD, epsilon=EPSILON,
                 rope_base=ROPE_BASE, context=CONTEXT)
    tensors = {}
    for name, value in model.p.items():
        dotted = name if name in ("token_embd", "output_norm") else "blk.%s.%s" % tuple(name.split("_", 2)[1:])
        tensors[dotted + ".weight"] = value.detach().numpy()
    gguf_write.write(args.gguf, hyper, tok, tensors)
    with open(args.gguf, "rb") as f:
        data = f.read()
    print("wrote %s, %d bytes, sha256 %s" % (args.gguf, len(data), hashlib.sha256(data).hexdigest()))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("command", choices=["train", "export"])
    a.add_argument("--out", default="/tmp/embedded", help="folder for the checkpoint")
    a.add_argument("--gguf", default=os.path.join(HERE, "stories.gguf"))
    a.add_argument("--resume", help="checkpoint to go on from")
    a.add_argument("--data", type=int, default=SEED, help="seed of the corpus; a resumed training takes another one")
    a.add_argument("--talk", type=float, default=0.10, help="share of chats without a story")
    a.add_argument("--plot", type=float, default=0.0, help="share of requests that must say what happens")
    a.add_argument("--cut", type=int, default=0, help="tokens that three samples in four keep (0: all)")
    a.add_argument("--minutes", type=float, default=30)
    a.add_argument("--steps", type=int, default=0, help="stop after so many steps instead")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--batch", type=int, default=3072, help="tokens a step, padding included")
    a.add_argument("--rate", type=float, default=3e-3)
    args = a.parse_args()
    {"train": train, "export": export}[args.command](args)


if __name__ == "__main__":
    main()
