"""The figures of `mu8 eval` a second time, from its predictions and the labels alone.

Definitions: tools/mu8/METRICS.md.
"""

import math

BINS = 15  # of the expected calibration error


def figures(rows, labels):
    """rows: the probabilities of each image, [images][classes]; labels: [images]."""
    correct, bins = 0, {}
    for row, label in zip(rows, labels, strict=True):
        hit = row.index(max(row)) == label
        correct += hit
        bins.setdefault(math.ceil(max(row) * BINS), []).append(hit - max(row))
    nll = -sum(math.log(max(row[label], 1e-12)) for row, label in zip(rows, labels))
    brier = sum((p - (c == label)) ** 2
                for row, label in zip(rows, labels) for c, p in enumerate(row))
    count = len(rows)
    return {
        "accuracy": correct / count,
        "nll": nll / count,
        "brier": brier / count,
        "ece": sum(abs(sum(gaps)) for gaps in bins.values()) / count,
        "mean_entropy": sum(map(entropy, rows)) / count,
    }


def entropy(row):
    """In nats."""
    return -sum(p * math.log(p) for p in row if p > 0)


def auroc(inside, outside):
    """The share of pairs in which the value from outside is the larger; ties count half."""
    pairs = [(o > i) + (o == i) / 2 for o in outside for i in inside]
    return sum(pairs) / len(pairs)
