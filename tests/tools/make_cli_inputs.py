"""Makes the odd files that test_cli.sh feeds to `mu8`, in the current folder.

    make_cli_inputs.py TESTS_DATA_MNIST

Needs nothing but Python itself, so that the test runs where numpy is missing.
"""

import gzip
import os
import random
import struct
import sys
import zlib

MEAN, STD = 0.1307, 0.3081  # MNIST's normalization, as the test converts with


def write_png(path, size):
    """A black gray PNG of size x size."""
    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body
                + struct.pack(">I", zlib.crc32(kind + body)))

    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    rows = bytes(1 + size) * size
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                   + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_npy(path, shape, values):
    """A float32 .npy file, format 1.0."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * ((-len(header) - 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode()
                   + struct.pack(f"<{len(values)}f", *values))


def write_idx(name, pixels, labels):
    """An IDX image file of 28 x 28 and its label file."""
    with open(name + "-images-idx3-ubyte", "wb") as file:
        file.write(struct.pack(">IIII", 0x803, len(pixels) // 784, 28, 28) + pixels)
    with open(name + "-labels-idx1-ubyte", "wb") as file:
        file.write(struct.pack(">II", 0x801, len(labels)) + bytes(labels))


def main():
    data = sys.argv[1]
    with gzip.open(data + "/digits-images-idx3-ubyte.gz") as file:
        digits = file.read()[16:]
    write_png("small.png", 20)
    write_png("large.png", 32)

    first = [(pixel / 255 - MEAN) / STD for pixel in digits[:784]]
    write_npy("first.npy", (1, 1, 28, 28), first)
    write_npy("chw.npy", (1, 28, 28), first)
    write_npy("hwc.npy", (28, 28, 1), first)
    write_npy("nan.npy", (1, 28, 28), [float("nan")] + first[1:])

    write_idx("bad_label", digits[: 3 * 784], [7, 2, 10])
    write_idx("empty", b"", b"")
    random.seed(1)
    with open("cifar.bin", "wb") as file:  # two records; every byte is a valid label
        file.write(bytes(random.randrange(10) for _ in range(2 * 3073)))

    # Class folders whose sorted order is not the digits' order.
    pictures = sorted(name for name in os.listdir(data) if name.startswith("digit_"))
    for picture, name in zip(pictures, ["seven", "two", "one", "zero"]):
        os.makedirs("folders/" + name)
        with open(data + "/" + picture, "rb") as file, open(f"folders/{name}/a.png", "wb") as copy:
            copy.write(file.read())

    names = "zero one two three four five six seven eight nine".split()
    texts = {
        "labels.txt": "\n".join(names) + "\n",
        "few_labels.txt": "zero\none\n",
        "gap_labels.txt": "zero\n\ntwo\n",
        "pointer.mu8": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "empty.mu8": "",
    }
    for path, text in texts.items():
        with open(path, "w") as file:
            file.write(text)


if __name__ == "__main__":
    main()
