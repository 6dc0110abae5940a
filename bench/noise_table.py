#!/usr/bin/python3
"""What the table of 256 normal values costs, beside finer ones: in FP32, so that nothing but the noise differs.

    bench/noise_table.py --net resnet20 --posterior PREFIX --images FILE.gz [--passes 400] -o OUT.md

mu8 draws eps from 256 values on a grid of 1/16, none beyond 2.91 (kernels/gaussian_table.h). Beside it: 256 values
off the grid (quantiles scaled to variance 1), and 65,536 quantiles, as two bytes would give, whose end is 4.3. All
take the same uniform numbers as an exact normal, pass by pass, so that their predictions differ from the exact ones'
by what the table does and little else. Mean over images of: the KL divergence of the predictive mean from the exact
one, and the change of predictive entropy and mutual information; in the last row another seed of the exact noise.
Needs Debian's python3-torch, python3-numpy and python3-onnx.
"""

import argparse
import pathlib
import sys

import torch
from noise_variance import NETWORKS, Posterior, read_inputs

UNIT = 32


def tables():
    """{name: values by the index of a uniform number}, as float32 arrays whose length is their resolution."""
    quantiles = torch.special.ndtri((torch.arange(256, dtype=torch.float64) + 0.5) / 256)
    grid = torch.sign(quantiles) * (2 * torch.floor(UNIT / 2 * quantiles.abs()) + 1) / UNIT
    scaled = quantiles / quantiles.square().mean().sqrt()
    two_bytes = torch.special.ndtri((torch.arange(65536, dtype=torch.float64) + 0.5) / 65536)
    return {"256 values on the grid (mu8)": grid.float(), "256 values, variance 1": scaled.float(),
            "65,536 quantiles": two_bytes.float()}


def check_grid(grid):
    """The first table is the engine's: its sum of squares is (kEpsilonSumOfSquares)."""
    squares = round(float((grid.double() * UNIT).square().sum()))
    if squares != 261520:
        raise ValueError(f"the table's sum of squares is {squares}, kernels/gaussian_table.h says 261520")


def entropy(p):
    return -(p * p.clamp_min(1e-300).log()).sum(-1)


class Sums:
    def __init__(self):
        self.mean, self.expected, self.count = 0, 0, 0

    def add(self, p):
        self.mean, self.expected, self.count = self.mean + p, self.expected + entropy(p), self.count + 1

    def result(self):
        """(predictive mean [N][classes], its entropy [N], mutual information [N])"""
        mean = self.mean / self.count
        return mean, entropy(mean), entropy(mean) - self.expected / self.count


def measure(posterior, passes, seed):
    """{name: (KL, entropy, mutual information) as a table's row}"""
    named = tables()
    check_grid(next(iter(named.values())))
    sums = {name: Sums() for name in ("exact", *named, "exact, another seed")}
    for of, offset in (("exact", 0), ("exact, another seed", passes)):
        for t in range(passes):
            generator = torch.Generator().manual_seed(seed + offset + t)
            u = torch.rand(sum(posterior.sizes), generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
            sums[of].add(posterior.predict(torch.special.ndtri(u).float()))
            for name, values in named.items() if of == "exact" else ():
                sums[name].add(posterior.predict(values[(u * len(values)).long()]))
    exact, exact_entropy, exact_mutual = sums.pop("exact").result()
    rows = [f"| exact normal | | {exact_entropy.mean():.5f} | {exact_mutual.mean():.5f} |"]
    for name, found in sums.items():
        mean, total, mutual = found.result()
        kl = (exact * (exact.clamp_min(1e-300) / mean.clamp_min(1e-300)).log()).sum(1).mean()
        rows.append(f"| {name} | {kl:.2e} | {total.mean():.5f} ({100 * (total.mean() / exact_entropy.mean() - 1):+.2f} %) "
                    f"| {mutual.mean():.5f} ({100 * (mutual.mean() / exact_mutual.mean() - 1):+.2f} %) |")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", required=True, choices=sorted(NETWORKS))
    parser.add_argument("--posterior", required=True, metavar="PREFIX", help="PREFIX.onnx and PREFIX.npz")
    parser.add_argument("--images", required=True, metavar="FILE.gz", help="IDX or CIFAR-10 records")
    parser.add_argument("--count", type=int, default=200, help="images (200)")
    parser.add_argument("--passes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", metavar="OUT.md", type=pathlib.Path, help="append the table to a file")
    options = parser.parse_args()
    if min(options.count, options.passes) < 1:
        parser.error("--count and --passes must be at least 1")
    torch.set_num_threads(1)
    network = NETWORKS[options.net]
    try:
        posterior = Posterior(network, options.posterior, read_inputs(options.images, network, options.count))
        rows = measure(posterior, options.passes, options.seed)
    except (OSError, EOFError, ValueError, KeyError) as error:
        sys.exit(f"noise_table: {error}")
    text = "\n".join([f"## {pathlib.Path(options.posterior).name}", "",
                      f"{options.count} images, {options.passes} passes.", "",
                      "| noise | KL from exact | predictive entropy | mutual information |", "|---|---|---|---|", *rows, ""])
    print(text)
    if options.output:
        with options.output.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
