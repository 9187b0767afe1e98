"""What `datasets` makes of rows by map, filter, shuffle, select and train_test_split.

    python tools/oracle/dataset_calls.py OUT

OUT/calls.json: `rows`, and by the name of a call the rows or row numbers that it gives.
"""
import json
from pathlib import Path

from arguments import argument
from datasets import Dataset, disable_progress_bars

disable_progress_bars()
ROWS = [{"n": i, "text": f"row {i}"} for i in range(23)]
base = Dataset.from_list(ROWS)


def rows(dataset):
    return [dict(row) for row in dataset]


def split(**options):
    parts = base.train_test_split(**options)
    return {"train": list(parts["train"]["n"]), "test": list(parts["test"]["n"])}


def double(batch):
    return {"word": [word for text in batch["text"] for word in text.split()]}


calls = {
    "rows": ROWS,
    "shuffle": {str(seed): list(base.shuffle(seed=seed)["n"]) for seed in (0, 1, 42, 3407, 2**32 + 5)},
    "split": [
        {"options": {"test_size": size, "seed": seed}, "parts": split(test_size=size, seed=seed)}
        for size, seed in ((0.1, 42), (0.25, 0), (5, 3407), (1, 7))
    ]
    + [
        {"options": o, "parts": split(**o)}
        for o in (
            {"seed": 42},
            {"train_size": 0.5, "seed": 1},
            {"train_size": 0.5, "test_size": 3, "seed": 1},
            {"test_size": 0.3, "shuffle": False},
        )
    ],
    "select": rows(base.select([3, 0, 22, 3])),
    "filter": rows(base.filter(lambda row, i: row["n"] % 5 == 0 or i == 1, with_indices=True)),
    "map": rows(base.map(lambda row: {"long": len(row["text"]), "text": row["text"].upper()})),
    "removed": rows(base.map(lambda row: {"text": row["text"] + "!"}, remove_columns=["n", "text"])),
    "batched": rows(base.map(lambda batch: {"m": [2 * n for n in batch["n"]]}, batched=True, batch_size=7)),
    "words": rows(base.map(double, batched=True, batch_size=10, remove_columns=["n", "text"])),
}

if __name__ == "__main__":
    out = Path(argument('out', __doc__))
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "calls.json", "w") as file:
        json.dump(calls, file, separators=(",", ":"))
        file.write("\n")
