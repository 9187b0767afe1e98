"""PEFT's add_weighted_adapter: BASE OUT OPTIONS ADAPTER=WEIGHT ... writes OUT/mix, the adapters of a base as one; OPTIONS: its arguments as JSON."""

import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

base, out, options, *given = sys.argv[1:]
folders, weights = zip(*(one.rsplit("=", 1) for one in given))
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
names = [f"a{i}" for i in range(len(folders))]
model = PeftModel.from_pretrained(model, folders[0], adapter_name=names[0])
for name, folder in list(zip(names, folders))[1:]:
    model.load_adapter(folder, adapter_name=name)
model.add_weighted_adapter(names, [float(w) for w in weights], "mix", **json.loads(options))
model.save_pretrained(out, selected_adapters=["mix"])
