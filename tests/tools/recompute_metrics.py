"""Computes `mu8 eval`'s figures a second time, from its predictions file and the labels alone.

    recompute_metrics.py TESTS_DATA_MNIST PREDICTIONS.f32 EVAL.json

Fails when one of them differs from the JSON by more than 1e-9. Definitions: tools/mu8/README.md.
"""

import gzip
import json
import math
import struct
import sys


def main():
    data, predictions_path, json_path = sys.argv[1:]
    with gzip.open(data + "/digits-labels-idx1-ubyte.gz") as file:
        labels = file.read()[8:]
    with open(predictions_path, "rb") as file:
        values = [p for (p,) in struct.iter_unpack("<f", file.read())]
    with open(json_path) as file:
        found = json.load(file)
    count = len(labels)
    classes = len(values) // count
    rows = [values[i * classes:(i + 1) * classes] for i in range(count)]

    correct, bins = 0, {}
    for row, label in zip(rows, labels):
        hit = row.index(max(row)) == label
        correct += hit
        bins.setdefault(math.ceil(max(row) * 15), []).append(hit - max(row))
    nll = -sum(math.log(max(row[label], 1e-12)) for row, label in zip(rows, labels))
    brier = sum((p - (c == label)) ** 2
                for row, label in zip(rows, labels) for c, p in enumerate(row))
    entropy = -sum(p * math.log(p) for row in rows for p in row if p > 0)
    expected = {
        "accuracy": correct / count,
        "nll": nll / count,
        "brier": brier / count,
        "ece": sum(abs(sum(gaps)) for gaps in bins.values()) / count,
        "mean_entropy": entropy / count,
    }
    wrong = [f"{key} is {found[key]}, recomputed {value}"
             for key, value in expected.items() if abs(found[key] - value) > 1e-9]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
