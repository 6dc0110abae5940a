"""Makes the small world in which test_study.py runs tools/study: data, a stand-in for ResNet-20 and
a stand-in for tools/corrupt, so that the test takes seconds and needs no image library.
"""

import gzip
import os
import stat

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

IMAGES = 24  # per CIFAR-like file
RECORD = 3073

# Adds noise of severity x 8 levels; keeps the labels. Same options as tools/corrupt.
CORRUPT = '''#!/usr/bin/python3
import argparse, gzip, os, pathlib, zlib
import numpy as np
parser = argparse.ArgumentParser()
for name in ("--data", "--type", "--severity", "--seed", "--limit", "-o"):
    parser.add_argument(name, required=name != "--limit")
parser.add_argument("--force", action="store_true")
o = parser.parse_args()
records = np.frombuffer(gzip.open(o.data).read(), np.uint8).reshape(-1, 3073)[:int(o.limit)].copy()
generator = np.random.default_rng([int(o.seed), int(o.severity), zlib.crc32(o.type.encode())])
noise = generator.normal(0, 8 * int(o.severity), records[:, 1:].shape)
records[:, 1:] = np.clip(records[:, 1:] + noise, 0, 255).astype(np.uint8)
folder = pathlib.Path(o.o)
folder.mkdir(parents=True, exist_ok=True)
(folder / f"{o.type}_{o.severity}.bin").write_bytes(records.tobytes())
'''


def write_records(path, seed):
    """CIFAR-10 records, gzipped: dark to bright images, labelled by their brightness."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(10, size=IMAGES).astype(np.uint8)
    pixels = np.clip(generator.normal(25.0 * labels[:, None], 30.0, (IMAGES, RECORD - 1)), 0, 255)
    records = np.concatenate([labels[:, None], pixels.astype(np.uint8)], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(records.tobytes())


def write_network(prefix, seed):
    """PREFIX.onnx and PREFIX.npz: convolution, ReLU, dense, on 32 x 32 x 3."""
    generator = np.random.default_rng(seed)
    weights = {"conv.weight": generator.normal(0, 0.1, (4, 3, 5, 5)),
               "conv.bias": generator.normal(0, 0.1, 4),
               "fc.weight": generator.normal(0, 0.1, (10, 4 * 7 * 7)),
               "fc.bias": generator.normal(0, 0.1, 10)}
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    nodes = [helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["a"], strides=[4, 4]),
             helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Flatten", ["b"], ["c"]),
             helper.make_node("Gemm", ["c", "fc.weight", "fc.bias"], ["y"], transB=1)]
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    helper.set_model_props(model, {"mean": "0.5,0.5,0.5", "std": "0.25,0.25,0.25"})
    onnx.save(model, f"{prefix}.onnx")
    np.savez(f"{prefix}.npz", **{f"{name}.sigma": np.full(array.shape, 0.02, np.float32)
                                 for name, array in weights.items()})


def write_lenet5_checkpoint(path, prefix):
    """The state_dict that PREFIX.onnx and PREFIX.npz of LeNet-5 were exported from, about."""
    means = {i.name: numpy_helper.to_array(i) for i in onnx.load(f"{prefix}.onnx").graph.initializer}
    sigmas = np.load(f"{prefix}.npz")
    state = {}
    for name, mean in means.items():
        layer, leaf = name.split(".")
        if leaf == "weight" and mean.ndim == 4:
            leaf = "kernel"
        rho = np.log(np.expm1(sigmas[f"{name}.sigma"].astype(np.float64))).astype(np.float32)
        state[f"{layer}.mu_{leaf}"] = torch.tensor(mean.copy())
        state[f"{layer}.rho_{leaf}"] = torch.tensor(rho)
    torch.save(state, path)


def make_world(folder, tests_data):
    """FOLDER/data, FOLDER/models and FOLDER/corrupt; MNIST digits and LeNet-5 are the committed
    ones."""
    data, models = folder / "data", folder / "models"
    for part in ("mnist", "ood"):
        (data / part).mkdir(parents=True)
    models.mkdir()
    mnist = tests_data / "mnist"
    links = {"mnist/t10k-images-idx3-ubyte.gz": mnist / "digits-images-idx3-ubyte.gz",
             "mnist/t10k-labels-idx1-ubyte.gz": mnist / "digits-labels-idx1-ubyte.gz",
             "mnist/train-images-idx3-ubyte.gz": mnist / "calibration-images-idx3-ubyte.gz"}
    links |= {f"ood/{name}-t10k-images-idx3-ubyte.gz": mnist / "fashion-images-idx3-ubyte.gz"
              for name in ("fashion_mnist", "kmnist", "notmnist")}
    for name, source in links.items():
        os.symlink(source, data / name)
    for suffix in (".onnx", ".npz"):
        os.symlink(tests_data / f"lenet5_mnist{suffix}", models / f"lenet5_mnist{suffix}")
    write_lenet5_checkpoint(models / "lenet5_mnist.pt", tests_data / "lenet5_mnist")
    for seed, name in enumerate(("cifar10/data_batch_1.bin.gz", "cifar10/test_batch.bin.gz",
                                 "ood/cifar100-2000.bin.gz")):
        write_records(data / name, seed)
    write_network(models / "resnet20_cifar10", 1)
    write_network(models / "resnet20_cifar10_det", 2)
    corrupt = folder / "corrupt"
    corrupt.write_text(CORRUPT)
    corrupt.chmod(corrupt.stat().st_mode | stat.S_IXUSR)
