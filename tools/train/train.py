#!/usr/bin/env python3
"""Trains a network of networks.py, plain or as a mean-field Gaussian posterior. See README.md.

First a deterministic net; then a variational one from it (MOPED) that minimises
NLL + beta * KL / N. Every epoch ends with a checkpoint, and the same command resumes from it with
the same result: each epoch draws its own random stream from (seed, stage, epoch).
"""

import argparse
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import platform
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from augment import TrainingImages, normalized  # noqa: E402
from checkpoint import (check_fit, load_checkpoint, load_tensors, restore,  # noqa: E402
                        save_atomically, save_checkpoint)
from data_files.atomic import write_atomic  # noqa: E402
from data_files.images import read_split  # noqa: E402
from evaluation import evaluate, mean_probabilities  # noqa: E402
from export_posterior import ExportError, export_state  # noqa: E402
from machine import choose_device, choose_precision, keep_freed_memory  # noqa: E402
from networks import NETWORKS  # noqa: E402
from recipes import RECIPES, SMALL_SHARE  # noqa: E402
from variational import (VariationalConv2d, VariationalLinear, kl_to_prior,  # noqa: E402
                         posterior_pairs, set_sampling, start_from)

STAGES = ("deterministic", "variational")


def one_cycle(step, total, warm_up=0.3):
    """Factor on the peak learning rate (Smith 2018): cosine up from 1/25, then down to nearly 0."""
    at = step / total
    if at < warm_up:
        return 1 / 25 + (1 - 1 / 25) * 0.5 * (1 - math.cos(math.pi * at / warm_up))
    return 0.5 * (1 + math.cos(math.pi * (at - warm_up) / (1 - warm_up))) + 1e-6


