"""What the packages themselves read in the files of trackers: every record of .wandb files, scalars and texts of TensorBoard's event files.

  python tools/oracle/trackers.py OUT FOLDER

The layout of OUT/ is described in tools/oracle/README.md."""
import argparse
import json
from pathlib import Path

from google.protobuf.json_format import MessageToDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2
from wandb.sdk.internal.datastore import DataStore


def records(path):
    store = DataStore()
    store.open_for_scan(str(path))
    found = []
    while (data := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        assert not record._unknown_fields() if hasattr(record, "_unknown_fields") else True
        found.append(MessageToDict(record, preserving_proto_field_name=True))
    return found


def events(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    tags = accumulator.Tags()
    return {
        "scalars": {tag: [[event.step, event.value] for event in accumulator.Scalars(tag)] for tag in tags["scalars"]},
        "texts": {tag: [event.tensor_proto.string_val[0].decode() for event in accumulator.Tensors(tag)] for tag in tags["tensors"]},
    }


parser = argparse.ArgumentParser()
parser.add_argument("out", type=Path)
parser.add_argument("folder", type=Path)
args = parser.parse_args()
found = {
    "wandb": {path.name: records(path) for path in sorted(args.folder.rglob("*.wandb"))},
    "tensorboard": {str(folder.relative_to(args.folder)): events(folder) for folder in sorted({path.parent for path in args.folder.rglob("events.out.tfevents.*")})},
}
(args.out / "trackers.json").write_text(json.dumps(found))
