#!/usr/bin/env python3
"""Graphs as exporters write them, imported and run in FP32 beside onnxruntime.

    pip install onnxruntime numpy onnx torch
    tests/end_to_end/graphs_beside_onnxruntime.py build/release/tests/mu8_run_onnx

No test of tools/test, which needs no onnxruntime: run it when the importer changes. Each graph is
run with its weights and, where a posterior is given, with a draw of it: every sigma added to its
mean, which is the graph of the sum. What the importer cannot take must be refused in the words that
are listed. The last lines count the graphs and give the largest difference.

--onnxruntime PYTHON: the interpreter that has onnxruntime, if it is another one.
"""

import argparse
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent))

BATCH = 4
TOLERANCE = 2e-5  # of the outputs' largest magnitude
RUN_ALL = """
import sys, numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.log_severity_level, options.intra_op_num_threads = 3, 1
for line in sys.stdin:
    model, x, y = line.split()
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        np.save(y, session.run(None, {session.get_inputs()[0].name: np.load(x)})[0])
    except Exception as error:
        print(model, str(error).splitlines()[0][:200])
"""
rng = np.random.default_rng(5)
N = helper.make_node


def floats(*shape):
    fan = int(np.prod(shape[1:])) or 1
    return (rng.standard_normal(shape) / np.sqrt(fan)).astype(np.float32)


def graph(nodes, constants, shape, opset=13, batch="batch", path=None):
    """A model of input x and output y; constants: name -> array, or TensorProto."""
    tensors = []
    for name, value in constants.items():
        if isinstance(value, TensorProto):
            tensor = value
            tensor.name = name
        else:
            tensor = numpy_helper.from_array(np.asarray(value), name)
        tensors.append(tensor)
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], tensors)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model


class Case:
    """layout: in which order the importer must take the input's axes."""

    def __init__(self, model, shape, layout=None, sigmas=(), external=False):
        self.model, self.shape, self.sigmas, self.external = model, shape, sigmas, external
        self.layout = layout or {1: "nf", 2: "ncw", 3: "nchw"}[len(shape)]


CASES, REFUSED = {}, {}


def add(name, nodes, constants, shape, opset=13, layout=None, sigmas=(), external=False, **rest):
    CASES[name] = Case(graph(nodes, constants, shape, opset, **rest), shape, layout, sigmas, external)


def refuse(name, words, nodes, constants, shape, opset=13, sigmas=(), **rest):
    REFUSED[name] = (Case(graph(nodes, constants, shape, opset, **rest), shape, None, sigmas), words)


def head(source, inputs, outputs=5):
    """Flatten and a dense layer, as the end of a graph: nodes and constants."""
    return ([N("Flatten", [source], ["flat"]), N("Gemm", ["flat", "fc.w", "fc.b"], ["y"], transB=1)],
            {"fc.w": floats(outputs, inputs), "fc.b": floats(outputs)})


def add_image(name, nodes, constants, inputs, shape=(3, 8, 8), **rest):
    """A graph of image nodes from x to c, with `inputs` elements at its end."""
    last, more = head("c", inputs)
    add(name, nodes + last, {**constants, **more}, shape, **rest)


def conv(source="x", output="c", weight="w", **attributes):
    return N("Conv", [source, weight], [output], **(attributes or {"pads": [1, 1, 1, 1]}))


