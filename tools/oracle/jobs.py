"""OpenAI's own Python client runs the whole loop of a fine-tuning job against a server, and writes what it read.

    python tools/oracle/jobs.py FOLDER URL KEY TRAINING_FILE

FOLDER gets loop.json: the job, its events and checkpoints, the models before and after, and an answer of each.
"""

import json
import sys
import time
from pathlib import Path

from openai import BadRequestError, NotFoundError, OpenAI

folder, url, key, training = sys.argv[1:]
client = OpenAI(base_url=url, api_key=key, max_retries=0)


def answer(model):
    messages = [{"role": "user", "content": "bird 3"}]
    got = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=12)
    return got.choices[0].message.content


def ended(job):
    while job.status not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.1)
        job = client.fine_tuning.jobs.retrieve(job.id)
    return job


with open(training, "rb") as file:
    uploaded = client.files.create(file=file, purpose="fine-tune")
before = [model.id for model in client.models.list()]
hyperparameters = {"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 50}
method = {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}
common = {"model": "tiny", "training_file": uploaded.id}
job = client.fine_tuning.jobs.create(**common, validation_file=uploaded.id, method=method, suffix="py", seed=1, metadata={"a": "b"})
client.fine_tuning.jobs.pause(job.id)
paused = client.fine_tuning.jobs.retrieve(job.id).status
client.fine_tuning.jobs.resume(job.id)
job = ended(job)
events = list(client.fine_tuning.jobs.list_events(job.id, limit=5))
checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id, limit=1))
other = client.fine_tuning.jobs.create(**common, method={"type": "supervised"})
cancelled = client.fine_tuning.jobs.cancel(other.id).status
errors = []
for wrong in ({"model": "gpt-4o"}, {"training_file": "file-none"}, {"method": {"type": "reinforcement"}}):
    try:
        client.fine_tuning.jobs.create(**{**common, **wrong})
    except BadRequestError as error:
        errors.append([error.status_code, error.code, error.param])
answers = {name: answer(name) for name in ("tiny", job.fine_tuned_model, checkpoints[0].fine_tuned_model_checkpoint)}
after = [model.id for model in client.models.list()]
deleted = client.models.delete(job.fine_tuned_model).deleted
try:
    answer(job.fine_tuned_model)
except NotFoundError as error:
    errors.append([error.status_code, error.code, error.param])

loop = {
    "file": uploaded.model_dump(),
    "content": client.files.content(uploaded.id).text,
    "before": before,
    "after": after,
    "paused": paused,
    "cancelled": cancelled,
    "job": job.model_dump(),
    # what the client's own types know of it
    "unknown": sorted(job.model_extra or {}),
    "events": [event.model_dump() for event in events],
    "checkpoints": [one.model_dump() for one in checkpoints],
    "results": client.files.content(job.result_files[0]).text,
    "jobs": [one.id for one in client.fine_tuning.jobs.list(limit=1)],
    "answers": answers,
    "deleted": deleted,
    "errors": errors,
}
Path(folder, "loop.json").write_text(json.dumps(loop, indent=1, default=str))
