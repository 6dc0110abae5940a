"""What the study compares: the networks with their data, and the formats of each.

A new network is one entry of NETWORKS; nothing else names one, but paper.py, which has the
published figures of two.
"""

import dataclasses

PARTS = ("table", "shift", "ood", "convergence")
MNIST_OOD = (("Fashion-MNIST", "ood/fashion_mnist-t10k-images-idx3-ubyte", 10000),
             ("KMNIST", "ood/kmnist-t10k-images-idx3-ubyte", 10000),
             ("notMNIST", "ood/notmnist-t10k-images-idx3-ubyte", 10000))
CIFAR_OOD = (("CIFAR-100", "ood/cifar100-2000.bin", 2000),)


@dataclasses.dataclass(frozen=True)
class Network:
    title: str
    checkpoint: str  # MODELS/NAME.onnx and NAME.npz, or MODELS/NAME.pt
    arch: str  # for tools/export_posterior.py
    twin: str | None  # the checkpoint of the deterministic network
    calibration: str  # training images; these and all data are below DATA, plain, .gz or .xz
    test: str
    test_images: int  # these and those of ood only tell what an item costs
    ood: tuple  # of (name, file, images)
    parts: tuple
    cost: float  # of a pass, relative to LeNet-5's


def mnist(title, checkpoint, parts):
    return Network(title, checkpoint, "lenet5", None, "mnist/train-images-idx3-ubyte",
                   "mnist/t10k-images-idx3-ubyte", 10000, MNIST_OOD, parts, 1.0)


def cifar10(title, checkpoint, twin, parts):
    return Network(title, checkpoint, "resnet20", twin, "cifar10/data_batch_1.bin",
                   "cifar10/test_batch.bin", 10000, CIFAR_OOD, parts, 100.0)


NETWORKS = {
    "resnet20": cifar10("ResNet-20, CIFAR-10", "resnet20_cifar10", "resnet20_cifar10_det", PARTS),
    "lenet5": mnist("LeNet-5, MNIST", "lenet5_mnist", ("table", "ood", "convergence")),
    "resnet20_noisy": cifar10("ResNet-20, CIFAR-10, wide posterior", "resnet20_cifar10_noisy",
                              None, ("table", "ood")),
    "lenet5_elbo": mnist("LeNet-5, MNIST, ELBO posterior", "lenet5_mnist_elbo",
                         ("table", "ood")),
}


@dataclasses.dataclass(frozen=True)
class Format:
    title: str
    sigma_bits: int | None  # None: FP32, or no sigma at all
    quantizer: str | None
    deterministic: bool = False  # of the twin
    by_moments: bool = False  # one pass in place of T (docs/MOMENTS.md)

    @property
    def one_pass(self):
        """Has no T and no seed."""
        return self.deterministic or self.by_moments


FORMATS = {"fp32": Format("FP32", None, None)}
FORMATS |= {f"sigma{b}": Format(f"σ {b} bits" if b > 1 else f"σ {b} bit", b, "weighted")
            for b in (8, 4, 2, 1, 0)}
FORMATS |= {f"affine{b}": Format(f"affine {b}", b, "affine") for b in (8, 4, 2, 1)}
FORMATS |= {f"moments{b}": Format(f"moments, σ {b}", b, "weighted", by_moments=True)
            for b in (8, 4, 2, 1)}
FORMATS |= {"det_fp32": Format("DNN FP32", None, None, True),
            "det_int8": Format("DNN INT8", None, None, True)}

TARGET_FORMATS = ("sigma8", "sigma4", "sigma2", "sigma1")  # those that the targets are set for


def reference_of(name):
    """The FP32 format that `name` is compared with."""
    return "det_fp32" if FORMATS[name].deterministic else "fp32"


def is_converted(name):
    """Whether the format is a .mu8 file."""
    return name not in ("fp32", "det_fp32")


def formats_of(network, wanted):
    """The wanted formats that the network has: those of the twin only where there is one."""
    return [f for f in wanted if NETWORKS[network].twin or not FORMATS[f].deterministic]