def add_weights():
    """Weights that the graph computes."""
    w = {"w": floats(5, 6)}
    dense = [N("MatMul", ["x", "m"], ["y"])]
    add("transposed", [N("Transpose", ["w"], ["m"], perm=[1, 0])] + dense, w, (6,), sigmas=["w"])
    add("reshaped", [N("Reshape", ["w", "s"], ["m"])] + dense,
        {"w": floats(3, 2, 5), "s": [6, 5]}, (6,), opset=8, sigmas=["w"])
    add("scaled", [N("Mul", ["w", "g"], ["wg"]), N("Transpose", ["wg"], ["m"])] + dense,
        {**w, "g": np.abs(floats(5, 1)) + 0.5}, (6,), sigmas=["w"])
    add("divided", [N("Div", ["w", "g"], ["wg"]), N("Transpose", ["wg"], ["m"])] + dense,
        {**w, "g": np.abs(floats(6)) + 0.5}, (6,), sigmas=["w"])
    add("shifted", [N("Add", ["w", "g"], ["wg"]), N("Transpose", ["wg"], ["m"])] + dense,
        {**w, "g": floats(6)}, (6,), sigmas=["w"])
    add("sliced", [N("Slice", ["w", "a", "b", "k"], ["ws"]), N("Transpose", ["ws"], ["m"])] + dense,
        {"w": floats(9, 6), "a": [2], "b": [7], "k": [0]}, (6,), sigmas=["w"])
    add("gathered", [N("Gather", ["w", "i"], ["m"], axis=1)] + dense,
        {"w": floats(6, 7), "i": [6, 1, 0, 5, 2]}, (6,), sigmas=["w"])
    add("joined", [N("Concat", ["u", "v"], ["m"], axis=1)] + dense,
        {"u": floats(6, 2), "v": floats(6, 3)}, (6,), sigmas=["u", "v"])
    add("chosen", [N("Where", ["yes", "u", "v"], ["m"])] + dense,
        {"u": floats(6, 5), "v": floats(6, 5), "yes": np.arange(30).reshape(6, 5) % 3 == 0}, (6,),
        sigmas=["u", "v"])
    add("expanded", [N("Expand", ["w", "s"], ["m"])] + dense, {"w": floats(6, 1), "s": [6, 5]}, (6,))
    add("product_of_constants", [N("MatMul", ["u", "v"], ["m"])] + dense,
        {"u": floats(6, 3), "v": floats(3, 5)}, (6,))
    add("normalized", [N("ReduceL2", ["w"], ["n"], axes=[0]), N("Div", ["w", "n"], ["d"]),
                       N("Mul", ["d", "g"], ["m"])] + dense,
        {"w": floats(6, 5), "g": floats(1, 5)}, (6,))
    add("positive", [N("Softplus", ["w"], ["p"]), N("Sqrt", ["p"], ["m"])] + dense,
        {"w": floats(6, 5)}, (6,))
    add("of_zeros", [N("ConstantOfShape", ["s"], ["z"]), N("Add", ["z", "w"], ["m"])] + dense,
        {"w": floats(1, 5), "s": [6, 5]}, (6,))
    add("counted", [N("Range", ["0", "30", "1"], ["r"]), N("Cast", ["r"], ["f"], to=1),
                    N("Sin", ["f"], ["q"]), N("Reshape", ["q", "s"], ["m"])] + dense,
        {"0": np.int64(0), "30": np.int64(30), "1": np.int64(1), "s": [6, 5]}, (6,))
    half = floats(4, 3, 3, 3).astype(np.float16)
    add_image("float16", [N("Cast", ["h"], ["w"], to=1), conv()], {"h": half}, 256)
    bits = (floats(4, 3, 3, 3).view(np.uint32) >> 16).astype(np.uint16)
    brain = helper.make_tensor("b", TensorProto.BFLOAT16, bits.shape, bits.tobytes(), raw=True)
    add_image("bfloat16", [N("Cast", ["b"], ["w"], to=1), conv()], {"b": brain}, 256)
    add_image("doubles", [N("Cast", ["d"], ["w"], to=1), conv()],
              {"d": numpy_helper.from_array(rng.standard_normal((4, 3, 3, 3)), "d")}, 256)
    # As PyTorch's newer exporter has them: recent operator sets, numbers in a second file.
    add_image("external", [conv()], {"w": floats(16, 3, 3, 3)}, 16 * 64, opset=18, external=True,
              sigmas=["w", "fc.w"])
    zoo = [N("Conv", ["x", "w1"], ["c1"], auto_pad="SAME_UPPER"), N("Add", ["c1", "b1"], ["a1"]),
           N("Relu", ["a1"], ["r1"]), N("MaxPool", ["r1"], ["p1"], kernel_shape=[7, 7], strides=[7, 7]),
           N("Reshape", ["p1", "s1"], ["f"]), N("Reshape", ["w2", "s2"], ["w2r"]),
           N("MatMul", ["f", "w2r"], ["mm"]), N("Add", ["mm", "b2"], ["y"])]
    add("zoo_mnist", zoo, {"w1": floats(16, 1, 5, 5), "b1": floats(16, 1, 1),
                           "w2": floats(16, 4, 4, 10), "b2": floats(1, 10), "s1": [-1, 256],
                           "s2": [256, 10]}, (1, 28, 28), opset=8, sigmas=["w1", "b1", "w2", "b2"])


