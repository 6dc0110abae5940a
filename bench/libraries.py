#!/usr/bin/env python3
"""Networks of Bayesian libraries beside the .mu8 files that `mu8.torch.posterior` and `mu8 convert`
make of them.

    bench/libraries.py --mu8 build/release/mu8 --data DIR --work DIR -o bench/results/libraries.md
    bench/libraries.py --mu8 build/release/mu8 --quick --epochs 40 --work DIR   # minutes

--data DIR has mnist; --quick takes the committed digits instead, 512 to train on and 200 to test.
Each library that this Python has (bench/bayesian/libraries.py) trains a small
convolutional network on 20,000 digits in a minute or two; the library's own Monte Carlo in FP32, T
passes over the first test images, stands beside the engine's at 4 bits of sigma:

  accuracy     the file's less the library's, in points; means over the seeds
  KL ratio     mean KL(library, file) over mean KL(library, library with another seed)
  correlation  of the predictive entropies over the images, library and file, beside library and
  library

One Python has not all libraries: --work DIR keeps a row for each, and the table has those of all
runs. A row that was there is not made again; remove its .json for that. Needs PyTorch, NumPy, onnx.
"""

import argparse
import itertools
import json
import pathlib
import re
import sys
import tempfile
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

try:
    import numpy as np
    import torch
    from bayesian import libraries
    from bayesian.program import call
    from data_files import packed
    from data_files.atomic import write_atomic
    from data_files.idx import read_idx, read_mnist
except ModuleNotFoundError as missing:
    sys.exit(f"libraries: {missing}; tools/setup test installs what it needs")

LEAST, SIGMA_BITS = 1e-9, 4
POINTS, RATIO, CORRELATION = .2, 1.15, .003  # what must be reached


def entropies(p):
    """Of probabilities [N][C]: [N], nats."""
    return -(p * np.log(np.maximum(p, LEAST))).sum(1)


def divergence(p, q):
    """Mean KL(p, q) of [N][C], clipped as `mu8 eval` clips."""
    p, q = np.maximum(p, LEAST), np.maximum(q, LEAST)
    return float((p * np.log(p / q)).sum(1).mean())


@torch.no_grad()
def library_predictions(draw, x, passes, seed):
    """Mean probabilities [N][10] of `passes` draws."""
    torch.manual_seed(seed)
    total = sum(torch.softmax(draw(x).double(), 1) for _ in range(passes))
    return (total / passes).numpy()


def file_predictions(options, model, images, folder, seed):
    path = folder / "predictions.f32"
    call(options.mu8, "eval", model, "--data", images, "--limit", options.images, "--samples",
         options.passes, "--seed", seed, "--predictions", path)
    return np.fromfile(path, np.float32).reshape(options.images, -1).astype(np.float64)


def compare(ours, theirs, labels):
    """The figures of a row, of lists of predictions [N][C], one for each seed."""
    accuracy = [100 * np.mean([np.mean(p.argmax(1) == labels) for p in side])
                for side in (theirs, ours)]
    own = [divergence(p, q) for p, q in itertools.permutations(theirs, 2)]
    other = [divergence(p, q) for p in theirs for q in ours]
    h_theirs, h_ours = ([entropies(p) for p in side] for side in (theirs, ours))
    correlations = [np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]) for pairs in (
        itertools.combinations(h_theirs, 2), itertools.product(h_theirs, h_ours))]
    return {"accuracy": accuracy[0], "accuracy_difference": accuracy[1] - accuracy[0],
            "kl_ratio": float(np.mean(other) / np.mean(own)),
            "correlation_of_seeds": float(correlations[0]), "correlation": float(correlations[1]),
            "entropy": float(np.mean(h_theirs)), "entropy_file": float(np.mean(h_ours))}


