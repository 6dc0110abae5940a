#!/usr/bin/env python3
"""Trains a mean-field Gaussian posterior of LeNet-5 on MNIST and exports it. See README.md.

First a deterministic net; then a variational one from it (MOPED) that minimises
NLL + beta * KL / N. Every epoch ends with a checkpoint, and the same command resumes from it with
the same result: each epoch draws its own random stream from (seed, stage, epoch).
"""

import argparse
import json
import math
import os
import pathlib
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from data import read_mnist  # noqa: E402
from export_posterior import export_posterior, split_posterior, load_means  # noqa: E402
from metrics import predictive_metrics  # noqa: E402
from networks import LeNet5  # noqa: E402
from variational import (VariationalConv2d, VariationalLinear, kl_to_prior,  # noqa: E402
                         posterior_pairs, set_sampling, start_from)

BATCH = 128
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4  # deterministic stage only; in the variational one the prior does this
PEAK_RATE = {"deterministic": 0.05, "mu": 0.02, "rho": 0.01}
MOPED_DELTA = 0.1
MAX_SHIFT = 2  # training images move by up to this many pixels, each by its own amount
CHUNK = 250  # images at once in evaluation: activations stay in the cache
TEST_SAMPLES = 50  # T, the Monte-Carlo passes of the final report
STAGES = ("deterministic", "variational")


def one_cycle(step, total, warm_up=0.3):
    """Factor on the peak learning rate (Smith 2018): cosine up from 1/25, then down to nearly 0."""
    at = step / total
    if at < warm_up:
        return 1 / 25 + (1 - 1 / 25) * 0.5 * (1 - math.cos(math.pi * at / warm_up))
    return 0.5 * (1 + math.cos(math.pi * (at - warm_up) / (1 - warm_up))) + 1e-6


def make_stage(stage):
    """The network of a stage and its (optimizer, peak rate) pairs."""
    if stage == "deterministic":
        model = LeNet5()
        sgd = torch.optim.SGD(model.parameters(), 1.0, MOMENTUM, nesterov=True,
                              weight_decay=WEIGHT_DECAY)
        return model, [(sgd, PEAK_RATE["deterministic"])]
    model = LeNet5(VariationalConv2d, VariationalLinear)
    mus, rhos = zip(*posterior_pairs(model))
    sgd = torch.optim.SGD(mus, 1.0, MOMENTUM, nesterov=True)
    return model, [(sgd, PEAK_RATE["mu"]), (torch.optim.Adam(rhos, 1.0), PEAK_RATE["rho"])]


MNIST_MEAN, MNIST_STD = LeNet5.mean[0], LeNet5.std[0]


def normalize(images):
    """u8 [N,28,28] -> float32 [N,1,28,28] as (u8/255 - mean)/std."""
    return ((torch.tensor(images).float() / 255 - MNIST_MEAN) / MNIST_STD).unsqueeze(1)


def shifted_batch(images, batch):
    """Rows `batch` of images [N,1,28,28], each moved by up to MAX_SHIFT pixels, edges black."""
    black = (0 - MNIST_MEAN) / MNIST_STD
    padded = F.pad(images[batch, 0], [MAX_SHIFT] * 4, value=black)  # [B,32,32]
    rows, columns = torch.randint(0, 2 * MAX_SHIFT + 1, (2, len(batch), 1)) + torch.arange(28)
    which = torch.arange(len(batch))[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]].unsqueeze(1)