def add_pools():
    pads = {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 0])}
    w = {"w": floats(4, 3, 3, 3)}
    for name, fill in (("least", np.finfo(np.float32).min), ("infinite", -np.inf)):
        last, more = head("q", 4 * 4 * 4)
        add(f"pad_{name}", [conv(), N("Pad", ["c", "pads", "fill"], ["p"]),
                            N("MaxPool", ["p"], ["q"], kernel_shape=[3, 3], strides=[2, 2])] + last,
            {**w, **pads, "fill": np.float32(fill), **more}, (3, 8, 8))
    last, more = head("q", 64)
    add("pad_below_relu", [conv(), N("Relu", ["c"], ["r"]), N("Pad", ["r", "pads", "fill"], ["p"]),
                           N("MaxPool", ["p"], ["q"], kernel_shape=[3, 3], strides=[2, 2])] + last,
        {**w, **pads, "fill": np.float32(-1), **more}, (3, 8, 8))
    for name, kernel, stride, pad, size, out in (
            ("ceil", 3, 2, 0, 8, 4), ("ceil_padded", 3, 4, 1, 8, 3), ("ceil_outside", 2, 3, 1, 8, 3)):
        for op in ("MaxPool", "AveragePool"):
            for include in (0, 1) if op == "AveragePool" else (None,):
                attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2,
                              "pads": [pad] * 4, "ceil_mode": 1}
                if include is not None:
                    attributes["count_include_pad"] = include
                last, more = head("q", 3 * out * out)
                add(f"{name}_{op}_{include}", [N(op, ["x"], ["q"], **attributes)] + last, more,
                    (3, size, size), opset=22 if include else 12)
    last, more = head("q", 3)
    add("reduce_sum", [N("ReduceSum", ["x", "axes"], ["q"], keepdims=1)] + last,
        {"axes": [2, 3], **more}, (3, 8, 8))
    add("reduce_max", [N("ReduceMax", ["x"], ["q"], axes=[2, 3], keepdims=1)] + last, more, (3, 8, 8))
    add("global_max", [N("GlobalMaxPool", ["x"], ["q"])] + last, more, (3, 8, 8))
    last, more = head("q", 4 * 8)
    add("reduce_sum_of_rows", [N("Conv", ["x", "w"], ["v"], strides=[2, 1], pads=[1, 1, 1, 1]),
                               N("ReduceSum", ["v", "axes"], ["q"], keepdims=0)] + last,
        {**w, "axes": [-2], **more}, (3, 8, 8))


def add_convolutions():
    for pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        size = 3 if pad == "VALID" else 4
        add_image(f"auto_pad_{pad}", [conv(auto_pad=pad, strides=[2, 2])],
                  {"w": floats(4, 3, 3, 3)}, 4 * size * size, sigmas=["w", "fc.w", "fc.b"])
    add_image("asymmetric", [conv(pads=[0, 1, 2, 0], strides=[2, 1])], {"w": floats(4, 3, 3, 3)},
              4 * 4 * 7, sigmas=["w"])
    add_image("grouped", [conv(group=3, dilations=[2, 2], pads=[2, 2, 2, 2])],
              {"w": floats(6, 1, 3, 3)}, 6 * 64, sigmas=["w"])
    last, more = head("c", 4 * 16)
    add("sequence", [N("Conv", ["x", "w", "b"], ["c"], pads=[2, 2])] + last,
        {"w": floats(4, 3, 5), "b": floats(4), **more}, (3, 16), sigmas=["w", "b"])
    add_image("opset_22", [conv(output="v"), N("HardSwish", ["v"], ["c"])], {"w": floats(4, 3, 3, 3)},
              256, opset=22)
    add_image("gelu_20", [conv(output="v"), N("Gelu", ["v"], ["c"], approximate="tanh")],
              {"w": floats(4, 3, 3, 3)}, 256, opset=20)
    add_image("mish_18", [conv(output="v"), N("Mish", ["v"], ["c"])], {"w": floats(4, 3, 3, 3)}, 256,
              opset=18)
    norm = {"g": floats(4), "o": floats(4), "e": floats(4), "v": np.abs(floats(4)) + 0.5}
    add_image("batchnorm", [conv(output="t"), N("BatchNormalization", ["t", "g", "o", "e", "v"], ["c"])],
              {"w": floats(4, 3, 3, 3), **norm}, 256, opset=15, sigmas=["w", "fc.w"])
    last, more = head("n", 192)
    flat = {k: np.resize(a, 192) * np.linspace(1, 2, 192, dtype=np.float32) for k, a in norm.items()}
    add("batchnorm_flat", [N("Flatten", ["x"], ["f"]),
                           N("BatchNormalization", ["f", "g", "o", "e", "v"], ["n"])] + last,
        {**flat, **more}, (3, 8, 8))


