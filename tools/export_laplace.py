#!/usr/bin/python3
"""Turns a correlated Gaussian posterior of a network's last layer into the converter's input.

The engine draws independent weights. A posterior W = M + A (S * E) B, E independent standard normal
numbers, becomes three layers around them, for

    W x = A (A'M B' + S * E) (B x)    with orthogonal A (C x C) and B (D x D), ' the transpose:

B and A are layers without sigmas, the one between them has independent weights with the standard
deviations S (C x D). Nothing is approximated: the joint distribution of all outputs for all inputs
is that of W. A Kronecker-factored Laplace approximation (Ritter et al. 2018; Daxberger et al. 2021,
section 3.1) has this form in the eigenvectors of its two factors; so has M + L E R with any L and R.

    tools/export_laplace.py net.onnx laplace.npz --weight fc.weight --output-prefix net_laplace

net.onnx ends in the layer (Gemm, or MatMul and Add; a Softmax or Sigmoid may follow). laplace.npz
holds either

    output_factor (C x C), input_factor (D x D)   the factors H and Q of the curvature H (x) Q, and
    prior_precision                               a number; the posterior's precision of the weights is
                                                  H (x) Q + prior_precision I, of a bias H + prior_precision I

(laplace-torch: la.H.kfacs[0] and la.prior_precision of a KronLLLaplace), or

    left (C x P), right (R x D)                   W = M + left E right, E of P x R; a bias has no sigma.

It writes PREFIX.onnx and PREFIX.npz for `mu8 convert`. A full covariance of all weights of the layer
is no product, and is refused. Needs Debian's python3-numpy and python3-onnx.
"""

import argparse
import io
import pathlib
import sys

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from data_files.atomic import write_atomic  # noqa: E402


class LaplaceError(ValueError):
    """The posterior does not fit the network; the message says what was found and expected."""


# ---- From a posterior to orthogonal factors ----------------------------------------------------

def of_kronecker(output_factor, input_factor, prior_precision):
    """(A, S, B, bias sigmas) of the precision output_factor (x) input_factor + prior_precision I.

    output_factor: C x C, input_factor: D x D, symmetric and positive semidefinite. The bias sigmas
    (C) are in A's basis, of the precision output_factor + prior_precision I.
    """
    precision = float(np.asarray(prior_precision).reshape(-1)[0])
    if np.asarray(prior_precision).size != 1 or not (np.isfinite(precision) and precision > 0):
        raise LaplaceError("prior_precision: expected one number above 0")
    (h, a), (q, b) = (_eigen(name, factor) for name, factor in
                      (("output_factor", output_factor), ("input_factor", input_factor)))
    return a, 1 / np.sqrt(np.outer(h, q) + precision), b.T, 1 / np.sqrt(h + precision)


def of_product(left, right):
    """(A, S, B, None) of W = M + left E right: left C x P, right R x D."""
    parts = []
    for name, factor in (("left", left), ("right", right)):
        factor = _finite(name, factor)
        if factor.ndim != 2:
            raise LaplaceError(f"{name}: shape {list(factor.shape)}, expected a matrix")
        parts.append(np.linalg.svd(factor, full_matrices=True))
    (a, s, _), (_, r, b) = parts
    s = np.pad(s, (0, len(a) - len(s)))  # directions in which the weights are known
    r = np.pad(r, (0, len(b) - len(r)))
    return a, np.outer(s, r), b, None


def _finite(name, values):
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        raise LaplaceError(f"{name}: not finite")
    return values


def _eigen(name, factor):
    factor = _finite(name, factor)
    if factor.ndim != 2 or len(factor) != factor.shape[1]:
        raise LaplaceError(f"{name}: shape {list(factor.shape)}, expected a square matrix")
    scale = np.abs(factor).max()
    if np.abs(factor - factor.T).max() > 1e-4 * scale:
        raise LaplaceError(f"{name}: not symmetric")
    values, vectors = np.linalg.eigh((factor + factor.T) / 2)
    if values[0] < -1e-4 * scale:
        raise LaplaceError(f"{name}: has the eigenvalue {values[0]:g}, expected none below 0")
    return np.maximum(values, 0), vectors


# ---- The graph ---------------------------------------------------------------------------------

