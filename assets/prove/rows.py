"""The rows of a batch of TRL's trainers, without padding, as `saqr prove` compares them: token ids, which of them are learned (or scored, of answers that are
preferred or rated), `part` (of a row that is several sequences, which of them: 0 chosen, 1 rejected; of KTO 0 the answer, 1 another row's answer
to its prompt), and of rated rows `wanted`."""


def row(ids, learned, there, part=0, wanted=None):
    """there: which tokens of the line are the row's: a mask, or a slice"""
    targets = learned[there].int()
    targets[0] = 0  # nothing predicts a row's first token
    found = dict(ids=ids[there].tolist(), targets=targets.tolist(), part=part)
    return found if wanted is None else dict(found, wanted=wanted)


def of_batch(batch, whole_chosen=False):
    """whole_chosen: of chosen rows the prompt is learned too (ORPO)."""
    if "chosen_input_ids" in batch:
        return [one for part, name in enumerate(("chosen", "rejected")) for one in of_side(batch, name, part, whole_chosen and part == 0)]
    if "label" in batch:
        return of_rated(batch)
    if "labels" not in batch:
        return of_pairs(batch)
    return of_texts(batch)


def of_side(batch, name, part, whole):
    """ORPO's and CPO's batches have tensors for each answer."""
    rows = []
    for ids, labels, there in zip(batch[f"{name}_input_ids"], batch[f"{name}_labels"], batch[f"{name}_attention_mask"].bool()):
        rows.append(row(ids, there if whole else labels != -100, there, part))
    return rows


def of_pairs(batch):
    """DPO's have all chosen answers, then all rejected ones."""
    half = len(batch["input_ids"]) // 2
    rows = zip(batch["input_ids"], batch["completion_mask"], batch["attention_mask"].bool())
    return [row(ids, learned, there, int(i >= half)) for i, (ids, learned, there) in enumerate(rows)]


def of_rated(batch):
    rows = []
    for part, prefix in enumerate(("", "KL_")):
        if f"{prefix}input_ids" not in batch:
            continue
        masks = zip(batch[f"{prefix}input_ids"], batch[f"{prefix}completion_mask"], batch[f"{prefix}attention_mask"].bool(), batch["label"].tolist())
        rows += [row(ids, learned, there, part, bool(wanted)) for ids, learned, there, wanted in masks]
    return rows


def of_texts(batch):
    return [row(ids, batch["labels"][i] != -100, there) for i, ids in enumerate(batch["input_ids"]) for there in spans(batch, i)]


def spans(batch, i):
    """Where the rows of a line lie. Padding-free batches are one line of rows whose positions start at 0."""
    if "attention_mask" in batch:
        return [batch["attention_mask"][i].bool()]
    starts = (batch["position_ids"][i] == 0).nonzero()[:, 0].tolist()
    length = len(batch["input_ids"][i])
    return [slice(a, b) for a, b in zip(starts, starts[1:] + [length])]
