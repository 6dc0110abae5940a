"""The Python of tools/python/README.md runs as it stands, block by block, on LeNet-5 and a few digits.

usage: test_readme.py PACKAGE_FOLDER
"""

import gzip
import os
import pathlib
import re
import shutil
import sys
import tempfile
import unittest
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(pathlib.Path(sys.argv.pop(1)).resolve()))
sys.path.insert(0, str(ROOT / "tools"))

import numpy as np  # noqa: E402
from data_files.images import read_images  # noqa: E402

import mu8  # noqa: E402


def images(name, count):
    pixels = read_images(DATA / "mnist" / name, (1, 28, 28))[:count].astype(np.float32)
    return (pixels / 255 - 0.1307) / 0.3081


class Readme(unittest.TestCase):
    def test_blocks(self):
        text = (ROOT / "tools" / "python" / "README.md").read_text(encoding="utf-8")
        blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        blocks = [block for block in blocks if "mu8.torch" not in block]  # test_torch_posterior.py has these
        self.assertEqual(len(blocks), 6)
        labels = np.frombuffer(gzip.decompress((DATA / "mnist" / "digits-labels-idx1-ubyte.gz").read_bytes())[8:],
                               np.uint8)[:40]
        names = {"train_x": images("calibration-images-idx3-ubyte.gz", 96),
                 "test_x": images("digits-images-idx3-ubyte.gz", 40), "test_y": labels,
                 "foreign_x": images("fashion-images-idx3-ubyte.gz", 20)}
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(DATA / "lenet5_mnist.onnx", pathlib.Path(folder) / "net.onnx")
            shutil.copy(DATA / "lenet5_mnist.npz", pathlib.Path(folder) / "posterior.npz")
            here = pathlib.Path.cwd()
            os.chdir(folder)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    mu8.convert("net.onnx", "posterior.npz", names["train_x"], output="other.mu8", sigma_bits=2)
                    for block in blocks:
                        exec(block, names)  # noqa: S102
                self.assertTrue(pathlib.Path("eval.html").read_text(encoding="utf-8").startswith("<!DOCTYPE"))
            finally:
                os.chdir(here)
        self.assertGreater((names["prediction"].label == labels).mean(), 0.9)
        self.assertGreater(names["report"]["accuracy"], 0.9)
        self.assertLess(names["quick"].samples_used.mean(), 30)
        self.assertEqual(set(names["at_once"].samples_used.tolist()), {0})
        self.assertEqual(names["sure"].decisions.shape, (40, 10))
        self.assertEqual(set(names["together"].samples_used.tolist()), {100})


if __name__ == "__main__":
    unittest.main()
