#!/usr/bin/env python3
"""Writes dequantise.txt: random blocks of every format and the values that the
`gguf` package (pip install gguf numpy) gives them, to compare ours with.

A line is: the format, the block's bytes, its values as f32 bits (big-endian
digits), all in hexadecimal. Scales are drawn so that no f16 is infinite.
"""
import gguf
import numpy as np

# Offsets of the f16 numbers in a block.
HALVES = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "IQ4_NL": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_XS": [0],
}

rng = np.random.default_rng(20251122)
print("# made by dequantise.py with gguf and numpy", np.__version__)
for name, halves in HALVES.items():
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    for _ in range(8 if elements == 32 else 3):
        block = rng.integers(0, 256, size, dtype=np.uint8)
        for at in halves:
            half = np.float16(rng.standard_normal() * 2.0 ** rng.integers(-20, 4))
            block[at:at + 2] = np.frombuffer(half.tobytes(), np.uint8)
        values = gguf.dequantize(block.reshape(1, -1), kind).astype(np.float32).reshape(-1)
        assert len(values) == elements and np.isfinite(values).all()
        print(name, block.tobytes().hex(), values.astype(">f4").tobytes().hex())
