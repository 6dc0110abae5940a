#!/usr/bin/env python3
"""Turns a trained mean-field Gaussian posterior into the converter's input.

Two files: the mean network as ONNX, and an .npz that holds the standard deviation of every random
parameter as `<initializer name>.sigma`, and its mean as `.mean` (none for a plain network). The
converter compares the means with the ONNX file's: an exporter that folds BatchNormalization changes
weights under their old name. The command reads bayesian-torch checkpoints of the
networks in train/networks.py; for a network of your own, call export_posterior() from Python.

    tools/export_posterior.py lenet5_mnist.pt --arch lenet5 --output-prefix lenet5_mnist
"""

import argparse
import contextlib
import inspect
import io
import os
import pickle
import sys
import warnings
import zipfile

import numpy as np
import torch

OPSET = 13  # the lowest opset in which all operators that the converter reads have their final form


class ExportError(ValueError):
    """The checkpoint or the network cannot be exported; the message lists every reason."""

    def __init__(self, summary, problems=()):
        super().__init__("\n  ".join([summary, *problems]))


# ---- The checkpoint: bayesian-torch keys -> means and sigmas --------------------------------

def softplus(rho):
    """sigma = log(1 + exp(rho)) as float32, any shape (Blundell et al. 2015, section 3.2).

    float64 logaddexp(0, rho) neither overflows for large rho nor rounds 1 + exp(rho) to 1 for very
    negative rho, so sigma keeps full relative precision at both ends.
    """
    return np.logaddexp(0.0, np.asarray(rho, dtype=np.float64)).astype(np.float32)


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


# ---- The graph: module -> ONNX with one initializer per parameter ---------------------------

def import_onnx():
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as e:
        raise ExportError("the Python package `onnx` is needed to inspect the exported graph"
                          " (Debian: python3-onnx)") from e
    return onnx


def pad_symbolic(g, x, pad, mode, value):
    """aten::pad as one ONNX Pad with constant amounts.

    PyTorch's own export computes the amounts of F.pad by some twenty integer nodes (Shape, Gather,
    Cast, ...). F.pad lists (before, after) pairs from the last axis on; ONNX wants all `before`
    from the first axis on, then all `after`.
    """
    from torch.onnx import symbolic_helper, symbolic_opset11

    amounts = symbolic_helper._maybe_get_const(pad, "is")
    rank = symbolic_helper._get_tensor_rank(x)
    mode_name = symbolic_helper._parse_arg(mode, "s")
    if not isinstance(amounts, list) or rank is None or mode_name != "constant":
        return symbolic_opset11.pad(g, x, pad, mode, value)
    missing = rank - len(amounts) // 2
    before = [0] * missing + amounts[-2::-2]
    after = [0] * missing + amounts[::-2]
    inputs = [x, g.op("Constant", value_t=torch.tensor(before + after, dtype=torch.int64))]
    if not symbolic_helper._is_none(value):
        inputs.append(symbolic_helper._if_scalar_type_as(value, x))
    return g.op("Pad", *inputs, mode_s="constant")


@contextlib.contextmanager
def plain_pad():
    """Registers pad_symbolic for the length of a `with` block."""
    torch.onnx.register_custom_op_symbolic("aten::pad", pad_symbolic, OPSET)
    try:
        yield
    finally:
        torch.onnx.unregister_custom_op_symbolic("aten::pad", OPSET)


def export_graph(module, example_input):
    """Exports `module` as an onnx.ModelProto whose initializers keep the parameter names.

    TrainingMode.PRESERVE and no constant folding keep BatchNormalization nodes apart from their
    convolutions: folding them here would rename the weights and lose the link to their sigmas.
    """
    onnx = import_onnx()
    training = [name or "(the module itself)" for name, m in module.named_modules() if m.training]
    if training:
        raise ExportError("call module.eval() first; in training mode:", training)
    options = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # newer PyTorch: the tracing exporter keeps names and opset 13
    buffer = io.BytesIO()
    with plain_pad(), torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Constant folding - Only steps=1")
        torch.onnx.export(
            module, example_input, buffer, opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
            keep_initializers_as_inputs=False, input_names=["input"], output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}}, **options)
    model = onnx.load_model_from_string(buffer.getvalue())
    if len(model.graph.input) != 1 or len(model.graph.output) != 1:
        raise ExportError(f"the graph has {len(model.graph.input)} inputs and"
                          f" {len(model.graph.output)} outputs, expected one of each")
    restore_merged_initializers(model, module.state_dict(keep_vars=True))
    return model


