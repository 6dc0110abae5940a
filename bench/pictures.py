#!/usr/bin/python3
"""Anomaly detection by an autoencoder, and maps of classes pixel by pixel: mu8 at 8, 4 and 1 bits of
sigma beside PyTorch in FP32, on the same pictures.

    bench/pictures.py --mu8 build/release/mu8 --data DIR -o bench/results/pictures.md
    bench/pictures.py --mu8 build/release/mu8 --quick     # seconds, made pictures only

DIR holds MNIST's IDX files in DIR/mnist and Fashion-MNIST's test images in DIR/ood. The
autoencoder (784-96-16-96-784) learns digits; how well its error tells Fashion-MNIST from them is the
AUROC. The maps: discs and squares on a textured ground, three classes, by four convolutions and by a
U-Net of two levels; mutual information of each pixel, mu8 beside FP32, and FP32 beside FP32 with
another seed and with the engine's random bytes (`mu8 eval --model --engine-noise`), to which the ratio
of its mean is taken: that of two seeds may differ far more than files do. Mean-field Gaussian
posteriors, trained here (bayesian/variational.py). FP32 draws T networks from them; its figures are
those of tools/mu8/METRICS.md, computed here.
Needs Debian's python3-torch, python3-numpy and python3-onnx.
"""

import argparse
import gzip
import pathlib
import sys
import tempfile

try:
    import numpy as np
    import torch
    from bayesian.program import BITS, call, convert, posterior
    from bayesian.variational import Conv, ConvTranspose, Dense, export, passes, random_layers, train
    from torch import nn
except ModuleNotFoundError as missing:
    sys.exit(f"pictures: {missing}; tools/setup test installs what it needs")

FP32 = ((1, "FP32"), (2, "FP32, another seed"))
SIDE = 20  # of the made pictures
RATE = .005  # of learning, at most
NUMBERS = ("--mean", 0, "--std", 1)


class UNet(nn.Module):
    """Ronneberger et al. 2015 with two levels: classes of every pixel."""

    def __init__(self, channels=8):
        super().__init__()
        a, b, c = channels, 2 * channels, 3 * channels
        self.down = nn.ModuleList([Conv(1, a, 3, padding=1), Conv(a, b, 3, padding=1)])
        self.bottom = Conv(b, c, 3, padding=1)
        self.up = nn.ModuleList([ConvTranspose(c, b, 2), ConvTranspose(b, a, 2)])
        self.joined = nn.ModuleList([Conv(2 * b, b, 3, padding=1), Conv(2 * a, a, 3, padding=1)])
        self.classes = Conv(a, 3, 1)

    def forward(self, x):
        skipped = []
        for layer in self.down:
            skipped.append(torch.relu(layer(x)))
            x = torch.max_pool2d(skipped[-1], 2)
        x = torch.relu(self.bottom(x))
        for up, layer in zip(self.up, self.joined):
            x = torch.relu(layer(torch.cat([up(x), skipped.pop()], 1)))
        return self.classes(x)


def chain(layers):
    """The layers with a ReLU between each two."""
    between = [part for layer in layers for part in (nn.ReLU(), layer)]
    return nn.Sequential(*between[1:])


def started(network, seed):
    torch.manual_seed(seed)
    for layer in random_layers(network):
        layer.start()
    return network


