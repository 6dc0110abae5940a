"""The recorded predictions under tests/data/metrics: read, and made anew with the program mu8."""

import subprocess
import tempfile

import numpy as np

from data_files.idx import read_idx, write_idx

from .environment import ROOT

DATA = ROOT / "tests" / "data" / "metrics"


def read_set(name):
    """Probabilities, uncertainties and labels (None without) of a recorded set, as float64."""
    uncertainty = np.fromfile(DATA / f"{name}_uncertainty.f32", "<f4").reshape(-1, 3)
    probabilities = np.fromfile(DATA / f"{name}.f32", "<f4").reshape(len(uncertainty), -1)
    path = DATA / f"{name}_labels.u8"
    labels = np.fromfile(path, np.uint8).astype(int) if path.exists() else None
    return probabilities.astype(float), uncertainty.astype(float), labels


def write_set(name, probabilities, uncertainty, labels):
    np.asarray(probabilities, "<f4").tofile(DATA / f"{name}.f32")
    np.asarray(uncertainty, "<f4").tofile(DATA / f"{name}_uncertainty.f32")
    np.asarray(labels, np.uint8).tofile(DATA / f"{name}_labels.u8")


def distorted_digits():
    """400 images [n, 28, 28] and labels: the test digits turned, and the test digits under noise."""
    from scipy.ndimage import rotate
    digits = ROOT / "tests" / "data" / "mnist"
    pixels = read_idx(digits / "digits-images-idx3-ubyte.gz").astype(float)
    labels = read_idx(digits / "digits-labels-idx1-ubyte.gz")
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
        idx, model = f"{folder}/digits-images-idx3-ubyte.gz", f"{folder}/lenet5.mu8"
        write_idx(idx, images)
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


def record_labels():
    """200 rows of 4 labels: sure, unsure and biased, with ties, zeros and ones; one never true."""
    random = np.random.default_rng(11)
    truth = 1 / (1 + np.exp(-random.normal([0, -2, 1, -1], [3, 1, 2, 1], (200, 4))))
    targets = (random.random(truth.shape) < truth * [1, 1, 1, 0]).astype(np.uint8)
    p = np.round(64 * truth**[1, 1.5, 0.7, 1]) / 64  # fifteen bins have no edge on a 64th but 0, 1
    p[:4, 0], targets[:4, 0] = [0, 0, 1, 1], [0, 1, 0, 1]
    p.astype("<f4").tofile(DATA / "labels.f32")
    targets.tofile(DATA / "labels_targets.u8")


def record_values():
    """150 rows of 3 outputs: honest, overconfident with ties and zeros, constant and too unsure."""
    random = np.random.default_rng(13)
    shape = (150, 3)
    variance = random.gamma(2, [0.25, 0.5, 4], shape)
    variance[:, 1] = np.floor(8 * variance[:, 1]) / 32
    noise = random.gamma(3, [0.2, 0.1, 0.3], shape)
    targets = random.normal([0, 100, 0], [3, 20, 0], shape) + [0, 0, 0.1]
    mean = targets + random.normal([0.1, 2, 0], np.sqrt(variance * [1, 4, 0.1] + noise * [1, 4, 0]))
    np.stack([mean, variance, targets, noise], 2).astype("<f4").tofile(DATA / "values.f32")


def read_labels():
    """Probabilities and targets [images, labels]."""
    targets = np.fromfile(DATA / "labels_targets.u8", np.uint8).reshape(-1, 4).astype(int)
    return np.fromfile(DATA / "labels.f32", "<f4").reshape(targets.shape).astype(float), targets


def read_values():
    """Means, epistemic variances, targets and noise variances [inputs, outputs]."""
    values = np.fromfile(DATA / "values.f32", "<f4").reshape(-1, 3, 4).astype(float)
    return np.moveaxis(values, 2, 0)
