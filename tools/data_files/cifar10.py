"""CIFAR-10's binary files (Krizhevsky 2009), plain or packed.

A record is one label byte, 0 to 9, and 3,072 bytes of a 32 x 32 image: planes of R, G, B.
"""

import numpy as np

from . import packed

RECORD_BYTES = 1 + 3 * 32 * 32
CLASSES = 10


def read_records(path):
    """The images [N,3,32,32] and labels [N] of a file, both u8."""
    data = packed.read(path)
    if not data or len(data) % RECORD_BYTES:
        raise ValueError(f"{path}: {len(data)} bytes, expected a multiple of {RECORD_BYTES} "
                         "(CIFAR-10 binary records)")
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD_BYTES)
    labels = records[:, 0]
    if labels.max() >= CLASSES:
        first = int(np.argmax(labels >= CLASSES))
        raise ValueError(f"{path}: record {first} has label {labels[first]}, expected 0 to 9 "
                         "(is this CIFAR-10's binary format?)")
    return records[:, 1:].reshape(-1, 3, 32, 32), labels


def record_bytes(images, labels):
    """The file of u8 images [N,3,32,32] and labels [N], as bytes."""
    planes = images.reshape(len(images), -1)
    return np.concatenate([labels[:, None], planes], axis=1).astype(np.uint8).tobytes()


def read_cifar10(folder, split):
    """The images [N,3,32,32] and labels [N], both u8, of `split`: "train" or "test"."""
    names = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    images, labels = zip(*(read_records(packed.find(folder, f"{name}.bin")) for name in names))
    return np.concatenate(images), np.concatenate(labels)