def add_elementwise():
    w = {"w": floats(4, 3, 3, 3)}
    for name, exponent in (("2", np.int64(2)), ("3", np.float32(3)), ("half", np.float32(0.5)),
                           ("inverse", np.float32(-1))):
        add_image(f"pow_{name}", [conv(output="v"), N("Abs", ["v"], ["a"]), N("Add", ["a", "1"], ["b"]),
                                  N("Pow", ["b", "p"], ["c"])],
                  {**w, "p": exponent, "1": np.float32(1)}, 256)
    add_image("sum_of_four", [conv(output="v"), conv(weight="u", output="t"),
                              N("Sum", ["v", "k", "t", "v"], ["c"])],
              {**w, "u": floats(4, 3, 3, 3), "k": floats(4, 1, 1)}, 256)
    add_image("bounds", [conv(output="v"), N("Min", ["v", "high"], ["m"]), N("Max", ["low", "m"], ["c"])],
              {**w, "high": np.float32(0.7), "low": np.float32(-0.4)}, 256)
    add_image("clip_6", [conv(output="v"), N("Clip", ["v"], ["c"], min=-0.5)], w, 256, opset=7)
    add_image("minus", [conv(output="v"), N("Sub", ["k", "v"], ["c"])], {**w, "k": floats(4, 1, 1)}, 256)
    add("gemm_scaled", [N("Gemm", ["x", "w", "b"], ["y"], alpha=0.5, beta=2.0)],
        {"w": floats(6, 5), "b": floats(5)}, (6,), sigmas=["w", "b"])
    add("dropout_7", [N("Dropout", ["x"], ["d"], ratio=0.5), N("MatMul", ["d", "w"], ["y"])],
        {"w": floats(6, 5)}, (6,), opset=7)


