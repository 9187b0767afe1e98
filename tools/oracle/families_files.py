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
    new = AutoConfig.from_pretrained(path.parent)
    config = json.loads(path.read_text())
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    config["rope_scaling"] = None if parameters["rope_type"] == "default" else parameters
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    read = AutoConfig.from_pretrained(path.parent).rope_parameters
    assert read == new.rope_parameters, (read, new.rope_parameters)
