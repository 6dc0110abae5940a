#!/usr/bin/python3
"""Anomaly detection by an autoencoder, and a map of classes pixel by pixel: mu8 at 8, 4 and 1 bits of
sigma beside PyTorch in FP32, on the same pictures.

    bench/pictures.py --mu8 build/release/mu8 --data DIR -o bench/results/pictures.md
    bench/pictures.py --mu8 build/release/mu8 --quick     # seconds, made pictures only

DIR holds MNIST's IDX files in DIR/mnist and Fashion-MNIST's test images in DIR/ood. The
autoencoder (784-96-16-96-784) learns digits; how well its error tells Fashion-MNIST from them is the
AUROC. The map: discs and squares on a textured ground, three classes, a convolutional network
without upsampling (mu8 has none); mutual information of each pixel, mu8 beside FP32, and FP32 beside
FP32 with another seed. Mean-field Gaussian posteriors, trained here (local reparameterization). FP32
draws T networks from them; its figures are those of tools/mu8/METRICS.md, computed here.
Needs Debian's python3-torch, python3-numpy and python3-onnx.
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnx.numpy_helper
    import torch
    from onnx import TensorProto, helper
except ModuleNotFoundError as missing:
    sys.exit(f"pictures: {missing}; tools/setup test installs what it needs")

BITS = (8, 4, 1)
FP32 = ((1, "FP32"), (2, "FP32, another seed"))
SIDE = 20  # of the made pictures


class Layer:
    """Gaussians of the weights of a dense layer or a 3 x 3 convolution; biases are known."""

    def __init__(self, shape, generator):
        fan = int(np.prod(shape[1:]))
        self.prior = 1 / fan ** .5
        self.mu = torch.randn(shape, generator=generator) * self.prior
        self.rho = torch.full(shape, float(np.log(.1 * self.prior)))
        self.bias = torch.zeros(shape[0])
        for parameter in (self.mu, self.rho, self.bias):
            parameter.requires_grad_()

    def kl(self):
        sigma = self.rho.exp()
        return (torch.log(self.prior / sigma) + (sigma ** 2 + self.mu ** 2) / (2 * self.prior ** 2)
                - .5).sum()

    def apply(self, x, weights, bias):
        if self.mu.dim() == 2:
            return torch.nn.functional.linear(x, weights, bias)
        return torch.nn.functional.conv2d(x, weights, bias, padding=1)

    def local(self, x, generator):
        variance = self.apply(x ** 2, (2 * self.rho).exp(), None)
        noise = torch.randn(variance.shape, generator=generator)
        return self.apply(x, self.mu, self.bias) + (variance + 1e-12).sqrt() * noise


    def draw(self, x, generator):
        noise = torch.randn(self.mu.shape, generator=generator)
        return self.apply(x, self.mu + self.rho.exp() * noise, self.bias)


@torch.no_grad()
def passes(layers, x, count, seed):
    """The outputs of `count` networks for all of x."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        h = layers[0].draw(x, generator)
        for layer in layers[1:]:
            h = layer.draw(torch.relu(h), generator)
        yield h


def train(layers, x, y, loss_of, epochs, generator):
    parameters = [p for layer in layers for p in (layer.mu, layer.rho, layer.bias)]
    optimizer, batch = torch.optim.Adam(parameters), 100
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, .005, epochs * -(-len(x) // batch))
    for _ in range(epochs):
        for part in torch.randperm(len(x), generator=generator).split(batch):
            h = x[part]
            for layer in layers[:-1]:
                h = torch.relu(layer.local(h, generator))
            nll = loss_of(layers[-1].local(h, generator), y[part])
            loss = nll + sum(layer.kl() for layer in layers) / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def export(layers, shape, folder):
    """net.onnx, the mean network on inputs of `shape`, and net.npz, its sigmas."""
    tensors, sigmas, nodes, h = [], {}, [], "x"
    if layers[0].mu.dim() == 2:
        nodes.append(helper.make_node("Flatten", ["x"], ["f"]))
        h = "f"
    for i, layer in enumerate(layers):
        for key, value in ((f"w{i}", layer.mu), (f"b{i}", layer.bias)):
            tensors.append(onnx.numpy_helper.from_array(value.detach().numpy(), key))
        sigmas[f"w{i}.sigma"] = layer.rho.exp().detach().numpy()
        out = "y" if i + 1 == len(layers) else f"s{i}"
        kind = ("Gemm", {"transB": 1}) if layer.mu.dim() == 2 else ("Conv", {"pads": [1, 1, 1, 1]})
        nodes.append(helper.make_node(kind[0], [h, f"w{i}", f"b{i}"], [out], **kind[1]))
        if out != "y":
            h = f"h{i}"
            nodes.append(helper.make_node("Relu", [out], [h]))
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7),
              str(folder / "net.onnx"))
    np.savez(folder / "net.npz", **sigmas)


