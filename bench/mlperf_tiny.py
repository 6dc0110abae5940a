#!/usr/bin/python3
"""The four networks of MLPerf Tiny (Banbury et al. 2021) as Bayesian networks: accuracy or AUROC,
size, memory and time at 8, 4 and 1 bits of sigma beside FP32.

    bench/mlperf_tiny.py --mu8 build/release/mu8 --data DIR --checkpoints RUNS \\
        -o bench/results/mlperf_tiny.md
    bench/mlperf_tiny.py --mu8 build/release/mu8 --quick          # a minute, made data only

Architectures are the benchmark's: ResNet-8 at 32 x 32, MobileNetV1 0.25 at 96 x 96, DS-CNN at 49 x
10, the 640-128-8 autoencoder. Data are the benchmark's for the first alone (CIFAR-10 in
DIR/cifar10); the others are made here, and say nothing of the benchmark's accuracies: figures in
textured pictures instead of people, gliding tones instead of keywords, hums with a broken harmonic
instead of machines. Mean-field Gaussian weights with the local reparameterization (Kingma et al.
2015), batch normalization of fixed scale, trained on one core in about an hour; RUNS keeps what is
trained. The posteriors are tempered (Wenzel et al. 2020): the whole divergence leaves ResNet-8 at
63 % of CIFAR-10's test images after as many epochs. FP32 is `mu8 eval --model`, which tests hold
against PyTorch, with draws of its own and with those of the files, which differ from it by
quantization alone.
Needs Debian's python3-torch, python3-numpy and python3-onnx.
"""

import argparse
import pathlib
import sys
import tempfile

try:
    import numpy as np
    import torch
    from bayesian.program import BITS, call, convert, posterior
    from bayesian.variational import Conv, Dense, export, train
    from data_files.cifar10 import read_cifar10
    from torch import nn
    from torch.nn import functional as F
except ModuleNotFoundError as missing:
    sys.exit(f"mlperf_tiny: {missing}; tools/setup test installs what it needs")


TEMPERATURE = .1  # of the posteriors


# ---- The four networks ---------------------------------------------------------------------------

def unit(inputs, outputs, kernel, stride=1, groups=1, padding=None, activation=True):
    padding = kernel // 2 if padding is None else padding
    layers = [Conv(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
              nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU()] if activation else []))


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(unit(inputs, outputs, 3, stride),
                                  unit(outputs, outputs, 3, activation=False))
        self.shortcut = nn.Identity() if stride == 1 else Conv(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def resnet8():
    return nn.Sequential(unit(3, 16, 3), Residual(16, 16, 1), Residual(16, 32, 2),
                         Residual(32, 64, 2), Mean(), Dense(64, 10))


def mobilenet():
    layers, channels = [unit(3, 8, 3, 2)], 8
    for outputs, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5,
                            (256, 2), (256, 1)):
        layers += [unit(channels, channels, 3, stride, channels), unit(channels, outputs, 1)]
        channels = outputs
    return nn.Sequential(*layers, Mean(), Dense(256, 2))


def ds_cnn():
    layers = [unit(1, 64, (10, 4), 2, padding=(4, 1))]
    for _ in range(4):
        layers += [unit(64, 64, 3, 1, 64), unit(64, 64, 1)]
    return nn.Sequential(*layers, Mean(), Dense(64, 12))


def autoencoder():
    sizes = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640)
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [Dense(a, b), *([nn.BatchNorm1d(b), nn.ReLU()] if b != 640 else [])]
    return nn.Sequential(*layers)


# ---- Data ----------------------------------------------------------------------------------------