class Run:
    """What one command trains: its network, recipe and machine, and the run's log."""

    def __init__(self, options, recipe):
        self.network, self.recipe, self.options = NETWORKS[options.net], recipe, options
        self.device = choose_device(options.device)
        self.precision = choose_precision(options.precision, self.device)
        self.stages = [stage for stage in STAGES
                       if not (stage == "deterministic" and options.init
                               or stage == "variational" and options.deterministic)]
        self.settings = {**dataclasses.asdict(recipe), "network": options.net,
                         "stages": self.stages, "seed": options.seed,
                         "validation_count": options.validation_count}
        if options.init:
            with open(options.init, "rb") as file:
                self.settings["init_sha256"] = hashlib.sha256(file.read()).hexdigest()
        self.history = []

    def epochs_of(self, stage):
        return self.recipe.det_epochs if stage == "deterministic" else self.recipe.epochs

    def make_stage(self, stage):
        """The network of a stage on its device, and (optimizer, peak rate) pairs."""
        recipe, sgd = self.recipe, torch.optim.SGD
        variational = (VariationalConv2d, VariationalLinear) if stage == "variational" else ()
        model = self.network(*variational)
        if self.recipe.data != "mnist":  # one input channel gains nothing from it
            model = model.to(memory_format=torch.channels_last)
        model.to(self.device)
        rhos = [rho for _, rho in posterior_pairs(model)]
        is_rho = {id(rho) for rho in rhos}
        others = [p for p in model.parameters() if id(p) not in is_rho]
        if stage == "deterministic":
            return model, [(sgd(others, 1.0, recipe.momentum, nesterov=True,
                                weight_decay=recipe.weight_decay), recipe.det_rate)]
        return model, [(sgd(others, 1.0, recipe.momentum, nesterov=True,
                            weight_decay=recipe.mu_decay), recipe.mu_rate),
                       (torch.optim.Adam(rhos, 1.0), recipe.rho_rate)]

    def train_epoch(self, model, optimizers, images, stage, epoch):
        """One pass over the images, in place: mean NLL of the minibatches, share of them right."""
        recipe, epochs = self.recipe, self.epochs_of(stage)
        small = stage == "deterministic" and epoch < SMALL_SHARE * epochs
        torch.manual_seed(self.options.seed * 1_000_003 + STAGES.index(stage) * 1009 + epoch)
        order = torch.randperm(len(images))
        steps = len(images) // recipe.batch
        nll_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        right = torch.zeros((), dtype=torch.long, device=self.device)
        model.train()
        for step in range(steps):
            factor = one_cycle(epoch * steps + step, epochs * steps)
            for optimizer, peak in optimizers:
                optimizer.param_groups[0]["lr"] = peak * factor
                optimizer.zero_grad()
            x, y = images.batch(order[step * recipe.batch : (step + 1) * recipe.batch],
                                recipe.small_size if small else 0)
            with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
                logits = model(x)
            nll = loss = F.cross_entropy(logits.float(), y)
            if stage == "variational":
                loss = nll + recipe.beta / len(images) * kl_to_prior(model, recipe.prior_sigma)
            loss.backward()
            for optimizer, _ in optimizers:
                optimizer.step()
            nll_sum += nll.detach()  # read at the end alone: a GPU need not be waited for
            right += (logits.argmax(1) == y).sum()
        return nll_sum.item() / steps, right.item() / (steps * recipe.batch)

    def train(self, images, held_out, checkpoint_path):
        """Runs or resumes the stages; returns the last one's network."""
        state = self.first_state(checkpoint_path)
        plain_state = None
        if self.options.init:
            plain_state = load_tensors(self.options.init, "a state_dict of the plain network")
            check_fit(self.network(), plain_state, self.options.init)
        for stage in self.stages[self.stages.index(state["stage"]):]:
            torch.manual_seed(self.options.seed)  # initial weights of the deterministic stage
            model, optimizers = self.make_stage(stage)
            if plain_state is not None:
                start_from(model, plain_state, self.recipe.moped_delta)
            first = 0
            if state["stage"] == stage and state["epochs_done"]:
                first = state["epochs_done"]
                restore(state, model, [optimizer for optimizer, _ in optimizers])
            for epoch in range(first, self.epochs_of(stage)):
                self.log_epoch(model, optimizers, images, held_out, stage, epoch)
                save_checkpoint(checkpoint_path, model, [optimizer for optimizer, _ in optimizers],
                                {"settings": self.settings, "stage": stage,
                                 "epochs_done": epoch + 1, "history": self.history})
            plain_state = model.state_dict()
        return model

    def first_state(self, checkpoint_path):
        """The state to go on from: the saved one, or a fresh one if there is none."""
        if not os.path.exists(checkpoint_path):
            if self.options.resume:
                raise FileNotFoundError(f"--resume: no {checkpoint_path}")
            return {"stage": self.stages[0], "epochs_done": 0}
        state = load_checkpoint(checkpoint_path, self.settings)
        self.history = state["history"]
        print(f"resuming {state['stage']} after {state['epochs_done']} epochs", flush=True)
        return state

    def log_epoch(self, model, optimizers, images, held_out, stage, epoch):
        """Trains one epoch, appends it to the history and prints it."""
        wall, cpu = time.monotonic(), time.process_time()
        nll, accuracy = self.train_epoch(model, optimizers, images, stage, epoch)
        row = {"stage": stage, "epoch": epoch, "train_nll": nll, "train_accuracy": accuracy,
               "device": self.device, "precision": self.precision,
               "seconds": time.monotonic() - wall, "cpu_seconds": time.process_time() - cpu}
        if self.options.validation_count:
            set_sampling(model, False)
            top = mean_probabilities(model, held_out[0], 1).argmax(1)
            set_sampling(model, True)
            row["validation_accuracy"] = (top == held_out[1]).double().mean().item()
        self.history.append(row)
        print(f"{stage} {epoch + 1}/{self.epochs_of(stage)}: NLL {nll:.4f}, "
              f"accuracy {100 * accuracy:.2f} %, {row['seconds']:.1f} s "
              f"({row['cpu_seconds']:.1f} s of CPU)", flush=True)

    def write_results(self, model, metrics):
        """PREFIX.pt, PREFIX.onnx, PREFIX.npz (if random) and PREFIX.json."""
        options = self.options
        state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
        save_atomically(state, options.output + ".pt")
        export_state(self.network, {k: v.numpy() for k, v in state.items()}, options.output)
        evaluated_on = "test images"
        if options.validation_count:
            evaluated_on = f"last {options.validation_count} training images, not trained on"
        log = {"network": options.net, "data": self.recipe.data, "mean": self.network.mean,
               "std": self.network.std, "settings": self.settings, "torch": torch.__version__,
               "numpy": np.__version__, "python": platform.python_version(),
               "device": self.device, "threads": options.threads,
               "evaluated_on": evaluated_on, "metrics": metrics, "history": self.history}
        write_atomic(options.output + ".json", json.dumps(log, indent=1) + "\n")


