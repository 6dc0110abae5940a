#!/usr/bin/env python3
"""Makes tests/data/mnist from the full data sets: a few images for tests, calibration and demo.

    tools/make_test_data.py --data DIR

DIR holds mnist/ (the four IDX files) and ood/fashion_mnist-t10k-images-idx3-ubyte.gz. Equal input
gives equal bytes. tests/data/mnist/README.md names the sources and terms.
"""

import argparse
import pathlib
import struct
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools" / "train"))

from data import read_idx, read_mnist, write_idx  # noqa: E402

CALIBRATION_COUNT = 512  # of the training images: nothing is ever calibrated on test images
DIGIT_COUNT = 200
FASHION_COUNT = 50
PNG_COUNT = 4


def png_gray(image):
    """An 8-bit gray PNG (ISO/IEC 15948) of u8 [height, width], as bytes."""

    def chunk(kind, body):
        checksum = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    height, width = image.shape
    # Bit depth 8, colour type 0 (gray), deflate, adaptive filters, no interlace.
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\x00" + row.tobytes() for row in image)  # filter 0 (none) before each row
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def main():
    parser = argparse.ArgumentParser(description="Make tests/data/mnist from the full data sets.")
    parser.add_argument("--data", required=True, type=pathlib.Path,
                        help="folder with mnist/ and ood/")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "tests" / "data" / "mnist")
    options = parser.parse_args()
    try:
        train_images, train_labels = read_mnist(options.data / "mnist", "train")
        test_images, test_labels = read_mnist(options.data / "mnist", "t10k")
        fashion = read_idx(options.data / "ood" / "fashion_mnist-t10k-images-idx3-ubyte.gz")
    except (OSError, ValueError) as e:
        print(f"make_test_data: {e}", file=sys.stderr)
        return 2
    out = options.output
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("digit_*_label*.png"):
        old.unlink()
    write_idx(out / "calibration-images-idx3-ubyte.gz", train_images[:CALIBRATION_COUNT])
    write_idx(out / "calibration-labels-idx1-ubyte.gz", train_labels[:CALIBRATION_COUNT])
    write_idx(out / "digits-images-idx3-ubyte.gz", test_images[:DIGIT_COUNT])
    write_idx(out / "digits-labels-idx1-ubyte.gz", test_labels[:DIGIT_COUNT])
    write_idx(out / "fashion-images-idx3-ubyte.gz", fashion[:FASHION_COUNT])
    for i in range(PNG_COUNT):
        (out / f"digit_{i}_label{test_labels[i]}.png").write_bytes(png_gray(test_images[i]))
    for path in sorted(out.iterdir()):
        print(f"{path.stat().st_size:8d} {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
