"""A dense layer of four inputs and up to three outputs, and the commands that convert it and predict
with it: for the tests of heads and stop rules.
"""

import struct

import cli
import numpy as np
from onnx import TensorProto, helper

PIXELS = 4
WEIGHTS = np.array([[0.9, -1.2, 0.5, 0.3], [-0.4, 0.8, -0.9, 1.1], [1.3, 0.2, -0.6, -1.0]], np.float32)
BIAS = np.array([0.2, -0.3, 0.1], np.float32)
X = np.array([[0.1, 0.9, 0.4, 0.7]], np.float32)


def network(outputs, last=None, head=None, more_outputs=(), bias=BIAS):
    """y = W x + b of `outputs` rows, and a node behind it."""
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["z" if last else "y"], transB=1)]
    if last:
        nodes.append(helper.make_node(last, ["z"], ["y"]))
    nodes += [helper.make_node("Neg", ["y"], [name]) for name in more_outputs]
    tensors = [helper.make_tensor("w", TensorProto.FLOAT, [outputs, PIXELS], WEIGHTS[:outputs].ravel()),
               helper.make_tensor("b", TensorProto.FLOAT, [outputs], bias[:outputs])]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", PIXELS])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", outputs])
         for name in ("y", *more_outputs)], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    if head:
        helper.set_model_props(model, {"head": head})
    return model.SerializeToString()


class HeadTest(cli.CommandTest):
    def setUp(self):
        rng = np.random.default_rng(3)
        pixels = rng.integers(0, 256, 64 * PIXELS, dtype=np.uint8).tobytes()
        self.write("images", struct.pack(">IIIII", 0x804, 64, 1, 1, PIXELS) + pixels)
        np.save(self.folder / "x.npy", X)

    def write(self, name, content):
        (self.folder / name).write_bytes(content)

    def convert(self, content, *options):
        self.write("m.onnx", content)
        return ("convert", "--model", "m.onnx", *options, "--calibration", "images", "-o", "m.mu8",
                "--mean", "0,0,0,0", "--std", "1,1,1,1")

    def converted(self, content, *options, note=None):
        return self.json_of(*self.convert(content, "--deterministic", *options), note=note)

    def prediction(self, *options):
        return self.json_of("predict", "m.mu8", "x.npy", *options)["predictions"][0]
