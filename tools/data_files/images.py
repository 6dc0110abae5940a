"""Reads MNIST's IDX files and CIFAR-10's binary batches, plain or compressed; writes IDX.

IDX (LeCun): two zero bytes, a type byte (8 = u8), the number of dimensions, each dimension as a
big-endian u32, then the values in row-major order. A CIFAR-10 batch (Krizhevsky): records of one
label byte and 3,072 bytes, the 32 x 32 planes R, G and B.
"""

import gzip
import lzma
import os
import pathlib
import struct
import zlib

import numpy as np

OPENERS = {"": open, ".gz": gzip.open, ".xz": lzma.open}  # by what follows the plain name
CIFAR_RECORD = 1 + 3 * 32 * 32


def read_idx(path):
    """An IDX file of u8 as an array: images [N,28,28], labels [N]."""
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rb") as file:
        data = file.read()
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path}: not an IDX file of u8 (starts with {data[:4].hex()})")
    header_bytes = 4 + 4 * data[3]
    if len(data) < header_bytes:
        raise ValueError(f"{path}: the IDX header ends early")
    shape = struct.unpack(f">{data[3]}I", data[4:header_bytes])
    values = np.frombuffer(data, np.uint8, offset=header_bytes)
    if values.size != int(np.prod(shape)):
        raise ValueError(f"{path}: {values.size} values, expected {list(shape)}")
    return values.reshape(shape)


def write_idx(path, values):
    """Writes u8 `values` as a gzipped IDX file; equal values give equal bytes (mtime 0)."""
    assert values.dtype == np.uint8
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(header + values.tobytes())


def read_mnist(folder, split):
    """The images [N,28,28] and labels [N], both u8, of `split`: "train" or "t10k"."""
    images = read_idx(f"{folder}/{split}-images-idx3-ubyte.gz")
    labels = read_idx(f"{folder}/{split}-labels-idx1-ubyte.gz")
    if images.shape[0] != labels.shape[0] or images.shape[1:] != (28, 28):
        raise ValueError(f"{folder}: {split} has images {images.shape}, labels {labels.shape}")
    return images, labels


def read_cifar_file(path):
    """Images [N,3,32,32] and labels [N], both u8, of a file of records, packed or not."""
    suffix = pathlib.PurePath(path).suffix
    try:
        with OPENERS.get(suffix, open)(path, "rb") as file:
            data = file.read()
    except (EOFError, lzma.LZMAError, zlib.error) as e:
        raise ValueError(f"{path}: damaged ({e})") from e
    if not data or len(data) % CIFAR_RECORD:
        raise ValueError(f"{path}: {len(data)} bytes, expected a multiple of {CIFAR_RECORD}")
    records = np.frombuffer(data, np.uint8).reshape(-1, CIFAR_RECORD)
    if records[:, 0].max() > 9:
        raise ValueError(f"{path}: label {records[:, 0].max()}, expected 0 to 9")
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def read_cifar_batch(stem):
    """The same of the file `stem`, `stem`.gz or `stem`.xz."""
    suffix = next((end for end in OPENERS if os.path.exists(stem + end)), None)
    if suffix is None:
        raise FileNotFoundError(f"{stem}: no such file, nor with .gz or .xz")
    return read_cifar_file(stem + suffix)


def read_cifar10(folder, split):
    """The images [N,3,32,32] and labels [N], both u8, of `split`: "train" or "test"."""
    names = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    images, labels = zip(*(read_cifar_batch(f"{folder}/{name}.bin") for name in names))
    return np.concatenate(images), np.concatenate(labels)


def read_split(data, folder, split):
    """Images [N,C,H,W] and labels [N] of `data`, "mnist" or "cifar10"; split "train" or "test"."""
    if data == "cifar10":
        return read_cifar10(folder, split)
    images, labels = read_mnist(folder, "t10k" if split == "test" else split)
    return images[:, None], labels
