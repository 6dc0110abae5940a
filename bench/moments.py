#!/usr/bin/python3
"""Predictions by moments beside sampled ones: how far from the limit of many passes, how good, how
well uncertainty tells errors and foreign images, and the time and memory of it.

    bench/moments.py --mu8 build/release/mu8 --data DIR --models DIR --work DIR \\
      -o bench/results/moments.md                       # an hour of two cores, most of it passes
    bench/moments.py --mu8 build/release/mu8 --quick    # a minute: its figures say nothing

--data has mnist, cifar10 and ood (notmnist, cifar100), --models lenet5_mnist_elbo.pt and
resnet20_cifar10_noisy.pt; the other posteriors are in tests/data, VGG-16's as a file of 3 bits of mu and 1
of sigma (posterior_of.py). Files have 4 bits of sigma. --only VGG-16 leaves out the others.
The limit's seed is none of the rows'. --work DIR keeps what is done, so that the same command goes
on where it ended: a sampled row until its file changes, moments until the program does, times, too, or
until --retime. On a busy machine the times want real-time priority: --part time, below chrt -f 10, with
--work of a run before. Every figure but the two correlations is one that `mu8 eval` or `mu8 bench` prints.
Needs Debian's python3-torch, python3-numpy and python3-onnx.
"""

import argparse
import hashlib
import json
import os
import pathlib
import sys
import tempfile
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

try:
    import numpy as np
    from bayesian.program import call
    from data_files import packed
    from data_files.atomic import write_atomic
    from export_posterior import main as export
    from posterior_of import export as export_file
    from suite import machine
except ModuleNotFoundError as missing:
    sys.exit(f"moments: {missing}; tools/setup test installs what it needs")

COMMITTED = ROOT / "tests" / "data"
LIMIT_SEED = 1000
SEEDS = {5: 3, 10: 3, 20: 3, 50: 1, 200: 1}  # of T passes: how many runs a row is the mean of
LACKING = "mu8 error 63:"  # kernels that this processor has not
KERNELS = ("avx512vbmi", "avx512vnni", "avxvnni", "avx2", "scalar")
CORRELATION, SCALE, LOSS = .92, .25, .006  # what moments must reach, of AUROC at most lose
PASSES, FASTER, ARENA = 3.5, 12, 2.2  # at most, at least, at most
COLUMNS = (("KL", "{:.5f}"), ("accuracy %", "{:.2f}"), ("NLL", "{:.4f}"), ("ECE %", "{:.2f}"),
           ("AUROC errors", "{:.4f}"), ("foreign, entropy", "{:.4f}"),
           ("foreign, MI", "{:.4f}"), ("corr. entropy", "{:.4f}"), ("corr. MI", "{:.4f}"),
           ("MI / limit's", "{:.3f}"), ("the same, foreign", "{:.3f}"))
KL, ERRORS, FOREIGN, FOREIGN_MI, CORRELATION_ENTROPY, CORRELATION_MI, SCALE_MI = 0, 4, 5, 6, 7, 8, 9


@dataclass
class Subject:
    """A posterior, its images and how many of them, and how many passes the limit has."""
    name: str
    prefix: pathlib.Path
    calibration: pathlib.Path
    data: pathlib.Path
    foreign: pathlib.Path
    images: int
    foreign_images: int
    passes: int
    is_timed: bool


class Kept:
    """Results in a folder, one JSON file each, with what they were made of."""

    def __init__(self, folder):
        self.folder = folder

    def get(self, name, key, make):
        path = self.folder / f"{name}.json"
        found = json.loads(path.read_text()) if path.exists() else {}
        if found.get("key") != key:
            found = {"key": key, "result": make()}
            write_atomic(path, json.dumps(found))
            print(f"moments: {name}", file=sys.stderr, flush=True)
        return found["result"]


def digest(*paths):
    return [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths]


