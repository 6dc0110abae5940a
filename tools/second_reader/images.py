"""Reads one image for the second reader: IDX files, plain or gzipped, and .npy arrays."""

import gzip
import io
import struct

import numpy as np


def read_idx(data):
    """An IDX file of u8 -> array [images][height][width](channels)."""
    if data[:3] != b"\0\0\x08" or len(data) < 4:
        raise ValueError("not an IDX file of bytes")
    rank = data[3]
    shape = struct.unpack_from(f">{rank}I", data, 4)
    return np.frombuffer(data, np.uint8, int(np.prod(shape)), 4 + 4 * rank).reshape(shape)


def read_image(name):
    """FILE.idx#N, FILE.idx.gz#N or FILE.npy -> array [height][width](channels)."""
    path, _, number = name.partition("#")
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:6] == b"\x93NUMPY":
        image = np.load(io.BytesIO(data), allow_pickle=False)
        return image[int(number)] if number else image
    images, index = read_idx(data), int(number or 0)
    if not 0 <= index < len(images):
        raise ValueError(f"{path} has {len(images)} images")
    return images[index]