def figures(count, seed):
    """Pictures N x 3 x 96 x 96 in [0, 1], and whether a figure (head, trunk, legs) stands in them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:96, :96].astype(np.float32)
    pictures, labels = np.empty((count, 3, 96, 96), np.float32), rng.integers(0, 2, count)
    for i, has_figure in enumerate(labels):
        coarse = torch.from_numpy(rng.uniform(0, 1, (1, 3, 8, 8)).astype(np.float32))
        picture = F.interpolate(coarse, (96, 96), mode="bilinear", align_corners=False)[0].numpy()

        def paint(mask):
            picture[:, mask] = color[:, None]
        for _ in range(rng.integers(1, 4)):  # what is no figure
            color = rng.uniform(0, 1, 3).astype(np.float32)
            y, x, h, w = rng.integers(5, 90), rng.integers(5, 90), rng.integers(4, 22), rng.integers(4, 22)
            paint((abs(rows - y) < h) & (abs(columns - x) < w) if rng.integers(2) else
                  ((rows - y) / h) ** 2 + ((columns - x) / w) ** 2 < 1)
        if has_figure:
            color = rng.uniform(0, 1, 3).astype(np.float32)
            size = rng.uniform(.6, 1.3)
            y, x = rng.integers(25, 60), rng.integers(20, 76)
            up, right = (rows - y) / size, (columns - x) / size
            paint((up + 16) ** 2 + right ** 2 < 36)
            paint((abs(up) < 11) & (abs(right) < 6))
            paint((up > 10) & (up < 26) & (abs(abs(right) - 4) < 2))
        pictures[i] = np.clip(picture + rng.normal(0, .08, picture.shape), 0, 1)
    return pictures, labels


def tones(count, seed):
    """Spectra N x 1 x 49 x 10 of two gliding tones; a class is where each begins and ends."""
    rng = np.random.default_rng(seed)
    ways = np.random.default_rng(5).uniform(0, 9, (12, 2, 2))
    labels = rng.integers(0, 12, count)
    time, band = np.arange(49)[:, None], np.arange(10)[None, :]
    sounds = np.empty((count, 1, 49, 10), np.float32)
    for i, label in enumerate(labels):
        begin, length = rng.uniform(0, 20), rng.uniform(20, 29)
        phase = np.clip((time - begin) / length, 0, 1)
        active = ((time >= begin) & (time <= begin + length)).astype(float)
        sound = sum(np.exp(-.5 * ((band - (a + (b - a) * phase + rng.normal(0, .6))) / 1.1) ** 2)
                    for a, b in ways[label])
        sounds[i, 0] = rng.uniform(.5, 1.5) * active * sound + rng.normal(0, .5, (49, 10))
    return sounds, labels


def hums(count, seed, broken=False):
    """Five frames of 128 bands of a machine's hum, N x 640; broken: one harmonic is out of tune."""
    rng = np.random.default_rng(seed)
    band = np.arange(128)
    sounds = np.empty((count, 5, 128), np.float32)
    for i in range(count):
        base, load = rng.uniform(14, 18), rng.uniform(.5, 1.5)
        places = base * np.arange(1, 8)
        if broken:
            places[rng.integers(1, 7)] += rng.choice([-1, 1]) * rng.uniform(2, 5)
        for frame in range(5):
            level = sum(np.exp(-.5 * ((band - p) / 1.5) ** 2) * load / (1 + .2 * k)
                        for k, p in enumerate(places))
            sounds[i, frame] = level + rng.normal(0, .15, 128)
    return sounds.reshape(count, 640)


# ---- Training ------------------------------------------------------------------------------------

def trained(name, make, checkpoints, *arguments, **options):
    torch.manual_seed(1)
    network = make()
    kept = checkpoints / f"{name}.pt" if checkpoints else None
    if kept and kept.exists():
        network.load_state_dict(torch.load(kept))
        return network.eval()
    print(f"training {name}", file=sys.stderr)
    train(network, *arguments, **options, temperature=TEMPERATURE)
    if kept:
        checkpoints.mkdir(parents=True, exist_ok=True)
        torch.save(network.state_dict(), kept)
    return network


def flipped_and_shifted(x):
    x = torch.where(torch.rand(len(x), 1, 1, 1) < .5, x.flip(3), x)
    dy, dx = torch.randint(0, 9, (2,)).tolist()
    return F.pad(x, (4, 4, 4, 4))[:, :, dy:dy + x.shape[2], dx:dx + x.shape[3]]


# ---- What is measured ----------------------------------------------------------------------------

def rows_of(mu8, folder, network, shape, head, normal, calibration, sets, figure, samples):
    """Rows (what, figure, bytes, arena, microseconds a pass), of FP32 the figures alone: with draws of
    its own, and with those of the files."""
    export(network, shape, folder)
    options = ("--head", head, *normal)
    for draws in ((), ("--engine-noise",)):
        found = call(mu8, "eval", *posterior(folder), *options, *sets, "--samples", samples, *draws)
        yield "FP32, the files' draws" if draws else "FP32", figure(found), None, None, None
    for bits in BITS:
        file, _ = convert(mu8, folder, calibration, bits, *options)
        found = call(mu8, "eval", file, *sets, "--samples", samples)
        timed = call(mu8, "bench", file)
        yield (f"{bits} bits", figure(found), file.stat().st_size, timed["arena_bytes"],
               timed["us_per_pass_p50"])