def call(mu8, *arguments):
    run = subprocess.run([mu8, *map(str, arguments), "--json"], capture_output=True, text=True)
    if run.returncode:
        raise ValueError(run.stderr.strip())
    return json.loads(run.stdout)


def converted(mu8, folder, calibration, bits, *options):
    file = folder / f"sigma{bits}.mu8"
    call(mu8, "convert", "--model", folder / "net.onnx", "--posterior", folder / "net.npz",
         "--calibration", calibration, "--mean", 0, "--std", 1, "--sigma-bits", bits, *options,
         "-o", file)
    return file


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


def errors(layers, x, seed):
    """For each input the mean over T networks of the mean squared error of an output."""
    return sum(((h - x) ** 2).mean(1).double() for h in passes(layers, x, 50, seed)).numpy() / 50


def anomalies(mu8, data, folder, epochs):
    """Rows (what, error of the digits, AUROC by error) of FP32 and of each width of sigma."""
    train_set, test_set = find(data / "mnist", "train"), find(data / "mnist", "t10k")
    other = find(data / "ood", "fashion")
    generator = torch.Generator().manual_seed(1)
    sizes = (784, 96, 16, 96, 784)
    layers = [Layer((b, a), generator) for a, b in zip(sizes, sizes[1:])]
    flat = lambda path, count: torch.tensor(read_idx(path)[:count].reshape(-1, 784) / 255).float()
    x = flat(train_set, 12000)
    squared = lambda out, y: ((out - y) ** 2).sum(1).mean() / (2 * .1 ** 2)
    train(layers, x, x, squared, epochs, generator)
    export(layers, (28, 28), folder)
    head = ("--head", "reconstruction")
    for seed, what in FP32:
        digits, others = (errors(layers, flat(path, 5000), seed) for path in (test_set, other))
        yield what, digits.mean(), auroc(digits, others)
    for bits in BITS:
        found = call(mu8, "eval", converted(mu8, folder, train_set, bits, *head), "--data", test_set,
                     "--limit", 5000, "--ood", other, "--ood-limit", 5000)
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


def classified(layers, x, seed):
    """Mean probabilities [N][C][H][W] of 200 networks, and mutual information [N][H][W]."""
    total, inner = 0, 0
    for h in passes(layers, x, 200, seed):
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


def maps(mu8, folder, count, epochs):
    """Rows (what, mIoU, ECE, correlation of each pixel's mutual information with FP32's)."""
    generator = torch.Generator().manual_seed(2)
    channels = (1, 16, 16, 16, 3)
    layers = [Layer((b, a, 3, 3), generator) for a, b in zip(channels, channels[1:])]
    pictures, classes = scenes(count, 3)
    x = torch.tensor(pictures[:, None] / 255).float()
    nll = lambda out, y: torch.nn.functional.cross_entropy(out, y, reduction="none").sum(
        (1, 2)).mean()
    train(layers, x, torch.tensor(classes), nll, epochs, generator)
    export(layers, (1, SIDE, SIDE), folder)
    np.savez(folder / "train.npz", x=pictures[:, None])
    pictures, classes = scenes(150, 4)
    np.savez(folder / "test.npz", x=pictures[:, None], y=classes)
    head = ("--head", "softmax")
    x = torch.tensor(pictures[:, None] / 255).float()
    for seed, what in FP32:
        p, information = classified(layers, x, seed)
        expected = information.ravel() if seed == FP32[0][0] else expected
        yield (what, mean_iou(p, classes), ece(p, classes), information.mean(),
               np.corrcoef(expected, information.ravel())[0, 1])
    for bits in BITS:
        uncertainty = folder / "u.f32"
        found = call(mu8, "eval", converted(mu8, folder, folder / "train.npz", bits, *head), "--data",
                     folder / "test.npz", "--samples", 200, "--uncertainty", uncertainty)
        information = np.fromfile(uncertainty, np.float32).reshape(-1, 3)[:, 2]
        yield (f"sigma {bits}", found["mean_iou"], found["ece"], found["mean_mutual_information"],
               np.corrcoef(expected, information)[0, 1])


def table(columns, rows):
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for what, *figures in rows:
        lines.append(f"| {what} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |")
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
        lines += ["Classes of 150 x 400 pixels, T = 200:", ""]
        lines += table(("mIoU", "ECE", "mutual information", "correlation of it with FP32's"),
                       maps(options.mu8.resolve(), folder, *((200, 2) if options.quick else (1500, 12))))
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