def read_idx(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return np.frombuffer(data[16:], np.uint8).reshape(-1, 28, 28)


def find(folder, part):
    return next(p for p in sorted(folder.iterdir()) if part in p.name and "images" in p.name)


def auroc(low, high):
    """Share of pairs in which `high` is above `low`; equal ones count half."""
    low = np.sort(low)
    below, up_to = (np.searchsorted(low, high, side) for side in ("left", "right"))
    return (below + up_to).mean() / (2 * len(low))


def errors(network, x, seed):
    """For each input the mean over T networks of the mean squared error of an output."""
    return sum(((h - x) ** 2).mean(1).double() for h in passes(network, x, 50, seed)).numpy() / 50


def anomalies(mu8, data, folder, epochs):
    """Rows (what, error of the digits, AUROC by error) of FP32 and of each width of sigma."""
    train_set, test_set = find(data / "mnist", "train"), find(data / "mnist", "t10k")
    other = find(data / "ood", "fashion")
    sizes = (784, 96, 16, 96, 784)
    network = started(nn.Sequential(nn.Flatten(), *chain(
        [Dense(a, b) for a, b in zip(sizes, sizes[1:])])), 1)
    flat = lambda path, count: torch.tensor(read_idx(path)[:count].reshape(-1, 784) / 255).float()
    x = flat(train_set, 12000)
    squared = lambda out, y: ((out - y) ** 2).sum(1).mean() / (2 * .1 ** 2)
    train(network, x, x, squared, epochs, RATE)
    export(network, (28, 28), folder)
    for seed, what in FP32:
        digits, others = (errors(network, flat(path, 5000), seed) for path in (test_set, other))
        yield what, digits.mean(), auroc(digits, others)
    for bits in BITS:
        file, _ = convert(mu8, folder, train_set, bits, *NUMBERS, "--head", "reconstruction")
        found = call(mu8, "eval", file, "--data", test_set, "--limit", 5000, "--ood", other,
                     "--ood-limit", 5000)
        yield f"sigma {bits}", found["error"], found["ood"][0]["by_error"]["auroc"]


def scenes(count, seed):
    """Pictures u8 [N][SIDE][SIDE] and the class of each pixel: ground, disc, square."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    pictures, classes = [], []
    for _ in range(count):
        label = np.zeros((SIDE, SIDE), np.int64)
        for kind in rng.permutation([1, 2]):
            a, b, size = rng.integers(3, SIDE - 3), rng.integers(3, SIDE - 3), rng.integers(2, 5)
            inside = ((rows - a) ** 2 + (columns - b) ** 2 <= size ** 2 if kind == 1 else
                      np.maximum(abs(rows - a), abs(columns - b)) <= size)
            label[inside] = kind
        picture = np.array([.35, .6, .75])[label] + rng.normal(0, .12, label.shape)
        pictures.append(np.clip(picture * 255, 0, 255).astype(np.uint8))
        classes.append(label)
    return np.stack(pictures), np.stack(classes)


def entropy(p):
    """Nats, of classes along axis 1."""
    return -torch.special.xlogy(p, p).sum(1)


def classified(network, x, seed):
    """Mean probabilities [N][C][H][W] of 200 networks, and mutual information [N][H][W]."""
    total, inner = 0, 0
    for h in passes(network, x, 200, seed):
        p = torch.softmax(h.double(), 1)
        total, inner = total + p, inner + entropy(p)
    mean = total / 200
    return mean.numpy(), (entropy(mean) - inner / 200).clamp(min=0).numpy()


def mean_iou(p, classes):
    said = p.argmax(1)
    pairs = [(said == c, classes == c) for c in range(p.shape[1])]
    return np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs if (a | b).any()])


def ece(p, classes):
    """15 bins of equal width, closed on the right."""
    confidence, right = p.max(1).ravel(), (p.argmax(1) == classes).ravel()
    bins = np.ceil(confidence * 15).astype(int)
    return sum(abs((right[bins == b] - confidence[bins == b]).sum()) for b in range(16)) / right.size


def maps(mu8, folder, network, count, epochs):
    """Rows (what, mIoU, ECE, mutual information, its ratio to that of FP32 with the same random bytes,
    correlation over pixels with FP32's)."""
    pictures, classes = scenes(count, 3)
    x = torch.tensor(pictures[:, None] / 255).float()
    nll = lambda out, y: nn.functional.cross_entropy(out, y, reduction="none").sum((1, 2)).mean()
    train(network, x, torch.tensor(classes), nll, epochs, RATE)
    export(network, (1, SIDE, SIDE), folder)
    np.savez(folder / "train.npz", x=pictures[:, None])
    pictures, classes = scenes(150, 4)
    np.savez(folder / "test.npz", x=pictures[:, None], y=classes)
    x, expected = torch.tensor(pictures[:, None] / 255).float(), None
    for seed, what in FP32:
        p, information = classified(network, x, seed)
        expected = information.ravel() if expected is None else expected
        yield (what, mean_iou(p, classes), ece(p, classes), information.mean(), None,
               np.corrcoef(expected, information.ravel())[0, 1])

    def evaluated(what, *model):
        uncertainty = folder / "u.f32"
        found = call(mu8, "eval", *model, "--data", folder / "test.npz", "--samples", 200,
                     "--uncertainty", uncertainty)
        information = np.fromfile(uncertainty, np.float32).reshape(-1, 3)[:, 2].astype(float)
        return [what, found["mean_iou"], found["ece"], information.mean(), 1.,
                np.corrcoef(expected, information)[0, 1]]
    options = (*NUMBERS, "--head", "softmax")
    same = evaluated("FP32, the engine's bytes", *posterior(folder), *options, "--engine-noise")
    yield same
    for bits in BITS:
        row = evaluated(f"sigma {bits}", convert(mu8, folder, folder / "train.npz", bits, *options)[0])
        row[4] = row[3] / same[3]
        yield row


def table(columns, rows):
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for what, *figures in rows:
        cells = ("" if figure is None else f"{figure:.4f}" for figure in figures)
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mu8", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("-o", "--output", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["# Pictures: maps and anomalies", ""]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if options.data and not options.quick:
            lines += ["Autoencoder, 5,000 digits against 5,000 of Fashion-MNIST, T = 50:", ""]
            lines += table(("error of digits", "AUROC"),
                           anomalies(options.mu8.resolve(), options.data, folder, 8))
            lines.append("")
        channels = (1, 16, 16, 16, 3)
        plain = chain([Conv(a, b, 3, padding=1) for a, b in zip(channels, channels[1:])])
        for what, network, epochs in (("Four convolutions", plain, 12), ("U-Net", UNet(), 20)):
            lines += [f"{what}: classes of 150 x 400 pixels, T = 200:", ""]
            lines += table(("mIoU", "ECE", "mutual information", "its ratio to FP32's, same bytes",
                            "correlation of pixels with FP32's"),
                           maps(options.mu8.resolve(), folder, started(network, 2),
                                *((200, 2) if options.quick else (1500, epochs))))
            lines.append("")
    text = "\n".join(lines)
    print(text, end="")
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