def _last_layer(model, weight):
    """(nodes of the layer, its input, its output, M as C x D, bias or None)."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    if weight not in constants:
        raise LaplaceError(f"{weight}: no initializer of that name in the graph; it has "
                           + ", ".join(sorted(constants)))
    readers = [node for node in model.graph.node if weight in node.input]
    if len(readers) != 1 or readers[0].op_type not in ("Gemm", "MatMul"):
        raise LaplaceError(f"{weight}: read by "
                           + (", ".join(node.op_type for node in readers) or "no node")
                           + ", expected one Gemm or MatMul")
    node, mean = readers[0], onnx.numpy_helper.to_array(constants[weight]).astype(np.float64)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.input[1] != weight or attributes.get("transA", 0) or any(
            attributes.get(name, 1) != 1 for name in ("alpha", "beta")):
        raise LaplaceError(f"{weight}: expected x W or x W', without alpha, beta or transA")
    mean = mean if attributes.get("transB", 0) else mean.T
    if node.op_type == "Gemm":
        bias = node.input[2] if len(node.input) > 2 else None
        nodes, output = [node], node.output[0]
    else:
        nodes, output, bias = [node], node.output[0], None
        adds = [n for n in model.graph.node if output in n.input]
        if len(adds) == 1 and adds[0].op_type == "Add":
            others = [name for name in adds[0].input if name != output]
            if others and others[0] in constants:
                nodes, output, bias = [node, adds[0]], adds[0].output[0], others[0]
    if bias is not None:
        bias = onnx.numpy_helper.to_array(constants[bias]).astype(np.float64).reshape(-1)
    behind = [n for n in model.graph.node if output in n.input]
    graph_output = model.graph.output[0].name
    is_end = output == graph_output or (
        len(behind) == 1 and behind[0].op_type in ("Softmax", "LogSoftmax", "Sigmoid")
        and behind[0].output[0] == graph_output)
    if not is_end:
        raise LaplaceError(f"{weight}: not the last layer, so its outputs' distribution is not that "
                           "of the network")
    return nodes, node.input[0], output, mean, bias


def rotate(model, weight, a, s, b, bias_sigma=None):
    """The network with A (S * E) B around independent weights: (model, sigmas by name).

    a: C x C and b: D x D, orthogonal; s: C x D; bias_sigma: C, in A's basis, or None.
    """
    nodes, x, output, mean, bias = _last_layer(model, weight)
    classes, inputs = mean.shape
    if a.shape != (classes, classes) or b.shape != (inputs, inputs) or s.shape != mean.shape:
        raise LaplaceError(f"{weight} is {classes} x {inputs}, the posterior's factors are of "
                           f"{len(a)} x {len(b)}")
    if bias_sigma is not None and bias is None:
        bias_sigma = None  # the curvature has one for each output, whether it has a bias or not
    rotated = onnx.ModelProto()
    rotated.CopyFrom(model)
    graph = rotated.graph
    at = min(i for i, node in enumerate(model.graph.node) if node in nodes)
    for node in nodes:
        graph.node.remove(node)
    arrays = {f"{weight}.input_basis": b, weight: a.T @ mean @ b.T,
              f"{weight}.output_basis": a}
    if bias is not None:
        arrays[f"{weight}.bias"] = a.T @ bias
    for tensor in list(graph.initializer):
        if tensor.name == weight:
            graph.initializer.remove(tensor)
    for name, array in arrays.items():
        graph.initializer.append(onnx.numpy_helper.from_array(array.astype(np.float32), name))
    biases = [f"{weight}.bias"] if bias is not None else []
    steps = ((x, [f"{weight}.input_basis"], f"{weight}.inputs"),
             (f"{weight}.inputs", [weight, *biases], f"{weight}.outputs"),
             (f"{weight}.outputs", [f"{weight}.output_basis"], output))
    for i, (read, parameters, written) in enumerate(steps):
        graph.node.insert(at + i, onnx.helper.make_node(
            "Gemm", [read, *parameters], [written], name=f"{parameters[0]}/layer", transB=1))
    sigmas = {weight: s.astype(np.float32)}
    if bias_sigma is not None:
        sigmas[biases[0]] = bias_sigma.astype(np.float32)
    _drop_unread(graph)
    return rotated, sigmas


def _drop_unread(graph):
    read = {name for node in graph.node for name in node.input}
    for tensor in list(graph.initializer):
        if tensor.name not in read:
            graph.initializer.remove(tensor)


def read_posterior(path):
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    kinds = (("output_factor", "input_factor", "prior_precision"), ("left", "right"))
    for names, make in zip(kinds, (of_kronecker, of_product)):
        if set(arrays) == set(names):
            return make(*(arrays[name] for name in names))
    found = ", ".join(f"{name} {list(array.shape)}" for name, array in sorted(arrays.items()))
    hint = ""
    if any(array.ndim == 2 and "covariance" in name for name, array in arrays.items()):
        hint = (": a full covariance is no product of two factors, so no rotation makes its weights "
                "independent; fit the Kronecker-factored approximation")
    raise LaplaceError(f"{path}: holds {found or 'nothing'}, expected "
                       + " or ".join(", ".join(names) for names in kinds) + hint)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help=".onnx, the network of the means")
    parser.add_argument("posterior", help=".npz")
    parser.add_argument("--weight", required=True, help="the last layer's initializer")
    parser.add_argument("--output-prefix", required=True, metavar="PREFIX")
    options = parser.parse_args(arguments)
    try:
        model = onnx.load(options.model)
        model, sigmas = rotate(model, options.weight, *read_posterior(options.posterior))
        buffer = io.BytesIO()
        np.savez(buffer, **{f"{name}.sigma": sigma for name, sigma in sigmas.items()})
        write_atomic(options.output_prefix + ".npz", buffer.getvalue())
        write_atomic(options.output_prefix + ".onnx", model.SerializeToString())
    except (LaplaceError, OSError, ValueError) as e:
        print(f"export_laplace: {e}", file=sys.stderr)
        return 2
    classes, inputs = sigmas[options.weight].shape
    print(f"{options.output_prefix}.onnx: {inputs} inputs and {classes} outputs in bases in which "
          f"the weights are independent; {options.output_prefix}.npz: their sigmas")
    return 0


if __name__ == "__main__":
    sys.exit(main())
