"""A module of means becomes an ONNX graph with one initializer for each of its parameters.

PyTorch's exporter merges, folds and renames; a sigma finds its mean by the initializer's name, so
all of that is left out or undone here. One input, called `input`, one output, called `logits`, both
with a free number of images; operator set 13.
"""

import contextlib
import difflib
import inspect
import io
import warnings

import numpy as np
import torch

from .errors import PosteriorError

OPSET = 13  # the lowest opset in which all operators that the converter reads have their final form


def import_onnx():
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as e:
        raise PosteriorError("the Python package `onnx` is needed to inspect the exported graph"
                             " (Debian: python3-onnx; PyPI: onnx)") from e
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
        raise PosteriorError("call module.eval() first; in training mode:", training)
    options = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # newer PyTorch: the tracing exporter keeps names and opset 13
    buffer = io.BytesIO()
    with plain_pad(), torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Constant folding - Only steps=1")
        # Of the tracing exporter itself: it is taken on purpose.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        torch.onnx.export(
            module, example_input, buffer, opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
            keep_initializers_as_inputs=False, input_names=["input"], output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}}, **options)
    model = onnx.load_model_from_string(buffer.getvalue())
    if len(model.graph.input) != 1 or len(model.graph.output) != 1:
        raise PosteriorError(f"the graph has {len(model.graph.input)} inputs and"
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
    """Checks each sigma against its initializer; raises one PosteriorError that names all
    offenders.

    Returns the arrays as float32, by name.
    """
    onnx = import_onnx()
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    checked, problems = {}, []
    for name in sorted(sigmas):
        sigma = np.asarray(sigmas[name], dtype=np.float32)
        tensor = initializers.get(name)
        if tensor is None:
            close = difflib.get_close_matches(name, initializers, 3)
            problems.append(f"{name}: no initializer of that name in the exported graph; "
                            + ("closest: " if close else "it has: ")
                            + ", ".join(close or sorted(initializers)))
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
        raise PosteriorError("cannot export the posterior", problems)
    return checked


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


def archive_bytes(model_bytes, sigmas):
    """The .npz beside an ONNX file: `<initializer>.sigma`, and `.mean`, what it was of."""
    onnx = import_onnx()
    graph = onnx.load_model_from_string(model_bytes).graph
    means = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer
             if tensor.name in sigmas}
    arrays = {f"{name}.sigma": sigmas[name] for name in sorted(sigmas)}
    arrays.update({f"{name}.mean": means[name] for name in sorted(sigmas)})
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # its members are of 1980: equal arrays give equal bytes
    return buffer.getvalue()
