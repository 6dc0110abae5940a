"""Holds the engine's predictions by moments against the second reader's, byte for byte: of the
models of tests/support/moments_models.cpp and of random ones.

    /usr/bin/python3 tests/tools/test_moments_engine.py [path of mu8_device_tests]

Runs in the repository root. The device tests write the models and what the engine predicts; the
reader is written from formats/FORMAT.md alone.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from test_second_reader import DATA, ROOT, golden_images, prediction_bytes

from second_reader.file_format import crc32c
from second_reader.moments_prediction import predict_moments
from second_reader.reader import read_model

DEVICE_TESTS = ROOT / "build" / "release" / "tests" / "mu8_device_tests"
SEED = 2026


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
                    found = b"".join(prediction_bytes(model, predict_moments(model, image, SEED))
                                     for image in images)
                self.assertEqual(found.hex(), path.with_suffix(".bytes").read_bytes().hex())
                if path.stem in hashes:
                    self.assertEqual(f"{crc32c(found):08x}", hashes[path.stem])
                several += len({found[i:i + 4] for i in range(0, len(found), 4)}) > 8
        self.assertGreater(several, 80)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        DEVICE_TESTS = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
