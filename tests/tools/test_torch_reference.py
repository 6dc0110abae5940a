#!/usr/bin/env python3
"""Tests of tools/predict_in_torch, and of mu8's FP32 reference against it.

    /usr/bin/python3 tests/tools/test_torch_reference.py build/release/mu8
"""

import contextlib
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools" / "train"), str(ROOT / "tests" / "tools")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from export_posterior import export_state  # noqa: E402
from networks import ResNet20  # noqa: E402
from studies import torch_reference  # noqa: E402
from study_inputs import write_lenet5_checkpoint  # noqa: E402

MU8 = pathlib.Path()  # the program under test
DATA = ROOT / "tests" / "data"
DIGITS = DATA / "mnist" / "digits-images-idx3-ubyte.gz"
FASHION = DATA / "mnist" / "fashion-images-idx3-ubyte.gz"
CIFAR10 = DATA / "cifar10" / "test_subset.bin.gz"
PLAIN = ROOT / "tools" / "train" / "logs" / "resnet20_cifar10_det.pt"


class TorchReference(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.lenet5 = cls.folder / "lenet5.pt"
        write_lenet5_checkpoint(cls.lenet5, DATA / "lenet5_mnist")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def run_command(self, *arguments):
        """(exit status, stdout, stderr)"""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = torch_reference.main([str(a) for a in arguments])
        return status, out.getvalue(), err.getvalue()

    def predict(self, name, *arguments):
        """The probabilities and entropies of the first data set."""
        prefix = self.folder / name
        status, out, err = self.run_command(*arguments, "-o", prefix)
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(json.loads(out)["data"])
        return (np.fromfile(f"{prefix}.0.f32", "<f4").reshape(-1, 10),
                np.fromfile(f"{prefix}.0.uncertainty.f32", "<f4").reshape(-1, 3))

    def mu8(self, *arguments):
        done = subprocess.run([str(a) for a in (MU8, "eval", *arguments, "--json")],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_the_plain_network_predicts_what_mu8_predicts(self):
        """BatchNorm, residuals and the option-A shortcut: two implementations, one network."""
        p, u = self.predict("plain", PLAIN, "--arch", "resnet20", "--data", CIFAR10)
        state = {k: v.numpy() for k, v in torch.load(PLAIN, map_location="cpu").items()}
        export_state(ResNet20, state, str(self.folder / "plain"))
        other = self.folder / "mu8.f32"
        said = self.mu8("--model", self.folder / "plain.onnx", "--mean-weights", "--data", CIFAR10,
                        "--predictions", other)
        q = np.fromfile(other, "<f4").reshape(-1, 10)
        self.assertEqual(p.shape, (200, 10))
        self.assertLess(np.abs(p - q).max(), 1e-4)
        self.assertEqual(said["samples"], 1)
        self.assertFalse(u[:, 2].any())
        np.testing.assert_allclose(u[:, 0], u[:, 1], atol=1e-6)

    def test_samples_come_from_the_posterior_that_mu8_reads(self):
        """Different draws of the same distribution: as near as two seeds of either."""
        arguments = [self.lenet5, "--arch", "lenet5", "--data", DIGITS, "--samples", 50]
        one, u = self.predict("one", *arguments)
        two, _ = self.predict("two", *arguments, "--seed", 2)
        self.assertGreater(np.abs(one - two).max(), 1e-3)
        again, _ = self.predict("again", *arguments)
        self.assertTrue(np.array_equal(one, again))
        mine = {}
        for seed in (1, 2):
            path = self.folder / f"mu8_{seed}.f32"
            self.mu8("--model", DATA / "lenet5_mnist.onnx", "--posterior",
                     DATA / "lenet5_mnist.npz", "--data", DIGITS, "--seed", seed,
                     "--mean", "0.1307", "--std", "0.3081", "--predictions", path)
            mine[seed] = np.fromfile(path, "<f4").reshape(-1, 10)

        def distance(p, q):
            return np.abs(p - q).mean()
        floor = max(distance(one, two), distance(mine[1], mine[2]))
        for p in (one, two):
            for q in mine.values():
                self.assertLess(distance(p, q), 2 * floor)
        np.testing.assert_allclose(u[:, 0], u[:, 1] + u[:, 2], atol=1e-5)
        self.assertGreater(u[:, 2].mean(), 0)

    def test_mu8_judges_what_it_wrote(self):
        self.predict("judged", self.lenet5, "--arch", "lenet5", "--data", DIGITS, "--data", FASHION,
                     "--samples", 20, "--limit", 40)
        recorded = []
        for index in (0, 1):
            recorded += ["--recorded", self.folder / f"judged.{index}.f32", "--recorded-uncertainty",
                         self.folder / f"judged.{index}.uncertainty.f32"]
        said = self.mu8("--model", DATA / "lenet5_mnist.onnx", "--data", DIGITS, "--limit", 40,
                        "--ood", FASHION, "--ood-limit", 40, *recorded)
        self.assertGreater(said["accuracy"], 0.9)
        self.assertGreater(said["ood"][0]["by_mutual_information"]["auroc"], 0.9)

    def test_chunks_change_nothing(self):
        arguments = [self.lenet5, "--arch", "lenet5", "--data", DIGITS, "--samples", 3]
        whole, _ = self.predict("whole", *arguments)
        with unittest.mock.patch.dict(torch_reference.CHUNK, cpu=7):
            parts, _ = self.predict("parts", *arguments)
        np.testing.assert_allclose(whole, parts, atol=1e-5)

    def test_bad_input_is_refused(self):
        cut = self.folder / "cut.pt"
        cut.write_bytes(self.lenet5.read_bytes()[:-1000])
        for arguments, text in (
                ((self.folder / "none.pt", "--arch", "lenet5", "--data", DIGITS), "none.pt"),
                ((cut, "--arch", "lenet5", "--data", DIGITS), "cut.pt: damaged or cut short"),
                ((PLAIN, "--arch", "lenet5", "--data", DIGITS), "not a LeNet5"),
                ((self.lenet5, "--arch", "lenet5", "--data", CIFAR10), "test_subset.bin.gz"),
                ((PLAIN, "--arch", "resnet20", "--data", DIGITS), "expected a multiple of 3073"),
                ((PLAIN, "--arch", "resnet20", "--data", "none.bin"), "none.bin")):
            with self.subTest(text=text):
                status, out, err = self.run_command(*arguments, "-o", self.folder / "bad")
                self.assertEqual((status, out), (1, ""))
                self.assertIn(text, err)
                self.assertEqual(err.count("\n"), 1)
        self.assertEqual([p.name for p in self.folder.iterdir() if "bad." in p.name], [])


if __name__ == "__main__":
    if len(sys.argv) < 2 or not pathlib.Path(sys.argv[1]).is_file():
        sys.exit(f"usage: {sys.argv[0]} MU8 [unittest options]")
    MU8 = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
