"""MNIST's IDX files of bytes (LeCun), plain or packed.

Two zero bytes, a type byte (8 = u8), the number of dimensions, each dimension as a big-endian u32,
then the values in row-major order.
"""

import gzip
import struct

import numpy as np

from . import packed


def read_idx(path):
    """An IDX file of u8 as an array: images [N,28,28], labels [N]."""
    data = packed.read(path)
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
    images = read_idx(packed.find(folder, f"{split}-images-idx3-ubyte"))
    labels = read_idx(packed.find(folder, f"{split}-labels-idx1-ubyte"))
    if images.shape[0] != labels.shape[0] or images.shape[1:] != (28, 28):
        raise ValueError(f"{folder}: {split} has images {images.shape}, labels {labels.shape}")
    return images, labels
