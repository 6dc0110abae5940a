#!/usr/bin/python3
"""Entropy and mutual information at 8, 4, 2 and 1 bits of sigma beside FP32, to a known error.

    bench/uncertainty.py --mu8 build/release/mu8 --data DIR --models DIR --work DIR \\
        -o bench/results/uncertainty.md
    bench/uncertainty.py --mu8 build/release/mu8 --quick           # seconds: one posterior

FP32 is `mu8 eval --model --engine-noise`: it draws the engine's random bytes, so a seed's two runs are
of the same T networks but for quantization, and the ratio of their sums over images is known far
better than the sums. Images of a seed share its draws, so seeds are the cluster: a standard error is
that of the seeds' ratios. Seeds are added until that of mutual information is .7 % or less, or until
the row's limit. What the engine's noise changes itself is in a table of its own: FP32 with its bytes
beside FP32 with exact Gaussian noise, of other draws. Where mutual information is further than 3 % off,
two more ratios say why: FP32 arithmetic with the file's own weights (--engine-weights), and a file
without the choice of levels that `mu8 convert` makes by measuring.

--models DIR has lenet5_mnist_elbo and resnet20_cifar10_noisy (.pt), --data DIR mnist and cifar10;
lenet5_mnist and resnet20_cifar10 are of tests/data. The other posteriors are trained here, by the
libraries that this Python has (bayesian/libraries.py); one that is missing is named as such.
--work DIR keeps what is done, so that the same command goes on where it ended; a posterior that was
trained into it stays until its .npz is removed.
Needs Debian's python3-torch, python3-numpy and python3-onnx.
"""

import argparse
import hashlib
import json
import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools" / "train")]

try:
    import numpy as np
    from bayesian import libraries
    from bayesian.program import Refusal, call
    from data_files.atomic import write_atomic
    from export_posterior import export_state, read_checkpoint
    from networks import NETWORKS
except ModuleNotFoundError as missing:
    sys.exit(f"uncertainty: {missing}; tools/setup test installs what it needs")

BITS = (8, 4, 2, 1)
CHOSEN_BITS = 2  # up to which `mu8 convert` chooses sigma's levels by measuring
NOISE_SEEDS = 12  # at least, of either kind of noise
TARGET, ENOUGH = .03, .007  # of a ratio's distance from 1, and of its standard error


class Kept:
    """Results by what they were made of: a JSON file, written after each."""

    def __init__(self, folder, mu8):
        state = mu8.stat()
        self.path, self.base = folder / "results.json", [state.st_size, state.st_mtime_ns]
        self.found = json.loads(self.path.read_text()) if self.path.exists() else {}

    def key(self, files, settings):
        hashes = [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files]
        return json.dumps([self.base, hashes, *settings])

    def get(self, make, files, *settings):
        """make(), or what an earlier make() of the same files, settings and program returned."""
        key = self.key(files, settings)
        if key not in self.found:
            self.found[key] = make()
            write_atomic(self.path, json.dumps(self.found, indent=0))
        return self.found[key]

    def forget(self, files, *settings):
        self.found.pop(self.key(files, settings), None)


class Subject:
    """A posterior and the images that it is measured on."""

    def __init__(self, name, prefix, calibration, data, images, seeds):
        self.name, self.calibration, self.data, self.images = name, calibration, data, images
        self.onnx, self.npz = (prefix.with_name(prefix.name + end) for end in (".onnx", ".npz"))
        self.seeds = seeds  # (at least, at most)