def add_inputs():
    linear = [N("MatMul", ["x", "w"], ["m"]), N("Add", ["m", "b"], ["a"]), N("Relu", ["a"], ["r"]),
              N("MatMul", ["r", "u"], ["v"]), N("ReduceMean", ["v"], ["y"], axes=[1], keepdims=0)]
    add("linear_of_sequence", linear, {"w": floats(3, 6), "b": floats(6), "u": floats(6, 5)}, (9, 3),
        layout="nwc", sigmas=["w", "b", "u"])
    mixer = [N("Conv", ["x", "w"], ["c"]), N("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
             N("MatMul", ["t", "u"], ["m"]), N("Add", ["m", "b"], ["a"]),
             N("ReduceMean", ["a"], ["y"], axes=[1, 2], keepdims=0)]
    add("linear_of_image", mixer, {"w": floats(4, 3, 3, 3), "u": floats(4, 5), "b": floats(5)},
        (3, 8, 8), sigmas=["w", "u", "b"])
    last, more = head("c", 4 * 64)
    add("nhwc_preprocessed", [N("Sub", ["x", "mean"], ["s"]), N("Mul", ["s", "scale"], ["q"]),
                              N("Transpose", ["q"], ["i"], perm=[0, 3, 1, 2]), conv("i")] + last,
        {"mean": floats(3), "scale": np.float32(0.5), "w": floats(4, 3, 3, 3), **more}, (8, 8, 3),
        layout="nhwc")
    view = [N("Shape", ["x"], ["d"]), N("Gather", ["d", "0"], ["n"]), N("Unsqueeze", ["n", "k"], ["n1"]),
            N("Concat", ["n1", "rest"], ["s"], axis=0), N("Reshape", ["x", "s"], ["f"]),
            N("MatMul", ["f", "w"], ["y"])]
    add("picture_viewed", view, {"0": np.int64(0), "k": [0], "rest": [-1], "w": floats(64, 5)}, (8, 8),
        layout="nhw")
    add("picture_from_row", [N("Reshape", ["x", "s"], ["i"]), conv("i")] + last,
        {"s": [-1, 1, 8, 8], "w": floats(4, 1, 3, 3), **more}, (64,))
    forwards = [conv(output="v"), N("Relu", ["v"], ["c"])] + last
    add("any_order", forwards[::-1], {"w": floats(4, 3, 3, 3), **more}, (3, 8, 8))


def add_reordered():
    """Layers that slide over other axes than those of memory; an output without its axis."""
    w = {"w0": floats(4, 3, 3, 3)}
    for perm, channels in (((0, 2, 1, 3), 6), ((0, 3, 2, 1), 8), ((0, 2, 3, 1), 6), ((0, 3, 1, 2), 8)):
        last, more = head("p", 5)
        add("conv_after_" + "".join(map(str, perm)),
            [conv(weight="w0", output="a"), N("Transpose", ["a"], ["t"], perm=perm), conv("t"),
             N("GlobalAveragePool", ["c"], ["p"])] + last,
            {**w, "w": floats(5, channels, 3, 3), **more}, (3, 6, 8), sigmas=["w0", "w"])
    slide = [N("Unsqueeze", ["h", "one"], ["u"]), N("Conv", ["u", "k"], ["c"])]
    last, more = head("c", 4 * 10)
    one = {"one": [1], "k": floats(4, 1, 3), **more}
    add("sequence_of_row", [N("Neg", ["x"], ["h"])] + slide + last, one, (12,), sigmas=["k"])
    add("sequence_of_layer", [N("MatMul", ["x", "w"], ["h"])] + slide + last,
        {**one, "w": floats(6, 12)}, (6,), sigmas=["w", "k"])
    for shape, size in (((3, 12), 12), ((3, 6, 8), 8)):
        nodes = [N("Conv", ["x", "k0"], ["a"]), N("MatMul", ["a", "w"], ["c"])]
        count = 4 * int(np.prod(shape[1:-1])) * 5
        last, more = head("c", count)
        add(f"mixed_along_{size}", nodes + last,
            {"k0": floats(4, 3, *[1] * (len(shape) - 1)), "w": floats(size, 5), **more}, shape,
            sigmas=["k0", "w"])
    add("squeezed_output", [N("MatMul", ["x", "w"], ["z"]), N("Squeeze", ["z", "one"], ["s"]),
                            N("Tanh", ["s"], ["y"])], {"w": floats(6, 1), "one": [1]}, (6,))


def add_torch():
    """Every module of test_onnx_graphs, by PyTorch's own export, and re-parametrized layers."""
    import io

    import torch
    from torch import nn

    import test_onnx_graphs as modules

    def export(module, shape, opset, **options):
        buffer = io.BytesIO()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(module.eval(), torch.zeros(1, *shape), buffer, opset_version=opset,
                              input_names=["x"], output_names=["y"],
                              dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}}, **options)
        return onnx.load_model_from_string(buffer.getvalue())

    plain = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    for name, (module, shape, _) in modules.CASES.items():
        torch.manual_seed(1)
        modules.randomize(module, 2)
        layout = "nhwc" if name == "channels_last" else None
        CASES[f"torch_{name}"] = Case(export(module, shape, 17), shape, layout)
        model = export(module, shape, 13, **plain)
        known = {tensor.name for tensor in model.graph.initializer}
        sigmas = [f"{path}.{leaf}" for path, layer in module.named_modules()
                  if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)) for leaf in ("weight", "bias")]
        CASES[f"torch_{name}_plain"] = Case(model, shape, layout, [s for s in sigmas if s in known])
    normed = {
        "weight_norm": nn.Sequential(nn.utils.weight_norm(nn.Conv2d(3, 4, 3)), nn.Flatten(),
                                     nn.utils.weight_norm(nn.Linear(144, 5))),
        "spectral_norm": nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(3, 4, 3)), nn.Flatten(),
                                       nn.Linear(144, 5)),
        "parametrized": nn.Sequential(
            nn.Flatten(), nn.utils.parametrizations.spectral_norm(nn.Linear(192, 5))),
        "linear_without_bias": nn.Sequential(nn.Flatten(), nn.Linear(192, 5, bias=False)),
    }
    for name, module in normed.items():
        for options in ({}, plain):
            CASES[f"torch_{name}{'_plain' if options else ''}"] = Case(
                export(module, (3, 8, 8), 13, **options), (3, 8, 8))


