"""Files as Python writes them, and what Python reads out of them: GGUF, NF4, safetensors, JSON.

  python tools/oracle/formats.py OUT

OUT holds
  blocks.gguf           a tensor of every block type, random codes and scales; blocks.json: sha256 of its values as the gguf package gives them (f32)
  llama.gguf            a tiny Llama in four block types; llama.json: config and sha256 of every tensor as transformers loads it (f32)
  bias.gguf             a tiny Llama with attention bias and its own lm_head in f16, without a tokenizer; bias.json: sha256 of the weights it was made from
  tokenizer-NAME.gguf   vocabularies without weights; tokenizers.json: texts and the token ids of each
  nf4/                  a bitsandbytes checkpoint, nested and not; nf4.json: sha256 of its values, absmax and codes
  scaled/               weights in FP8 and MXFP4 with scales of every kind; scaled.json: sha256 of their values in f32 and bf16 as transformers' own
                        operations give them, of `ragged` as its quantiser means them (transformers 5.23 can't dequantise it)
  fp8/                  a tiny DeepSeek V3 in FP8; fp8.json: sha256 of its weights as from_pretrained gives them, in f32 and bf16
  mxfp4/                a tiny gpt-oss with experts in MXFP4; mxfp4.json: sha256 of its weights likewise; mxfp4-logits.json: logits of its last token in f32
  mixed.safetensors     every element type; json.json: Python's text of numbers and of a nested value; rope.json: Llama 3 factors
No file holds anything random that is not seeded: a second run gives the same bytes."""
import argparse
import hashlib
import json
import struct
from pathlib import Path

import bitsandbytes.functional as F
import gguf
import numpy as np
import torch
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

Q = gguf.GGMLQuantizationType
TEXTS = [
    "Hello, world! It's 12345.67 items,  don't  WE'LL see.", "a  1", "list:\n\n1. one\n2. two\n\n\n3. three", "tabs\t\tand\r\nlines  \n  end  ",
    "العربية: صقر سريع", "日本語と中文 😀👍🏽", "cafe\u0301 naïve ½ Ⅷ ١٢٣", "<|start|>user\nhi<|end|> there<think>x", "", " ", "   leading", "CamelCaseHTTPServer2 fooBar_baz", "\u00a0x\u200bz",
]


def digest(values) -> str:
    array = values.detach().float().contiguous().numpy() if isinstance(values, torch.Tensor) else np.ascontiguousarray(values)
    return hashlib.sha256(array.tobytes()).hexdigest()


