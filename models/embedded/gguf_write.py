"""Writes the embedded model as a GGUF file, version 3. Own code; needs numpy only.

Matrices are stored as Q8_0: blocks of 32 weights, an f16 scale d and 32 int8 codes. d = amax / 127 in f32, rounded
to f16 (nearest even) for storage; the codes are q = rint(x / d) with the d before rounding (half to even), 0 if d is 0.
Vectors (norms) are stored as F32. Tensors follow in the order given, each aligned to 32 bytes.
"""

import struct

import numpy as np

ALIGNMENT = 32
F32, Q8_0 = 0, 8  # tensor types
UINT32, FLOAT32, BOOL, STRING, ARRAY, INT32 = 4, 6, 7, 8, 9, 5  # metadata types
FILE_TYPE_Q8_0 = 7
CHAT_TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
                 "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


def q8_0(matrix):
    """(rows, cols) float32 -> bytes, row by row."""
    blocks = np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1, 32)
    d = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = np.where(d > 0, np.rint(blocks / d), 0).astype(np.int8)
    out = np.empty((len(blocks), 34), dtype=np.uint8)
    out[:, :2] = d.astype("<f2").view(np.uint8)
    out[:, 2:] = codes.view(np.uint8)
    return out.tobytes()


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, v):
    if kind == STRING:
        return string(v)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], v)


def field(key, kind, v):
    return string(key) + struct.pack("<I", kind) + value(kind, v)


def array(key, kind, vs):
    return string(key) + struct.pack("<IIQ", ARRAY, kind, len(vs)) + b"".join(value(kind, v) for v in vs)


def metadata(h, tok):
    return [
        field("general.architecture", STRING, "llama"),
        field("general.name", STRING, "Verbatim little stories"),
        field("general.author", STRING, "Verbatim"),
        field("general.license", STRING, "Apache-2.0"),
        field("general.file_type", UINT32, FILE_TYPE_Q8_0),
        field("general.alignment", UINT32, ALIGNMENT),
        field("general.quantization_version", UINT32, 2),
        field("llama.context_length", UINT32, h["context"]),
        field("llama.embedding_length", UINT32, h["dim"]),
        field("llama.block_count", UINT32, h["layers"]),
        field("llama.feed_forward_length", UINT32, h["hidden"]),
        field("llama.attention.head_count", UINT32, h["heads"]),
        field("llama.attention.head_count_kv", UINT32, h["kv_heads"]),
        field("llama.attention.layer_norm_rms_epsilon", FLOAT32, h["epsilon"]),
        field("llama.rope.dimension_count", UINT32, h["head"]),
        field("llama.rope.freq_base", FLOAT32, h["rope_base"]),
        field("llama.vocab_size", UINT32, len(tok.pieces)),
        field("tokenizer.ggml.model", STRING, "llama"),
        array("tokenizer.ggml.tokens", STRING, tok.pieces),
        array("tokenizer.ggml.scores", FLOAT32, tok.scores),
        array("tokenizer.ggml.token_type", INT32, tok.types),
        field("tokenizer.ggml.bos_token_id", UINT32, 1),
        field("tokenizer.ggml.eos_token_id", UINT32, tok.im_end),
        field("tokenizer.ggml.unknown_token_id", UINT32, 0),
        field("tokenizer.ggml.padding_token_id", UINT32, 2),
        field("tokenizer.ggml.add_bos_token", BOOL, True),
        field("tokenizer.ggml.add_eos_token", BOOL, False),
        field("tokenizer.ggml.add_space_prefix", BOOL, True),
        field("tokenizer.chat_template", STRING, CHAT_TEMPLATE),
    ]


def write(path, hyper, tok, tensors):
    """tensors: name -> float32 array, (rows, cols) or (cols,)."""
    fields = metadata(hyper, tok)
    infos, data = b"", b""
    for name, t in tensors.items():
        kind = Q8_0 if t.ndim == 2 else F32
        infos += string(name) + struct.pack("<I", t.ndim) + struct.pack("<%dQ" % t.ndim, *reversed(t.shape))
        infos += struct.pack("<IQ", kind, len(data))
        data += q8_0(t) if kind == Q8_0 else t.astype("<f4").tobytes()
        data += bytes(-len(data) % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields)) + b"".join(fields) + infos
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % ALIGNMENT) + data)
