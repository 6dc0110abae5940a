#!/usr/bin/python3
"""Regression: mu8 at 8, 4 and 1 bits of sigma beside PyTorch in FP32, on the same points.

    bench/regression.py --mu8 build/release/mu8 -o bench/results/regression.md
    bench/regression.py --mu8 build/release/mu8 --quick      # seconds: shows that everything runs

Three sets whose truth is known, with features of different units; a fifth of the test points comes
from 1.3 times the training range. Mean-field Gaussian posteriors, trained here with the whole ELBO
(local reparameterization), biases too. Both sides predict each test point with T networks. Another
T networks in FP32 say what two ensembles differ by, whatever runs them.
NLL and coverage are those of the Gaussian with the mean and the variance of the mixture: epistemic
variance + mean noise variance. Targets: RMSE within 1 %, NLL within .01 (targets standardized), 90 %
coverage within 1 point, Pearson's correlation of the epistemic variances at most .005 below that
of FP32 with itself.
Needs Debian's python3-torch, python3-numpy and python3-onnx.
"""

import argparse
import itertools
import pathlib
import sys
import tempfile

try:
    import numpy as np
    import torch
    from bayesian.program import BITS, call, convert
    from bayesian.variational import DenseRandomBias, export, passes, random_layers, train
    from torch import nn
except ModuleNotFoundError as missing:
    sys.exit(f"regression: {missing}; tools/setup test installs what it needs")

FP32_SEEDS, MU8_SEEDS = range(1, 7), range(1, 5)  # of ensembles; all but correlations are of the first
Z90 = 1.6448536
OUTSIDE = 1.3


class Waves:
    """4 features, constant noise: head values, its noise fitted by `mu8 convert --noise fit`."""
    name, hidden, activation, train, gaussian = "waves", 48, "tanh", 2000, False
    low, high = np.array([250, 9e4, 0, .001]), np.array([350, 1.1e5, 1, .02])  # K, Pa, share, m

    @staticmethod
    def truth(u):
        y = np.sin(3 * u[:, 0]) + u[:, 1] * u[:, 2] + .5 * np.exp(-4 * u[:, 3] ** 2)
        return 60 + 12 * y[:, None], np.full((len(u), 1), 12 * .2)


class Fan:
    """3 features, noise that grows twentyfold along one of them: head gaussian."""
    name, hidden, activation, train, gaussian = "fan", 64, "relu", 3000, True
    low, high = np.array([-40, 0, 1e3]), np.array([60, .5, 9e3])

    @staticmethod
    def truth(u):
        y = np.abs(u[:, 0]) + .7 * np.sin(4 * u[:, 1]) * u[:, 2]
        return 3000 * y[:, None], 3000 * .05 * np.exp(1.5 * (u[:, 2:] + 1))


class Friedman:
    """Friedman #1 of 10 features, 5 of which matter, with constant noise, and a second output whose
    noise depends on a feature: head gaussian."""
    name, hidden, activation, train, gaussian = "friedman", 64, "tanh", 4000, True
    low, high = np.zeros(10), np.array([1, 10, .1, 1e3, 1, 5, 1, 200, 1, 1e-3])

    @staticmethod
    def truth(u):
        x = (u + 1) / 2
        first = (10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - .5) ** 2 + 10 * x[:, 3]
                 + 5 * x[:, 4])
        second = 2 * u[:, 5] - u[:, 6] ** 2 + u[:, 0]
        return np.stack([first, second], 1), np.stack([np.ones(len(u)), .15 + .35 * x[:, 7]], 1)


SETS = (Waves, Fan, Friedman)