def restore_merged_initializers(model, state):
    """Gives every parameter its own initializer again.

    The exporter merges parameters of equal value (say, two zero biases) into one initializer and
    an Identity node for each of the others. Their sigmas may differ, so undo that; parameters that
    share storage in the module stay merged, since one draw must serve both.
    """
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in list(model.graph.node):
        if node.op_type != "Identity" or node.input[0] not in initializers:
            continue
        source, name = node.input[0], node.output[0]
        if name not in state or source not in state:
            continue
        if state[name].data_ptr() == state[source].data_ptr():
            continue
        copy = model.graph.initializer.add()
        copy.CopyFrom(initializers[source])
        copy.name = name
        model.graph.node.remove(node)


def check_sigmas(model, sigmas):
    """Checks each sigma against its initializer; raises one ExportError that names all offenders.

    Returns the arrays as float32, by name.
    """
    onnx = import_onnx()
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    checked, problems = {}, []
    for name in sorted(sigmas):
        sigma = np.asarray(sigmas[name], dtype=np.float32)
        tensor = initializers.get(name)
        if tensor is None:
            problems.append(f"{name}: no initializer of that name in the exported graph")
        elif tensor.data_type != onnx.TensorProto.FLOAT:
            problems.append(f"{name}: the initializer is not float32")
        elif tuple(tensor.dims) != sigma.shape:
            problems.append(f"{name}: sigma has shape {list(sigma.shape)}, the initializer"
                            f" {list(tensor.dims)}")
        if not np.all(np.isfinite(sigma)):
            problems.append(f"{name}: {np.count_nonzero(~np.isfinite(sigma))} sigmas not finite")
        elif np.any(sigma < 0):
            problems.append(f"{name}: {np.count_nonzero(sigma < 0)} sigmas negative")
        checked[name] = sigma
    for name, tensor in initializers.items():
        mean = onnx.numpy_helper.to_array(tensor)
        if mean.dtype.kind == "f" and not np.all(np.isfinite(mean)):
            problems.append(f"{name}: {np.count_nonzero(~np.isfinite(mean))} means not finite")
    if problems:
        raise ExportError("cannot export the posterior", problems)
    return checked


# ---- Writing --------------------------------------------------------------------------------

def write_all(contents):
    """Writes dict path -> bytes: each to a temporary, all renamed at the end, or nothing at all."""
    leftovers = []
    try:
        for path, data in contents.items():
            leftovers.append(f"{path}.{os.getpid()}.tmp")
            with open(leftovers[-1], "wb") as file:
                file.write(data)
        for path in contents:
            os.replace(f"{path}.{os.getpid()}.tmp", path)
            leftovers.append(path)
        leftovers.clear()
    finally:
        for path in leftovers:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


def add_metadata(model, mean, std, labels):
    """Stores what the converter needs to know about the input, as ONNX metadata_props."""
    onnx = import_onnx()
    properties = {}
    if mean is not None:
        properties["mean"] = ",".join(repr(float(value)) for value in mean)
        properties["std"] = ",".join(repr(float(value)) for value in std)
    if labels is not None:
        properties["labels"] = "\n".join(labels)
    onnx.helper.set_model_props(model, properties)


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
    checked = check_sigmas(model, sigmas)
    add_metadata(model, mean, std, labels)
    contents = {onnx_path: model.SerializeToString(deterministic=True)}
    if npz_path is not None:
        buffer = io.BytesIO()
        means = {tensor.name: import_onnx().numpy_helper.to_array(tensor)
                 for tensor in model.graph.initializer}
        arrays = {f"{name}.sigma": sigma for name, sigma in checked.items()}
        arrays.update({f"{name}.mean": means[name] for name in checked})
        np.savez(buffer, **arrays)  # of 1980
        contents[npz_path] = buffer.getvalue()
    elif checked:
        raise ExportError("a network with sigmas needs a path for them", sorted(checked))
    write_all(contents)
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