class Measurement:
    """One subject's files and runs."""

    def __init__(self, subject, options, kept):
        self.subject, self.mu8, self.kept, self.folder = subject, options.mu8, kept, kept.folder
        self.threads, self.program = options.threads, digest(options.mu8)
        self.sampled = self.convert("sampled", [])
        self.moments = self.convert("moments", self.program, "--moments")
        if subject.is_timed:
            self.deterministic = self.convert("deterministic", [], "--deterministic")

    def path(self, what, end):
        return self.folder / f"{self.subject.prefix.name}_{what}{end}"

    def convert(self, what, key, *how):
        onnx, npz = (self.subject.prefix.with_suffix(end) for end in (".onnx", ".npz"))
        file = self.path(what, ".mu8")
        sigma = () if "--deterministic" in how else ("--posterior", npz, "--sigma-bits", 4)

        def make():
            call(self.mu8, "convert", "--model", onnx, "--calibration", self.subject.calibration,
                 *sigma, *how, "--accept", "-o", file)
        if not file.exists():
            file.with_suffix(".json").unlink(missing_ok=True)
        self.kept.get(file.stem, [*key, *digest(onnx, npz), *how], make)
        return file

    def run(self, what, file, key, *how):
        """(what `mu8 eval FILE HOW` prints, its [images, 3] entropies); files of its predictions stay."""
        subject = self.subject
        settings = [subject.images, subject.foreign_images, *map(str, how)]
        predictions, uncertainty = self.path(what, ".f32"), self.path(what, "_uncertainty.f32")

        def make():
            return call(self.mu8, "eval", file, "--data", subject.data, "--limit", subject.images,
                        "--ood", subject.foreign, "--ood-limit", subject.foreign_images,
                        "--predictions", predictions, "--uncertainty", uncertainty,
                        "--threads", self.threads, *how)
        found = self.kept.get(f"{subject.prefix.name}_{what}", [*key, *digest(file), *settings], make)
        return found, np.fromfile(uncertainty, "<f4").reshape(-1, 3).astype(np.float64)

    def quality(self):
        """{row: its figures in the order of COLUMNS}, the limit first, moments last."""
        limit = self.run("limit", self.sampled, [], "--samples", self.subject.passes, "--seed",
                         LIMIT_SEED)
        against = ("--against", self.path("limit", ".f32"))
        made_of = digest(against[1])
        rows = {f"limit, T = {self.subject.passes}": figures(limit, limit)}
        for samples, seeds in SEEDS.items():
            runs = [self.run(f"T{samples}_{seed}", self.sampled, made_of, "--samples", samples,
                             "--seed", seed, *against) for seed in range(1, seeds + 1)]
            rows[f"T = {samples}"] = np.mean([figures(run, limit) for run in runs], axis=0)
        run = self.run("by_moments", self.moments, made_of + self.program, "--method", "moments",
                       *against)
        rows["moments"] = figures(run, limit)
        return rows

    def bench(self, kernels, samples):
        return call(self.mu8, "bench", self.moments, "--method", "moments", "--deterministic",
                    self.deterministic, "--kernels", kernels, "--samples", samples)

    def times(self, kernels, quick):
        """Medians over the rounds of what `mu8 bench` prints, None where the processor lacks them."""
        try:
            rounds = [(self.bench(kernels, 1), self.bench(kernels, 50))
                      for _ in range(1 if quick or kernels == "scalar" else 3)]
        except ValueError as error:
            if LACKING not in str(error):
                raise
            return None
        one, fifty = rounds[0][0]["moments"], rounds[0][1]

        def median(figure):
            return float(np.median([figure(*pair) for pair in rounds]))
        return {"deterministic": median(lambda a, _: a["moments"]["us_per_deterministic_pass_p50"]),
                "moments": median(lambda a, _: a["moments"]["us_per_prediction_p50"]),
                "sampling": median(lambda _, b: b["us_per_prediction_p50"]),
                "passes": median(lambda a, _: a["moments"]["over_a_deterministic_pass"]),
                "passes_behind_fifty": median(lambda _, b: b["moments"]["over_a_deterministic_pass"]),
                "faster": median(lambda _, b: b["moments"]["sampling_over_moments"]),
                "arena": one["arena_bytes"], "arena_ratio": one["arena_bytes"] / fifty["arena_bytes"],
                "load": os.getloadavg()[0], "is_real_time": os.sched_getscheduler(0) != os.SCHED_OTHER}


def figures(run, limit):
    found, foreign, scores = run[0], run[0]["ood"][0], ("by_entropy", "by_mutual_information")
    errors = (found["misclassification"]["by_entropy"] or {}).get("auroc", np.nan)  # none: no error
    correlations = [np.corrcoef(run[1][:, column], limit[1][:, column])[0, 1] for column in (0, 2)]
    return [found.get("kl_against", 0), 100 * found["accuracy"], found["nll"], 100 * found["ece"],
            errors, *(foreign[score]["auroc"] for score in scores), *correlations,
            *(mine["mean_mutual_information"] / its["mean_mutual_information"]
              for mine, its in ((found, limit[0]), (foreign, limit[0]["ood"][0])))]


