#!/usr/bin/python3
"""Checks the metrics of `mu8 eval` against independent implementations, on recorded predictions.

    tools/check_metrics                 compares the libraries with each other and with golden.json
    tools/check_metrics --update        writes tests/data/metrics/golden.json
    tools/check_metrics --record MU8    makes the recorded predictions anew with the program MU8

Each figure is computed from tests/data/metrics by at least one published library, or, where none
has the definition, by a few lines of numpy typed from the paper; all of them must agree. The test
tests/tools/test_metrics_golden.cpp holds mu8's own code against golden.json. Needs Debian's
packages of `tools/setup metrics`; the other libraries come from PyPI, into
build/check_metrics/venv, without their dependencies. tools/mu8/METRICS.md has the definitions.
"""

import argparse
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / "build" / "check_metrics" / "venv"
DATA = ROOT / "tests" / "data" / "metrics"
PACKAGES = ["netcal==1.3.6", "torchmetrics==1.4.3", "lightning-utilities==0.15.3",
            "MAPIE==1.2.0", "torch-uncertainty==0.4.0"]


def enter_venv():
    """Runs this script again in its own environment, which is made when it is not there."""
    if pathlib.Path(sys.prefix) == VENV:
        return
    stamp = VENV / "packages.txt"
    if not stamp.exists() or stamp.read_text().split() != PACKAGES:
        try:
            subprocess.run(["/usr/bin/python3", "-m", "venv", "--clear", "--system-site-packages",
                            VENV], check=True)
            subprocess.run([VENV / "bin" / "pip", "install", "--quiet", "--no-deps", *PACKAGES],
                           check=True)
        except (OSError, subprocess.CalledProcessError) as problem:
            sys.exit(f"check_metrics: cannot make {VENV}: {problem}; "
                     "tools/setup metrics installs what it needs")
        stamp.write_text("\n".join(PACKAGES) + "\n")
    os.execv(VENV / "bin" / "python", [str(VENV / "bin" / "python"), *sys.argv])


enter_venv()
sys.path.insert(0, str(ROOT / "tools"))

try:
    import numpy as np

    from metrics_check.sources import Figures, labelled_figures, ood_figures
except ModuleNotFoundError as missing:
    sys.exit(f"check_metrics: {missing}; tools/setup metrics installs what it needs")


def read_set(name):
    """Probabilities, uncertainties and labels (None without) of a recorded set, as float64."""
    uncertainty = np.fromfile(DATA / f"{name}_uncertainty.f32", "<f4").reshape(-1, 3)
    probabilities = np.fromfile(DATA / f"{name}.f32", "<f4").reshape(len(uncertainty), -1)
    path = DATA / f"{name}_labels.u8"
    labels = np.fromfile(path, np.uint8).astype(int) if path.exists() else None
    return probabilities.astype(float), uncertainty.astype(float), labels


# ---- The recorded predictions ----

def write_set(name, probabilities, uncertainty, labels):
    np.asarray(probabilities, "<f4").tofile(DATA / f"{name}.f32")
    np.asarray(uncertainty, "<f4").tofile(DATA / f"{name}_uncertainty.f32")
    np.asarray(labels, np.uint8).tofile(DATA / f"{name}_labels.u8")


def distorted_digits():
    """400 images [n, 28, 28] and labels: the test digits turned, and the test digits under noise."""
    from scipy.ndimage import rotate
    digits = ROOT / "tests" / "data" / "mnist"
    pixels = np.frombuffer(gzip.open(digits / "digits-images-idx3-ubyte.gz").read()[16:], np.uint8)
    labels = np.frombuffer(gzip.open(digits / "digits-labels-idx1-ubyte.gz").read()[8:], np.uint8)
    pixels = pixels.reshape(-1, 28, 28).astype(float)
    random = np.random.default_rng(1)
    turned = [rotate(image, random.uniform(-70, 70), reshape=False, order=1) for image in pixels]
    noisy = pixels + random.normal(0, 110, pixels.shape)
    images = np.clip(np.stack([*turned, *noisy]), 0, 255).astype(np.uint8)
    return images, np.concatenate([labels, labels])