def measure(name, options, folder):
    start = time.monotonic()
    mnist = None if options.quick else options.data / "mnist"
    found = libraries.trained(name, mnist)
    seconds = time.monotonic() - start
    posterior = libraries.posterior_of(found)
    posterior.save(folder / "net")
    if options.quick:
        training, images = (libraries.COMMITTED / f"{part}-images-idx3-ubyte.gz"
                            for part in ("calibration", "digits"))
        pixels, labels = (read_idx(libraries.COMMITTED / f"digits-{part}-ubyte.gz")
                          for part in ("images-idx3", "labels-idx1"))
    else:
        training, images = (packed.find(mnist, f"{part}-images-idx3-ubyte")
                            for part in ("train", "t10k"))
        pixels, labels = (part[:options.images] for part in read_mnist(mnist, "t10k"))
    call(options.mu8, "convert", "--model", folder / "net.onnx", "--posterior", folder / "net.npz",
         "--calibration", training, "--sigma-bits", SIGMA_BITS, "-o", folder / "net.mu8")
    x = torch.from_numpy(pixels[:, None] / 255).float()
    theirs = [library_predictions(found.draw, x, options.passes, seed) for seed in (1, 2, 3)]
    ours = [file_predictions(options, folder / "net.mu8", images, folder, seed)
            for seed in (1, 2, 3)]
    return {"name": name, "library": posterior.library, "version": libraries.version(name),
           "torch": torch.__version__.partition("+")[0], "notes": posterior.notes,
           "images": options.images, "digits": libraries.DIGITS, "passes": options.passes,
           "training_seconds": seconds,
           **compare(ours, theirs, labels)}


def reached(row, is_quick):
    """Whether a row keeps what is asked; of 200 images .2 points of accuracy are less than one."""
    return ((is_quick or abs(row["accuracy_difference"]) <= POINTS) and row["kl_ratio"] <= RATIO
            and row["correlation"] >= row["correlation_of_seeds"] - CORRELATION)


def table(rows, options):
    judged = ("KL ratio at most 1.15 and correlation of entropies" if options.quick else
              "accuracy within .2 points, KL ratio at most 1.15, correlation of entropies")
    lines = [
        "# Bayesian libraries beside their .mu8 files", "",
        f"`bench/libraries.py{' --quick' if options.quick else ''} --epochs {options.epochs}`:"
        f" {options.passes} passes, {options.images} test images of MNIST,",
        f"trained on {libraries.DIGITS}, sigma of {SIGMA_BITS} bits, three seeds of either side.",
        f"Reached: {judged}", "at least that of two seeds of the library less .003.", "",
        "| library | version | PyTorch | accuracy % | difference | KL ratio | correlation |"
        " of two seeds | entropy | the file's | reached |",
        "|---|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row['name']} | {row['version']} | {row['torch']} | {row['accuracy']:.2f} |"
            f" {row['accuracy_difference']:+.2f} | {row['kl_ratio']:.2f} |"
            f" {row['correlation']:.4f} | {row['correlation_of_seeds']:.4f} |"
            f" {row['entropy']:.4f} | {row['entropy_file']:.4f} |"
            f" {'yes' if reached(row, options.quick) else 'no'} |")
    return "\n".join([*lines, ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mu8", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="the committed digits, 512 and 200")
    parser.add_argument("--work", type=pathlib.Path, required=True,
                        help="kept: a row for each library")
    parser.add_argument("--only", action="append", choices=sorted(libraries.POSTERIORS))
    parser.add_argument("--epochs", type=int, default=libraries.EPOCHS, help="of training")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--passes", type=int, default=50)
    parser.add_argument("-o", "--output", metavar="OUT.md", type=pathlib.Path)
    options = parser.parse_args()
    if not (options.quick or options.data):
        parser.error("expected --data DIR, or --quick")
    if options.quick:
        options.images, libraries.DIGITS, libraries.RATE = 200, 512, .003
    options.mu8, libraries.EPOCHS = options.mu8.resolve(), options.epochs
    options.work.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")  # of the libraries; the rows have the notes
    for name in options.only or libraries.POSTERIORS:
        kept = options.work / (re.sub("[^a-z]+", "_", name.lower()) + "_torch"
                               + torch.__version__.split(".")[0] + ".json")
        if kept.exists():
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                row = measure(name, options, pathlib.Path(folder))
        except ImportError as missing:
            print(f"{name}: left out: {missing}", file=sys.stderr)
            continue
        write_atomic(kept, json.dumps(row, indent=1) + "\n")
        print(f"{name}: KL ratio {row['kl_ratio']:.2f}, accuracy {row['accuracy_difference']:+.2f},"
              f" {row['training_seconds']:.0f} s of training", file=sys.stderr, flush=True)
    order = list(libraries.POSTERIORS)
    rows = sorted((json.loads(path.read_text()) for path in options.work.glob("*.json")),
                  key=lambda row: (order.index(row["name"]), row["torch"]))
    if not rows:
        sys.exit("libraries: none of the libraries is installed")
    text = table(rows, options)
    print(text)
    if options.output:
        write_atomic(options.output, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