def targets_row(subject, rows):
    """Beside each target what is reached, in bold where that misses it."""
    limit, moments, bound = next(iter(rows.values())), rows["moments"], rows["T = 20"][KL]
    lost = np.nanmin([moments[column] - limit[column] for column in (ERRORS, FOREIGN, FOREIGN_MI)])
    off = [moments[column] - 1 for column in (SCALE_MI, SCALE_MI + 1)]
    cells = [marked(moments[KL] <= bound, f"{moments[KL]:.5f} ({bound:.5f})"),
             marked(lost >= -LOSS, f"{lost:+.4f}"),
             marked(moments[CORRELATION_MI] >= CORRELATION, f"{moments[CORRELATION_MI]:.3f}"),
             *(marked(abs(value) <= SCALE, f"{100 * value:+.1f} %") for value in off)]
    return f"| {subject.name} | " + " | ".join(cells) + " |"


def marked(is_met, text):
    return text if is_met else f"**{text}**"


def worth(rows, column, sign):
    """Of which numbers of passes the figure is on either side of moments'; sign 1: less is nearer."""
    value = sign * rows["moments"][column]
    worse = [samples for samples in SEEDS if sign * rows[f"T = {samples}"][column] > value]
    better = [samples for samples in SEEDS if samples > max(worse, default=0)]
    if not worse:
        return f"less than {better[0]}"
    return f"{worse[-1]} to {better[0]}" if better else f"more than {worse[-1]}"


def reading(subject, rows):
    foreign = subject.foreign.name.partition(".")[0].partition("-")[0]
    return (f"- {subject.name} (first {subject.images:,} test images, {subject.foreign_images:,} of {foreign}): "
            f"{worth(rows, KL, 1)} by KL, {worth(rows, CORRELATION_ENTROPY, -1)} by the "
            f"correlation of entropy, {worth(rows, CORRELATION_MI, -1)} by that of mutual information.")


def quality_lines(measurements):
    lines, targets, readings = [], [], []
    for measurement in measurements:
        subject, rows = measurement.subject, measurement.quality()
        lines += [f"| {'' if index else subject.name} | {name} | " + " | ".join(
            "" if np.isnan(value) else form.format(value) for (_, form), value in zip(COLUMNS, row)) + " |"
            for index, (name, row) in enumerate(rows.items())]
        targets.append(targets_row(subject, rows))
        readings.append(reading(subject, rows))
    return ["", "One pass of moments is as near the limit as this many sampled ones:", "", *readings, "",
            "| posterior | | " + " | ".join(name for name, _ in COLUMNS) + " |",
            "|---" * (len(COLUMNS) + 2) + "|", *lines, "",
            f"Targets of the tempered and the narrow posterior: KL at most that of T = 20, AUROC at most {LOSS} "
            f"below the limit's, the correlation of mutual information at least {CORRELATION}, its mean within "
            f"{100 * SCALE:g} %. The wide ones have none. Bold: not reached.", "",
            "| posterior | KL (of T = 20) | worst AUROC less the limit's | correlation of MI | mean MI | "
            "the same, foreign |", "|---" * 6 + "|", *targets]


def time_lines(measurements, kept, quick):
    cores, rows, times = os.sched_getaffinity(0), [], []
    machine.pin(None)
    for measurement in measurements:
        if not measurement.subject.is_timed:
            continue
        for kernels in ("scalar",) if quick else KERNELS:
            found = kept.get(f"{measurement.subject.prefix.name}_time_{kernels}",
                             digest(measurement.moments) + measurement.program,
                             lambda: measurement.times(kernels, quick))
            rows.append(f"| {measurement.subject.name} | {kernels} | " + (
                time_cells(found) if found else "not on this processor | | | | | | | |"))
            if found:
                times.append(found)
    os.sched_setaffinity(0, cores)
    cpu, loads = machine.cpu_fields(), [found["load"] for found in times]
    alone = "; at real-time priority" if all(found["is_real_time"] for found in times) else ""
    return ["", "## Time and memory", "",
            "`mu8 bench --method moments --deterministic` on one core, batch 1: a sampled pass, moments and a "
            "deterministic pass in turns in one process, then T = 50 in place of the sampled pass. The "
            "first of the two ratios counts: behind 50 passes the deterministic one may find its weights "
            "evicted. p50 over calls in microseconds, median of three "
            f"rounds (scalar: one). Targets: at most {PASSES} deterministic passes, at least {FASTER} "
            f"times faster than T = 50, at most {ARENA} times its arena; misses are bold. "
            f"{cpu.get('model name', 'Processor')}, family {cpu.get('cpu family', '?')}, model "
            f"{cpu.get('model', '?')}, {len(cores)} cores, load {min(loads):.1f} to {max(loads):.1f}{alone}: "
            "read the ratios.", "",
            "| posterior | kernels | deterministic | moments | T = 50 | moments / deterministic | behind T = 50 | "
            "T = 50 / moments | arena, bytes | / sampling's |", "|---" * 10 + "|", *rows]