def train_epoch(model, optimizers, images, labels, stage, epoch, options):
    """One pass over the training images, in place; returns the mean NLL of the minibatches."""
    torch.manual_seed(options.seed * 1_000_003 + STAGES.index(stage) * 1009 + epoch)
    order = torch.randperm(len(labels))
    steps = len(labels) // BATCH
    total = steps * (options.det_epochs if stage == "deterministic" else options.epochs)
    nll_sum = 0.0
    for step in range(steps):
        factor = one_cycle(epoch * steps + step, total)
        for optimizer, peak in optimizers:
            optimizer.param_groups[0]["lr"] = peak * factor
            optimizer.zero_grad()
        batch = order[step * BATCH : (step + 1) * BATCH]
        nll = F.cross_entropy(model(shifted_batch(images, batch)), labels[batch])
        loss = nll
        if stage == "variational":
            loss = nll + options.beta / len(labels) * kl_to_prior(model, options.prior_sigma)
        loss.backward()
        for optimizer, _ in optimizers:
            optimizer.step()
        nll_sum += nll.item()
    return nll_sum / steps


@torch.no_grad()
def mean_probabilities(model, images, passes):
    """Predictive mean [N,10] over `passes` weight sets; each set serves all images."""
    total = torch.zeros(len(images), 10, dtype=torch.float64)
    for seed in range(passes):
        for first in range(0, len(images), CHUNK):
            torch.manual_seed(seed)  # the same weights for every chunk of images
            total[first : first + CHUNK] += model(images[first : first + CHUNK]).softmax(1)
    return total / passes


def evaluate(model, images, labels):
    """Metrics of the mean network, of one pass and of T passes."""
    set_sampling(model, False)
    report = {"mean_network": predictive_metrics(mean_probabilities(model, images, 1), labels)}
    set_sampling(model, True)
    for passes in (1, TEST_SAMPLES):
        probabilities = mean_probabilities(model, images, passes)
        report[f"T{passes}"] = predictive_metrics(probabilities, labels)
    return report


def save_atomically(value, path):
    temporary = f"{path}.{os.getpid()}.tmp"
    torch.save(value, temporary)
    os.replace(temporary, path)


def save_checkpoint(path, model, optimizers, plain):
    """`plain` goes in as JSON: the safe unpickler of PyTorch 1.13 reads no floats."""
    states = [optimizer.state_dict()["state"] for optimizer, _ in optimizers]
    save_atomically({"model": model.state_dict(), "optimizers": states,
                     "json": json.dumps(plain)}, path)


def settings_of(options):
    """All that the result depends on: kept in checkpoint and log, compared on resume."""
    return {
        "det_epochs": options.det_epochs, "epochs": options.epochs, "beta": options.beta,
        "prior_sigma": options.prior_sigma, "seed": options.seed, "batch": BATCH,
        "moped_delta": MOPED_DELTA, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY,
        "max_shift": MAX_SHIFT, "peak_rates": PEAK_RATE,
        "validation_count": options.validation_count,
    }


def load_checkpoint(path, settings):
    """The state to go on from: the saved one, or a fresh one if there is none."""
    if not os.path.exists(path):
        return {"stage": STAGES[0], "epochs_done": 0, "history": []}
    state = torch.load(path, weights_only=True)
    state.update(json.loads(state.pop("json")))
    if state["settings"] != settings:
        raise ValueError(f"{path} was made with other settings:\n  it has {state['settings']}\n"
                         f"  asked for {settings}\nremove it to start afresh")
    print(f"resuming {state['stage']} after {state['epochs_done']} epochs", flush=True)
    return state


def train(images, labels, options, checkpoint_path):
    """Runs or resumes both stages; returns the variational network and the epochs' history."""
    state = load_checkpoint(checkpoint_path, settings_of(options))
    history, plain_state = state["history"], None
    for stage in STAGES[STAGES.index(state["stage"]):]:
        torch.manual_seed(options.seed)  # initial weights of the deterministic stage
        model, optimizers = make_stage(stage)
        if plain_state is not None:
            start_from(model, plain_state, MOPED_DELTA)
        first, epochs = 0, options.det_epochs if stage == "deterministic" else options.epochs
        if state["stage"] == stage and state["epochs_done"]:
            first = state["epochs_done"]
            model.load_state_dict(state["model"])
            for (optimizer, _), saved in zip(optimizers, state["optimizers"]):
                optimizer.load_state_dict({**optimizer.state_dict(), "state": saved})
        for epoch in range(first, epochs):
            start = time.monotonic()
            nll = train_epoch(model, optimizers, images, labels, stage, epoch, options)
            seconds = time.monotonic() - start
            history.append({"stage": stage, "epoch": epoch, "train_nll": nll, "seconds": seconds})
            save_checkpoint(checkpoint_path, model, optimizers, {
                "settings": settings_of(options), "stage": stage, "epochs_done": epoch + 1,
                "history": history})
            print(f"{stage} {epoch + 1}/{epochs}: NLL {nll:.4f}, {seconds:.1f} s", flush=True)
        plain_state = model.state_dict()
    return model, history