def draw_set(task, count, seed):
    """(x, y) of training, test and far points; far ones lie at ten times the training range."""
    rng = np.random.default_rng(seed)
    d = len(task.low)

    def points(n, reach):
        u = rng.uniform(-reach, reach, (n, d))
        mean, deviation = task.truth(u)
        x = task.low + (u + 1) / 2 * (task.high - task.low)
        y = mean + deviation * rng.standard_normal(mean.shape)
        return x.astype(np.float32), y.astype(np.float32)

    near, outside = points(count - count // 5, 1), points(count // 5, OUTSIDE)
    test = tuple(np.concatenate(pair) for pair in zip(near, outside))
    return points(task.train, 1), test, points(count // 10, 10)


class Regressor(nn.Module):
    """Three layers; the last puts out means, then, for a head gaussian, log-variances."""

    def __init__(self, task, outputs):
        super().__init__()
        sizes = [len(task.low), task.hidden, task.hidden, outputs * (2 if task.gaussian else 1)]
        self.layers = nn.ModuleList([DenseRandomBias(a, b) for a, b in zip(sizes, sizes[1:])])
        self.activation = getattr(torch, task.activation)
        self.log_noise = None if task.gaussian else nn.Parameter(torch.full((outputs,), -2.))

    def forward(self, x):
        first, second, last = self.layers
        return last(self.activation(second(self.activation(first(x)))))

    def loss(self, output, y):
        """Negative log-likelihood, without its constant."""
        k = y.shape[1]
        log_variance = output[:, k:] if self.log_noise is None else self.log_noise
        error = (y - output[:, :k]) ** 2
        return .5 * (log_variance + error * (-log_variance).exp()).sum(1).mean()


def trained(task, x, y, epochs, seed):
    """The posterior for standardized x, y."""
    torch.manual_seed(seed)
    network = Regressor(task, y.shape[1])
    for layer in random_layers(network):
        layer.start(.7)
    return train(network, x, y, network.loss, epochs, batch=250)


def ensemble(task, network, x, count, seed):
    """(mean, epistemic variance, mean noise variance or None) [N][K], standardized."""
    total, square, noise = 0, 0, 0
    for h in passes(network, x, count, seed):
        h = h.double()
        k = h.shape[1] // (2 if task.gaussian else 1)
        total, square = total + h[:, :k], square + h[:, :k] ** 2
        noise = noise + h[:, k:].exp()
    mean = total / count
    variance = (square / count - mean ** 2).clamp(min=0)
    return mean.numpy(), variance.numpy(), (noise / count).numpy() if task.gaussian else None


def numbers(values):
    return ",".join(f"{value:.9g}" for value in values)


def converted(mu8, task, scale, bits, folder):
    """What `mu8 convert` said of folder / sigmaBITS.mu8."""
    (x_mean, x_std), (y_mean, y_std) = scale
    head = ["--head", "values", "--noise", "fit"]
    if task.gaussian:
        head = ["--head", "gaussian", "--scale", "log-variance"]
    return convert(mu8, folder, folder / "train.npz", bits, "--mean=" + numbers(x_mean),
                   "--std=" + numbers(x_std), "--output-mean=" + numbers(y_mean),
                   "--output-std=" + numbers(y_std), *head)[1]


def predict(mu8, model, data, passes, scale, seed=1):
    """As `ensemble`, and the number of clamped inputs of each point."""
    y_mean, y_std = scale[1]
    found = call(mu8, "predict", model, data, "--samples", passes, "--seed", seed)["predictions"]
    column = lambda key: np.array([[value[key] for value in one["values"]] for one in found])
    return ((column("value") - y_mean) / y_std, (column("standard_deviation") / y_std) ** 2,
            (column("noise_standard_deviation") / y_std) ** 2,
            np.array([one["clamped_inputs"] for one in found]))


def judge(prediction, y):
    """RMSE, NLL and 90 % coverage of each output."""
    mean, epistemic, noise = prediction[:3]
    total, error = epistemic + noise, y - mean
    nll = .5 * (np.log(2 * np.pi * total) + error ** 2 / total)
    return np.array([np.sqrt((error ** 2).mean(0)), nll.mean(0),
                     100 * (np.abs(error) <= Z90 * np.sqrt(total)).mean(0)])


def correlations(pairs, k):
    """Pearson's and Spearman's of output k's epistemic variance, means over pairs of ensembles."""
    found = []
    for a, b in ((a[1][:, k], b[1][:, k]) for a, b in pairs):
        ranks = [values.argsort().argsort() for values in (a, b)]
        found.append((np.corrcoef(a, b)[0, 1], np.corrcoef(*ranks)[0, 1]))
    return np.mean(found, 0)


def study(task, options, folder):
    """Lines of the table, one of what conversion said, one of the far points."""
    sets = draw_set(task, options.points, options.seed)
    scale = [(values.mean(0).astype(float), values.std(0).astype(float)) for values in sets[0]]
    for name, (x, y) in zip(("train", "test", "far"), sets):
        np.savez(folder / f"{name}.npz", x=x, y=y)
    standard = [torch.tensor((x - scale[0][0]) / scale[0][1], dtype=torch.float32) for x, _ in sets]
    ys = [(y - scale[1][0]) / scale[1][1] for _, y in sets]
    network = trained(task, standard[0], torch.tensor(ys[0], dtype=torch.float32), options.epochs,
                      options.seed)
    export(network, (len(task.low),), folder)
    reports = {bits: converted(options.mu8, task, scale, bits, folder) for bits in BITS}

    def in_fp32(which, seed):
        mean, variance, noise = ensemble(task, network, standard[which], options.passes, seed)
        if noise is None:  # what the file states, of both sides
            noise = np.array(reports[8]["noise_variance"]) / scale[1][1] ** 2 + 0 * mean
        return mean, variance, noise

    fp32 = [in_fp32(1, seed) for seed in FP32_SEEDS]
    runs = {bits: [predict(options.mu8, folder / f"sigma{bits}.mu8", folder / "test.npz", options.passes,
                           scale, seed) for seed in MU8_SEEDS] for bits in BITS}
    rows = rows_of(task, fp32, runs, ys[1])
    said = reports[4]["input"]
    print(f"{task.name}: done", file=sys.stderr, flush=True)
    return rows, (f"| {task.name} | {said['room']:g} | {100 * said['output_error']:.2f} | "
                  f"{clamped_share(runs[4][0], task):.2f} | "
                  + far_cells(task, fp32[0], in_fp32(2, 1), runs[4][0], predict(
                      options.mu8, folder / "sigma4.mu8", folder / "far.npz", options.passes, scale)))


def clamped_share(run, task):
    return 100 * run[3].mean() / len(task.low)


def far_cells(task, near, far, near_run, far_run):
    grown = [b[1].mean() / a[1].mean() for a, b in ((near, far), (near_run, far_run))]
    return f"{clamped_share(far_run, task):.1f} | {100 * (far_run[3] > 0).mean():.1f} | " \
           f"{grown[0]:.3g} | {grown[1]:.3g} |"


def rows_of(task, fp32, runs, y):
    base, rows = judge(fp32[0], y), []
    again = list(itertools.combinations(fp32, 2))
    compared = {"FP32 again": (fp32[1], again)}
    for bits in BITS:
        compared[f"sigma {bits}"] = (runs[bits][0], list(itertools.product(fp32, runs[bits])))
    for k in range(y.shape[1]):
        name = task.name + (f", output {k}" if y.shape[1] > 1 else "")
        itself = correlations(again, k)
        for label, (run, pairs) in compared.items():
            mine, theirs = judge(run, y)[:, k], base[:, k]
            pearson, spearman = correlations(pairs, k)
            share = run[1][:, k].mean() / fp32[0][1][:, k].mean()
            missed = [what for what, bad in (
                ("RMSE", abs(mine[0] / theirs[0] - 1) > .01), ("NLL", abs(mine[1] - theirs[1]) > .01),
                ("coverage", abs(mine[2] - theirs[2]) > 1), ("correlation", pearson < itself[0] - .005))
                if bad]
            rows.append(
                f"| {name} | {label} | {mine[0]:.4f} ({100 * (mine[0] / theirs[0] - 1):+.2f} %) | "
                f"{mine[1]:.4f} ({mine[1] - theirs[1]:+.4f}) | {mine[2]:.2f} ({mine[2] - theirs[2]:+.2f}) | "
                f"{pearson:.4f} | {spearman:.4f} | {share:.3f} | {', '.join(missed) or 'none'} |")
    return rows


def page(found, options):
    lines = ["# Regression beside FP32", "",
             f"`bench/regression.py`: {options.points} test points a set, T = {options.passes} on both sides, "
             f"{options.epochs} epochs, seed {options.seed}. Targets standardized; in parentheses the "
             "difference to FP32 on the same points, of other draws. \"FP32 again\": another ensemble of FP32; "
             "correlations are means over pairs of ensembles "
             f"({len(FP32_SEEDS)} of FP32, {len(MU8_SEEDS)} of mu8), its own those of FP32 with itself. "
             "Variance: mean epistemic variance over FP32's.", "",
             "| set | sigma | RMSE | NLL | 90 % coverage | Pearson | Spearman | variance | targets missed |",
             "|---|---|---|---|---|---|---|---|---|"]
    lines += [row for rows, _ in found for row in rows]
    lines += ["", "Input: how much wider than the calibrated range the stored one is; what rounding it to "
              "8 bits changes of the outputs, % of their spread; clamped inputs of the test points, %. At "
              "ten times the training range: clamped inputs, inputs with any clamped, and "
              "how many times the epistemic variance of the test points it is there (4-bit sigma).", "",
              "| set | room | output error % | clamped % | far: clamped % | far: points % | FP32 grows | "
              "mu8 grows |", "|---|---|---|---|---|---|---|---|"]
    return "\n".join(lines + [line for _, line in found]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mu8", default="build/release/mu8", metavar="PROGRAM")
    parser.add_argument("--points", type=int, default=6000, help="test points of a set (6000)")
    parser.add_argument("--passes", type=int, default=1000, help="T (1000)")
    parser.add_argument("--epochs", type=int, default=400, help="of training (400)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="seconds; its figures say nothing")
    parser.add_argument("--sets", default=",".join(task.name for task in SETS), metavar="A,B,..",
                        help="which of them (all)")
    parser.add_argument("--keep", metavar="DIR", type=pathlib.Path, help="keep models and data there")
    parser.add_argument("-o", "--output", metavar="OUT.md", type=pathlib.Path)
    options = parser.parse_args()
    if options.quick:
        options.points, options.passes, options.epochs = 500, 50, 10
    wanted = options.sets.split(",")
    unknown = set(wanted) - {task.name for task in SETS}
    if unknown:
        parser.error(f"--sets: {', '.join(sorted(unknown))}: expected some of "
                     f"{', '.join(task.name for task in SETS)}")
    torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        for task in (task for task in SETS if task.name in wanted):
            folder = (options.keep or pathlib.Path(temporary)) / task.name
            folder.mkdir(parents=True, exist_ok=True)
            try:
                found.append(study(task, options, folder))
            except (OSError, ValueError) as error:
                print(f"regression: {error}", file=sys.stderr)
                return 1
    text = page(found, options)
    print(text, end="")
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
