#!/usr/bin/env python3
"""Tests of tools/data_files: packed files, the two formats of images, and whole files or none.

    /usr/bin/python3 tests/tools/test_data_files.py
"""

import gzip
import lzma
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import numpy as np  # noqa: E402

from data_files import packed  # noqa: E402
from data_files.atomic import write_atomic, write_atomically  # noqa: E402
from data_files.cifar10 import read_cifar10, read_records, record_bytes  # noqa: E402
from data_files.idx import read_idx, write_idx  # noqa: E402
from data_files.images import read_images, read_split  # noqa: E402

DATA = ROOT / "tests" / "data"


class Folder(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)

    def names(self):
        return sorted(path.name for path in self.folder.iterdir())


class Packed(Folder):
    def test_plain_before_gz_before_xz(self):
        with self.assertRaisesRegex(FileNotFoundError, "holds no a.bin, a.bin.gz or a.bin.xz"):
            packed.find(self.folder, "a.bin")
        for name, pack in (("a.bin.xz", lzma.compress), ("a.bin.gz", gzip.compress),
                           ("a.bin", bytes)):
            (self.folder / name).write_bytes(pack(name.encode()))
            found = packed.find(self.folder, "a.bin")
            self.assertEqual((found.name, packed.read(found)), (name, name.encode()))

    def test_damaged_files_are_named(self):
        for name, data in (("cut.gz", gzip.compress(bytes(1000))[:-9]), ("not.gz", b"plain"),
                           ("bent.gz", gzip.compress(b"a")[:10] + bytes([255] * 20)),
                           ("cut.xz", lzma.compress(bytes(1000))[:-9]), ("not.xz", b"plain")):
            (self.folder / name).write_bytes(data)
            with self.assertRaisesRegex(ValueError, f"{name}: cannot be unpacked"):
                packed.read(self.folder / name)


class Images(Folder):
    def test_idx_comes_back_and_equal_values_give_equal_bytes(self):
        values = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
        for name in ("a.gz", "b.gz"):
            write_idx(self.folder / name, values)
        np.testing.assert_array_equal(read_idx(self.folder / "a.gz"), values)
        self.assertEqual((self.folder / "a.gz").read_bytes(), (self.folder / "b.gz").read_bytes())

    def test_damaged_idx_is_named(self):
        whole = b"\0\0\x08\x02" + bytes([0, 0, 0, 2, 0, 0, 0, 3]) + bytes(6)
        for data, text in ((b"", "not an IDX file"), (b"\0\0\x09\x02", "not an IDX file"),
                           (whole[:9], "header ends early"), (whole[:-1], r"5 values, .*\[2, 3\]"),
                           (whole + b"\0", "7 values")):
            (self.folder / "a").write_bytes(data)
            with self.assertRaisesRegex(ValueError, text):
                read_idx(self.folder / "a")
        (self.folder / "a").write_bytes(whole)
        self.assertEqual(read_idx(self.folder / "a").shape, (2, 3))

    def test_records_come_back(self):
        path = DATA / "cifar10" / "test_subset.bin.gz"
        images, labels = read_records(path)
        self.assertEqual((images.shape, labels.shape), ((200, 3, 32, 32), (200,)))
        self.assertEqual(record_bytes(images, labels), gzip.decompress(path.read_bytes()))

    def test_a_split_is_all_its_batches_in_order(self):
        images, labels = read_records(DATA / "cifar10" / "test_subset.bin.gz")
        for i in range(1, 6):
            part = slice(10 * i, 10 * i + i)
            (self.folder / f"data_batch_{i}.bin.xz").write_bytes(
                lzma.compress(record_bytes(images[part], labels[part])))
        found, found_labels = read_cifar10(self.folder, "train")
        chosen = [10 * i + j for i in range(1, 6) for j in range(i)]
        np.testing.assert_array_equal(found, images[chosen])
        np.testing.assert_array_equal(found_labels, labels[chosen])

    def test_images_by_the_shape_that_a_network_takes(self):
        digits = DATA / "mnist" / "digits-images-idx3-ubyte.gz"
        records = DATA / "cifar10" / "test_subset.bin.gz"
        self.assertEqual(read_images(digits, (1, 28, 28)).shape, (200, 1, 28, 28))
        self.assertEqual(read_images(records, (3, 32, 32)).shape, (200, 3, 32, 32))
        with self.assertRaisesRegex(ValueError, "images are"):
            read_images(digits, (1, 32, 32))
        with self.assertRaisesRegex(ValueError, "expected a multiple of 3073"):
            read_images(digits, (3, 32, 32))

    def test_images_and_labels_of_mnist_must_fit(self):
        write_idx(self.folder / "t10k-images-idx3-ubyte.gz", np.zeros((3, 28, 28), np.uint8))
        labels = self.folder / "t10k-labels-idx1-ubyte.gz"
        write_idx(labels, np.zeros(2, np.uint8))
        with self.assertRaisesRegex(ValueError, r"t10k has images \(3, 28, 28\), labels \(2,\)"):
            read_split("mnist", self.folder, "test")
        write_idx(labels, np.arange(3, dtype=np.uint8))
        images, found = read_split("mnist", self.folder, "test")
        self.assertEqual((images.shape, found.tolist()), ((3, 1, 28, 28), [0, 1, 2]))


class Atomic(Folder):
    def test_text_and_bytes(self):
        write_atomic(self.folder / "a", "é\n")
        write_atomic(str(self.folder / "b"), b"\xff")
        self.assertEqual((self.folder / "a").read_bytes(), b"\xc3\xa9\n")
        self.assertEqual((self.folder / "b").read_bytes(), b"\xff")
        self.assertEqual(self.names(), ["a", "b"])

    def test_what_fails_leaves_the_file_as_it_was(self):
        write_atomic(self.folder / "a", "before")

        def half(temporary):
            temporary.write_text("ha")
            self.assertEqual((self.folder / "a").read_text(), "before")
            raise OSError("no space")
        with self.assertRaisesRegex(OSError, "no space"):
            write_atomically(self.folder / "a", half)
        self.assertEqual((self.folder / "a").read_text(), "before")
        self.assertEqual(self.names(), ["a"])


if __name__ == "__main__":
    unittest.main()
