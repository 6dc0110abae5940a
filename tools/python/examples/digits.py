"""What the examples share: 512 digits to train on, 200 to test, as numpy arrays, and what they print."""

import gzip
import pathlib
import zlib

import numpy as np

MNIST = pathlib.Path(__file__).resolve().parents[3] / "tests" / "data" / "mnist"


def read(part):
    """(x [N, 1, 28, 28] from 0 to 1, labels [N]) of IDX files."""
    pixels, labels = (np.frombuffer(gzip.decompress((MNIST / f"{part}-{kind}-ubyte.gz").read_bytes())[header:],
                                    np.uint8) for kind, header in (("images-idx3", 16), ("labels-idx1", 8)))
    return pixels.reshape(-1, 1, 28, 28).astype(np.float32) / 255, labels.astype(np.int64)


train_x, train_y = read("calibration")
test_x, test_y = read("digits")


def show(prediction):
    """Accuracy, mean uncertainties, and a checksum: a file predicts the same bytes again."""
    print(f"accuracy {(prediction.label == test_y).mean():.1%},"
          f" entropy {prediction.predictive_entropy.mean():.3f} nats:"
          f" aleatoric {prediction.expected_entropy.mean():.3f},"
          f" epistemic {prediction.mutual_information.mean():.3f};"
          f" checksum {zlib.crc32(prediction.mean.tobytes()):08x}")
