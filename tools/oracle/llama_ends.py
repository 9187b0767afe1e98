"""Which tokens end an answer, by llama.cpp: FOLDER LIBRARIES. Writes tiny models NAME.gguf, whose tokens are texts that llama.cpp knows and some that it
doesn't, as control tokens and as text, and ends.json: the ids of each that it takes for an end."""
import json
import random
import sys

import gguf
import numpy as np
from llama import Model, load

TEXTS = """<|eot_id|> <|im_end|> <|end|> <end_of_turn> <|endoftext|> <|end_of_text|> <|eom_id|> </s> <eos> <|return|> <|call|> <|calls|> <|flush|> <EOT>
_<EOT> [EOT] [EOS] <end_of_utterance> <turn|> <|tool_response> <｜end▁of▁sentence｜> [e~[ <|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD] <|fim_repo|>
<|repo_name|> <fim-repo> <REPO> <reponame> <|file_sep|> <s> <bos> <|im_start|> <start_of_turn> <|channel|> <pad> [END]""".split()
AROUND = [TEXTS[22:27], TEXTS[27:32]]
KEYS = ["eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep"]


def case(name, texts, types, named):
    """types: of each text, as tokenizer.ggml.token_type has them; named: ids by the key that names them"""
    letters = [chr(97 + i) for i in range(26)] + ["ab", "Ċ"]
    tokens = letters + texts
    path = f"{folder}/{name}.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(letters) + types)
    writer.add_token_merges(["a b"])
    for key, id in named.items():
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", id)
    ones = lambda *shape: np.full(shape, 0.01, dtype=np.float32)
    writer.add_tensor("token_embd.weight", ones(len(tokens), 32))
    writer.add_tensor("output_norm.weight", ones(32))
    for part, shape in (
        ("attn_norm", (32,)),
        ("ffn_norm", (32,)),
        *((part, (32, 32)) for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")),
    ):
        writer.add_tensor(f"blk.0.{part}.weight", ones(*shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = Model(llama, path)
    ends[name] = [id for id in range(len(tokens)) if model.ends(id)]


folder, libraries = sys.argv[1:3]
seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
llama, draw, ends = load(libraries), random.Random(seed), {}
every = [text for text in TEXTS if text not in AROUND[0][1:] + AROUND[1][1:]]
case("all", every, [3] * len(every), {"eos": 0})
case("gemma", ["<bos>", "<eos>", "<end_of_turn>", "</s>"], [3, 3, 3, 4], {"eos": 29})
case("harmony", ["<|return|>", "<|call|>", "<|end|>", "<|endoftext|>"], [3] * 4, {"eos": 28})
for i in range(24):
    # of several texts that one of those around code may have, llama.cpp takes whichever its hash table has first
    one = [draw.choice(texts) for texts in AROUND]
    some = [text for text in TEXTS if text not in AROUND[0] + AROUND[1] and draw.random() < 0.3] + [text for text in one if draw.random() < 0.5]
    count = 28 + len(some)
    # without an end that is named, llama.cpp takes token 11 of this kind of tokenizer
    named = {key: draw.randrange(count) for key in KEYS if key == "eos" or draw.random() < 0.2}
    case(f"drawn-{i}", some, [draw.choice([1, 3, 4]) for _ in some], named)
json.dump(ends, open(f"{folder}/ends.json", "w"))
