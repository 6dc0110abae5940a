#!/usr/bin/python3
"""How fast the predictive mean settles: independent, antithetic and stratified noise.

    bench/noise_variance.py --net lenet5 --posterior tests/data/lenet5_mnist \\
        --images tests/data/mnist/calibration-images-idx3-ubyte.gz -o OUT.md

The variance of the predictive mean over ensembles, summed over classes and averaged over training
images, against the number of passes T; in FP32, so that nothing but the noise differs.
 * independent: var(p_t) / T, from many single passes.
 * antithetic: weights mu + sigma z and mu - sigma z; var of a pair's mean / (T / 2), from many pairs.
 * stratified: Latin hypercube sampling. Over the T passes of an ensemble each weight takes every T-th
   part of its distribution once, in an order of its own: the best that stratifying single weights
   can do, whatever it would cost on a device.
Needs Debian's python3-torch, python3-numpy and python3-onnx.
"""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools" / "train")]

try:
    import numpy as np
    import onnx
    import onnx.numpy_helper
    import torch
except ModuleNotFoundError as missing:
    sys.exit(f"noise_variance: {missing}; tools/setup test installs what it needs")

from augment import normalized  # noqa: E402
from data_files.images import read_images  # noqa: E402
from networks import NETWORKS  # noqa: E402

PASSES = (2, 8, 16, 50)


def read_inputs(path, network, count):
    """The first `count` images as the network's input, float [count][C][H][W]."""
    pixels = read_images(path, network.input_shape)
    if len(pixels) < count:
        raise ValueError(f"{path}: has {len(pixels)} images, expected {count}")
    return normalized(pixels[:count], network, "cpu")


class Posterior:
    """A network whose weights are set from noise."""

    def __init__(self, network, prefix, inputs):
        self.model, self.inputs = network().eval(), inputs
        state = self.model.state_dict()
        for value in onnx.load(prefix + ".onnx").graph.initializer:
            if value.name in state:
                state[value.name] = torch.tensor(onnx.numpy_helper.to_array(value))
        self.model.load_state_dict(state)
        parameters = dict(self.model.named_parameters())
        sigmas = np.load(prefix + ".npz")
        self.weights = []  # (parameter, mu, sigma)
        for key in sorted(k for k in sigmas.files if k.endswith(".sigma")):
            parameter = parameters[key[:-len(".sigma")]]
            self.weights.append((parameter, parameter.detach().clone(), torch.tensor(sigmas[key])))
        self.sizes = [mu.numel() for _, mu, _ in self.weights]

    @torch.no_grad()
    def predict(self, noise):
        """Probabilities [N][classes] of the network with weights mu + sigma * noise."""
        for (parameter, mu, sigma), z in zip(self.weights, noise.split(self.sizes)):
            parameter.copy_(mu + sigma * z.view(mu.shape))
        return self.model(self.inputs).softmax(1).double()

    def draw(self, generator):
        return torch.randn(sum(self.sizes), generator=generator)


def spread(means):
    """Variance over ensembles [R][N][classes]: summed over classes, averaged over images."""
    return means.var(0, unbiased=True).sum(1).mean().item()


def stratified_mean(posterior, passes, generator):
    weights = sum(posterior.sizes)
    order = torch.rand(passes, weights, generator=generator).argsort(0)  # of each weight's strata
    total = 0
    for t in range(passes):
        u = (order[t] + torch.rand(weights, generator=generator, dtype=torch.float64)) / passes
        total = total + posterior.predict(torch.special.ndtri(u).float())
    return total / passes


def measure(posterior, ensembles, singles, seed):
    """{mode: {T: variance of the predictive mean}}"""
    generator = torch.Generator().manual_seed(seed)
    noise = [posterior.draw(generator) for _ in range(singles)]
    passes = torch.stack([posterior.predict(z) for z in noise])
    mirrored = torch.stack([posterior.predict(-z) for z in noise])
    single, pair = spread(passes), spread((passes + mirrored) / 2)
    found = {"independent": {t: single / t for t in PASSES},
             "antithetic": {t: 2 * pair / t for t in PASSES}, "stratified": {}}
    for t in PASSES:
        found["stratified"][t] = spread(torch.stack(
            [stratified_mean(posterior, t, generator) for _ in range(ensembles)]))
        print(f"stratified, T = {t}: {found['stratified'][t]:.3g}", file=sys.stderr, flush=True)
    return found


def table(name, found, options):
    rows = [f"## {name}", "",
            f"{options.count} training images, {options.singles} passes and their mirrors, "
            f"{options.ensembles} stratified ensembles per T. Variance of the predictive mean; in "
            "parentheses how many independent passes would have it.", "",
            "| T | " + " | ".join(found) + " |", "|---|" + "---|" * len(found)]
    one = found["independent"][PASSES[0]] * PASSES[0]
    for t in PASSES:
        cells = [f"{found[mode][t]:.3g} ({one / found[mode][t]:.1f})" for mode in found]
        rows.append(f"| {t} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", required=True, choices=sorted(NETWORKS))
    parser.add_argument("--posterior", required=True, metavar="PREFIX",
                        help="PREFIX.onnx and PREFIX.npz")
    parser.add_argument("--images", required=True, metavar="FILE.gz",
                        help="training images: IDX or CIFAR-10 records")
    parser.add_argument("--count", type=int, default=200, help="images (200)")
    parser.add_argument("--singles", type=int, default=200, help="passes and mirrors (200)")
    parser.add_argument("--ensembles", type=int, default=24, help="stratified, per T (24)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", metavar="OUT.md", help="append the table to a file")
    options = parser.parse_args()
    if min(options.count, options.singles - 1, options.ensembles - 1) < 1:
        parser.error("--count must be at least 1, --singles and --ensembles at least 2")
    torch.set_num_threads(1)
    network = NETWORKS[options.net]
    try:
        posterior = Posterior(network, options.posterior,
                              read_inputs(options.images, network, options.count))
        text = table(pathlib.Path(options.posterior).name, measure(
            posterior, options.ensembles, options.singles, options.seed), options)
    except (OSError, EOFError, ValueError, KeyError) as error:
        print(f"noise_variance: {error}", file=sys.stderr)
        return 1
    print(text)
    if options.output:
        with open(options.output, "a", encoding="utf-8") as file:
            file.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
