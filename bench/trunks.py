#!/usr/bin/python3
"""Conversion and prediction of networks of MobileNetV2's and ResNet-50's shapes: a deterministic trunk
at 224 x 224 before a Bayesian classifier of 1,000 classes.

    bench/trunks.py --mu8 build/release/mu8 -o bench/results/trunks.md
    bench/trunks.py --mu8 build/release/mu8 --quick     # a minute: 16 images, MobileNetV2 at 64 x 64

The weights are random (He et al. 2015), batch statistics those of the made images, sigmas a fifth of
the classifier's spread: what is measured is time and memory, and the distance of the file's
predictions from FP32's, not accuracy. Conversion reads 512 images, its default. Needs Debian's
python3-torch, python3-numpy and python3-onnx.
"""

import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import time
import zlib

try:
    import numpy as np
    import torch
    from torch import nn
except ModuleNotFoundError as missing:
    sys.exit(f"trunks: {missing}; tools/setup test installs what it needs")

CLASSES = 1000
MEAN, STD = (.485, .456, .406), (.229, .224, .225)


def block(inputs, outputs, kernel, stride=1, groups=1, activation=None):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
              nn.BatchNorm2d(outputs, momentum=None)]
    return nn.Sequential(*layers, *([activation] if activation is not None else []))


class InvertedResidual(nn.Module):
    """Sandler et al. 2018, figure 4."""

    def __init__(self, inputs, outputs, stride, expand):
        super().__init__()
        hidden, relu6 = inputs * expand, nn.ReLU6()
        widen = [block(inputs, hidden, 1, activation=relu6)] if expand > 1 else []
        self.layers = nn.Sequential(*widen, block(hidden, hidden, 3, stride, hidden, relu6),
                                    block(hidden, outputs, 1))
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.is_residual else self.layers(x)