def record_lenet(mu8):
    """LeNet-5, 8-bit sigma, T = 20, on distorted digits and on Fashion-MNIST."""
    tests = ROOT / "tests" / "data"
    images, labels = distorted_digits()
    with tempfile.TemporaryDirectory() as folder:
        idx, model = f"{folder}/digits-images-idx3-ubyte", f"{folder}/lenet5.mu8"
        pathlib.Path(idx).write_bytes(
            np.array([0x803, len(images), 28, 28], ">u4").tobytes() + images.tobytes())
        subprocess.run([mu8, "convert", "--model", tests / "lenet5_mnist.onnx", "--posterior",
                        tests / "lenet5_mnist.npz", "--mean", "0.1307", "--std", "0.3081",
                        "--calibration", tests / "mnist" / "calibration-images-idx3-ubyte.gz",
                        "-o", model], check=True, stdout=subprocess.DEVNULL)
        for name, data in [("digits", idx),
                           ("fashion", tests / "mnist" / "fashion-images-idx3-ubyte.gz")]:
            subprocess.run([mu8, "eval", model, "--data", data, "--samples", "20",
                            "--predictions", DATA / f"{name}.f32",
                            "--uncertainty", DATA / f"{name}_uncertainty.f32"],
                           check=True, stdout=subprocess.DEVNULL)
    labels.tofile(DATA / "digits_labels.u8")


def record_synthetic():
    """201 rows of 100 classes, overconfident, full of ties, zeros and confidences on bin edges."""
    random = np.random.default_rng(7)
    logits = random.normal(0, 1.5, (201, 100))
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    sharp = softmax**2.5 / (softmax**2.5).sum(1, keepdims=True)
    labels = np.array([random.choice(100, p=row) for row in softmax**1.5 /
                       (softmax**1.5).sum(1, keepdims=True)])
    p = np.stack([random.multinomial(64, row) for row in sharp]) / 64.0
    p[0] = 1 / 100  # uniform
    for row in (3, 4, 10, 11, 50):  # certain, some of them wrongly
        p[row] = np.eye(100)[labels[row] if row % 2 else 17]
    for row in (20, 21, 22, 101):  # 0.5 is an edge of ten bins; two classes share it
        p[row] = 0
        p[row, [labels[row], (labels[row] + row) % 100]] = 0.5
    entropy = -np.where(p > 0, p * np.log(np.maximum(p, 1e-30)), 0).sum(1)
    mutual_information = np.floor(entropy * random.uniform(0, 0.5, len(p)) * 16) / 16
    write_set("synthetic", p, np.stack([entropy, entropy - mutual_information,
                                        mutual_information], 1), labels)


# ---- The comparison ----

def differences(expected, found, path=""):
    """Lines on what differs between two JSON trees by more than 1e-9."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys()):
            yield from differences(expected.get(key), found.get(key), f"{path}/{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for i, (a, b) in enumerate(zip(expected, found)):
            yield from differences(a, b, f"{path}/{i}")
    elif isinstance(expected, (int, float)) and isinstance(found, (int, float)):
        if abs(expected - found) > 1e-9:
            yield f"{path}: golden.json has {expected}, the libraries say {found}"
    elif expected != found:
        yield f"{path}: golden.json has {expected}, the libraries say {found}"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="write golden.json")
    parser.add_argument("--record", metavar="MU8", type=pathlib.Path,
                        help="make the recorded predictions with this program")
    settings = parser.parse_args()
    if settings.record:
        if not os.access(settings.record, os.X_OK):
            parser.error(f"--record: there is no program {settings.record}")
        DATA.mkdir(parents=True, exist_ok=True)
        record_lenet(settings.record)
        record_synthetic()
    golden, problems = {}, []
    for name, ood in [("digits", ["fashion"]), ("synthetic", [])]:
        figures = Figures(name)
        inside = read_set(name)
        labelled_figures(figures, *inside)
        for other in ood:
            ood_figures(figures, inside, read_set(other), other)
        figures.print_table()
        problems += figures.problems
        golden[name] = figures.tree
    path = DATA / "golden.json"
    if settings.update and not problems:
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(golden, indent=1) + "\n")
        partial.rename(path)
    elif not settings.update:
        if not path.exists():
            sys.exit(f"check_metrics: {path} is missing; --update writes it")
        problems += differences(json.loads(path.read_text()), golden)
    for problem in problems:
        print(f"check_metrics: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
