"""CIFAR-10's binary files as the corruptions take them: u8 images [N,32,32,3] (NHWC)."""

import pathlib

import numpy as np

from data_files import cifar10, packed


def find_test_batch(path):
    """`path` itself, or the test batch in it where it is a folder."""
    path = pathlib.Path(path)
    return packed.find(path, "test_batch.bin") if path.is_dir() else path


def read_records(path, limit=None):
    """The images u8 [N,32,32,3] and labels u8 [N] of a file, the first `limit` where given."""
    images, labels = cifar10.read_records(path)
    images = images[:limit].transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels[:limit].copy()


def record_bytes(images, labels):
    """The file of u8 images [N,32,32,3] and labels [N], as bytes."""
    return cifar10.record_bytes(images.transpose(0, 3, 1, 2), labels)
