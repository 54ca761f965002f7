"""Makes small models of random weights and the logits that Hugging Face's transformers computes with them, in float64.

    python make.py            (in this folder; needs numpy, torch and transformers 5)

qwen2.gguf, qwen3.gguf, llama.gguf (Mistral's, with a sliding window); NAME.json holds tokens and the logits after some of them.
The weights are rounded to f16 first, so that both sides have the same, and so are keys and values before attention, as kernels/SPEC.md
has it.
"""
import json, struct

import numpy as np
import torch
from transformers.models.mistral import modeling_mistral
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.qwen3 import modeling_qwen3
from transformers import MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

TOKENS, AFTER = 300, [0, 1, 39, 40, 41, 127, 128, 170, 255, 256, 299]
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
F32, F16 = 0, 1
SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=320, rms_norm_eps=1e-6, attn_implementation="eager")


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def packed(v):
    if isinstance(v, bool):
        return BOOL, struct.pack("<?", v)
    if isinstance(v, int):
        return UINT32, struct.pack("<I", v)
    if isinstance(v, float):
        return FLOAT32, struct.pack("<f", v)
    if isinstance(v, str):
        return STRING, string(v)
    kind = STRING if not v or isinstance(v[0], str) else FLOAT32 if isinstance(v[0], float) else INT32
    items = [string(x) if kind == STRING else struct.pack("<f" if kind == FLOAT32 else "<i", x) for x in v]
    return ARRAY, struct.pack("<IQ", kind, len(v)) + b"".join(items)


def write(path, fields, tensors):
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields))
    for key, v in fields.items():
        kind, data = packed(v)
        head += string(key) + struct.pack("<I", kind) + data
    data = b""
    for name, t in tensors.items():
        head += string(name) + struct.pack("<I", t.ndim) + struct.pack("<%dQ" % t.ndim, *reversed(t.shape))
        head += struct.pack("<IQ", F16 if t.ndim == 2 else F32, len(data))
        data += t.astype("<f2" if t.ndim == 2 else "<f4").tobytes()
        data += bytes(-len(data) % 32)
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32) + data)


def byte_letters():
    """The letters that stand for bytes in GPT-2's vocabularies."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) if b in plain else chr(256 + others.index(b)) for b in range(256)]


def bpe():
    tokens = byte_letters() + ["th", "the", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2", "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": [1] * 258 + [3] * 3, "tokenizer.ggml.merges": ["t h", "th e"],
            "tokenizer.ggml.bos_token_id": 258, "tokenizer.ggml.eos_token_id": 260, "tokenizer.ggml.add_bos_token": False}


def spm():
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + ["▁", "a"]
    return {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.scores": [0.0] * len(tokens),
            "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * 2}


NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
         "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def name_in_file(name):
    stem, kind = name.rsplit(".", 1)
    if stem.startswith("model.layers."):
        _, _, layer, stem = stem.split(".", 3)
        return "blk.%s.%s.%s" % (layer, NAMES[stem], kind)
    return "%s.%s" % (NAMES[stem], kind)


def randomise(model, random):
    for name, p in model.named_parameters():
        x = random.standard_normal(tuple(p.shape))
        if name.endswith("bias"):
            x = 0.5 * x
        elif p.ndim == 1:
            x = 1 + 0.3 * x
        else:
            x = x * (1 if "embed" in name else 2 if "q_proj" in name or "k_proj" in name else 1.2) / (1 if "embed" in name else p.shape[1] ** 0.5)
        p.data = torch.tensor(x.astype(np.float16).astype(np.float64))


def neighbours(matrix, heads):
    """The rows in the order of llama files: elements i and i + half of a head become neighbours."""
    return matrix.reshape(heads, 2, -1, matrix.shape[1]).swapaxes(1, 2).reshape(matrix.shape)


def half(x):
    return x.half().double()


def round_keys_and_values(module):
    attend = module.eager_attention_forward
    module.eager_attention_forward = lambda layer, q, k, v, *rest, **more: attend(layer, q, half(k), half(v), *rest, **more)


def make(architecture, model, config, vocabulary, extra):
    random = np.random.default_rng(len(architecture))
    model = model.double().eval()
    randomise(model, random)
    tensors = {}
    for name, p in model.named_parameters():  # tied weights come once
        t, to = p.detach().numpy(), name_in_file(name)
        if architecture == "llama" and (".attn_q." in to or ".attn_k." in to):
            t = neighbours(t, config.num_attention_heads if ".attn_q." in to else config.num_key_value_heads)
        tensors[to] = t
    keys = {"context_length": config.max_position_embeddings, "embedding_length": config.hidden_size, "block_count": config.num_hidden_layers,
            "feed_forward_length": config.intermediate_size, "attention.head_count": config.num_attention_heads,
            "attention.head_count_kv": config.num_key_value_heads, "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
            "rope.freq_base": float(config.rope_parameters["rope_theta"]), **extra}
    fields = {"general.architecture": architecture, "general.name": "random weights", **{architecture + "." + k: v for k, v in keys.items()}, **vocabulary}
    write(architecture + ".gguf", fields, tensors)
    tokens = random.integers(0, config.vocab_size, TOKENS).tolist()
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].double().numpy()
    with open(architecture + ".json", "w") as f:
        f.write('{"tokens": %s, "logits": {\n' % json.dumps(tokens))
        f.write(",\n".join('"%d": [%s]' % (i, ", ".join("%.6g" % x for x in logits[i])) for i in AFTER))
        f.write("\n}}\n")
    print(architecture, "logits", np.abs(logits).mean(), "parameters", sum(t.size for t in tensors.values()))


for module in (modeling_mistral, modeling_qwen2, modeling_qwen3):
    round_keys_and_values(module)

config = Qwen2Config(vocab_size=261, rope_parameters={"rope_type": "default", "rope_theta": 1e6}, tie_word_embeddings=True, **SIZES)
make("qwen2", Qwen2ForCausalLM(config), config, bpe(), {})
config = Qwen3Config(vocab_size=261, rope_parameters={"rope_type": "default", "rope_theta": 1e4}, head_dim=16, tie_word_embeddings=False, **SIZES)
make("qwen3", Qwen3ForCausalLM(config), config, bpe(), {"attention.key_length": 16, "attention.value_length": 16})
config = MistralConfig(vocab_size=261, rope_parameters={"rope_type": "default", "rope_theta": 1e4}, sliding_window=40, tie_word_embeddings=False, **SIZES)
make("llama", MistralForCausalLM(config), config, spm(), {"attention.sliding_window": 40})
