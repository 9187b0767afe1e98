"""How well words alone tell chosen answers from rejected ones: what there is to learn of a file of pairs, without a model.

  python bench/pair_words.py ROWS [FOLDS [WORDS]]     ROWS: JSON, a list of pairs (ShareGPT's or prompt, chosen, rejected); WORDS of an answer at most; with numpy
Each answer is its words, pairs of neighbouring words and first four words, each once; a logistic regression of the differences is fitted on all folds but one and
asked for the one left out. Prints its accuracy over all pairs for three seeds and three strengths of decay, with the standard error."""
import json, random, re, sys
import numpy as np

with open(sys.argv[1]) as f:
    pairs = json.load(f)
folds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
most = int(sys.argv[3]) if len(sys.argv) > 3 else None


def text(answer):
    if isinstance(answer, list):
        answer = answer[-1]
    return answer if isinstance(answer, str) else answer.get("value", answer.get("content"))


def features(answer):
    words = re.findall(r"[a-z']+|[0-9]+|[^\w\s]|\n", text(answer).lower())[:most]
    return set(words) | {f"{a} {b}" for a, b in zip(words, words[1:])} | {f"{i}: {word}" for i, word in enumerate(words[:4])}


sides = [(features(pair["chosen"]), features(pair["rejected"])) for pair in pairs]
count = {}
for chosen, rejected in sides:
    for feature in chosen | rejected:
        count[feature] = count.get(feature, 0) + 1
column = {feature: i for i, feature in enumerate(sorted(feature for feature, n in count.items() if n >= 4))}
x = np.zeros((len(pairs), len(column)))
for i, (chosen, rejected) in enumerate(sides):
    for sign, side in ((1, chosen), (-1, rejected)):
        for feature in side:
            if feature in column:
                x[i, column[feature]] += sign
x /= np.maximum(1, np.linalg.norm(x, axis=1, keepdims=True))


alike = x @ x.T


def margins(held, rest, decay):
    """of the held-out pairs: w = Σ a · x over the rest, 400 steps of gradient ascent"""
    a, own = np.zeros(len(rest)), alike[np.ix_(rest, rest)]
    for _ in range(400):
        a += 4 / (1 + np.exp(own @ a)) / len(rest) - decay * a
    return alike[np.ix_(held, rest)] @ a


longer = np.mean([len(text(pair["chosen"])) > len(text(pair["rejected"])) for pair in pairs])
print(json.dumps(dict(pairs=len(pairs), features=len(column), chosenIsLonger=round(float(longer), 3))))
for decay in (1e-3, 1e-2, 5e-2):
    accuracies = []
    for seed in range(3):
        order = list(range(len(pairs)))
        random.Random(seed).shuffle(order)
        right = 0
        for fold in range(folds):
            held = order[fold::folds]
            rest = sorted(set(order) - set(held))
            right += int((margins(held, rest, decay) > 0).sum())
        accuracies.append(round(right / len(pairs), 4))
    mean = sum(accuracies) / len(accuracies)
    print(json.dumps(dict(decay=decay, accuracies=accuracies, standardError=round((mean * (1 - mean) / len(pairs)) ** 0.5, 4))))
