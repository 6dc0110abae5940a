#!/usr/bin/python3
"""The posterior of a .mu8 file as PREFIX.onnx and PREFIX.npz, for `mu8 convert`: where a file is all there is
of a network, and other bits or other sections are wanted.

    bench/posterior_of.py MODEL.mu8 --output-prefix PREFIX

Means and deviations are those of the weights that the file draws, before they are clamped; BatchNorm stays
folded. Chains of convolutions in one group, ReLU, max-pools and dense layers, as VGG-16 is. Needs
Debian's python3-numpy and python3-onnx.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ModuleNotFoundError as missing:
    sys.exit(f"posterior_of: {missing}; tools/setup test installs what it needs")

from second_reader.file_format import CONV2D, DENSE, MAX_POOL, FormatError  # noqa: E402
from second_reader.reader import read_model  # noqa: E402
from second_reader.sampling import EPSILON, WeightSource  # noqa: E402


def deviations(levels, shifts):
    """Of the noise that levels and shifts give, FORMAT.md 9.3: float, of their shape."""
    pairs = levels.astype(np.int64) * 256 + shifts
    different, places = np.unique(pairs, return_inverse=True)
    level, shift = different[:, None] // 256, different[:, None] % 256
    noise = (level * EPSILON + (1 << (shift - 1))) >> shift
    return noise.astype(np.float64).std(axis=1)[places].reshape(pairs.shape)


def gaussians(model, index):
    """(mean, deviation) of a layer's weights, float [O][inputs], and of its biases, [O]."""
    layer, source = model.layers[index], WeightSource(model, index)
    p, scale_of_input = layer.parameters, float(model.tensors[layer.input].scale)
    mu, bias = source.means()
    slots = source.slot_of_channel
    scale = p.weight_scale.astype(np.float64)[slots]
    sigma, bias_sigma = np.zeros(mu.shape), np.zeros(len(slots))
    if layer.bayesian:
        shifts = p.shift.astype(np.int64)[source.slot_of_byte]
        sigma = deviations(source.levels, shifts)[source.byte_of_weight]
        bias_sigma = deviations(p.bias_level, p.bias_shift.astype(np.int64))[slots]
    return ((mu * scale[:, None], sigma * scale[:, None]),
            (bias * scale * scale_of_input, bias_sigma * scale * scale_of_input))


class Graph:
    """The ONNX graph as it grows; `last` is the value that the next node takes."""

    def __init__(self):
        self.nodes, self.means, self.sigmas, self.last = [], [], {}, "x"

    def add(self, op, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.last, *inputs], [name], **attributes))
        self.last = name

    def parameter(self, name, mean, sigma):
        self.means.append(numpy_helper.from_array(np.ascontiguousarray(mean, np.float32), name))
        self.sigmas[f"{name}.sigma"] = np.ascontiguousarray(sigma, np.float32)
        return name


def add_layer(graph, model, index):
    layer = model.layers[index]
    if layer.op not in (CONV2D, DENSE, MAX_POOL) or layer.input != index or layer.groups != 1:
        raise ValueError(f"layer {index}: is no convolution, dense layer or max-pool of a chain")
    window = {"kernel_shape": [layer.kernel_h, layer.kernel_w],
              "strides": [layer.stride_h, layer.stride_w]}
    if layer.op == MAX_POOL:
        return graph.add("MaxPool", **window)
    weights, biases = gaussians(model, index)
    source, name = model.tensors[layer.input], f"layer{index}"
    # From OHWI, of which a dense layer is one window over all of its input.
    height, width = ((source.height, source.width) if layer.op == DENSE else
                     (layer.kernel_h, layer.kernel_w))
    oihw = [part.reshape(len(part), height, width, source.channels).transpose(0, 3, 1, 2) for part in weights]
    if layer.op == DENSE:
        graph.add("Flatten")
        flat = [part.reshape(len(part), -1) for part in oihw]
        graph.add("Gemm", graph.parameter(f"{name}.weight", *flat), graph.parameter(f"{name}.bias", *biases),
                  transB=1)
    else:
        graph.add("Conv", graph.parameter(f"{name}.weight", *oihw), graph.parameter(f"{name}.bias", *biases),
                  pads=[layer.pad_top, layer.pad_left] * 2, **window)
    if index + 1 < len(model.layers):
        graph.add("Relu")


def export(data, prefix):
    """Writes PREFIX.onnx and PREFIX.npz of a .mu8 file's bytes."""
    model = read_model(data)
    graph = Graph()
    for index in range(len(model.layers)):
        add_layer(graph, model, index)
    image = model.tensors[0]
    made = helper.make_graph(
        graph.nodes, "posterior",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT,
                                       ["N", image.channels, image.height, image.width])],
        [helper.make_tensor_value_info(graph.last, TensorProto.FLOAT, ["N", model.class_count])],
        graph.means)
    network = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)])
    network.ir_version = 7
    known = {key.decode(): value.decode() for key, value in model.metadata.items()}
    helper.set_model_props(network, {key: known[key] for key in ("mean", "std") if key in known})
    onnx.save(network, f"{prefix}.onnx")
    np.savez(f"{prefix}.npz", **graph.sigmas)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--output-prefix", required=True, metavar="PREFIX")
    options = parser.parse_args()
    try:
        export(options.model.read_bytes(), options.output_prefix)
    except (OSError, ValueError, FormatError) as error:
        sys.exit(f"posterior_of: {error}")


if __name__ == "__main__":
    main()
