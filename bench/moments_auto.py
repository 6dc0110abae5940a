#!/usr/bin/python3
"""Method auto: which images moments decide for a margin, how often their label is not the limit's, and
how many samples the others take, beside the stop rule alone.

    bench/moments_auto.py --mu8 build/release/mu8 --data DIR --models DIR --work DIR \\
      -o bench/results/moments_auto.md                       # with the --work of bench/moments.py minutes
    bench/moments_auto.py --mu8 build/release/mu8 --quick    # a minute: its figures say nothing

Posteriors, images and limit are those of bench/moments.py, whose --work it takes and keeps.
"""

import argparse
import pathlib
import sys
import tempfile

import moments
import numpy as np

ERROR, SAMPLES = .05, 50
MARGINS = (.02, .05, .1, .2, .3, .5)
DEFAULT = .2
HEADER = [
    "# Moments first, samples where they leave doubt", "",
    f"`bench/moments_auto.py`: `mu8 eval --method auto --stop-error {ERROR:g} --margin M` (the label), at most "
    f"{SAMPLES} samples, of the files and images of [moments.md](moments.md). *Other label*: images whose "
    "label is not that of the limit, of those that moments decided, and of all; the promise of the "
    f"stop rule, at most {100 * ERROR:g} % of the images that it ends, is about the others. Samples: mean over all "
    "images, those that moments decided with none; moments themselves cost some passes more "
    "([moments.md](moments.md)). "
    f"The margin that holds without `--margin` is {DEFAULT:g}.", "",
    "| posterior | | decided by moments | other label: of these | of all | accuracy % | samples |",
    "|---|---|---|---|---|---|---|"]


def labels(path, images):
    return np.fromfile(path, "<f4").reshape(images, -1)


def lead(mean):
    """How far the most probable class is from the next one, in the engine's float."""
    ordered = np.sort(mean, axis=1)
    return ordered[:, -1] - ordered[:, -2]


def rows_of(measurement):
    images, name = measurement.subject.images, measurement.subject.name
    measurement.run("limit", measurement.sampled, [], "--samples", measurement.subject.passes, "--seed",
                    moments.LIMIT_SEED)
    limit = labels(measurement.path("limit", ".f32"), images).argmax(axis=1)
    measurement.run("by_moments", measurement.moments, measurement.program, "--method", "moments")
    by_moments = labels(measurement.path("by_moments", ".f32"), images)
    rule = ("--stop-error", ERROR, "--samples", SAMPLES)

    def row(what, title, *how):
        found, _ = measurement.run(what, measurement.moments, measurement.program, *how)
        return found, labels(measurement.path(what, ".f32"), images).argmax(axis=1), title

    def line(found, mine, title, decided, samples):
        other = int((mine[decided] != limit[decided]).sum())
        return (f"| {name} | {title} | {decided.sum():,} of {images:,} | {other} | "
                f"{int((mine != limit).sum())} | {100 * found['accuracy']:.2f} | {samples:.2f} |")
    none, every = np.zeros(images, bool), np.ones(images, bool)
    found = row("rule", "sampling alone", *rule)
    lines = [line(*found, none, found[0]["samples_used"]["mean"])]
    for margin in MARGINS:
        found = row(f"auto_{margin:g}", f"margin {margin:g}", *rule, "--method", "auto", "--margin", margin)
        decided = ~(lead(by_moments) < np.float32(margin))
        used = found[0]["samples_used"]
        if round(used["by_moments"] * images) != decided.sum():
            raise ValueError(f"{name}, margin {margin}: the engine decided others than the predictions say")
        lines.append(line(*found, decided, used["mean"]))
    found = row("by_moments", "moments alone", "--method", "moments")
    return [*lines, line(*found, every, 0)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mu8", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--models", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, help="kept: a rerun goes on from there")
    parser.add_argument("--only", metavar="NAME", action="append", help="this posterior; can be repeated")
    parser.add_argument("--threads", type=int, default=2)
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
            kept = moments.Kept(folder)
            lines = [line for subject in moments.chosen(options, folder)
                     for line in rows_of(moments.Measurement(subject, options, kept))]
        except (OSError, ValueError) as error:
            sys.exit(f"moments_auto: {error}")
    text = "\n".join([*HEADER, *lines]) + "\n"
    print(text, end="")
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