def write(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def finite_half(rng, shape, scale: float) -> np.ndarray:
    return (rng.standard_normal(shape) * scale).astype(np.float16)


def random_blocks(rng, kind, rows: int, cols: int) -> np.ndarray:
    """Random bytes with finite scales where the type has them: signs, a zero and a subnormal among them."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (rows * cols // block, size), dtype=np.uint8)
    scales = {Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q8_0: [0], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208]}[kind]
    for at in scales:
        half = finite_half(rng, len(data), 0.01)
        half[:2] = [0, 6e-8]
        data[:, at:at + 2] = half.view(np.uint8).reshape(-1, 2)
    return data.reshape(rows, cols // block * size)


def blocks(out: Path) -> None:
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(out / "blocks.gguf", "blocks")
    expected = {}
    for kind in [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q4_K, Q.Q5_K, Q.Q6_K]:
        data = random_blocks(rng, kind, 3, 512)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        expected[kind.name] = digest(gguf.dequantize(data, kind))
    half = finite_half(rng, (3, 20), 2)
    writer.add_tensor("F16", half)
    expected["F16"] = digest(half.astype(np.float32))
    single = rng.standard_normal((3, 20)).astype(np.float32)
    writer.add_tensor("F32", single)
    expected["F32"] = digest(single)
    brain = torch.from_numpy(single).bfloat16()
    writer.add_tensor("BF16", brain.view(torch.uint8).numpy(), raw_dtype=Q.BF16)
    expected["BF16"] = digest(brain)
    # powers of two of every size, above what f32 holds too
    packed = rng.integers(0, 256, (16, 17), dtype=np.uint8)
    packed[:3, 0] = [0, 1, 255]
    writer.add_tensor("MXFP4", packed.reshape(2, 136), raw_dtype=Q.MXFP4)
    with np.errstate(over="ignore"):
        expected["MXFP4"] = digest(gguf.dequantize(packed.reshape(2, 136), Q.MXFP4))
    close(writer)
    write(out / "blocks.json", expected)


def close(writer) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}


def gguf_name(name: str) -> str:
    top = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    module, kind = name.rsplit(".", 1)
    if module in top:
        return f"{top[module]}.{kind}"
    _, _, layer, rest = module.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}.{kind}"


def permute(weights: np.ndarray, heads: int) -> np.ndarray:
    """Row order within each head as llama.cpp's rotation wants it: (0, half, 1, half + 1, …)."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def llama(path: Path, config: LlamaConfig, types: dict, tokens: list[str] | None = None, merges: list[str] = ()) -> dict:
    """Writes a seeded model; returns its weights as they were written (before quantisation)."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if tokens:
        vocabulary(writer, tokens, merges, "gpt-2")
    state = {}
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if value.ndim == 1:
            value = torch.randn(value.shape) * 0.1 + (1 if "norm" in name else 0)  # else all biases are 0 and all norms 1
        state[name] = value.half().float()
        heads = config.num_attention_heads if ".q_proj" in name else config.num_key_value_heads if ".k_proj" in name else 0
        data = state[name].numpy()
        data = permute(data, heads) if heads else data
        kind = Q.F32 if value.ndim == 1 else types.get(NAMES.get(".".join(name.split(".")[3:5]), "other"), Q.F16)
        writer.add_tensor(gguf_name(name), gguf.quants.quantize(data, kind), raw_dtype=kind)
    close(writer)
    return state


def vocabulary(writer, tokens: list[str], merges: list[str], pre: str, add_bos: bool | None = None) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    kinds = {"<|start|>": 3, "<|end|>": 3, "<think>": 4}
    writer.add_token_types([kinds.get(token, 1) for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<|start|>"))
    writer.add_eos_token_id(tokens.index("<|end|>"))
    writer.add_pad_token_id(tokens.index("<|end|>"))
    if add_bos is not None:
        writer.add_add_bos_token(add_bos)
    writer.add_chat_template("{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>{% endfor %}")


def models_in_gguf(out: Path, tokens: list[str], merges: list[str]) -> None:
    shared = dict(num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5)
    config = LlamaConfig(vocab_size=len(tokens), hidden_size=64, intermediate_size=96, head_dim=16, rope_theta=20000.0, tie_word_embeddings=True, **shared)
    kinds = {"other": Q.Q8_0, "attn_q": Q.Q4_0, "attn_k": Q.Q5_1, "attn_v": Q.Q4_1, "attn_output": Q.Q5_0, "ffn_gate": Q.F16, "ffn_up": Q.Q8_0, "ffn_down": Q.Q4_1}
    llama(out / "llama.gguf", config, kinds, tokens, merges)
    loaded = AutoModelForCausalLM.from_pretrained(out, gguf_file="llama.gguf", dtype=torch.float32)
    state = {name: digest(value) for name, value in loaded.state_dict().items() if name != "lm_head.weight"}
    read = AutoConfig.from_pretrained(out, gguf_file="llama.gguf").to_dict()
    keys = "model_type hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim max_position_embeddings rms_norm_eps vocab_size tie_word_embeddings bos_token_id eos_token_id pad_token_id attention_bias mlp_bias hidden_act".split()
    write(out / "llama.json", {"config": {key: read[key] for key in keys} | {"rope_theta": read["rope_parameters"]["rope_theta"]}, "tensors": state})
    config = LlamaConfig(vocab_size=48, hidden_size=32, intermediate_size=32, head_dim=8, tie_word_embeddings=False, attention_bias=True, **shared)
    state = llama(out / "bias.gguf", config, {})
    write(out / "bias.json", {name: digest(value) for name, value in state.items()})


def byte_level_vocabulary() -> tuple[list[str], list[str]]:
    trainer = trainers.BpeTrainer(vocab_size=360, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)  # merges across every boundary, so that cuts show
    tokenizer.train_from_iterator([text for text in TEXTS if "<" not in text] * 3, trainer)
    state = json.loads(tokenizer.to_str())["model"]
    tokens = ["<|start|>", "<|end|>", "<think>", *sorted(state["vocab"], key=state["vocab"].get)]
    return tokens, [merge if isinstance(merge, str) else " ".join(merge) for merge in state["merges"]]


def tokenizers(out: Path, tokens: list[str], merges: list[str]) -> None:
    cases = {}
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    for pre, add_bos in [("gpt-2", None), ("llama-bpe", True), ("qwen2", False), ("tekken", True), ("smollm", False), ("smaug-bpe", None), ("gpt-4o", None)]:
        name = f"tokenizer-{pre}.gguf"
        writer = gguf.GGUFWriter(out / name, "llama")
        vocabulary(writer, tokens, merges, pre, add_bos)
        close(writer)
        tokenizer = AutoTokenizer.from_pretrained(out, gguf_file=name)
        # what stands in the models' own tokenizer.json and is lost in GGUF or in transformers' reading of it
        if pre == "smollm":
            tokenizer.backend_tokenizer.pre_tokenizer = digits
        if pre == "smaug-bpe":  # llama.cpp cuts as for llama-bpe, and merges every piece
            tokenizer.backend_tokenizer.pre_tokenizer = llama.backend_tokenizer.pre_tokenizer
            tokenizer.backend_tokenizer.model.ignore_merges = False
        if pre == "llama-bpe":
            llama = tokenizer
        if pre == "qwen2":
            tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
        cases[name] = [tokenizer(text)["input_ids"] for text in TEXTS]
    writer = gguf.GGUFWriter(out / "tokenizer-spm.gguf", "llama")
    sentencepiece(writer)
    close(writer)
    tokenizer = AutoTokenizer.from_pretrained(out, gguf_file="tokenizer-spm.gguf")
    cases["tokenizer-spm.gguf"] = [tokenizer(text)["input_ids"] for text in TEXTS]
    write(out / "tokenizers.json", {"texts": TEXTS, "cases": cases})


def sentencepiece(writer) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator([text for text in TEXTS if "<" not in text] * 3, trainers.BpeTrainer(vocab_size=260, show_progress=False))
    vocab = json.loads(tokenizer.to_str())["model"]["vocab"]
    pieces = sorted(vocab, key=vocab.get)
    single = [piece for piece in pieces if len(piece) == 1 and (piece.isascii() or piece == "▁")]
    longer = [piece for piece in pieces if len(piece) > 1]
    tokens = ["<unk>", "<s>", "</s>", *[f"<0x{byte:02X}>" for byte in range(256)], *longer, *single]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 259 + [-float(i) for i in range(len(longer))] + [-1000.0 - i for i in range(len(single))])
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def weights(rows: int, cols: int) -> torch.Tensor:
    """Weights by integer arithmetic alone, exact in f32: ((i · 0x9E3779B1 mod 2³²) >>> 8 − 2²³) · 2^(−28 − i mod 5)."""
    i = np.arange(rows * cols, dtype=np.uint64)
    mantissa = ((i * 0x9E3779B1 % 2**32) >> np.uint64(8)).astype(np.float64) - 2**23
    return torch.from_numpy((mantissa * 2.0 ** (-28 - (i % 5).astype(np.float64))).astype(np.float32)).reshape(rows, cols)


def nf4(out: Path) -> None:
    folder = out / "nf4"
    folder.mkdir(exist_ok=True)
    tensors, expected = {}, {}
    # 280 blocks: more than one nested block; 153 and 3 weights: a last block that is not full, an odd number of weights
    for name, shape, dtype, nested in [("nested", (40, 448), torch.bfloat16, True), ("plain", (9, 17), torch.float32, False), ("small", (1, 3), torch.float16, False)]:
        value = weights(*shape).to(dtype)
        packed, state = F.quantize_4bit(value, blocksize=64, quant_type="nf4", compress_statistics=nested)
        absmax = state.absmax
        if nested:
            absmax = F.dequantize_blockwise(state.absmax, state.state2) + state.offset
        # the definition: the native CPU kernel of 0.50.2 misplaces blocks where a row is no multiple of one
        values = _dequantize_4bit_compute.__wrapped__(packed.reshape(-1), absmax, state.code, 64, shape, dtype)
        plain = F.quantize_4bit(value, blocksize=64, quant_type="nf4")[1].absmax
        expected[name] = {"shape": shape, "dtype": str(dtype), "values": digest(values), "absmax": digest(plain), "packed": digest(packed.numpy())}
        tensors[f"{name}.weight"] = packed
        tensors |= {f"{name}.weight.{key}": part for key, part in state.as_dict(packed=True).items()}
    tensors["norm.weight"] = torch.ones(4, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    quantization = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    write(folder / "config.json", {"model_type": "llama", "quantization_config": quantization})
    write(out / "nf4.json", expected)


def texts(out: Path) -> None:
    torch.manual_seed(0)
    kinds = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2]
    tensors = {f"{'ب' if i % 2 else 'z'}.{str(kind)[6:]}\n\"": (torch.randn(2, 3) * 3).to(kind) for i, kind in enumerate(kinds)}
    tensors |= {"scalar": torch.tensor(1.5), "empty": torch.zeros(0, 4), "b": torch.ones(1), "a": torch.ones(2)}
    save_file(tensors, out / "mixed.safetensors", metadata={"format": "pt"})
    numbers = [0.0, -0.0, 1.0, 1e-5, 1e-4, 2e-4, 0.1, 1 / 3, 1e15, 1e16, 123456789012345680.0, 1e22, 1.5e300, 5e-324, -2.5, 100.0, 0.00012345, float("nan"), float("inf"), float("-inf")]
    value = {"b": [1, 2.5, "ü\u2028\x7f\n😀"], "a": {}, "c": [], "Z": None, "é": True, "nested": {"list": [[1], {"x": False}]}}
    write(out / "json.json", {
        "numbers": [[struct.pack("<d", x).hex(), json.dumps(x)] for x in numbers], "value": value,
        "compact": json.dumps(value), "sorted": json.dumps(value, indent=2, sort_keys=True), "unicode": json.dumps(value, indent=1, ensure_ascii=False),
    })
    cases = []
    for theta, head_dim, factor, context in [(500000.0, 64, 32.0, 8192), (500000.0, 128, 8.0, 8192), (10000.0, 64, 4.0, 2048), (500000.0, 16, 8.0, 8192)]:
        parameters = {"rope_type": "llama3", "rope_theta": theta, "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": context}
        config = LlamaConfig(hidden_size=head_dim, num_attention_heads=1, head_dim=head_dim, rope_parameters=parameters)
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        plain = 1.0 / (theta ** (torch.arange(0, head_dim, 2).float() / head_dim))
        cases.append({"parameters": parameters, "head_dim": head_dim, "factors": (plain / scaled).tolist()})
    write(out / "rope.json", cases)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    blocks(out)
    tokens, merges = byte_level_vocabulary()
    models_in_gguf(out, tokens, merges)
    tokenizers(out, tokens, merges)
    nf4(out)
    scaled(out)
    fp8(out)
    mxfp4(out)
    texts(out)


def block_scales(weight: torch.Tensor, block: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes in E4M3 and their scales (rows / block, cols / block), blocks at the edges cut."""
    rows, cols = weight.shape
    grid = [-(-rows // block[0]), -(-cols // block[1])]
    scales = torch.tensor([[cell(weight, block, i, j).abs().max() / 448 for j in range(grid[1])] for i in range(grid[0])])
    return (weight / spread(scales, block, weight.shape)).to(torch.float8_e4m3fn), scales


def cell(weight, block, i, j):
    return weight[i * block[0]:(i + 1) * block[0], j * block[1]:(j + 1) * block[1]]


def spread(scales, block, shape):
    return scales.repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)[:shape[0], :shape[1]]


def scaled(out: Path) -> None:
    """Every kind of scale, and a weight that blocks don't divide."""
    g = torch.Generator().manual_seed(3)
    block = (16, 32)
    tensors, expected = {}, {}
    dequantise = Fp8Dequantize(None)._dequantize_one
    both = lambda make: [digest(make(dtype)) for dtype in (torch.float32, torch.bfloat16)]

    def put(name, codes, scales, make=None):
        tensors[f"{name}.weight"], tensors[f"{name}.weight_scale_inv"] = codes.clone(), scales.clone()
        expected[f"{name}.weight"] = both(make or (lambda dtype: dequantise(codes, scales, dtype)))

    def drawn(rows, cols):
        return torch.randn((rows, cols), generator=g) * torch.rand((rows, 1), generator=g)

    even, scales = block_scales(drawn(48, 96), block)
    put("even", even, scales)
    put("in_bf16", even, scales.bfloat16())
    put("in_f16", even, scales.half())
    powers = torch.randint(0, 250, scales.shape, generator=g, dtype=torch.uint8)
    put("powers", even, powers.view(torch.float8_e8m0fnu))
    put("powers_in_bytes", even, powers)
    # all codes but NaN
    codes = torch.arange(256, dtype=torch.uint8)
    put("codes", codes[(codes & 127) != 127].reshape(2, 127).view(torch.float8_e4m3fn), torch.tensor([[0.37]]))
    put("one_scale", even, torch.tensor(0.013))
    put("one_scale_in_a_list", even, torch.tensor([0.013]))
    # rows of their own, whatever the configuration says
    put("other_blocks", *block_scales(drawn(5, 96), (1, 32)))
    put("less_than_a_block", *block_scales(drawn(7, 5), block))
    ragged, scales_of_ragged = block_scales(drawn(40, 75), block)
    put("ragged", ragged, scales_of_ragged, lambda dtype: (ragged.float() * spread(scales_of_ragged, block, ragged.shape)).to(dtype))
    tensors["even.activation_scale"] = torch.tensor(0.5)
    tensors["norm.weight"] = torch.ones(4)

    packed = torch.randint(0, 256, (2, 6, 3, 16), generator=g, dtype=torch.uint8)
    exponents = torch.randint(0, 255, (2, 6, 3), generator=g, dtype=torch.uint8)
    tensors["experts.gate_up_proj_blocks"], tensors["experts.gate_up_proj_scales"] = packed, exponents
    expected["experts.gate_up_proj"] = both(lambda dtype: convert_moe_packed_tensors(packed, exponents, dtype=dtype))

    folder = out / "scaled"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    write(folder / "config.json", {"model_type": "deepseek_v3", "quantization_config": {"quant_method": "fp8", "weight_block_size": [*block]}})
    write(out / "scaled.json", expected)


def fp8(out: Path) -> None:
    """A model, experts too, whose blocks divide, as from_pretrained dequantises it where no card computes in FP8."""
    torch.manual_seed(4)
    folder, block = out / "fp8", (16, 16)
    latent = dict(q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=16, qk_nope_head_dim=16, v_head_dim=16)
    config = AutoConfig.for_model(
        "deepseek_v3", vocab_size=48, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        first_k_dense_replace=1, moe_intermediate_size=16, n_routed_experts=4, n_group=2, topk_group=1, num_experts_per_tok=2, max_position_embeddings=64, initializer_range=0.2, **latent,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tensors = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        if weight.ndim == 2 and ".layers." in name and not name.endswith("mlp.gate.weight"):
            tensors[name], tensors[f"{name}_scale_inv"] = block_scales(weight, block)
        else:
            tensors[name] = weight.bfloat16()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    said = json.loads((folder / "config.json").read_text())
    said["quantization_config"] = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [*block]}
    write(folder / "config.json", said)
    (folder / "generation_config.json").unlink()
    read = [AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).state_dict() for dtype in (torch.float32, torch.bfloat16)]
    write(out / "fp8.json", {name: [digest(one[name]) for one in read] for name in read[0]})


def mxfp4(out: Path) -> None:
    """gpt-oss as it lies on the Hub: bf16, its experts packed; weights as from_pretrained dequantises them where no card computes in FP4."""
    torch.manual_seed(5)
    folder = out / "mxfp4"
    config = AutoConfig.for_model(
        "gpt_oss", vocab_size=48, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
        num_local_experts=3, num_experts_per_tok=2, sliding_window=8, max_position_embeddings=64, initializer_range=0.2,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tensors = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        if weight.ndim == 3:  # (experts, in, out): blocks of 32 along in
            experts, channels, rows = weight.shape
            tensors[f"{name}_blocks"] = torch.randint(0, 256, (experts, rows, channels // 32, 16), dtype=torch.uint8)
            tensors[f"{name}_scales"] = torch.randint(122, 127, (experts, rows, channels // 32), dtype=torch.uint8)
        else:
            tensors[name] = weight.bfloat16()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    said = json.loads((folder / "config.json").read_text())
    said["quantization_config"] = {"modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"], "quant_method": "mxfp4"}
    write(folder / "config.json", said)
    (folder / "generation_config.json").unlink()
    models = [AutoModelForCausalLM.from_pretrained(folder, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)]
    read = [model.state_dict() for model in models]
    with torch.no_grad():
        logits = models[0](torch.tensor([[1, 7, 3, 40, 22, 9, 31, 5, 18, 2, 44, 11]])).logits[0, -1]
    write(out / "mxfp4.json", {name: [digest(one[name]) for one in read] for name in read[0]})
    write(out / "mxfp4-logits.json", logits.tolist())


if __name__ == "__main__":
    main()
