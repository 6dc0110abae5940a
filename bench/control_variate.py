#!/usr/bin/env python3
"""Does the mean of moments' logits help few samples, as a control variate?

    pip install .
    bench/control_variate.py --model NET.mu8 --images DATA [--count N] -o bench/results/control_variate.md

NET.mu8 is made with --moments. Estimates of the predictive mean, by KL from the limit of many passes of another
seed, mean over the images in nats and over several ensembles:
 * sampled: mean_t p_t.
 * antithetic: the same, of pairs of opposite noise.
 * controlled: mean_t p_t - J (mean_t z_t - m), where z_t are a pass's logits, m moments' mean of them and J the
   derivative of the softmax at m: what of the passes' error is linear in the logits goes, and what moments' m
   is wrong by comes in (Owen, Monte Carlo theory, 8.9). Clipped to probabilities.
 * moments: no samples at all.
Needs Debian's python3-numpy.
"""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import numpy as np  # noqa: E402
from data_files.images import read_images  # noqa: E402

import mu8  # noqa: E402

PASSES, ENSEMBLES, LIMIT, LIMIT_SEED = (4, 10, 20, 50), 4, 2000, 1000


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def divergence(limit, estimate):
    """Mean KL(limit || estimate), nats, clipped as `mu8 eval` does."""
    p, q = (np.clip(each.astype(np.float64), 1e-9, None) for each in (limit, estimate))
    return float((p * np.log(p / q)).sum(axis=1).mean())


def controlled(logits, center):
    at = softmax(center)
    off = logits.mean(axis=1) - center
    linear = at * (off - (at * off).sum(axis=1, keepdims=True))
    mean = np.clip(softmax(logits).mean(axis=1) - linear, 0, None)
    return mean / mean.sum(axis=1, keepdims=True)


def rows(model, images):
    options = {"layout": "nhwc"}
    limit = model.predict(images, LIMIT, seed=LIMIT_SEED, threads=0, **options).mean
    moments = model.predict(images, method="moments", logits=True, **options)
    center = moments.logits[:, 0].astype(np.float64)
    lines = []
    for passes in PASSES:
        found = []
        for seed in range(1, ENSEMBLES + 1):
            drawn = model.predict(images, passes, seed=seed, logits=True, threads=0, **options)
            pairs = model.predict(images, passes, seed=seed, noise="antithetic", threads=0, **options)
            found.append([divergence(limit, mean) for mean in
                          (drawn.mean, pairs.mean, controlled(drawn.logits.astype(np.float64), center))])
        lines.append(f"| {passes} | " + " | ".join(f"{value:.5f}" for value in np.mean(found, axis=0))
                     + f" | {divergence(limit, moments.mean):.5f} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, action="append", required=True)
    parser.add_argument("--images", type=pathlib.Path, action="append", required=True, help="one for each model")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("-o", "--output", metavar="OUT.md", type=pathlib.Path, required=True)
    options = parser.parse_args()
    if len(options.model) != len(options.images):
        parser.error("expected one --images for each --model")
    lines = ["# Moments' mean as a control variate", "",
             "`bench/control_variate.py`: KL from the limit of "
             f"{LIMIT:,} passes to the predictive mean of T, nats, mean of {ENSEMBLES} ensembles; its first lines say "
             "what the columns are."]
    for path, images in zip(options.model, options.images):
        model = mu8.load(path)
        height, width, channels = model.input_shape
        pixels = read_images(images, (channels, height, width))[:options.count].transpose(0, 2, 3, 1)
        lines += ["", f"## {model.name}", "", f"{len(pixels)} images.", "",
                  "| T | sampled | antithetic | controlled | moments |", "|---" * 5 + "|", *rows(model, pixels)]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
