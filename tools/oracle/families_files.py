"""Small changes to the files that transformers and PEFT write."""
import json
from pathlib import Path

from transformers import AutoConfig


def tidy_adapter_config(path: Path):
    """PEFT writes target_modules from a Python set, in another order each time, and the base's folder, in another place each time."""
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = None
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True))


def to_legacy(path: Path):
    """config.json with rope_theta, rope_scaling and torch_dtype, as transformers 4 wrote it; HF must read the same model from it."""
    new = AutoConfig.from_pretrained(path.parent).get_text_config()
    config = json.loads(path.read_text())
    text = config.get("text_config", config)
    parameters = text.pop("rope_parameters")
    if "full_attention" in parameters:
        text["rope_local_base_freq"] = parameters["sliding_attention"]["rope_theta"]
        parameters = parameters["full_attention"]
        if new.num_hidden_layers >= 6:
            text.pop("layer_types")
            text["sliding_window_pattern"] = text.pop("_sliding_window_pattern")
    text["rope_theta"] = parameters.pop("rope_theta")
    text["rope_scaling"] = None if parameters["rope_type"] == "default" else parameters
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    read = AutoConfig.from_pretrained(path.parent).get_text_config()
    assert read.rope_parameters == new.rope_parameters, (read.rope_parameters, new.rope_parameters)
    assert getattr(read, "layer_types", None) == getattr(new, "layer_types", None)
