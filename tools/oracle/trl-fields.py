"""Dumps every option of `trl sft`, `dpo` and `kto`, and of ORPO and CPO, which TRL has no commands for: the fields of its ScriptArguments, SFTConfig,
DPOConfig, KTOConfig, ORPOConfig and CPOConfig (with all they inherit from TrainingArguments), ModelConfig and DatasetMixtureConfig with type, default and
choices. test/cli/trl-fields.test.ts holds the options of `saqr` against it, so that no field of TRL is ever silently unknown.

    python tools/oracle/trl-fields.py OUT        # OUT/fields.json
"""

import dataclasses
import enum
import json
import types
import typing
from pathlib import Path

import transformers
from arguments import argument
import trl
from trl import DatasetMixtureConfig, DPOConfig, KTOConfig, ModelConfig, ScriptArguments, SFTConfig
from trl.experimental.cpo import CPOConfig
from trl.experimental.orpo import ORPOConfig

SCALARS = {bool: "bool", int: "int", float: "float", str: "str"}


def type_name(hint):
    """A type as text: `int | None`, `list[str]`, `dict`; what is neither number, text nor container goes by its class name."""
    if hint is type(None):
        return "None"
    if hint in SCALARS:
        return SCALARS[hint]
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(sorted((type_name(a) for a in typing.get_args(hint)), key=lambda name: name == "None"))
    if origin is list:
        return f"list[{type_name(typing.get_args(hint)[0])}]"
    if origin is dict or hint is dict:
        return "dict"
    if origin is typing.Literal:
        return " | ".join(repr(value) for value in typing.get_args(hint))
    return hint.__name__


def choices(field, hint):
    """The values a field is limited to: given with the field, or by an enumeration in its type."""
    if "choices" in field.metadata:
        return list(field.metadata["choices"])
    for part in typing.get_args(hint) or (hint,):
        if isinstance(part, type) and issubclass(part, enum.Enum):
            return [member.value for member in part]
    return None


def default(field):
    value = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    return value.value if isinstance(value, enum.Enum) else value


def fields(config):
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        if field.init:
            hint = hints[field.name]
            entry = {"class": config.__name__, "name": field.name, "type": type_name(hint), "default": default(field)}
            yield entry | ({"choices": found} if (found := choices(field, hint)) else {})


if __name__ == "__main__":
    rows = [row for config in (ScriptArguments, ModelConfig, SFTConfig, DatasetMixtureConfig, DPOConfig, KTOConfig, ORPOConfig, CPOConfig) for row in fields(config)]
    text = ",\n".join("    " + json.dumps(row) for row in rows)
    versions = f'"trl": "{trl.__version__}", "transformers": "{transformers.__version__}"'
    out = Path(argument('out', __doc__))
    out.mkdir(parents=True, exist_ok=True)
    (out / "fields.json").write_text(f'{{\n  {versions},\n  "fields": [\n{text}\n  ]\n}}\n')
