"""The files that the tests of this folder feed to `mu8`: odd, damaged, or like other people's.

Made from tests/data/ with nothing but Python itself.
"""

import gzip
import random
import struct
import zlib

MEAN, STD = 0.1307, 0.3081  # MNIST's normalization, as the tests convert with
CUT_BYTES = 100000  # what is left of cut.npz and cut.onnx
CLASS_NAMES = "zero one two three four five six seven eight nine".split()


def write_png(path, size):
    """A black gray PNG of size x size."""
    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body
                + struct.pack(">I", zlib.crc32(kind + body)))

    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    rows = bytes(1 + size) * size
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                     + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_npy(path, shape, values):
    """A float32 .npy file, format 1.0."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * ((-len(header) - 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode()
                     + struct.pack(f"<{len(values)}f", *values))


def write_idx(folder, name, pixels, labels):
    """An IDX image file of 28 x 28 and its label file."""
    (folder / (name + "-images-idx3-ubyte")).write_bytes(
        struct.pack(">IIII", 0x803, len(pixels) // 784, 28, 28) + pixels)
    (folder / (name + "-labels-idx1-ubyte")).write_bytes(
        struct.pack(">II", 0x801, len(labels)) + bytes(labels))


def write_class_folders(folder, mnist):
    """Four digits in folders named for them, whose sorted order is not the digits' order."""
    pictures = sorted(mnist.glob("digit_*"))  # 7, 2, 1, 0
    for picture, name in zip(pictures, ("seven", "two", "one", "zero"), strict=True):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.png").write_bytes(picture.read_bytes())


def flip_a_bit(source, target):
    """A copy of a file with one bit in its middle changed."""
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(content)


def write_all(folder, data):
    """Every file, into `folder`; `data` is tests/data."""
    mnist = data / "mnist"
    digits = gzip.decompress((mnist / "digits-images-idx3-ubyte.gz").read_bytes())[16:]
    write_png(folder / "small.png", 20)
    write_png(folder / "large.png", 32)

    first = [(pixel / 255 - MEAN) / STD for pixel in digits[:784]]
    write_npy(folder / "first.npy", (1, 1, 28, 28), first)
    write_npy(folder / "chw.npy", (1, 28, 28), first)
    write_npy(folder / "hwc.npy", (28, 28, 1), first)
    write_npy(folder / "nan.npy", (1, 28, 28), [float("nan")] + first[1:])

    write_idx(folder, "bad_label", digits[:3 * 784], [7, 2, 10])
    write_idx(folder, "empty", b"", b"")
    numbers = random.Random(1)  # two records of CIFAR-10; every byte is a valid label
    (folder / "cifar.bin").write_bytes(bytes(numbers.randrange(10) for _ in range(2 * 3073)))
    write_class_folders(folder / "folders", mnist)

    posterior = (data / "lenet5_mnist.npz").read_bytes()
    network = (data / "lenet5_mnist.onnx").read_bytes()
    (folder / "cut.npz").write_bytes(posterior[:CUT_BYTES])
    (folder / "cut.onnx").write_bytes(network[:CUT_BYTES])
    (folder / "noise.f32").write_bytes(posterior[:400])  # floats, but no probabilities

    texts = {
        "labels.txt": "\n".join(CLASS_NAMES) + "\n",
        "few_labels.txt": "zero\none\n",
        "gap_labels.txt": "zero\n\ntwo\n",
        "pointer.mu8": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "empty.mu8": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