def add_refusals():
    w, v = {"w": floats(6, 5)}, {"v": floats(6, 6), "u": floats(6, 6)}
    two = [N("MatMul", ["x", "v"], ["a"]), N("MatMul", ["x", "u"], ["b"])]
    refuse("attention", ["(MatMul)", "product of two activations (attention)"],
           two + [N("MatMul", ["a", "b"], ["y"])], v, (6,))
    refuse("quotient", ["(Div)", "Div of two activations"], two + [N("Div", ["a", "b"], ["y"])], v, (6,))
    refuse("drawn", ["(RandomNormalLike)", "draws random numbers in the graph"],
           [N("RandomNormalLike", ["w"], ["e"]), N("Add", ["w", "e"], ["d"]),
            N("MatMul", ["x", "d"], ["y"])], w, (6,))
    refuse("dropout_in_training", ["(Dropout)", "training mode", "eval()"],
           [N("Dropout", ["x", "r", "t"], ["d"]), N("MatMul", ["d", "w"], ["y"])],
           {**w, "r": np.float32(0.5), "t": np.bool_(True)}, (6,))
    refuse("sigma_through_a_norm", ["\"w\"", "(ReduceL2) mixes its elements", "\"m.sigma\""],
           [N("ReduceL2", ["w"], ["n"], axes=[0]), N("Div", ["w", "n"], ["m"]),
            N("MatMul", ["x", "m"], ["y"])], w, (6,), sigmas=["w"])
    refuse("sigma_shared", ["shared with", "independently"],
           [N("MatMul", ["x", "v"], ["a"]), N("MatMul", ["a", "v"], ["y"])], {"v": floats(6, 6)}, (6,),
           sigmas=["v"])
    refuse("cycle", ["in a cycle"], [N("Add", ["x", "y"], ["a"]), N("Neg", ["a"], ["y"])], {}, (6,))
    refuse("opset_6", ["operator set 6", "7 and later"], [N("MatMul", ["x", "w"], ["y"])], w, (6,),
           opset=6)
    refuse("unknown_attribute", ["attribute \"twist\" is not known"],
           [N("Transpose", ["x"], ["t"], perm=[0, 1], twist=1), N("MatMul", ["t", "w"], ["y"])], w, (6,))
    refuse("recurrent", ["(LSTM)", "no recurrent layers"],
           [N("LSTM", ["x", "w", "w"], ["y"], hidden_size=2)], w, (6,))
    refuse("quantized", ["(DequantizeLinear)", "quantized already"],
           [N("DequantizeLinear", ["x", "s"], ["y"])], {"s": np.float32(1)}, (6,))
    refuse("pad_too_high", ["(Pad)", "the least float"],
           [N("Pad", ["x", "p", "f"], ["a"]), N("MaxPool", ["a"], ["b"], kernel_shape=[3, 3]),
            N("GlobalAveragePool", ["b"], ["y"])],
           {"p": [0, 0, 1, 1, 0, 0, 1, 1], "f": np.float32(-3)}, (3, 8, 8))


# ---- Running ----

def with_draw(model, sigmas):
    """The model whose parameters are one sigma above their means."""
    drawn = onnx.ModelProto()
    drawn.CopyFrom(model)
    for tensor in drawn.graph.initializer:
        if tensor.name in sigmas:
            array = numpy_helper.to_array(tensor) + sigmas[tensor.name]
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float32), tensor.name))
    return drawn


def to_memory(x, layout):
    """Inputs in the importer's order: height, width, channels."""
    axes = {"nchw": (0, 2, 3, 1), "ncw": (0, 2, 1)}.get(layout)
    return np.ascontiguousarray(x if axes is None else x.transpose(axes))


