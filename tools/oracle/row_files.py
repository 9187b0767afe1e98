"""Files of rows as datasets, pandas and pyarrow read them: slices of splits, CSV with quotes anywhere, numbers in Parquet.

  python tools/oracle/row_files.py OUT [--seed N] [--csv N]

The layout of OUT is described in tools/oracle/README.md."""
import argparse
import base64
import io
import json
import os
import random
import tempfile
from decimal import Decimal
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.arrow_reader import ReadInstruction

SPLITS = [
    "train", "train[:]", "train[:90%]", "train[90%:]", "train[10%:20%]", "train[-10%:]", "train[:-10%]", "train[33%:66%]", "train[:1%]", "train[:150%]", "train[1%:2%](closest)", "train[:50%](pct1_dropremainder)",
    "train[5:]", "train[:5]", "train[-5:]", "train[3:7]", "train[7:3]", "train[:1_0]", "train[0:0]", "train[:150]", "train[-300:]", "train[10:20%]", "train+test", "train[:10%]+test[5:] + train[-1:]",
    "train[::2]", "train[a:b]", "train[5:](closest)", "train[:50%](nearest)", "", "train[", "train [:5]", "train[50%]",
]


def splits() -> list[dict]:
    """[name, first, end] of each part; None where datasets refuses it."""
    made = []
    for rows in [0, 1, 3, 7, 50, 99, 100, 101, 250]:
        for spec in SPLITS:
            try:
                parts = [[i.splitname, i.from_, max(i.from_, i.to)] for i in ReadInstruction.from_spec(spec).to_absolute(dict(train=rows, test=rows + 3))]
            except (ValueError, AssertionError):
                parts = None
            made.append(dict(spec=spec, rows=rows, parts=parts))
    return made


def csv(count: int, r: random.Random) -> list[dict]:
    """Cells as pandas has them; None where it refuses the file. No column is taken for an index."""
    pieces = ["a", "b", " ", '"', '""', ",", ",", ",", "\n", "\n", "\r\n", "x y", "é", "\ufeff", "'", "\t", '"q,\nr"', ' "s"']
    made = [dict(text='prompt,prompt,prompt\n1,2,3\n', rows=[["1", "2", "3"]], columns=["prompt", "prompt.1", "prompt.2"])]
    while len(made) < count:
        text = "c,d\n" + "".join(r.choice(pieces) for _ in range(r.randint(1, 14)))
        try:
            frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError):
            made.append(dict(text=text, rows=None))
            continue
        if isinstance(frame.index, pd.RangeIndex):
            made.append(dict(text=text, rows=frame.values.tolist(), columns=list(frame.columns)))
    return made


LINES = [
    '{"text":"a"}\r{"text":"b"}\r', '{"text":"a"}\r{"text":"b"}\n{"text":"c"}', '\r{"text":"a"}\r', '{"text":"a\\u2028"}\r\n\r\n{"text":"b"}\r\n', '{"text":"a\rb"}\n',
    '{"text":"a"} {"text":"b"}\n{"text":"c"}{"text":"d"}\n', '{"text":"a"}{"text":"b"}', '{\n "text": "a"\n}\n{\n "text": "b"\n}\n', '{"text":"a"}\n{"text":\n"b"}\n',
    '{"text":"a"}\n{"text":\n"b"}{"text":"c"}\n{"text":"d"}\n', '{"text":"a"}\n{"text":"\\"}{"}{"text":"x\\\\"}\n{"text":"c"}\n', '{"text":"a"}\n{"text":"b","m":[{"x":"}"},\n{"x":"{"}]}\n',
    '{"text":"a"},{"text":"b"}\n', '{"text":"a"}\n{"text":"b"} x\n', '{"text":"a"}\n{"text":"b"\n{"text":"c"}\n', '{"text":"a"}\n{"text":"b"}}\n{"text":"c"}\n', '{"text":"a"}[1]\n',
]