def read_images(options, recipe, network, device):
    """The training images and the (inputs, labels) to report on."""
    images, labels = read_split(recipe.data, options.data, "train")
    cut = len(labels) - options.validation_count
    if cut < recipe.batch:
        raise ValueError(f"{options.data}: {len(labels)} training images, less"
                         f" {options.validation_count} held out, are fewer than one batch of"
                         f" {recipe.batch}")
    held_out = images[cut:], labels[cut:]
    if not options.validation_count:
        held_out = read_split(recipe.data, options.data, "test")
    training = TrainingImages(images[:cut], labels[:cut], network, recipe, device)
    return training, (normalized(held_out[0], network, device),
                      torch.tensor(held_out[1], dtype=torch.long))


def parse_options(arguments):
    parser = argparse.ArgumentParser(description="Train a network or its Gaussian posterior.")
    parser.add_argument("--net", required=True, choices=sorted(RECIPES))
    parser.add_argument("--data", required=True,
                        help="folder with MNIST's four .gz files or CIFAR-10's .bin batches")
    parser.add_argument("--output", required=True, metavar="PREFIX",
                        help="writes PREFIX.pt, .onnx, .npz, .json and PREFIX.checkpoint.pt")
    parser.add_argument("--deterministic", action="store_true", help="train the plain twin only")
    parser.add_argument("--init", metavar="DET.pt",
                        help="start the variational stage from this plain state_dict")
    parser.add_argument("--resume", action="store_true",
                        help="fail if there is no PREFIX.checkpoint.pt (default: start afresh)")
    for name, kind, what in (("det_epochs", int, "deterministic epochs"),
                             ("epochs", int, "variational epochs"), ("batch", int, "batch size"),
                             ("beta", float, "weight of the KL; 1 is the true ELBO"),
                             ("prior_sigma", float, "standard deviation of the prior")):
        defaults = ", ".join(f"{net} {getattr(r, name):g}" for net, r in RECIPES.items())
        parser.add_argument("--" + name.replace("_", "-"), type=kind, help=f"{what} ({defaults})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bf16"), default="auto",
                        help="of the convolutions in training (bf16 on a GPU or a CPU with AMX)")
    parser.add_argument("--validation-count", type=int, default=0, metavar="N",
                        help="hold out the last N training images and report on them instead of"
                             " the test images: for choosing settings (0)")
    options = parser.parse_args(arguments)
    changes = {name: getattr(options, name) for name in
               ("det_epochs", "epochs", "batch", "beta", "prior_sigma")
               if getattr(options, name) is not None}
    recipe = dataclasses.replace(RECIPES[options.net], **changes)
    if min(recipe.det_epochs, recipe.epochs, recipe.batch, options.threads) < 1:
        parser.error("--det-epochs, --epochs, --batch and --threads must be at least 1")
    if not (recipe.beta >= 0 and recipe.prior_sigma > 0):
        parser.error("--beta must not be negative, --prior-sigma must be positive")
    if options.validation_count < 0:
        parser.error("--validation-count must not be negative")
    if options.deterministic and options.init:
        parser.error("--init starts a variational stage, --deterministic has none")
    return options, recipe


def main(arguments=None):
    options, recipe = parse_options(arguments)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    try:
        run = Run(options, recipe)
        training, held_out = read_images(options, recipe, run.network, run.device)
        model = run.train(training, held_out, options.output + ".checkpoint.pt")
        metrics = evaluate(model, *held_out, recipe.samples)
        run.write_results(model, metrics)
    except (ExportError, OSError, ValueError) as e:
        print(f"train: {e}", file=sys.stderr)
        return 2
    print(json.dumps(metrics, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
