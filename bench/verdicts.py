#!/usr/bin/python3
"""The verdict of `mu8 convert` on trained posteriors, at many widths of means and sigmas: what its
thresholds look like from both sides.

    bench/verdicts.py --mu8 build/release/mu8 --models DIR --data DIR -o bench/results/verdicts.md
    bench/verdicts.py --mu8 build/release/mu8 --quick      # seconds: LeNet-5 alone, few widths

Of tests/data: lenet5_mnist, resnet20_cifar10. Of --models: lenet5_mnist_elbo, resnet20_cifar10_noisy
(.pt). --data has mnist and cifar10: training images for calibration.
"""

import argparse
import pathlib
import sys
import tempfile

try:
    from bayesian.program import call
    from data_files import packed
    from export_posterior import main as export
except ModuleNotFoundError as missing:
    sys.exit(f"verdicts: {missing}; tools/setup test installs what it needs")

COMMITTED = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"
WIDTHS = [(8, sigma) for sigma in (8, 4, 2, 1, 0)] + [(mu, 4) for mu in (6, 4, 3, 2, 1)]
QUICK = [(8, 4), (1, 4)]


def subjects(options, folder):
    """(name, path without its ending, calibration images) of each posterior."""
    if options.quick:
        mnist = COMMITTED / "mnist" / "calibration-images-idx3-ubyte.gz"
        return [("LeNet-5, tempered", COMMITTED / "lenet5_mnist", mnist)]
    mnist = packed.find(options.data / "mnist", "train-images-idx3-ubyte")
    cifar = packed.find(options.data / "cifar10", "data_batch_1.bin")
    found = [("LeNet-5, tempered", COMMITTED / "lenet5_mnist", mnist),
             ("ResNet-20", COMMITTED / "resnet20_cifar10", cifar)]
    for name, arch, checkpoint, images in (
            ("LeNet-5, ELBO", "lenet5", "lenet5_mnist_elbo", mnist),
            ("ResNet-20, noisy", "resnet20", "resnet20_cifar10_noisy", cifar)):
        prefix = folder / checkpoint
        export([str(options.models / f"{checkpoint}.pt"), "--arch", arch, "--output-prefix", str(prefix)])
        found.append((name, prefix, images))
    return found


def row(options, subject, mu_bits, sigma_bits, folder):
    name, prefix, images = subject
    verdict = call(options.mu8, "convert", "--model", f"{prefix}.onnx", "--posterior", f"{prefix}.npz",
                   "--calibration", images, "--mu-bits", mu_bits, "--sigma-bits", sigma_bits,
                   "--accept", "-o", folder / "file.mu8")["verdict"]
    lost = verdict["divergence"] / max(verdict["information"], .01)
    return (f"| {name} | {mu_bits} | {sigma_bits} | {100 * lost:.3g} % | "
            f"{100 * verdict['label_agreement']:.1f} % | {verdict['epistemic_ratio']:.3f} ± "
            f"{verdict['epistemic_ratio_error']:.3f} | {len(verdict['findings'])} | "
            f"{verdict['verdict']} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mu8", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("-o", "--output", metavar="OUT.md", type=pathlib.Path)
    options = parser.parse_args()
    if not options.quick and not (options.models and options.data):
        parser.error("expected --models DIR and --data DIR, or --quick")
    options.mu8 = options.mu8.resolve()
    lines = ["# Verdicts", "",
             "`bench/verdicts.py`: what `mu8 convert` says of files of fewer and fewer bits "
             "(tools/mu8/README.md: less than 5 % lost and 90 % of the labels, or less than 1 %, is kept). "
             "Findings: layers below 10 dB that are named with a cause.", "",
             "| posterior | bits of mu | of sigma | lost | same label | mutual information over FP32's | "
             "findings | verdict |", "|---|---|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for subject in subjects(options, folder):
            for widths in QUICK if options.quick else WIDTHS:
                lines.append(row(options, subject, *widths, folder))
                print(lines[-1], file=sys.stderr, flush=True)
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
