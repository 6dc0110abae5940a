#!/usr/bin/python3
"""PyTorch beside mu8: ResNet-20, T passes an image, one thread, the sides taking turns.

    bench/bayesian_torch.py --model resnet20_sigma4.mu8 [--mu8 build/release/mu8] [--json FILE]

Rows:
  torch           mean-field sampling in plain PyTorch: w = mu + softplus(rho) * randn, every pass
  bayesian-torch  its Conv2dReparameterization and LinearReparameterization (where installed)
  deterministic   the same network with fixed weights, T times: what is left without sampling
All in FP32, BatchNorm in eval() mode, weights random: time does not depend on them. mu8's side is
`mu8 bench --json` on the given file. A ratio above 1: mu8 is faster. Exit status 3: no PyTorch.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

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


def library_network():
    """Of bayesian-torch, or None where it is not installed."""
    try:
        from bayesian_torch.models.dnn_to_bnn import dnn_to_bnn
    except ImportError:
        return None
    from networks import ResNet20
    network = ResNet20()
    dnn_to_bnn(network, {"prior_mu": 0.0, "prior_sigma": 1.0, "posterior_mu_init": 0.0,
                         "posterior_rho_init": -4.0, "type": "Reparameterization",
                         "moped_enable": False, "moped_delta": 0.5})
    return network.eval()


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


def main():
    options = parse()
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed for this Python: Debian's python3-torch "
              "(sudo apt-get install python3-torch) or, for a newer one, an environment of its own",
              file=sys.stderr)
        return NO_TORCH
    torch.set_num_threads(1)
    torch.manual_seed(1)
    networks = {"torch": plain_network(), "bayesian-torch": library_network(),
                "deterministic": deterministic_network()}
    networks = {name: network for name, network in networks.items() if network is not None}
    for name, network in networks.items():
        check(name, network, torch.randn(2, 3, 32, 32), name == "deterministic")
    result = {"torch": torch.__version__, "samples": options.samples, "rounds": options.rounds,
              "bayesian_torch": library_version(), "rows": []}
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
