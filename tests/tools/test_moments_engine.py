"""Holds the engine's predictions by moments against the second reader's, byte for byte: of the
models of tests/support/moments_models.cpp, of random ones, and of a converted LeNet-5.

    /usr/bin/python3 tests/tools/test_moments_engine.py [mu8_device_tests mu8]

Runs in the repository root. The device tests write the models and what the engine predicts; the
reader is written from formats/FORMAT.md alone.
"""

import gzip
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from test_second_reader import DATA, MU8, ROOT, golden_images, prediction_bytes

from second_reader.file_format import crc32c
from second_reader.images import read_idx
from second_reader.moments_prediction import predict_moments
from second_reader.reader import read_model

DEVICE_TESTS = ROOT / "build" / "release" / "tests" / "mu8_device_tests"


class EngineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        subprocess.run([DEVICE_TESTS, "--test-case=moments models: written*"], check=True,
                       cwd=ROOT, capture_output=True,
                       env={**os.environ, "MU8_MOMENTS_FOLDER": cls.folder.name})

    def test_predictions_equal_the_reader(self):
        lines = (DATA / "golden" / "moments.txt").read_text().splitlines()
        hashes = dict(line.split() for line in lines if line and not line.startswith("#"))
        paths = sorted(pathlib.Path(self.folder.name).glob("*.mu8"))
        self.assertLessEqual(set(hashes), {path.stem for path in paths})
        several = 0
        for path in paths:
            with self.subTest(path.stem):
                model = read_model(path.read_bytes())
                images = golden_images(model, 2 if path.stem.startswith("random") else 8)
                with np.errstate(over="raise", invalid="raise", divide="raise"):
                    found = b"".join(prediction_bytes(model, predict_moments(model, image))
                                     for image in images)
                self.assertEqual(found.hex(), path.with_suffix(".bytes").read_bytes().hex())
                if path.stem in hashes:
                    self.assertEqual(f"{crc32c(found):08x}", hashes[path.stem])
                several += len({found[i:i + 4] for i in range(0, len(found), 4)}) > 8
        self.assertGreater(several, 80)


class CommandTest(unittest.TestCase):
    """LeNet-5 on MNIST digits, as mu8 converts it and predicts."""

    def test_a_converted_network(self):
        mnist = DATA / "mnist"
        digits = mnist / "digits-images-idx3-ubyte.gz"
        with tempfile.TemporaryDirectory() as folder:
            model, predictions = pathlib.Path(folder, "m.mu8"), pathlib.Path(folder, "m.f32")
            subprocess.run(
                [MU8, "convert", "--model", DATA / "lenet5_mnist.onnx", "--posterior",
                 DATA / "lenet5_mnist.npz", "--calibration",
                 mnist / "calibration-images-idx3-ubyte.gz", "--calibration-limit", "64",
                 "--sigma-bits", "4", "--mean", ".1307", "--std", ".3081", "--moments", "-o",
                 model], check=True, capture_output=True)
            subprocess.run([MU8, "eval", model, "--data", digits, "--limit", "3", "--method",
                            "moments", "--seed", "7", "--predictions", predictions], check=True,
                           capture_output=True)
            engine, read = predictions.read_bytes(), read_model(model.read_bytes())
        with gzip.open(digits) as file:
            images = read_idx(file.read())[:3]
        found = np.stack([predict_moments(read, image).mean for image in images])
        self.assertEqual(found.astype("<f4").tobytes().hex(), engine.hex())


if __name__ == "__main__":
    if len(sys.argv) > 2 and not sys.argv[1].startswith("-"):
        DEVICE_TESTS, MU8 = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
    unittest.main()