class Measurement:
    """One subject's runs: [entropy, mutual information], means over the images."""

    def __init__(self, subject, mu8, passes, kept, folder):
        self.subject, self.mu8, self.passes, self.kept, self.folder = subject, mu8, passes, kept, folder
        self.accepted = {}  # width -> the converter's objection
        self.files = {bits: self.convert(bits) for bits in BITS}

    def convert(self, bits, *options):
        subject = self.subject
        file = self.folder / "_".join([subject.onnx.stem, f"sigma{bits}", *options[1:]])
        file = file.with_name(file.name + ".mu8")
        arguments = ("convert", "--model", subject.onnx, "--posterior", subject.npz,
                     "--calibration", subject.calibration, "--sigma-bits", bits, *options, "-o", file)

        def objection():
            try:
                call(self.mu8, *arguments)
            except Refusal:
                return call(self.mu8, *arguments, "--accept")["verdict"]["reason"]
            return ""
        if not file.exists():
            self.kept.forget([subject.onnx, subject.npz], "convert", bits, *options)
        said = self.kept.get(objection, [subject.onnx, subject.npz], "convert", bits, *options)
        if said:
            self.accepted[bits] = said
        return file

    def run(self, seed, files, *source):
        """[entropy, mutual information] of `mu8 eval SOURCE`."""
        subject = self.subject

        def evaluate():
            found = call(self.mu8, "eval", *source, "--data", subject.data, "--limit", subject.images,
                         "--samples", self.passes, "--seed", seed)
            return [found["mean_entropy"], found["mean_mutual_information"]]
        options = [str(part) for part in source if isinstance(part, str)]
        return self.kept.get(evaluate, files, options, subject.data.name, subject.images, self.passes,
                             seed)

    def accuracy(self):
        """Of FP32, of one ensemble."""
        subject = self.subject

        def evaluate():
            return call(self.mu8, "eval", "--model", subject.onnx, "--posterior", subject.npz, "--data",
                        subject.data, "--limit", subject.images, "--samples", self.passes)["accuracy"]
        return self.kept.get(evaluate, [subject.onnx, subject.npz], "accuracy", subject.data.name,
                             subject.images, self.passes)

    def fp32(self, seed, *how):
        source = (self.subject.onnx, self.subject.npz)
        return self.run(seed, source, "--model", source[0], "--posterior", source[1], *how)

    def engine(self, seed, bits):
        return self.run(seed, [self.files[bits]], self.files[bits])

    def unchosen(self, bits):
        """A function as engine(), with a file whose levels of sigma were not chosen by measuring."""
        file = self.convert(bits, "--sigma-importance", "fisher")
        return lambda seed, _: self.run(seed, [file], file)

    def weights_alone(self, seed, bits):
        """FP32 arithmetic with the weights that the engine draws."""
        file = self.files[bits]
        return self.run(seed, [self.subject.onnx, file], "--model", self.subject.onnx,
                        "--engine-weights", file)


def ratio(pairs):
    """Ratio of sums and its standard error over seeds, for each column: pairs [seeds][2][columns]."""
    pairs = np.array(pairs)
    single = pairs[:, 0] / pairs[:, 1]
    return pairs[:, 0].sum(0) / pairs[:, 1].sum(0), single.std(0, ddof=1) / len(single) ** .5


def paired_ratios(measurement):
    """{width: (ratios, errors)} of [entropy, mutual information], and the number of seeds."""
    least, most = measurement.subject.seeds
    pairs = {bits: [] for bits in BITS}
    for seed in range(1, most + 1):
        fp32 = measurement.fp32(seed, "--engine-noise")
        for bits in BITS:
            pairs[bits].append((measurement.engine(seed, bits), fp32))
        if seed < max(2, least):
            continue
        found = {bits: ratio(pairs[bits]) for bits in BITS}
        worst = max(errors[1] for _, errors in found.values())
        print(f"{measurement.subject.name}, seed {seed}: " + ", ".join(
            f"{bits} bits {values[1]:.4f} +- {errors[1]:.4f}" for bits, (values, errors)
            in found.items()), file=sys.stderr, flush=True)
        if worst <= ENOUGH:
            break
    return found, seed


def noise_ratio(measurement, seeds):
    """Of FP32 with the engine's bytes over FP32 with exact noise, other draws, and the errors."""
    runs = [np.array([measurement.fp32(seed, *how) for seed in range(1, seeds + 1)])
            for how in (("--engine-noise",), ())]
    means = [values.mean(0) for values in runs]
    relative = [values.std(0, ddof=1) / seeds ** .5 / mean for values, mean in zip(runs, means)]
    value = means[0] / means[1]
    return means[1], value, value * np.hypot(*relative)


def with_error(value, error):
    return f"{value:.4f} ± {error:.4f}"


def causes(measurement, bits, seeds):
    """Cells (weights alone, unchosen) of mutual information's ratio; a width above 2 has no choice."""
    runs = [measurement.weights_alone]
    if bits <= CHOSEN_BITS:
        runs.append(measurement.unchosen(bits))
    cells = [with_error(*(column[1] for column in ratio(
        [(run(seed, bits), measurement.fp32(seed, "--engine-noise")) for seed in range(1, seeds + 1)])))
        for run in runs]
    return (*cells, "")[:2]


def study(measurement):
    """(rows of the widths, row of the noise, what was not as wanted)."""
    subject, rows, remarks = measurement.subject, [], []
    found, seeds = paired_ratios(measurement)
    for bits, (values, errors) in found.items():
        is_near = abs(values[1] - 1) <= TARGET
        cells = (with_error(values[0], errors[0]), with_error(values[1], errors[1]),
                 "within 3 %" if is_near else "**missed**",
                 *(("", "") if is_near else causes(measurement, bits, seeds)))
        rows.append(f"| {subject.name} | {bits} | {' | '.join(cells)} | {seeds} | {subject.images:,} |")
        if errors[1] > ENOUGH:
            remarks.append(f"{subject.name}, {bits} bits: the standard error after {seeds} seeds is "
                           f"{100 * errors[1]:.2f} %, more than {100 * ENOUGH:g} %.")
        if bits in measurement.accepted:
            remarks.append(f"{subject.name}, {bits} bits: `mu8 convert` refused the file, written with "
                           f"--accept: {measurement.accepted[bits]}.")
    noise_seeds = max(seeds, min(NOISE_SEEDS, subject.seeds[1]))
    means, values, errors = noise_ratio(measurement, noise_seeds)
    cells = (f"{100 * measurement.accuracy():.2f}", f"{means[0]:.4f}", f"{means[1]:.5f}",
             with_error(values[0], errors[0]), with_error(values[1], errors[1]))
    return rows, f"| {subject.name} | {' | '.join(cells)} | {noise_seeds} |", remarks