def write_results(model, history, metrics, options):
    """PREFIX.pt, PREFIX.onnx, PREFIX.npz and PREFIX.json."""
    save_atomically(model.state_dict(), options.output + ".pt")
    means, sigmas = split_posterior({k: v.numpy() for k, v in model.state_dict().items()})
    plain = LeNet5().eval()
    load_means(plain, means)
    export_posterior(plain, sigmas, torch.zeros(1, *LeNet5.input_shape),
                     options.output + ".onnx", options.output + ".npz", LeNet5.mean, LeNet5.std,
                     LeNet5.labels)
    evaluated_on = "test images"
    if options.validation_count:
        evaluated_on = f"last {options.validation_count} training images, not trained on"
    log = {"network": "lenet5", "data": "MNIST", "mean": MNIST_MEAN, "std": MNIST_STD,
           "settings": settings_of(options), "torch": torch.__version__,
           "evaluated_on": evaluated_on, "metrics": metrics, "history": history}
    temporary = f"{options.output}.json.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(log, file, indent=1)
        file.write("\n")
    os.replace(temporary, options.output + ".json")


def parse_options():
    parser = argparse.ArgumentParser(description="Train a LeNet-5 posterior on MNIST.")
    parser.add_argument("--data", required=True, help="folder with the four MNIST .gz files")
    parser.add_argument("--output", required=True, metavar="PREFIX",
                        help="writes PREFIX.pt, .onnx, .npz, .json and PREFIX.checkpoint.pt")
    parser.add_argument("--det-epochs", type=int, default=20, help="deterministic, first (20)")
    parser.add_argument("--epochs", type=int, default=30, help="variational, after them (30)")
    parser.add_argument("--beta", type=float, default=0.1,
                        help="weight of the KL; 1 is the true ELBO (0.1)")
    parser.add_argument("--prior-sigma", type=float, default=0.2, help="of the prior (0.2)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--validation-count", type=int, default=0, metavar="N",
                        help="hold out the last N training images and report on them instead of"
                             " the test images: for choosing settings (0)")
    options = parser.parse_args()
    if min(options.det_epochs, options.epochs, options.threads) < 1:
        parser.error("--det-epochs, --epochs and --threads must be at least 1")
    if options.beta < 0 or options.prior_sigma <= 0:
        parser.error("--beta must not be negative, --prior-sigma must be positive")
    if not 0 <= options.validation_count <= 50000:
        parser.error("--validation-count must be 0 to 50000")
    return options


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    try:
        train_images, train_labels = read_mnist(options.data, "train")
        held_out = read_mnist(options.data, "t10k")
        if options.validation_count:
            cut = len(train_labels) - options.validation_count
            held_out = train_images[cut:], train_labels[cut:]
            train_images, train_labels = train_images[:cut], train_labels[:cut]
        labels = torch.tensor(train_labels, dtype=torch.long)
        model, history = train(normalize(train_images), labels, options,
                               options.output + ".checkpoint.pt")
    except (OSError, ValueError) as e:
        print(f"train_lenet5: {e}", file=sys.stderr)
        return 2
    metrics = evaluate(model, normalize(held_out[0]), torch.tensor(held_out[1], dtype=torch.long))
    write_results(model, history, metrics, options)
    print(json.dumps(metrics, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
