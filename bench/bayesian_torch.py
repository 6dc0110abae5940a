#!/usr/bin/python3
"""PyTorch beside mu8: ResNet-20, T passes an image, one thread, the sides taking turns.

    bench/bayesian_torch.py --model resnet20_sigma4.mu8 [--mu8 build/release/mu8] [--json FILE]

Rows:
  torch           mean-field sampling in plain PyTorch: w = mu + softplus(rho) * randn, every pass
  bayesian-torch  its Conv2dReparameterization and LinearReparameterization (where installed)
  bayesian-torch INT8  the same network after its own quantization, on PyTorch's onednn engine
  deterministic   the same network with fixed weights, T times: what is left without sampling
All but INT8 in FP32, BatchNorm in eval() mode, weights random: time does not depend on them. mu8's
side is `mu8 bench --json` on the given file. A ratio above 1: mu8 is faster. Exit status 3: no PyTorch.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import warnings

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
ROOT = pathlib.Path(__file__).resolve().parent.parent
# This file is called like the package that it times: look for that one elsewhere.
sys.path[:] = [entry for entry in sys.path if pathlib.Path(entry).resolve() != ROOT / "bench"]
sys.path.insert(0, str(ROOT / "tools" / "train"))

NO_TORCH = 3


def parse():
    parser = argparse.ArgumentParser(description="ResNet-20: PyTorch's time over mu8's")
    parser.add_argument("--model", required=True, help="ResNet-20 as a .mu8 file")
    parser.add_argument("--mu8", default=str(ROOT / "build" / "release" / "mu8"))
    parser.add_argument("--samples", type=int, default=50, help="passes T (default: 50)")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: 3)")
    parser.add_argument("--json", help="where to write the results")
    return parser.parse_args()


def plain_network():
    from networks import ResNet20
    from variational import VariationalConv2d, VariationalLinear, posterior_pairs
    network = ResNet20(VariationalConv2d, VariationalLinear)
    for mu, rho in posterior_pairs(network):
        mu.data.normal_(0, 0.1)
        rho.data.fill_(-4)
    return network.eval()


def make_bayesian(network):
    """Replaces its layers by bayesian-torch's."""
    from bayesian_torch.models.dnn_to_bnn import dnn_to_bnn
    dnn_to_bnn(network, {"prior_mu": 0.0, "prior_sigma": 1.0, "posterior_mu_init": 0.0,
                         "posterior_rho_init": -4.0, "type": "Reparameterization",
                         "moped_enable": False, "moped_delta": 0.5})
    return network.eval()


def library_network():
    from networks import ResNet20
    return make_bayesian(ResNet20())


def quantizable_network():
    """ResNet-20 with the stubs and the quantized addition that PyTorch asks for."""
    import networks
    import torch.nn as nn
    import torch.nn.functional as F
    from torch.ao.quantization import DeQuantStub, QuantStub

    class Block(networks.BasicBlock):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.relu, self.add = nn.ReLU(), nn.quantized.FloatFunctional()

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            return self.add.add_relu(self.bn2(self.conv2(y)), self.shortcut(x))

    class Network(networks.ResNet20):
        def __init__(self):
            super().__init__()
            self.quant, self.dequant, self.relu = QuantStub(), DeQuantStub(), nn.ReLU()

        @staticmethod
        def stage(in_channels, out_channels, stride, conv):
            return nn.Sequential(Block(in_channels, out_channels, stride, conv),
                                 Block(out_channels, out_channels, 1, conv),
                                 Block(out_channels, out_channels, 1, conv))

        def forward(self, x):
            x = self.relu(self.bn1(self.conv1(self.quant(x))))
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.dequant(self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1)))

    return Network()


def int8_network():
    """Prepared, calibrated on noise and converted the way bayesian-torch's own models are."""
    import torch
    from bayesian_torch.ao.quantization.quantize import enable_prepare
    from bayesian_torch.models.bnn_to_qbnn import bnn_to_qbnn
    torch.backends.quantized.engine = "onednn"
    network = make_bayesian(quantizable_network())
    enable_prepare(network)
    network.qconfig = torch.quantization.get_default_qconfig("onednn")
    network = torch.quantization.prepare(network)
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn(8, 3, 32, 32))
    network = torch.quantization.convert(network)
    bnn_to_qbnn(network)
    return network