def page(found, missing, passes):
    lines = ["# Uncertainty beside FP32", "",
             f"`bench/uncertainty.py`, T = {passes}. Ratios to FP32 of the same random bytes, sums over "
             "images and seeds, ± the standard error over seeds. Where mutual information is further than "
             "3 % off: its ratio in FP32 arithmetic with the weights that the engine draws, and, up to 2 "
             "bits, of a file whose levels `mu8 convert` has not chosen by measuring (`--sigma-importance "
             "fisher`).", "",
             "| posterior | bits of sigma | entropy | mutual information | | weights alone | not chosen | "
             "seeds | images |", "|---|---|---|---|---|---|---|---|---|"]
    lines += [row for rows, _, _ in found for row in rows]
    lines += [f"| {name} | | | | not measured: {reason} | | | | |" for name, reason in missing]
    lines += ["", "FP32 with exact Gaussian noise (nats), and the ratio to it of FP32 with the engine's "
              "noise, which ends at 2.91 standard deviations: other draws, so less certain.", "",
              "| posterior | accuracy, % | entropy | mutual information | entropy, ratio | mutual "
              "information, ratio | seeds |", "|---|---|---|---|---|---|---|"]
    lines += [noise for _, noise, _ in found]
    remarks = [remark for _, _, those in found for remark in those]
    if remarks:
        lines += ["", *(f"- {remark}" for remark in remarks)]
    return "\n".join(lines) + "\n"


def find(folder, start):
    found = sorted(folder.glob(start + "*"))
    if not found:
        raise ValueError(f"{folder}: expected a file {start}, .gz or .xz")
    return found[0]


def subjects(options, folder):
    """Yields each subject, or (name, why it cannot be measured)."""
    tests = ROOT / "tests" / "data"
    if options.quick:
        digits = tests / "mnist" / "calibration-images-idx3-ubyte.gz"
        yield Subject("LeNet-5", tests / "lenet5_mnist", digits, digits, 20, (2, 2))
        return
    mnist = [options.data / "mnist" / f"{part}-images-idx3-ubyte.gz" for part in ("train", "t10k")]
    cifar = [find(options.data / "cifar10", part) for part in ("data_batch_1.bin", "test_batch.bin")]
    for name, stem, data, images, seeds in (
            ("LeNet-5, tempered", "lenet5_mnist", mnist, 4000, (6, 40)),
            ("LeNet-5, ELBO", "lenet5_mnist_elbo", mnist, 4000, (6, 40)),
            ("ResNet-20", "resnet20_cifar10", cifar, 400, (6, 14)),
            ("ResNet-20, noisy", "resnet20_cifar10_noisy", cifar, 400, (6, 14))):
        prefix = tests / stem
        if not prefix.with_suffix(".onnx").exists():
            prefix, checkpoint = folder / stem, options.models / f"{stem}.pt"
            export_state(NETWORKS[stem.partition("_")[0]], read_checkpoint(checkpoint), str(prefix))
        yield Subject(name, prefix, *data, images, seeds)
    for name in libraries.POSTERIORS:
        prefix = folder / re.sub("[^a-z]+", "_", name.lower())
        try:
            version = libraries.version(name)
            if not prefix.with_name(prefix.name + ".npz").exists():
                print(f"training {name}", file=sys.stderr, flush=True)
                libraries.train(name, options.data / "mnist", prefix)
        except ModuleNotFoundError as missing:
            yield name, f"{missing.name} is not installed"
            continue
        yield Subject(f"{name} ({version})", prefix, *mnist, 4000, (6, 40))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mu8", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--models", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, help="kept: a rerun goes on from there")
    parser.add_argument("--quick", action="store_true", help="seconds; its figures say nothing")
    parser.add_argument("-o", "--output", metavar="OUT.md", type=pathlib.Path)
    options = parser.parse_args()
    if not options.quick and not (options.data and options.models):
        parser.error("expected --data DIR and --models DIR, or --quick")
    mu8, passes, found, missing = options.mu8.resolve(), 5 if options.quick else 50, [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            kept = Kept(folder, mu8)
            for subject in subjects(options, folder):
                if isinstance(subject, tuple):
                    missing.append(subject)
                    continue
                found.append(study(Measurement(subject, mu8, passes, kept, folder)))
        except (OSError, ValueError) as error:
            sys.exit(f"uncertainty: {error}")
    text = page(found, missing, passes)
    print(text, end="")
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
