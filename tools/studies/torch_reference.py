"""The FP32 reference in PyTorch: predictions of a checkpoint over data sets, for mu8 eval --recorded.

    tools/predict_in_torch NAME.pt --arch resnet20 --data test_batch.bin --data cifar100.bin \
      --samples 50 --seed 1 -o NAME
    mu8 eval --model NAME.onnx --data test_batch.bin --ood cifar100.bin \
      --recorded NAME.0.f32 --recorded NAME.1.f32 \
      --recorded-uncertainty NAME.0.uncertainty.f32 --recorded-uncertainty NAME.1.uncertainty.f32

Independent of mu8's own FP32 reference (its own sums and normal deviates): other draws of the same
distribution. It runs on a GPU where there is one. Pass t of seed s draws one weight set from
(s, t) for all images, as mu8 does. Float32 throughout, without TF32; means and entropies in float64.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "train"))

from augment import normalized  # noqa: E402
from checkpoint import check_fit, load_tensors  # noqa: E402
from data_files.atomic import write_atomically  # noqa: E402
from data_files.images import read_images  # noqa: E402
from machine import choose_device  # noqa: E402
from networks import NETWORKS  # noqa: E402
from variational import VariationalConv2d, VariationalLinear, set_sampling  # noqa: E402

CHUNK = {"cpu": 250, "cuda": 2500}  # images at once


def load_network(path, arch):
    """The network of a checkpoint, ready to predict, and whether its weights are random."""
    state = load_tensors(path, f"a state_dict of {arch}")
    random = any(".mu_" in name for name in state)
    layers = (VariationalConv2d, VariationalLinear) if random else ()
    network = NETWORKS[arch](*layers)
    check_fit(network, state, path)
    network.load_state_dict(state)
    return network.eval(), random


@torch.no_grad()
def predict(network, inputs, samples, seed):
    """float32 means [N,classes] and rows [N,3]: entropy, aleatoric, mutual information, in nats."""
    device = inputs.device
    mean = aleatoric = 0
    for t in range(samples):
        passes = []
        for chunk in inputs.split(CHUNK[device.type]):
            torch.manual_seed(seed * 1_000_003 + t)  # the same weights for every chunk
            passes.append(network(chunk).double().softmax(1))
        p = torch.cat(passes)
        mean = mean + p / samples
        aleatoric = aleatoric - torch.special.xlogy(p, p).sum(1) / samples
    entropy = -torch.special.xlogy(mean, mean).sum(1)
    rows = torch.stack([entropy, aleatoric, (entropy - aleatoric).clamp_min(0)], 1)
    return mean.float().cpu().numpy(), rows.float().cpu().numpy()


def write_array(path, values):
    write_atomically(path, values.astype("<f4").tofile)


def parse_options(arguments):
    parser = argparse.ArgumentParser(prog="predict_in_torch",
                                     description="Predictions of a checkpoint in PyTorch, FP32.")
    parser.add_argument("checkpoint", help=".pt state_dict of a posterior or a plain network")
    parser.add_argument("--arch", required=True, choices=sorted(NETWORKS))
    parser.add_argument("--data", required=True, action="append",
                        help="IDX images or CIFAR-10 records, .gz or .xz too; may be given again")
    parser.add_argument("--limit", type=int, help="the first N images of each")
    parser.add_argument("--samples", type=int, default=50, help="T (50); 1 if no weight is random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mean-weights", action="store_true", help="one pass with the means")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("-o", "--output", required=True, metavar="PREFIX",
                        help="writes PREFIX.I.f32 and PREFIX.I.uncertainty.f32 of --data I = 0, 1..")
    options = parser.parse_args(arguments)
    if options.samples < 1 or (options.limit is not None and options.limit < 1):
        parser.error("--samples and --limit must be at least 1")
    if not 0 <= options.seed < 4000:  # PyTorch's CPU generator takes 32 bits of a seed
        parser.error("--seed must be at least 0 and below 4000")
    return options


def run(options):
    device = choose_device(options.device)
    network, random = load_network(options.checkpoint, options.arch)
    network.to(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    samples = 1 if options.mean_weights or not random else options.samples
    set_sampling(network, not options.mean_weights)
    report = {"device": device, "torch": torch.__version__, "samples": samples, "data": []}
    for index, path in enumerate(options.data):
        inputs = normalized(read_images(path, network.input_shape)[: options.limit], network, device)
        start = time.monotonic()
        mean, rows = predict(network, inputs, samples, options.seed)
        report["data"].append({"images": len(mean), "seconds": time.monotonic() - start})
        write_array(f"{options.output}.{index}.f32", mean)
        write_array(f"{options.output}.{index}.uncertainty.f32", rows)
    return report


def main(arguments=None):
    options = parse_options(arguments)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    try:
        print(json.dumps(run(options)))
    except (OSError, ValueError) as problem:
        print(f"predict_in_torch: {problem}", file=sys.stderr)
        return 1
    return 0
