#!/usr/bin/env python3
"""The scripts of tools/python/examples: each trains, converts and predicts, and its files predict the same again.

    build/libraries/bin/python tests/python/test_examples.py build/release/tools/python

Scripts whose library this Python has not are skipped and named; `tools/setup libraries` makes one that has them.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import warnings
import zlib

import torch_support
from torch_support import ROOT, library

import mu8

EXAMPLES = ROOT / "tools" / "python" / "examples"
sys.path.insert(0, str(EXAMPLES))
import digits  # noqa: E402

PACKAGE = pathlib.Path(mu8.__file__).parents[1]
LEAST_ACCURACY = 80  # %, of 200 digits; 512 to train on give 85 to 95
SAID = re.compile(r"accuracy ([0-9.]+)%, entropy ([0-9.]+) nats: aleatoric ([0-9.]+), epistemic ([0-9.]+);"
                  r" checksum ([0-9a-f]{8})\n")
NEEDS = {"bayesian_torch": "bayesian_torch", "blitz": "blitz.modules", "ensemble": "torch", "ivon": "ivon",
         "laplace": "laplace", "mc_dropout": "torch", "pyro": "pyro.infer", "swag": "torch",
         "tensorflow_probability": "tensorflow_probability", "torchbnn": "torchbnn",
         "torch_uncertainty": "torch_uncertainty.layers.bayesian"}
SAMPLES = {"ensemble": 1}  # where it is not predict()'s own


class Examples(unittest.TestCase):
    def test_each_script_has_a_test(self):
        self.assertEqual({path.stem for path in EXAMPLES.glob("from_*.py")}, {f"from_{name}" for name in NEEDS})

    def check(self, name):
        library(NEEDS[name])
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, EXAMPLES / f"from_{name}.py"], cwd=folder, capture_output=True,
                                  text=True, check=False, env={**os.environ, "PYTHONPATH": str(PACKAGE)})
            self.assertEqual(done.returncode, 0, done.stderr)
            said = SAID.search(done.stdout)
            self.assertTrue(said, done.stdout)
            print(f"{name}: {said[0]}", end="", file=sys.stderr)
            accuracy, entropy, aleatoric, epistemic = map(float, said.groups()[:4])
            self.assertGreater(accuracy, LEAST_ACCURACY)
            self.assertGreater(epistemic, 0)
            self.assertAlmostEqual(entropy, aleatoric + epistemic, delta=.002)
            files = sorted(pathlib.Path(folder).glob("*.mu8"))
            model = mu8.load(files if len(files) > 1 else files[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the layout, where it is not that of the file
                again = model.predict(digits.test_x, SAMPLES.get(name, 50)).mean
            self.assertEqual(f"{zlib.crc32(again.tobytes()):08x}", said[5])


for each in NEEDS:
    setattr(Examples, f"test_{each}", lambda self, name=each: self.check(name))


if __name__ == "__main__":
    torch_support.main()
