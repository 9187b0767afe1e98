"""The cases of training.py: what is trained, on which rows, with which of TRL's arguments."""
from dataclasses import dataclass, field
from typing import Any

from families_cases import ATTENTION, FUSED, GEMMA3, GEMMA3_WHOLE, GPT_OSS, LATENT, LATENT_V2, LONG, MIXTRAL, MLA, QWEN3_MOE, SEVEN, lora, model, rope
from training_data import VOCAB, prompt_rows, text_rows


@dataclass
class Run:
    name: str
    args: dict[str, Any]
    family: str = "llama"
    config: dict[str, Any] = field(default_factory=lambda: model(vocab_size=VOCAB, pad_token_id=0))
    adapter: dict[str, Any] | None = field(default_factory=lambda: dict(r=4, lora_alpha=8, target_modules=SEVEN))
    rows: list[dict] = field(default_factory=lambda: text_rows(46, 7))
    evaluation: list[dict] | None = None
    nf4: str | None = None
    """the base in NF4: `bitsandbytes` (its file, scales quantised too, and its layers), `values` (linears that hold what codes and scales are: nf4.py says why)"""


# 46 rows in batches of 4 make epochs of 12 steps whose last step has 2 rows; 30 steps end inside the third
COMMON = dict(max_steps=30, logging_steps=1, save_steps=10, seed=42, max_length=128)