def lines() -> list[dict]:
    """Rows of JSON lines of every shape; None where datasets refuses the file."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for i, text in enumerate(LINES):
            path = Path(folder, f"{i}.jsonl")
            path.write_bytes(text.encode())
            try:
                rows = list(datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=folder))
            except datasets.exceptions.DatasetGenerationError:
                rows = None
            made.append(dict(text=text, rows=[{k: v for k, v in row.items() if v is not None} for row in rows] if rows else None))
    return made


ROWS = [
    dict(id=1, big=9007199254740993, f=20.0, f32=0.5, text="\ufeffowl", nested=dict(x=3.0, n=2, list=[1.0, 2.5], big=-9223372036854775808), calls=[dict(t=7.0, k=7)]),
    dict(id=2, big=2, f=1e-05, f32=16777216.0, text="a\ufeffb", nested=dict(x=-0.0, n=0, list=[], big=None), calls=[]),
    dict(id=3, big=None, f=None, f32=None, text=None, nested=None, calls=None),
]


def small() -> list:
    """Parquet files of next to nothing, in every codec and both kinds of pages: their bytes, their rows."""
    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    tables = dict(
        zero=pa.table({"text": pa.array([], pa.string()), "n": pa.array([], pa.int64())}),
        one=pa.table({"text": ["a"]}),
        empty=pa.table({"text": [""]}),
        nulls=pa.table({"text": pa.nulls(3, pa.string()), "other": ["x", "y", "z"]}),
        untyped=pa.table({"text": ["x", "y"], "nothing": pa.nulls(2)}),
        dictionary=pa.table({"text": pa.array(["a", None, "a"]).dictionary_encode()}),
        same=pa.table({"text": ["same"] * 20}),
        lists=pa.table({"messages": pa.array([[], None, [dict(role="user", content=None)]], messages), "s": pa.array([None, dict(a=1), dict(a=None)], pa.struct([("a", pa.int64())]))}),
        odd=pa.table({"": ["\0"], "a.b": ["\ufeff"]}),
        decimals=pa.table({"n": pa.array([Decimal("-2127.99"), None, Decimal("0.29"), Decimal("5")], pa.decimal128(10, 2)), "s": pa.array([dict(p=Decimal("1234567890123.457"))] * 4, pa.struct([("p", pa.decimal128(30, 3))]))}),
    )
    ways = [dict(compression=codec, data_page_version=page) for codec in ("none", "snappy", "gzip", "zstd", "brotli", "lz4") for page in ("1.0", "2.0")]
    ways += [dict(row_group_size=1), dict(data_page_size=1, dictionary_pagesize_limit=1), dict(use_dictionary=False), dict(write_page_checksum=True, write_page_index=True, store_schema=False)]
    made = []
    for name, table in tables.items():
        for way in ways:
            file = io.BytesIO()
            # names of Arrow's own schema would be most of the bytes
            pq.write_table(table, file, **{"store_schema": False, **way})
            file.seek(0)
            # a decimal is a number here
            rows = json.loads(json.dumps(pq.read_table(file).to_pylist(), default=float))
            made.append(dict(name=" ".join([name, *map(str, way.values())]), bytes=base64.b64encode(file.getvalue()).decode(), rows=rows))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--csv", type=int, default=150)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    dump = lambda name, value: (args.out / name).write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")
    dump("splits.json", splits())
    dump("csv.json", csv(args.csv, random.Random(args.seed)))
    dump("lines.json", lines())
    schema = pa.schema([
        ("id", pa.int32()), ("big", pa.int64()), ("f", pa.float64()), ("f32", pa.float32()), ("text", pa.string()),
        ("nested", pa.struct([("x", pa.float64()), ("n", pa.int64()), ("list", pa.list_(pa.float64())), ("big", pa.int64())])),
        ("calls", pa.list_(pa.struct([("t", pa.float64()), ("k", pa.int64())]))),
    ])
    pq.write_table(pa.Table.from_pylist(ROWS, schema=schema), args.out / "numbers.parquet")
    # as pyarrow's other writers do it: pages of nulls alone in LZ4
    calls = [dict(messages=[dict(role="user", content="a", tool_calls=None), dict(role="assistant", content=None, tool_calls=None)], n=None), dict(messages=[], n=None)]
    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.list_(pa.string()))]))
    pq.write_table(pa.Table.from_pylist(calls, schema=pa.schema([("messages", messages), ("n", pa.int64())])), args.out / "lz4.parquet", compression="lz4")
    twice = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(twice, args.out / "twice.parquet")
    dump("small.json", small())
    dump("numbers.json", [json.dumps(row, ensure_ascii=False) for row in pq.read_table(args.out / "numbers.parquet").to_pylist()])


if __name__ == "__main__":
    main()
