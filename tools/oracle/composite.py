"""What transformers and PEFT read in an adapter and a merged checkpoint that saqr saved: of a model beside a vision tower, of a mixture of experts.

  python tools/oracle/composite.py OUT --base FOLDER --adapter FOLDER --merged FOLDER"""
import argparse
import json
import os
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from families_compute import distance
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("base", "adapter", "merged"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    own = getattr(transformers, AutoConfig.from_pretrained(args.merged).architectures[0])
    merged, info = own.from_pretrained(args.merged, output_loading_info=True, experts_implementation="eager")
    base = AutoModelForCausalLM.from_pretrained(args.base, experts_implementation="eager")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        adapted = PeftModel.from_pretrained(base, args.adapter)
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        off = distance(merged(input_ids=ids).logits, adapted(input_ids=ids).logits)
        theirs = dict(adapted.merge_and_unload().named_parameters())
        weights = {name: distance(weight, theirs.pop(name)) for name, weight in merged.named_parameters()}
    apart = max(weights, key=weights.get)
    said = {
        "class": type(merged).__name__,
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(info["unexpected_keys"]),
        "distance": off,
        # PEFT's own merge in f32: the tensor that is farthest from it, and those of its model that ours has not
        "weights": [apart, weights[apart]],
        "unmerged": sorted(theirs),
        "warnings": [str(w.message) for w in caught if "adapter" in str(w.message)],
    }
    (args.out / "said.json").write_text(json.dumps(said, indent=2) + "\n")


if __name__ == "__main__":
    main()
