"""Images in either format, IDX or CIFAR-10's records, as a network takes them: u8 [N,C,H,W]."""

import numpy as np

from .cifar10 import RECORD_BYTES, read_cifar10, read_records
from .idx import read_idx, read_mnist


def read_images(path, shape):
    """u8 [N,*shape] of the file that holds images of `shape`, [C,H,W]."""
    images = (read_records(path)[0] if np.prod(shape) == RECORD_BYTES - 1
              else read_idx(path)[:, None])
    if images.shape[1:] != shape:
        raise ValueError(f"{path}: images are {images.shape[1:]}, the network's {shape}")
    return images


def read_split(data, folder, split):
    """Images [N,C,H,W] and labels [N] of `data`, "mnist" or "cifar10"; split "train" or "test"."""
    if data == "cifar10":
        return read_cifar10(folder, split)
    images, labels = read_mnist(folder, "t10k" if split == "test" else split)
    return images[:, None], labels