def accuracy(found):
    return f"{100 * found['accuracy']:.2f} %"


def auroc(found):
    return f"{found['ood'][0]['by_error']['auroc']:.4f}"


def measure(options, folder):
    """Yields (network, its rows), the four of them one after the other."""
    quick, mu8 = options.quick, options.mu8.resolve()
    cross_entropy = F.cross_entropy
    samples = 5 if quick else 50
    numbers = ("--mean", 0, "--std", 1)

    if not quick:
        pixels, labels = read_cifar10(options.data / "cifar10", "train")
        mean, std = np.array([.4914, .4822, .4465]), np.array([.2470, .2435, .2616])
        x = ((pixels / 255 - mean[:, None, None]) / std[:, None, None]).astype(np.float32)
        network = trained("resnet8", resnet8, options.checkpoints, torch.from_numpy(x),
                          torch.from_numpy(labels.astype(np.int64)), cross_entropy, 12,
                          augment=flipped_and_shifted)
        test = next((options.data / "cifar10").glob("test_batch.bin*"))
        calibration = next((options.data / "cifar10").glob("data_batch_1.bin*"))
        normal = [item for name, values in (("--mean", mean), ("--std", std))
                  for item in (name, ",".join(map(str, values)))]
        yield "ResNet-8, CIFAR-10", rows_of(mu8, folder, network, (3, 32, 32), "softmax", normal,
                                            calibration, ("--data", test), accuracy, samples)

    for name, make, data, shape, count, epochs in (
            ("MobileNetV1 0.25, made figures", mobilenet, figures, (3, 96, 96), 6000, 10),
            ("DS-CNN, made tones", ds_cnn, tones, (1, 49, 10), 8000, 10)):
        x, y = data(60 if quick else count, 1)
        network = trained(make.__name__, make, options.checkpoints, torch.from_numpy(x),
                          torch.from_numpy(y), cross_entropy, 1 if quick else epochs)
        np.savez(folder / "train.npz", x=x[:512])
        x, y = data(40 if quick else 2000, 2)
        np.savez(folder / "test.npz", x=x, y=y)
        yield name, rows_of(mu8, folder, network, shape, "softmax", numbers, folder / "train.npz",
                            ("--data", folder / "test.npz"), accuracy, samples)

    x = torch.from_numpy(hums(60 if quick else 8000, 1))
    network = trained("autoencoder", autoencoder, options.checkpoints, x, x,
                      lambda out, y: ((out - y) ** 2).sum(1).mean() / (2 * .15 ** 2),
                      1 if quick else 30)
    for name, data in (("train", x[:512].numpy()), ("test", hums(40 if quick else 2000, 2)),
                       ("broken", hums(40 if quick else 2000, 3, True))):
        np.savez(folder / f"{name}.npz", x=data)
    yield "autoencoder, made hums", rows_of(
        mu8, folder, network, (640,), "reconstruction", numbers, folder / "train.npz",
        ("--data", folder / "test.npz", "--ood", folder / "broken.npz"), auroc, samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mu8", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--checkpoints", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("-o", "--output", type=pathlib.Path)
    options = parser.parse_args()
    if not options.quick and not options.data:
        sys.exit("mlperf_tiny: expected --data DIR, with CIFAR-10 in DIR/cifar10, or --quick")
    torch.set_num_threads(1)
    lines = ["# MLPerf Tiny's four networks as Bayesian networks", "",
             "Accuracy, of the autoencoder AUROC of broken machines by reconstruction error; T = 50; "
             "batch of 1 on one core.", "",
             "| network | sigma | accuracy or AUROC | file | arena | a pass |",
             "|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in measure(options, pathlib.Path(folder)):
            for what, figure, size, arena, pass_us in rows:
                rest = (" | | |" if size is None else
                        f" {size:,} B | {arena:,} B | {pass_us:.1f} us |")
                lines.append(f"| {name} | {what} | {figure} |{rest}")
                print(lines[-1], file=sys.stderr, flush=True)
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