RUNS = [
    Run("linear-warmup", dict(per_device_train_batch_size=4, learning_rate=5e-3, lr_scheduler_type="linear", warmup_steps=5)),
    # 23 batches: the last step of an epoch accumulates one alone
    Run("cosine-accumulation", dict(
        per_device_train_batch_size=2, gradient_accumulation_steps=2, learning_rate=5e-3, lr_scheduler_type="cosine", warmup_steps=0.1,
        weight_decay=0.01, max_grad_norm=100.0,
    )),
    Run("constant-clipped", dict(
        per_device_train_batch_size=4, learning_rate=5e-3, lr_scheduler_type="constant", max_grad_norm=0.05, completion_only_loss=True,
    ), rows=prompt_rows(46, 8)),
    # weight decay large enough to show which weights HF spares: norms and biases
    Run("full-tied", dict(
        per_device_train_batch_size=4, learning_rate=1e-3, lr_scheduler_type="constant_with_warmup", warmup_steps=4, weight_decay=1.0,
    ), config=model(vocab_size=VOCAB, pad_token_id=0, tie_word_embeddings=True, attention_bias=True), adapter=None),
    Run("evaluation", dict(
        per_device_train_batch_size=4, per_device_eval_batch_size=4, learning_rate=5e-3, eval_strategy="steps", eval_steps=10,
        adam_beta1=0.8, adam_beta2=0.95, adam_epsilon=1e-6,
    ), evaluation=text_rows(10, 9)),
    # a family with windows and two rotations, alone and beside a vision tower, which rows of text leave as it is (a cap in its
    # text_config is left out: TRL applies it, transformers' forward does not)
    Run("gemma3", dict(per_device_train_batch_size=4, learning_rate=5e-3), family="gemma3_text",
        config=model(vocab_size=VOCAB, **{**GEMMA3, **dict(pad_token_id=0, num_hidden_layers=3, layer_types=None, sliding_window_pattern=3)})),
    Run("full-gemma3-whole", dict(per_device_train_batch_size=4, learning_rate=1e-3, weight_decay=0.5), family="gemma3",
        config={**GEMMA3_WHOLE, "text_config": {**GEMMA3_WHOLE["text_config"], "vocab_size": VOCAB, "final_logit_softcapping": None}}, adapter=None),
    # LongRoPE: micro-batches whose longest row is beyond 30 positions beside others in one step, and in the evaluation
    Run("longrope", dict(
        per_device_train_batch_size=2, gradient_accumulation_steps=2, per_device_eval_batch_size=2, learning_rate=5e-3, eval_strategy="steps", eval_steps=10,
    ), "phi3", config=model(vocab_size=VOCAB, pad_token_id=0, **LONG), adapter=FUSED(), evaluation=text_rows(10, 9)),
    # the balance loss: in what is logged, over micro-batches that accumulate, over padding and in the evaluation; its coefficient as a file has it,
    # and as it is asked for
    Run("mixtral", dict(
        per_device_train_batch_size=2, gradient_accumulation_steps=2, per_device_eval_batch_size=4, learning_rate=5e-3, eval_strategy="steps", eval_steps=10,
    ), "mixtral", config=model(vocab_size=VOCAB, pad_token_id=0, **MIXTRAL), adapter=lora(target_modules=ATTENTION), evaluation=text_rows(10, 9)),
    Run("full-qwen3-moe", dict(per_device_train_batch_size=4, learning_rate=1e-3, weight_decay=0.5, router_aux_loss_coef=0.05), "qwen3_moe",
        config=model(vocab_size=VOCAB, pad_token_id=0, num_hidden_layers=3, mlp_only_layers=[1], norm_topk_prob=True, **QWEN3_MOE), adapter=None),
    # latent attention: values of another size, YaRN with its scale; a dense layer, then one with experts, which have low-rank parts too
    # (not at 1e-3 or more: routes.py)
    Run("deepseek-v3", dict(per_device_train_batch_size=4, learning_rate=3e-4), family="deepseek_v3",
        config=model(vocab_size=VOCAB, **{**LATENT, "pad_token_id": 0, "first_k_dense_replace": 1}, **rope("yarn", 1000.0, factor=4.0, original_max_position_embeddings=64, mscale=1.0, mscale_all_dim=0.7)),
        adapter=dict(r=4, lora_alpha=8, target_modules=[*MLA, *SEVEN[4:]])),
    # the same, all layers of experts chosen by softmax in groups, and all weights trained
    Run("full-deepseek-v2", dict(per_device_train_batch_size=4, learning_rate=3e-4, weight_decay=0.5), family="deepseek_v2",
        config=model(vocab_size=VOCAB, **{**LATENT_V2, **dict(pad_token_id=0, first_k_dense_replace=0, topk_method="group_limited_greedy", n_routed_experts=6, n_group=3, topk_group=2)}, **rope("yarn", 1000.0, factor=4.0, original_max_position_embeddings=64, mscale=0.7, mscale_all_dim=0.7)),
        adapter=None),
    # sinks, windows, biased experts with low-rank parts of their own, the balance loss
    Run("gpt-oss", dict(
        per_device_train_batch_size=2, gradient_accumulation_steps=2, per_device_eval_batch_size=4, learning_rate=2e-3, eval_strategy="steps", eval_steps=10,
    ), "gpt_oss", config=model(vocab_size=VOCAB, **{**GPT_OSS, "pad_token_id": 0}),
        adapter=lora(target_modules=ATTENTION, target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]), evaluation=text_rows(10, 9)),
    Run("full-gpt-oss", dict(per_device_train_batch_size=4, learning_rate=3e-4, weight_decay=0.5, router_aux_loss_coef=0.05), "gpt_oss",
        config=model(vocab_size=VOCAB, **{**GPT_OSS, "pad_token_id": 0}), adapter=None),
    Run("lion", dict(per_device_train_batch_size=4, learning_rate=3e-4, optim="lion_32bit", weight_decay=0.1, adam_beta2=0.99)),
    Run("rmsprop", dict(per_device_train_batch_size=4, learning_rate=3e-4, optim="rmsprop", weight_decay=0.1)),
    Run("adagrad", dict(per_device_train_batch_size=4, learning_rate=3e-3, optim="adagrad", weight_decay=0.1)),
    Run("sgd", dict(per_device_train_batch_size=4, learning_rate=0.05, optim="sgd", optim_args="momentum=0.9,nesterov=true", weight_decay=0.1)),
    Run("adafactor", dict(per_device_train_batch_size=4, learning_rate=2e-3, optim="adafactor", weight_decay=0.1)),
    Run("full-adafactor", dict(per_device_train_batch_size=4, learning_rate=3e-4, optim="adafactor", weight_decay=0.1, warmup_steps=3), adapter=None),
    # PEFT's create_loraplus_optimizer, with an adapter on the embeddings too
    Run("loraplus", dict(per_device_train_batch_size=4, learning_rate=1e-3, loraplus_lr_ratio=8.0, loraplus_lr_embedding=2e-3, weight_decay=0.1, warmup_steps=3),
        adapter=dict(r=4, lora_alpha=8, target_modules=[*SEVEN, "embed_tokens"])),
    # continued pre-training as Unsloth has it: what is saved whole has a rate of its own
    Run("embedding-rate", dict(per_device_train_batch_size=4, learning_rate=5e-3, embedding_learning_rate=5e-4, weight_decay=0.1, lr_scheduler_type="cosine"),
        adapter=dict(r=4, lora_alpha=8, target_modules=SEVEN, modules_to_save=["embed_tokens", "lm_head"])),
    # rows of some tokens of a tied embedding, decayed, their gradients over micro-batches
    Run("token-rows", dict(per_device_train_batch_size=2, gradient_accumulation_steps=2, learning_rate=5e-3, weight_decay=0.5),
        config=model(vocab_size=VOCAB, pad_token_id=0, tie_word_embeddings=True), adapter=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], trainable_token_indices=[100, 70, 2, 150, 90])),
    # over NF4, by bitsandbytes' own layers, and of widths that it misreads over the values that its codes and scales are
    Run("qlora", dict(per_device_train_batch_size=4, learning_rate=5e-3, lr_scheduler_type="linear", warmup_steps=5), nf4="bitsandbytes",
        config=model(vocab_size=VOCAB, pad_token_id=0, hidden_size=64, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2)),
    Run("qlora-narrow", dict(per_device_train_batch_size=4, learning_rate=5e-3, lr_scheduler_type="linear", warmup_steps=5), nf4="values"),
    Run("dft", dict(
        per_device_train_batch_size=2, gradient_accumulation_steps=3, learning_rate=5e-3, loss_type="dft",
        eval_strategy="steps", eval_steps=10, per_device_eval_batch_size=4), evaluation=text_rows(10, 9)),
    Run("full-dft-mixture", dict(per_device_train_batch_size=4, learning_rate=1e-3, loss_type="dft", router_aux_loss_coef=0.05), "mixtral",
        model(vocab_size=VOCAB, pad_token_id=0, **MIXTRAL), adapter=None),
    Run("packed", dict(per_device_train_batch_size=2, learning_rate=5e-3, packing=True, packing_strategy="bfd", max_length=96)),
]
