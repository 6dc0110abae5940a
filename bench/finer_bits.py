#!/usr/bin/python3
"""What bits per panel or per channel, not per layer, would be worth.

    bench/finer_bits.py --posterior MODEL [--posterior MODEL]... -o OUT.md

MODEL.onnx and MODEL.npz as for `mu8 convert`. A unit (layer, panel of 16 output channels, or channel)
of n weights loses D(b) = 1/2 d_b sum RMS^2 / sigma^2 with b bits: RMS is that of its channel's means,
d_b the least distortion of a Gaussian with 2^b values (Max 1960, "Quantizing for minimum distortion",
table I). Bits go where D falls most per weight, as `mu8 allocate --method greedy` spends them. The
same D costs more average bits with layers as units than with smaller ones; the difference is what
smaller ones are worth. Storing their widths is not counted: 3 bits a unit.
"""

import argparse
import heapq
import pathlib
import sys

try:
    import numpy as np
    import onnx
    import onnx.numpy_helper
except ModuleNotFoundError as missing:
    sys.exit(f"finer_bits: {missing}; tools/setup test installs what it needs")

# Of 1 to 5 bits, Max 1960; from there on a quarter a bit, as for any fine quantizer.
DISTORTION = [1, .3634, .1175, .03454, .009497, .002499]
DISTORTION += [DISTORTION[-1] / 4 ** i for i in (1, 2, 3)]
PANEL = 16
BUDGETS = (2, 2.5, 3, 4)


def channels_of(model):
    """By layer: weights per channel, and D of each channel with no bits."""
    sigmas = np.load(f"{model}.npz")
    found = []
    for tensor in onnx.load(f"{model}.onnx").graph.initializer:
        name = f"{tensor.name}.sigma"
        if name not in sigmas.files or len(tensor.dims) < 2:
            continue
        mu = onnx.numpy_helper.to_array(tensor).astype(np.float64)
        mu = mu.reshape(mu.shape[0], -1)
        sigma = sigmas[name].reshape(mu.shape).astype(np.float64)
        found.append((mu.shape[1], .5 * (mu ** 2).mean(1) * (sigma ** -2).sum(1)))
    if not found:
        raise ValueError(f"{model}: no weights with sigmas")
    return found


def units_of(layers, size):
    """(weights, D with no bits) of every unit of `size` channels; 0: the layer."""
    units = []
    for width, error in layers:
        step = size or len(error)
        for first in range(0, len(error), step):
            part = error[first:first + step]
            units.append((width * len(part), part.sum()))
    return units


def spend(units):
    """Average bits and D, bit by bit, from 1 bit everywhere to 8."""
    total = sum(weights for weights, _ in units)
    average, loss = 1.0, sum(error * DISTORTION[1] for _, error in units)
    queue = []

    def push(i, bits):
        weights, error = units[i]
        gain = error * (DISTORTION[bits] - DISTORTION[bits + 1])
        heapq.heappush(queue, (-gain / weights, i, bits, gain))

    for i in range(len(units)):
        push(i, 1)
    path = [(average, loss)]
    while queue:
        _, i, bits, gain = heapq.heappop(queue)
        average += units[i][0] / total
        loss -= gain
        path.append((average, loss))
        if bits + 1 < 8:
            push(i, bits + 1)
    return np.array(path)


def bits_for(path, loss):
    """Average bits at which D is `loss`, its logarithm straight between two plans."""
    return float(np.interp(-np.log(loss), -np.log(path[:, 1]), path[:, 0]))


def loss_at(path, bits):
    return float(np.exp(np.interp(bits, path[:, 0], np.log(path[:, 1]))))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posterior", action="append", required=True, metavar="MODEL")
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    options = parser.parse_args()
    lines = ["# What bits per panel or per channel would be worth", "",
             "Average bits that layers as units need more for the same posterior error "
             "(`bench/finer_bits.py`).", "",
             "| network | unit | " + " | ".join(f"{b:g} bits" for b in BUDGETS) + " |",
             "|---|---|" + "---|" * len(BUDGETS)]
    for model in options.posterior:
        try:
            layers = channels_of(model)
        except (OSError, ValueError) as problem:
            sys.exit(f"finer_bits: {problem}")
        by_layer = spend(units_of(layers, 0))
        for name, size in (("panel", PANEL), ("channel", 1)):
            path = spend(units_of(layers, size))
            saved = [bits_for(by_layer, loss_at(path, b)) - b for b in BUDGETS]
            lines.append(f"| {pathlib.Path(model).name} | {name} | "
                         + " | ".join(f"{s:.2f}" for s in saved) + " |")
    temporary = options.output.with_suffix(".tmp")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.rename(options.output)
    print(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