def time_cells(found):
    return " | ".join([*(f"{found[key]:,.1f}" for key in ("deterministic", "moments", "sampling")),
                       marked(found["passes"] <= PASSES, f"{found['passes']:.2f}"),
                       f"{found['passes_behind_fifty']:.2f}",
                       marked(found["faster"] >= FASTER, f"{found['faster']:.1f}"), f"{found['arena']:,}",
                       marked(found["arena_ratio"] <= ARENA, f"{found['arena_ratio']:.2f}")]) + " |"


def subjects(options, folder):
    if options.quick:
        digits = COMMITTED / "mnist" / "calibration-images-idx3-ubyte.gz"
        return [Subject("LeNet-5", COMMITTED / "lenet5_mnist", digits, digits, digits, 40, 20, 20,
                        True)]
    mnist, cifar, ood = (options.data / part for part in ("mnist", "cifar10", "ood"))
    lenet = (packed.find(mnist, "train-images-idx3-ubyte"), packed.find(mnist, "t10k-images-idx3-ubyte"),
             packed.find(ood, "notmnist-t10k-images-idx3-ubyte"), 10000, 2000, 1000)
    resnet = (packed.find(cifar, "data_batch_1.bin"), packed.find(cifar, "test_batch.bin"),
              packed.find(ood, "cifar100-2000.bin"), 2000, 1000, 300)
    found = [Subject("LeNet-5, tempered", COMMITTED / "lenet5_mnist", *lenet, True)]
    for name, arch, stem, data in (("LeNet-5, ELBO", "lenet5", "lenet5_mnist_elbo", lenet),
                                   ("ResNet-20, noisy", "resnet20", "resnet20_cifar10_noisy", resnet)):
        prefix = folder / stem
        if not prefix.with_suffix(".npz").exists():
            export([str(options.models / f"{stem}.pt"), "--arch", arch, "--output-prefix", str(prefix)])
        found.append(Subject(name, prefix, *data, False))
    found.insert(2, Subject("ResNet-20", COMMITTED / "resnet20_cifar10", *resnet, True))
    vgg = folder / "vgg16_cifar10"
    if not vgg.with_suffix(".npz").exists():
        export_file((COMMITTED / "vgg16_cifar10_mu3.mu8").read_bytes(), vgg)
    return [*found, Subject("VGG-16", vgg, *resnet[:3], 300, 100, 200, False)]


def chosen(options, folder):
    """The subjects that --only names, all without it."""
    found = subjects(options, folder)
    known = [subject.name for subject in found]
    unknown = set(options.only or ()) - set(known)
    if unknown:
        raise ValueError(f"--only: '{min(unknown)}' is none of {'; '.join(known)}")
    return [subject for subject in found if subject.name in (options.only or known)]


def page(options, folder):
    kept = Kept(folder)
    measurements = [Measurement(subject, options, kept) for subject in chosen(options, folder)]
    if options.retime:
        for file in folder.glob("*_time_*.json"):
            file.unlink()
    timed = time_lines(measurements, kept, options.quick) if options.part != "quality" else []
    lines = quality_lines(measurements) if options.part != "time" else []
    return "\n".join([*HEADER, *lines, *timed]) + "\n"


HEADER = [
    "# Moments beside sampling", "",
    "`bench/moments.py`: `mu8 eval` of files with 4 bits of sigma, converted with `--moments` on training "
    "images. The limit is many passes of the same file with a seed of its own; rows of 5, 10 and 20 "
    "passes are means of three seeds, of 50 and 200 one. KL is from the limit to the row, mean over the "
    "images, in nats. MI is mutual information; correlations are with the limit's, image by image. "
    "Foreign: AUROC out of distribution."]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mu8", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--models", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, help="kept: a rerun goes on from there")
    parser.add_argument("--threads", type=int, default=2, help="of mu8 eval; times are of one")
    parser.add_argument("--part", choices=("all", "quality", "time"), default="all")
    parser.add_argument("--only", metavar="NAME", action="append", help="this posterior; can be repeated")
    parser.add_argument("--retime", action="store_true", help="forget the times in --work")
    parser.add_argument("--quick", action="store_true", help="its figures say nothing")
    parser.add_argument("-o", "--output", metavar="OUT.md", type=pathlib.Path)
    options = parser.parse_args()
    if not options.quick and not (options.data and options.models):
        parser.error("expected --data DIR and --models DIR, or --quick")
    options.mu8 = options.mu8.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.work or pathlib.Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            text = page(options, folder)
        except (OSError, ValueError, machine.Refused) as error:
            sys.exit(f"moments: {error}")
    print(text, end="")
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