class Bottleneck(nn.Module):
    """He et al. 2016, figure 5; the stride is the 3 x 3 convolution's."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs, relu = 4 * width, nn.ReLU()
        self.layers = nn.Sequential(block(inputs, width, 1, activation=relu),
                                    block(width, width, 3, stride, activation=relu),
                                    block(width, outputs, 1))
        is_same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if is_same else block(inputs, outputs, 1, stride)

    def forward(self, x):
        return torch.relu(self.layers(x) + self.shortcut(x))


def mobilenet_v2():
    layers, channels = [block(3, 32, 3, 2, activation=nn.ReLU6())], 32
    for expand, outputs, count, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
                                           (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(count):
            layers.append(InvertedResidual(channels, outputs, stride if i == 0 else 1, expand))
            channels = outputs
    return layers + [block(320, 1280, 1, activation=nn.ReLU6())], 1280


def resnet50():
    layers, channels = [block(3, 64, 7, 2, activation=nn.ReLU()), nn.MaxPool2d(3, 2, 1)], 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(count):
            layers.append(Bottleneck(channels, width, stride if i == 0 else 1))
            channels = 4 * width
    return layers, channels


NETWORKS = {"MobileNetV2": mobilenet_v2, "ResNet-50": resnet50}


def write_png(path, pixels):
    """pixels: H x W x 3, u8."""
    def chunk(name, data):
        return (struct.pack(">I", len(data)) + name + data
                + struct.pack(">I", zlib.crc32(name + data)))
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    path.write_bytes(b"\x89PNG\r\n\x1a\n"
                     + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))


def make_images(folder, count, side, generator):
    """Smooth random fields with a little noise. Returns the first 16, normalized, N x 3 x H x W."""
    folder.mkdir()
    first = []
    for i in range(count):
        coarse = torch.rand((1, 3, 7, 7), generator=generator)
        field = nn.functional.interpolate(coarse, (side, side), mode="bicubic", align_corners=False)
        noise = .05 * torch.randn(field.shape, generator=generator)
        pixels = (255 * (field + noise).clamp(0, 1)).to(torch.uint8)[0].permute(1, 2, 0).numpy()
        write_png(folder / f"{i:04}.png", pixels)
        if i < 16:
            first.append((pixels / np.float32(255) - np.float32(MEAN)) / np.float32(STD))
    return torch.from_numpy(np.stack(first)).permute(0, 3, 1, 2).contiguous().float()


def make_model(make, images, folder, generator):
    trunk, features = make()
    head = nn.Linear(features, CLASSES)
    network = nn.Sequential(*trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan) ** .5, generator=generator)
    head.weight.data.normal_(0, (2 / features) ** .5, generator=generator)
    with torch.no_grad():
        network.train()(images)  # sets the batch statistics
        spread = float(network.eval()(images).std(0).mean())
        head.weight.data *= 3 / spread  # logits that differ from image to image
    torch.onnx.export(network, images[:1], str(folder / "net.onnx"), input_names=["x"],
                      output_names=["logits"], dynamic_axes={"x": {0: "n"}})
    name = f"{len(network) - 1}.weight"
    sigma = np.full(head.weight.shape, .2 * float(head.weight.std()), np.float32)
    np.savez(folder / "posterior.npz", **{name + ".sigma": sigma})


def run(command):
    """Output, seconds and the peak of resident memory in MiB.

    A child's rusage begins with its parent's memory, so the kernel's own count is asked for.
    """
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output)
        while process.poll() is None:
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
            peak = max([peak, *map(int, found)])
            time.sleep(.02)
        if process.returncode != 0:
            sys.exit(f"trunks: {' '.join(str(part) for part in command)} failed")
        output.seek(0)
        return output.read(), time.monotonic() - start, peak / 1024


def measure(name, options, folder, generator):
    side, count = (64, 16) if options.quick else (224, 512)
    images = make_images(folder / "images", count, side, generator)
    make_model(NETWORKS[name], images, folder, generator)
    common = ["--mean", ",".join(map(str, MEAN)), "--std", ",".join(map(str, STD))]
    _, seconds, memory = run([options.mu8, "convert", "--model", folder / "net.onnx", "--posterior",
                              folder / "posterior.npz", "--calibration", folder / "images", *common,
                              "--sigma-bits", "4", "--head", "softmax", "-o", folder / "net.mu8"])
    timed, _, prediction_memory = run([options.mu8, "bench", folder / "net.mu8", "--json"])
    inspected, _, _ = run([options.mu8, "inspect", folder / "net.mu8", "--json"])
    timed, inspected = json.loads(timed), json.loads(inspected)
    return (f"| {name}, {side} x {side} | {count} | {seconds:.0f} s | {memory:.0f} MiB "
            f"| {(folder / 'net.mu8').stat().st_size / 2 ** 20:.1f} MiB "
            f"| {inspected['arena_bytes'] / 2 ** 20:.1f} MiB "
            f"| {timed['us_per_prediction_p50'] / 1000:.1f} ms | {prediction_memory:.0f} MiB |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mu8", required=True, type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("-o", "--output", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["# Trunks before a Bayesian classifier of 1,000 classes", "",
             f"`bench/trunks.py --mu8 {options.mu8}{' --quick' if options.quick else ''}`, one core, "
             "T = 50, 4-bit sigma, batch of 1. Made images and random weights: time and memory, not "
             "accuracy.", "",
             "| network | calibration images | conversion | its memory | file | arena | a prediction "
             "| its memory |", "|---|---|---|---|---|---|---|---|"]
    for name in list(NETWORKS)[:1 if options.quick else None]:
        with tempfile.TemporaryDirectory() as folder:
            generator = torch.Generator().manual_seed(1)
            torch.manual_seed(1)
            lines.append(measure(name, options, pathlib.Path(folder), generator))
        print(lines[-1], file=sys.stderr)
    text = "\n".join(lines) + "\n"
    if options.output:
        options.output.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
