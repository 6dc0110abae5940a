#!/usr/bin/python3
"""Writes what each fuzzer starts from, a folder a fuzzer: the golden and invalid .mu8 files, and small
files of every kind that the converter reads.

    make_seeds.py FOLDER
"""

import gzip
import io
import json
import lzma
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

DATA = Path(__file__).resolve().parent.parent / "data"
RANDOM = np.random.default_rng(1)


def array(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def graph(nodes, constants, shape=(0, 2, 6, 6), opset=13):
    """A model of input x, output y and the constants by name; a node is (op, inputs, attributes), and its
    output is named t0, t1, ..., the last one y."""
    made = []
    for i, (op, inputs, attributes) in enumerate(nodes):
        output = "y" if i + 1 == len(nodes) else f"t{i}"
        made.append(helper.make_node(op, inputs, [output], name=f"{op}_{i}", **attributes))
    dims = ["batch" if dim == 0 else dim for dim in shape]
    model = helper.make_model(
        helper.make_graph(
            made, "seed", [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.asarray(value), name)
             for name, value in constants.items()]),
        opset_imports=[helper.make_opsetid("", opset)])
    return model


def onnx_seeds():
    ints = np.int64
    dense = {"w": array(72, 3), "b": array(3)}
    yield graph([("Conv", ["x", "k", "c"], {"pads": [1, 1, 1, 1]}),
                 ("BatchNormalization", ["t0", "s", "s", "c", "s"], {}),
                 ("Relu", ["t1"], {}), ("Add", ["t2", "x"], {}),
                 ("Flatten", ["t3"], {}), ("Gemm", ["t4", "w", "b"], {}),
                 ("Softmax", ["t5"], {})],
                {"k": array(2, 2, 3, 3), "c": array(2), "s": np.ones(2, np.float32), **dense})
    yield graph([("Pad", ["x", "p"], {}), ("MaxPool", ["t0"], {"kernel_shape": [2, 2]}),
                 ("AveragePool", ["t1"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
                 ("Reshape", ["t2", "s"], {}), ("MatMul", ["t3", "m"], {}),
                 ("Add", ["t4", "b"], {})],
                {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1], ints), "s": np.array([-1, 18], ints),
                 "m": array(18, 3), "b": array(3)})
    yield graph([("Slice", ["x", "from", "to", "axis"], {}), ("Clip", ["t0", "low", "high"], {}),
                 ("Transpose", ["t1"], {"perm": [0, 2, 3, 1]}),
                 ("Transpose", ["t2"], {"perm": [0, 3, 1, 2]}), ("Concat", ["t3", "x"], {"axis": 1}),
                 ("GlobalAveragePool", ["t4"], {}), ("Flatten", ["t5"], {}),
                 ("Gemm", ["t6", "w"], {"transB": 1})],
                {"from": np.array([0], ints), "to": np.array([1], ints), "axis": np.array([1], ints),
                 "low": np.float32(0), "high": np.float32(6), "w": array(3, 3)})
    yield graph([("Sigmoid", ["x"], {}), ("Mul", ["x", "t0"], {}), ("PRelu", ["t1", "s"], {}),
                 ("ReduceMean", ["t2"], {"axes": [2, 3], "keepdims": 0}),
                 ("Unsqueeze", ["t3", "axis"], {}), ("Squeeze", ["t4", "axis"], {}),
                 ("Dropout", ["t5"], {}), ("Gemm", ["t6", "w"], {})],
                {"s": np.float32(0.1), "axis": np.array([2], ints), "w": array(2, 3)})
    yield graph([("Shape", ["x"], {}), ("Gather", ["t0", "zero"], {}),
                 ("Unsqueeze", ["t1", "zero1"], {}), ("Concat", ["t2", "rest"], {"axis": 0}),
                 ("Reshape", ["x", "t3"], {}), ("Cast", ["t4"], {"to": 1}),
                 ("Gemm", ["t5", "w", "b"], {})],
                {"zero": np.array(0, ints), "zero1": np.array([0], ints),
                 "rest": np.array([-1], ints), **dense})
    yield graph([("Conv", ["x", "k"], {"group": 2, "strides": [2, 2]}), ("LeakyRelu", ["t0"], {}),
                 ("Div", ["t1", "d"], {}), ("Flatten", ["t2"], {}), ("Gemm", ["t3", "w"], {}),
                 ("LogSoftmax", ["t4"], {"axis": 1})],
                {"k": array(2, 1, 3, 3), "d": np.float32(2), "w": array(8, 3)}, opset=9)
    yield graph([("ConvTranspose", ["x", "k", "c"], {"strides": [2, 2], "pads": [1, 1, 1, 1],
                                                     "output_padding": [1, 1]}),
                 ("PRelu", ["t0", "p"], {}), ("Resize", ["t1", "", "r"], {"mode": "linear"}),
                 ("Max", ["t2", "e"], {}), ("Reshape", ["t3", "six"], {}),
                 ("Transpose", ["t4"], {"perm": [0, 2, 1, 3, 4]}), ("Reshape", ["t5", "four"], {}),
                 ("Pad", ["t6", "a"], {"mode": "reflect"}),
                 ("SpaceToDepth", ["t7"], {"blocksize": 2}), ("GlobalAveragePool", ["t8"], {}),
                 ("Flatten", ["t9"], {})],
                {"k": array(2, 4, 3, 3), "c": array(4), "p": array(4, 1, 1),
                 "r": np.array([1, 1, 1.5, 2], np.float32), "e": array(24),
                 "six": np.array([0, 2, 2, 18, 24], ints), "four": np.array([0, 4, 18, 24], ints),
                 "a": np.array([0, 0, 1, 1, 0, 0, 1, 1], ints)})
    yield graph([("Transpose", ["n"], {"perm": [1, 0]}), ("Mul", ["t0", "s"], {}),
                 ("ReduceL2", ["t1"], {"axes": [0]}), ("Div", ["t1", "t2"], {}),
                 ("Flatten", ["x"], {}), ("MatMul", ["t4", "t3"], {}), ("Sum", ["t5", "b", "t5"], {})],
                {"n": array(3, 72), "s": array(3), "b": array(3)}, opset=12)
    yield graph([("Cast", ["h"], {"to": 1}), ("Concat", ["t0", "t0"], {"axis": 0}),
                 ("Range", ["i", "j", "k"], {}), ("Gather", ["t1", "t2"], {"axis": 0}),
                 ("Conv", ["x", "t3"], {}), ("Pad", ["t4", "p", "least"], {}),
                 ("MaxPool", ["t5"], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
                 ("ReduceSum", ["t6", "axes"], {"keepdims": 0})],
                {"h": array(2, 2, 1, 1).astype(np.float16), "i": ints(0), "j": ints(3), "k": ints(1),
                 "p": np.array([0, 0, 1, 1, 0, 0, 1, 1], ints), "least": np.float32(-3e38),
                 "axes": np.array([2, 3], ints)}, opset=18)
    yield graph([("Sub", ["x", "b"], {}), ("MatMul", ["t0", "m"], {}),
                 ("ReduceMean", ["t1"], {"axes": [1]})],
                {"m": array(6, 4), "b": array(6)}, shape=(0, 5, 6))
    external = graph([("Flatten", ["x"], {}), ("MatMul", ["t0", "w"], {})], {"w": array(72, 3)})
    tensor = external.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../w"), ("offset", "8"), ("length", "864")):
        tensor.external_data.add(key=key, value=value)
    yield external
    described = graph([("Flatten", ["x"], {}), ("Gemm", ["t0", "w", "b"], {})], dense)
    for key, value in (("mean", "0.5,0.5"), ("std", "1,2"), ("labels", "a\nb\nc")):
        described.metadata_props.add(key=key, value=value)
    yield described


def npz(save, **arrays):
    buffer = io.BytesIO()
    save(buffer, **{name.replace("_", "."): value for name, value in arrays.items()})
    return buffer.getvalue()


def posterior_seeds():
    arrays = {"w_sigma": array(2, 3), "b_sigma": array(2).astype(np.float64),
              "w_mean": array(2, 3).astype(">f2")}
    yield npz(np.savez, **arrays)
    yield npz(np.savez_compressed, **arrays)
    header = json.dumps({
        "__metadata__": {"format": "pt"},
        "w.sigma": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b.sigma": {"dtype": "F64", "shape": [2], "data_offsets": [24, 40]}}).encode()
    yield struct.pack("<Q", len(header)) + header + bytes(40)


def npy_seeds():
    for value in (array(2, 3), np.asfortranarray(array(2, 3, 4)), array(3).astype(np.float64),
                  np.float32(1)):
        buffer = io.BytesIO()
        np.save(buffer, value)
        yield buffer.getvalue()
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array(2, 2), version=(2, 0))
    yield buffer.getvalue()


def dataset_seeds():
    pixels = bytes(range(72))
    grey = struct.pack(">4I", 0x803, 2, 6, 6) + pixels
    for file in (grey, struct.pack(">5I", 0x804, 2, 4, 3, 3) + pixels,
                 struct.pack(">2I", 0x801, 3) + b"\0\1\2",
                 b"\3" + bytes(3072) + b"\4" + bytes([255]) * 3072):
        yield file
        yield gzip.compress(file)
        yield lzma.compress(file, preset=0)
    yield gzip.compress(grey[:20]) + gzip.compress(grey[20:])


def number_seeds():
    """One byte of options, 0 .csv, 1 .npy, 2 .npz, 3 .f32; 4 pictures, 8 and a layout, 16 perhaps without a
    batch, 32 windows; then the file."""
    table = b"a,\"b\",y\n1,2.5,3\n-4e1,5,6\n"
    yield b"\0" + table
    yield b"\x20" + table
    for flags, value in ((1, array(3, 2)), (13, array(2, 2, 2, 3)), (17, array(2)),
                         (1, np.arange(6, dtype=np.int64).reshape(3, 2)),
                         (13, np.zeros((1, 2, 3, 2), np.uint8))):
        buffer = io.BytesIO()
        np.save(buffer, value)
        yield bytes([flags]) + buffer.getvalue()
    buffer = io.BytesIO()
    np.savez(buffer, x_train=array(3, 2), y_train=np.arange(3))
    yield b"\2" + buffer.getvalue()
    yield b"\3" + array(4, 2).tobytes()


def image_seeds():
    digit = DATA / "mnist/digit_0_label7.png"
    yield digit.read_bytes()
    with Image.open(digit) as grey:
        small = grey.resize((12, 12))
    colour = Image.merge("RGB", [small, small.rotate(90), small.rotate(180)])
    for image, options in (
            (colour, {"format": "png"}), (colour.convert("RGBA"), {"format": "png"}),
            (small.convert("LA"), {"format": "png"}), (colour.quantize(8), {"format": "png"}),
            (small.convert("1"), {"format": "png"}), (small.convert("I"), {"format": "png"}),
            (small, {"format": "jpeg"}), (colour, {"format": "jpeg", "subsampling": 0}),
            (colour, {"format": "jpeg", "subsampling": 2, "progressive": True}),
            (colour.convert("CMYK"), {"format": "jpeg"})):
        buffer = io.BytesIO()
        image.save(buffer, **options)
        yield buffer.getvalue()


def plan_seeds():
    for layers in ([{"name": "conv1", "mu_bits": 3}, {"name": "fc", "mu_bits": [3, 2]}], []):
        yield json.dumps({"method": "snr", "layers": layers}).encode()


def predict_seeds():
    """16 bytes of options, then choices: of no meaning by themselves."""
    for size in (16, 24, 48, 80, 120, 200) * 4:
        yield RANDOM.bytes(size)


def prediction_seeds():
    """One byte: classes - 1; rows of probabilities; rows of entropy, aleatoric, mutual information."""
    for classes, images in ((10, 2), (2, 1)):
        rows = np.full((images, classes), 1 / classes, np.float32)
        entropies = np.array([[np.log(classes), np.log(classes), 0]] * images, np.float32)
        yield bytes([classes - 1]) + rows.tobytes() + entropies.tobytes()


def main():
    root = Path(sys.argv[1])
    makers = {"onnx": (model.SerializeToString() for model in onnx_seeds()),
              "posterior": posterior_seeds(), "npy": npy_seeds(), "dataset": dataset_seeds(),
              "numbers": number_seeds(),
              "image": image_seeds(), "plan": plan_seeds(), "predict": predict_seeds(),
              "predictions": prediction_seeds()}
    for name, seeds in makers.items():
        (root / name).mkdir(parents=True)
        for i, seed in enumerate(seeds):
            (root / name / str(i)).write_bytes(seed)
    for name in ("open", "read"):
        (root / name).mkdir()
        for file in [*DATA.glob("golden/*.mu8"), *DATA.glob("invalid/*.mu8")]:
            shutil.copyfile(file, root / name / file.name)


if __name__ == "__main__":
    main()