def deterministic_network():
    from networks import ResNet20
    return ResNet20().eval()


def predict(network, images, samples):
    """Mean probabilities over `samples` passes."""
    import torch
    with torch.no_grad():
        total = 0
        for _ in range(samples):
            total = total + torch.softmax(network(images), 1)
        return total / samples


def seconds_per_image(network, images, samples):
    start = time.perf_counter()
    predict(network, images, samples)
    return (time.perf_counter() - start) / len(images)


def check(name, network, images, deterministic):
    """A Bayesian network draws anew in every pass, a deterministic one does not."""
    import torch
    with torch.no_grad():
        same = torch.equal(network(images), network(images))
    mean = predict(network, images, 2)
    if same != deterministic or not torch.allclose(mean.sum(1), torch.ones(len(images))):
        sys.exit(f"bayesian_torch.py: {name} does not sample as it should")


def mu8_seconds(options, batch):
    done = subprocess.run([options.mu8, "bench", options.model, "--samples", str(options.samples),
                           "--batch", str(batch), "--json"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bayesian_torch.py: {options.mu8} bench failed:\n{done.stderr.strip()}")
    return json.loads(done.stdout)["us_per_prediction_p50"] * 1e-6


def measure(options, networks, batch):
    """One row per network, all of them and mu8 in turns."""
    import torch
    images = torch.randn(batch, 3, 32, 32)
    times = {name: [] for name in networks}
    mu8 = []
    for network in networks.values():
        predict(network, images, 2)
    for _ in range(options.rounds):
        mu8.append(mu8_seconds(options, batch))
        for name, network in networks.items():
            times[name].append(seconds_per_image(network, images, options.samples))
    return [{"name": name, "batch": batch, "ms_per_image_min": min(found) * 1e3,
             "ms_per_image_median": statistics.median(found) * 1e3,
             "mu8_ms_per_image_min": min(mu8) * 1e3,
             "ratio_median": statistics.median(a / b for a, b in zip(found, mu8)),
             "ratio_of_minima": min(found) / min(mu8)} for name, found in times.items()]


def library_version():
    from importlib import metadata
    try:
        return metadata.version("bayesian-torch")
    except metadata.PackageNotFoundError:
        return ""


def blas():
    """The BLAS that PyTorch's own convolutions run on at batch 1: its file's name."""
    import torch
    torch.mm(torch.ones(2, 2), torch.ones(2, 2))
    with open("/proc/self/maps", encoding="utf-8") as maps:
        files = {pathlib.Path(line.split()[-1]) for line in maps if "/" in line}
    for word in ("openblas", "mkl_", "blis", "libblas"):
        for file in sorted(files):
            if word in str(file):
                return "reference BLAS" if word == "libblas" else word.strip("_")
    return "its own"


def main():
    options = parse()
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed for this Python: Debian's python3-torch "
              "(sudo apt-get install python3-torch) or, for a newer one, an environment of its own",
              file=sys.stderr)
        return NO_TORCH
    warnings.filterwarnings("ignore", module="torch")  # of what it will change one day
    torch.set_num_threads(1)
    torch.manual_seed(1)
    networks = {"torch": plain_network(), "deterministic": deterministic_network()}
    if library_version():
        networks["bayesian-torch"] = library_network()
        networks["bayesian-torch INT8"] = int8_network()
    for name, network in networks.items():
        check(name, network, torch.randn(2, 3, 32, 32), name == "deterministic")
    if blas() == "reference BLAS":
        print("warning: PyTorch runs on the reference BLAS here, which makes it several times "
              "slower at batch 1 than it can be: install Debian's libopenblas0", file=sys.stderr)
    result = {"torch": torch.__version__, "blas": blas(), "samples": options.samples,
              "rounds": options.rounds, "bayesian_torch": library_version(), "rows": []}
    for batch in options.batch:
        result["rows"] += measure(options, networks, batch)
    print("| network | batch | ms an image (min) | mu8, ms (min) | ratio (median) |")
    print("|---|---|---|---|---|")
    for row in result["rows"]:
        print(f"| {row['name']} | {row['batch']} | {row['ms_per_image_min']:.2f} | "
              f"{row['mu8_ms_per_image_min']:.3f} | {row['ratio_median']:.1f} |")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