def write_case(folder, name, case):
    """The files of a case; returns its runs: (label, model for onnxruntime, posterior or None)."""
    x = rng.standard_normal((BATCH, *case.shape)).astype(np.float32)
    np.save(folder / f"{name}.x.npy", x)
    to_memory(x, case.layout).tofile(folder / f"{name}.x")
    model = folder / f"{name}.onnx"
    onnx_model = onnx.ModelProto()
    onnx_model.CopyFrom(case.model)
    onnx.save_model(onnx_model, str(model), **(
        {"save_as_external_data": True, "location": f"{name}.onnx.data", "size_threshold": 256}
        if case.external else {}))
    runs = [("mean", model, None)]
    if case.sigmas:
        arrays = {t.name: numpy_helper.to_array(t) for t in case.model.graph.initializer}
        sigmas = {s: (np.abs(floats(*arrays[s].shape)) + 0.01).astype(np.float32)
                  for s in case.sigmas}
        posterior = folder / f"{name}.npz"
        np.savez(posterior, **{f"{s}.sigma": v for s, v in sigmas.items()},
                 **{f"{s}.mean": arrays[s] for s in sigmas})
        drawn = folder / f"{name}.drawn.onnx"
        drawn.write_bytes(with_draw(case.model, sigmas).SerializeToString())
        runs.append(("drawn", drawn, posterior))
    return runs


def run_ours(run_onnx, folder, name, posterior):
    out = folder / f"{name}.ours"
    done = subprocess.run(
        [run_onnx, folder / f"{name}.onnx", folder / f"{name}.x", out, *([posterior, "--draw"] if posterior else [])],
        capture_output=True, text=True, check=False)
    return done, out


def compare(run_onnx, folder, runs, failures):
    """Largest relative difference of all runs; failures are listed."""
    worst, counts = ("", 0.0), {"mean": 0, "drawn": 0}
    for name, label, reference, posterior in runs:
        if not reference.exists():
            failures.append(f"{name} ({label}): onnxruntime did not run it")
            continue
        expected = np.load(reference)
        done, out = run_ours(run_onnx, folder, name, posterior)
        if done.returncode != 0:
            failures.append(f"{name} ({label}): {done.stderr.strip()}")
            continue
        found = np.fromfile(out, np.float32)
        if expected.ndim > 2:  # an image or a sequence: the engine's channels come last
            expected = np.moveaxis(expected, 1, -1)
        if found.size != expected.size:
            failures.append(f"{name} ({label}): {found.size} outputs, expected {expected.size}")
            continue
        scale = np.abs(expected).max()
        difference = float(np.abs(found - expected.ravel()).max() / scale)
        if not difference <= TOLERANCE or expected.std() < 1e-3 * scale:
            failures.append(f"{name} ({label}): differs by {difference:.2e} of the largest output")
        counts[label] += 1
        worst = max(worst, (f"{name} ({label})", difference), key=lambda pair: pair[1])
    return worst, counts


def check_refusals(run_onnx, folder, failures):
    for name, (case, words) in REFUSED.items():
        runs = write_case(folder, name, case)
        done, _ = run_ours(run_onnx, folder, name, runs[-1][2])
        missing = [word for word in words if word not in done.stderr]
        if done.returncode == 0 or missing:
            failures.append(f"{name}: expected a refusal with {missing}, got: {done.stderr.strip()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_onnx", help="mu8_run_onnx of a build")
    parser.add_argument("--onnxruntime", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--only", default="", help="graphs whose name contains this")
    options = parser.parse_args()
    for collect in (add_weights, add_pools, add_convolutions, add_elementwise, add_inputs,
                    add_reordered, add_torch, add_refusals):
        collect()
    failures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs, lines = [], []
        for name, case in CASES.items():
            if options.only not in name:
                continue
            for label, model, posterior in write_case(folder, name, case):
                reference = folder / f"{name}.{label}.npy"
                runs.append((name, label, reference, posterior))
                lines.append(f"{model} {folder / f'{name}.x.npy'} {reference}\n")
        subprocess.run([options.onnxruntime, "-c", RUN_ALL], input="".join(lines), text=True,
                       check=True)
        worst, counts = compare(options.run_onnx, folder, runs, failures)
        if not options.only:
            check_refusals(options.run_onnx, folder, failures)
    for failure in failures:
        print("FAILED", failure)
    print(f"{counts['mean']} graphs and {counts['drawn']} draws beside onnxruntime,"
          f" {len(REFUSED)} refusals; {len(failures)} failed")
    print(f"largest difference {worst[1]:.1e} of the largest output, {worst[0]}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
