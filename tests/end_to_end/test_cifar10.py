"""From the committed ResNet-20 posterior to predictions: `mu8 convert`, `eval`, `inspect` and `diff`
on 200 CIFAR-10 test images, the deterministic network of its means, and a converted VGG-16 whose
means have 3 bits.

    /usr/bin/python3 tests/end_to_end/test_cifar10.py build/release/mu8

Prints each failure and "N passed, N failed"; exits 1 if anything failed.
"""

import pathlib
import sys
import tempfile

from mu8_command import Checks, Mu8

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
VGG16 = DATA / "vgg16_cifar10_mu3.mu8"
ONNX, NPZ = DATA / "resnet20_cifar10.onnx", DATA / "resnet20_cifar10.npz"
TRAIN = DATA / "cifar10" / "train_subset.bin.gz"
TEST = DATA / "cifar10" / "test_subset.bin.gz"
# Few images and passes: enough for these checks, not for figures (tools/study has those).
CALIBRATION = ["--calibration", TRAIN, "--calibration-limit", 100, "--calibration-passes", 2]
CLASSES = 10
LEAST_ACCURACY = 0.88  # 91.7 % on all 10,000; 200 images scatter by 2 points
MOST_KL = 0.01         # to FP32 with the same random bytes; 0.0002 is usual
ARENA_BYTES = 43344  # README.md states it


def check_same_bytes(check, mu8, model, folder, images, samples):
    """Predictions depend neither on kernels nor on the batch."""
    kernels = mu8.runnable_kernels(model)
    found = {}
    for name in kernels:
        for batch in (1, 4):
            path = folder / "same.f32"
            figures = mu8.run("eval", model, "--data", TEST, "--limit", images, "--samples",
                              samples, "--kernels", name, "--batch", batch, "--predictions", path)
            check(figures["kernels"] == name, f"{figures['kernels']} ran, not {name}")
            found[name, batch] = path.read_bytes()
    expected = found["scalar", 1]
    check(len(expected) == images * CLASSES * 4, "predictions have the right size")
    for (name, batch), data in found.items():
        check(data == expected, f"{name}, batch {batch}: predictions differ from scalar's")
    print(f"kernels: {', '.join(kernels)}")


def check_bayesian(check, mu8, folder):
    model = folder / "sigma4.mu8"
    made = mu8.run("convert", "--model", ONNX, "--posterior", NPZ, *CALIBRATION, "--sigma-bits", 4,
                   "-o", model)
    adds = [layer["op"] for layer in made["layers"] if "Add" in layer["op"]]
    check(len(adds) == 9, f"{len(adds)} residual sums, expected 9")
    check(all(op == "Conv2d + Add + ReLU" for op in adds), "sums belong to their convolutions")
    shown = mu8.run("inspect", model)
    check(shown["arena_bytes"] == ARENA_BYTES, f"arena of {shown['arena_bytes']} bytes")
    check(model.stat().st_size <= shown["weights"] * 12 / 8 * 1.06 + 8192,
          f"file of {model.stat().st_size} bytes")
    figures = mu8.run("eval", model, "--data", TEST, "--samples", 20)
    check(figures["images"] == 200, "200 images")
    check(figures["accuracy"] >= LEAST_ACCURACY, f"accuracy {figures['accuracy']}")
    check(figures["mean_mutual_information"] > 0.005, "the passes differ")
    difference = mu8.run("diff", model, "--model", ONNX, "--posterior", NPZ, "--data", TEST,
                         "--limit", 16, "--samples", 4)
    check(difference["kl"] <= MOST_KL, f"KL to FP32 {difference['kl']}")
    for layer in difference["layers"]:
        check(layer["sqnr_db"] > 15, f"{layer['name']}: {layer['sqnr_db']} dB")
        check(0.7 < layer["variance_kept"] < 1.4,
              f"{layer['name']}: variance kept {layer['variance_kept']}")
    check_same_bytes(check, mu8, model, folder, images=6, samples=2)


def check_few_bits(check, mu8, folder):
    shown = mu8.run("inspect", VGG16)
    bits = [layer["mu_bits"] for layer in shown["layers"] if layer["weights"]]
    check(bits == [3] * 14, f"bits of the means {bits}, expected 3 in 14 layers")
    figures = mu8.run("eval", VGG16, "--data", TEST, "--samples", 5)
    check(figures["accuracy"] >= LEAST_ACCURACY, f"VGG-16: accuracy {figures['accuracy']}")
    check(figures["mean_mutual_information"] > 0.005, "VGG-16: the passes differ")
    check_same_bytes(check, mu8, VGG16, folder, images=2, samples=1)


def check_deterministic(check, mu8, folder):
    model = folder / "deterministic.mu8"
    mu8.run("convert", "--model", ONNX, "--deterministic", *CALIBRATION, "-o", model)
    one = folder / "one.f32"
    many = folder / "many.f32"
    mu8.run("eval", model, "--data", TEST, "--samples", 1, "--predictions", one)
    figures = mu8.run("eval", model, "--data", TEST, "--samples", 50, "--predictions", many)
    check(one.read_bytes() == many.read_bytes(), "50 passes of one network are one pass")
    check(figures["mean_mutual_information"] < 1e-6, "nothing epistemic")
    fp32 = mu8.run("eval", "--model", ONNX, "--mean-weights", "--data", TEST, "--predictions", one)
    check(abs(figures["accuracy"] - fp32["accuracy"]) <= 0.02, "accuracy is that of FP32")


def main():
    if len(sys.argv) != 2:
        print(f"usage: {sys.argv[0]} MU8", file=sys.stderr)
        return 2
    check = Checks()
    mu8 = Mu8(str(pathlib.Path(sys.argv[1]).resolve()))
    with tempfile.TemporaryDirectory() as folder:
        check_bayesian(check, mu8, pathlib.Path(folder))
        check_few_bits(check, mu8, pathlib.Path(folder))
        check_deterministic(check, mu8, pathlib.Path(folder))
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
