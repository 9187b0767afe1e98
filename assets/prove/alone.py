"""ORPO's and CPO's trainers of TRL, which has no command for them any more: their configuration read as TRL's commands read theirs, and run."""
import importlib
import os

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")


class Alone:
    """Stands where `trl.scripts.dpo` would."""

    def __init__(self, kind):
        self.trainers = importlib.import_module(f"trl.experimental.{kind}")
        self.name = f"{kind.upper()}Trainer"
        self.config = getattr(self.trainers, f"{kind.upper()}Config")

    def make_parser(self):
        from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments, TrlParser

        return TrlParser((ScriptArguments, self.config, ModelConfig, DatasetMixtureConfig))

    def main(self, script_args, training_args, model_args, mixture):
        from datasets import load_dataset
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from trl import get_dataset, get_peft_config, get_quantization_config

        quantization = get_quantization_config(model_args)
        model = AutoModelForCausalLM.from_pretrained(
            model_args.model_name_or_path,
            revision=model_args.model_revision,
            attn_implementation=model_args.attn_implementation,
            dtype=model_args.dtype,
            **({} if quantization is None else dict(quantization_config=quantization, device_map={"": training_args.device})),
        )
        if mixture.datasets:
            dataset = get_dataset(mixture)
        else:
            dataset = load_dataset(script_args.dataset_name, name=script_args.dataset_config)
        tokenizer = AutoTokenizer.from_pretrained(model_args.model_name_or_path, revision=model_args.model_revision)
        if tokenizer.pad_token is None:  # the trainer looks for one before it sets one; padding trains nothing
            tokenizer.pad_token = tokenizer.eos_token
        trainer = getattr(self.trainers, self.name)(
            model=model,
            args=training_args,
            train_dataset=dataset[script_args.dataset_train_split],
            processing_class=tokenizer,
            peft_config=get_peft_config(model_args),
        )
        trainer.train()


def script_of(kind):
    """The module of `trl KIND`, or what does the same where there is no such command."""
    try:
        return importlib.import_module(f"trl.scripts.{kind}")
    except ModuleNotFoundError as error:
        if error.name != f"trl.scripts.{kind}":
            raise
        return Alone(kind)
