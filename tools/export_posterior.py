#!/usr/bin/env python3
"""Turns a trained mean-field Gaussian posterior into the converter's input.

Two files: the mean network as ONNX, and an .npz that holds the standard deviation of every random
parameter as `<initializer name>.sigma`, and its mean as `.mean` (none for a plain network). The
converter compares the means with the ONNX file's: an exporter that folds BatchNormalization changes
weights under their old name. The command reads bayesian-torch checkpoints of the
networks in train/networks.py; for a network of your own, call export_posterior() from Python, or
take mu8.torch.posterior (docs/LIBRARIES.md), which reads the sigmas from its library and has the
code of both.

    tools/export_posterior.py lenet5_mnist.pt --arch lenet5 --output-prefix lenet5_mnist
"""

import argparse
import os
import pathlib
import pickle
import sys
import zipfile

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "python"))
import mu8.torch as importers  # noqa: E402  of this tree; the engine's library need not have been built

ExportError = importers.PosteriorError
export_graph = importers.graph.export_graph
softplus = importers.layers.softplus


# ---- The checkpoint: bayesian-torch keys -> means and sigmas --------------------------------

def read_checkpoint(path):
    """Reads a .pt/.pth state_dict or an .npz of the same keys: dict name -> numpy array.

    Accepts the wrappers that training loops add: a `state_dict` or `model_state_dict` entry, and
    the `module.` prefix of DataParallel. Nothing but tensors and plain containers is unpickled
    (PyTorch 1.13 refuses even Python floats beside the state_dict).
    """
    try:
        if str(path).endswith(".npz"):
            with np.load(path, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files if key != "__meta__"}
                return strip_prefix(arrays)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (EOFError, RuntimeError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as e:
        raise ExportError(f"{path}: not a checkpoint of plain tensors (if it is a training"
                          " checkpoint, save its state_dict alone)", [describe(e)]) from e
    return strip_prefix(unwrap_state(state, path))


def describe(error):
    """An error's own words, without PyTorch's advice to unpickle untrusted files."""
    text = str(error) or type(error).__name__
    return text.rpartition("trusted source. ")[2].partition("\n")[0]


def unwrap_state(state, path):
    """Finds the state_dict in what torch.load returned: dict name -> numpy array."""
    for wrapper in ("state_dict", "model_state_dict"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not state:
        raise ExportError(f"{path}: holds {type(state).__name__}, expected a state_dict")
    foreign = [f"{key}: {type(value).__name__}" for key, value in state.items()
               if not isinstance(value, torch.Tensor)]
    if foreign:
        raise ExportError(f"{path}: entries that are not tensors", foreign)
    # Half precision and double become float32; integer counters stay.
    return {key: (value.float() if value.is_floating_point() else value).detach().numpy()
            for key, value in state.items()}


def strip_prefix(state, prefix="module."):
    """Strips DataParallel's prefix, if all keys have it."""
    if not all(key.startswith(prefix) for key in state):
        return state
    return {key[len(prefix):]: value for key, value in state.items()}


# Last part of a bayesian-torch key -> (what it is, last part of the plain key). Reparameterization
# and Flipout layers use the same names: `kernel` in convolutions, `weight` in dense layers.
VARIATIONAL_KEYS = {
    "mu_kernel": ("mu", "weight"), "rho_kernel": ("rho", "weight"),
    "mu_weight": ("mu", "weight"), "rho_weight": ("rho", "weight"),
    "mu_bias": ("mu", "bias"), "rho_bias": ("rho", "bias"),
}
IGNORED_PREFIXES = ("prior_", "eps_")  # bayesian-torch's buffers: prior_weight_mu, eps_kernel, ...


def split_posterior(state):
    """Splits a bayesian-torch state into (means, sigmas), both dict plain name -> array.

    `X.mu_kernel` becomes the mean `X.weight`, `X.rho_kernel` its sigma; plain parameters and
    BatchNorm statistics pass through as means without a sigma.
    """
    means, sigmas, problems = {}, {}, []
    for key, value in state.items():
        stem, dot, leaf = key.rpartition(".")
        if leaf.startswith(IGNORED_PREFIXES):
            continue
        kind, plain_leaf = VARIATIONAL_KEYS.get(leaf, ("mu", leaf))
        name = stem + dot + plain_leaf
        target = sigmas if kind == "rho" else means
        if name in target:
            problems.append(f"{key}: a second {kind} for {name}")
        target[name] = softplus(value) if kind == "rho" else value
        if kind == "mu" and leaf != plain_leaf and stem + dot + "rho" + leaf[2:] not in state:
            problems.append(f"{key}: no {stem}{dot}rho{leaf[2:]} beside it")
    problems += [f"{name}: rho without mu" for name in sigmas if name not in means]
    if problems:
        raise ExportError("the checkpoint's keys do not pair up", problems)
    return means, sigmas


def load_means(module, means):
    """Copies the means into `module`; lists all missing, unexpected and misshapen keys."""
    expected = module.state_dict()
    optional = {key for key in expected if key.endswith("num_batches_tracked")}
    problems = [f"missing: {key}" for key in expected if key not in means and key not in optional]
    problems += [f"unexpected: {key}" for key in means if key not in expected]
    problems += [
        f"{key}: shape {list(means[key].shape)}, expected {list(tensor.shape)}"
        for key, tensor in expected.items()
        if key in means and tuple(means[key].shape) != tuple(tensor.shape)
    ]
    if problems:
        raise ExportError("the checkpoint does not fit the network (keys after mu and rho are"
                          " joined to weight and bias)", problems)
    tensors = {key: torch.from_numpy(np.array(value)) for key, value in means.items()}
    module.load_state_dict(tensors, strict=False)


# ---- Writing --------------------------------------------------------------------------------

def export_posterior(module, sigmas, example_input, onnx_path, npz_path, mean=None, std=None,
                     labels=None):
    """Writes the mean network `module` as ONNX and its `sigmas` as .npz (None: ONNX only).

    module: a torch.nn.Module in eval() mode whose parameters are the posterior means.
    sigmas: dict parameter name (as in module.named_parameters()) -> array of standard deviations
        of that parameter's shape. Parameters without an entry are deterministic.
    example_input: a float tensor [N, ...] to trace with; N is free in the exported graph.
    mean, std: the input normalization x = (u8 / 255 - mean[c]) / std[c], one number per channel;
        labels: one name per class. They go into the ONNX file, where `mu8 convert` finds them.

    Raises ExportError, and leaves no file, if a sigma has no initializer of its name in the
    exported graph, has another shape, is negative or not finite. Equal arguments give equal bytes
    (with one version of PyTorch and NumPy).
    """
    if (mean is None) != (std is None):
        raise ExportError("give mean and std together")
    model = export_graph(module, example_input)
    checked = importers.graph.check_sigmas(model, sigmas)
    importers.graph.add_metadata(model, mean, std, labels)
    contents = {onnx_path: model.SerializeToString(deterministic=True)}
    if npz_path is not None:
        contents[npz_path] = importers.graph.archive_bytes(contents[onnx_path], checked)
    elif checked:
        raise ExportError("a network with sigmas needs a path for them", sorted(checked))
    importers.importer.write_all(contents)
    return model


def export_state(network, state, prefix):
    """Writes a checkpoint's `state` (name -> array) as PREFIX.onnx and, if any of its weights is
    random, PREFIX.npz. network: the class in train/networks.py. Returns the ONNX model and the
    number of sigmas.
    """
    means, sigmas = split_posterior(state)
    module = network().eval()
    load_means(module, means)
    model = export_posterior(module, sigmas, torch.zeros(1, *network.input_shape),
                             prefix + ".onnx", prefix + ".npz" if sigmas else None, network.mean,
                             network.std, network.labels)
    return model, len(sigmas)


def main(arguments=None):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "train"))
    from networks import NETWORKS

    parser = argparse.ArgumentParser(
        description="Export a bayesian-torch checkpoint as PREFIX.onnx and PREFIX.npz,"
        " or a plain one as PREFIX.onnx.")
    parser.add_argument("checkpoint", help=".pt or .pth state_dict, or .npz with the same keys")
    parser.add_argument("--arch", required=True, choices=sorted(NETWORKS), help="its network")
    parser.add_argument("--output-prefix", required=True, metavar="PREFIX")
    options = parser.parse_args(arguments)
    prefix = options.output_prefix
    try:
        model, sigma_count = export_state(NETWORKS[options.arch],
                                          read_checkpoint(options.checkpoint), prefix)
    except (ExportError, OSError) as e:
        print(f"export_posterior: {e}", file=sys.stderr)
        return 2
    sigmas = f"{prefix}.npz: {sigma_count} sigmas" if sigma_count else "no sigmas, so no .npz"
    print(f"{prefix}.onnx: {len(model.graph.node)} nodes, {len(model.graph.initializer)}"
          f" initializers; {sigmas}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
