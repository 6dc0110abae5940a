#!/usr/bin/env python3
"""Tests of tools/train/train.py on small synthetic sets. Run: python3 tests/tools/test_train.py

Needs torch, numpy and onnx (Debian: python3-torch, python3-onnx). Where one is missing the run
fails; it never skips.
"""

import contextlib
import io
import json
import lzma
import pathlib
import shutil
import sys
import tempfile
import unittest
import unittest.mock

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools" / "train")]

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import torch  # noqa: E402

import train  # noqa: E402
from augment import TrainingImages  # noqa: E402
from checkpoint import save_atomically  # noqa: E402
from data_files.cifar10 import read_cifar10  # noqa: E402
from data_files.idx import write_idx  # noqa: E402
from networks import NETWORKS, LeNet5, ResNet20  # noqa: E402
from recipes import RECIPES  # noqa: E402
from variational import VariationalConv2d, VariationalLinear, start_from  # noqa: E402

SHORT = ["--det-epochs", "1", "--epochs", "2", "--batch", "16"]


class Interrupted(Exception):
    pass


def write_cifar10(folder, rng):
    """64 training images in five batches, one of them compressed, and 20 test images."""
    for name, count in [(f"data_batch_{i}", 12) for i in range(1, 5)] + [("data_batch_5", 16),
                                                                       ("test_batch", 20)]:
        records = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
        records[:, 0] = rng.integers(0, 10, count)
        data = records.tobytes()
        if name == "data_batch_2":
            (folder / f"{name}.bin.xz").write_bytes(lzma.compress(data))
        else:
            (folder / f"{name}.bin").write_bytes(data)


def write_mnist(folder, rng):
    for split, count in (("train", 64), ("t10k", 20)):
        write_idx(folder / f"{split}-images-idx3-ubyte.gz",
                  rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write_idx(folder / f"{split}-labels-idx1-ubyte.gz",
                  rng.integers(0, 10, count, dtype=np.uint8))


class Folder(unittest.TestCase):
    """A test with a data folder and an empty one for results."""

    @classmethod
    def setUpClass(cls):
        cls.data = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.data)
        rng = np.random.default_rng(1)
        write_cifar10(cls.data, rng)
        write_mnist(cls.data, rng)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def run_command(self, net, name, *arguments):
        """Exit status and standard error of train.py --output NAME."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            try:
                status = train.main(["--net", net, "--data", str(self.data), "--device", "cpu",
                                     "--precision", "float32", "--output", str(self.folder / name),
                                     *map(str, arguments)])
            except SystemExit as e:
                status = e.code
        return status, errors.getvalue()

    def interrupt_after(self, epochs, *arguments):
        """Runs the command until it has saved its checkpoint for the `epochs`th time."""
        calls, save = [], train.save_checkpoint

        def save_then_stop(*values):
            save(*values)
            calls.append(1)
            if len(calls) == epochs:
                raise Interrupted

        with unittest.mock.patch.object(train, "save_checkpoint", save_then_stop):
            with self.assertRaises(Interrupted):
                self.run_command(*arguments)

    def weights(self, name):
        return torch.load(self.folder / name, weights_only=True)

    def check_results(self, net, name, sigma_count, metrics):
        """The ONNX file is valid and has the network's weights; .npz, log and files fit."""
        graph = onnx.load(str(self.folder / f"{name}.onnx"))
        onnx.checker.check_model(graph, full_check=True)
        names = {tensor.name for tensor in graph.graph.initializer}
        self.assertLessEqual({n for n, _ in NETWORKS[net]().named_parameters()}, names)
        self.assertEqual((self.folder / f"{name}.npz").exists(), sigma_count > 0)
        if sigma_count:
            self.assertEqual(len(np.load(self.folder / f"{name}.npz").files), 2 * sigma_count)
        log = json.loads((self.folder / f"{name}.json").read_text())
        self.assertEqual(sorted(log["metrics"]), sorted(metrics))
        self.assertEqual([path for path in self.folder.iterdir() if path.suffix == ".tmp"], [])
        return log


class EndToEnd(Folder):
    def test_lenet5(self):
        self.assertEqual(self.run_command("lenet5", "a", *SHORT), (0, ""))
        log = self.check_results("lenet5", "a", 10, ["mean_network", "T1", "T50"])
        self.assertEqual([(row["stage"], row["epoch"]) for row in log["history"]],
                         [("deterministic", 0), ("variational", 0), ("variational", 1)])
        self.assertIn("conv1.mu_kernel", self.weights("a.pt"))

    def test_resnet20_twin_then_posterior_from_it(self):
        self.assertEqual(self.run_command("resnet20", "det", *SHORT, "--deterministic"), (0, ""))
        log = self.check_results("resnet20", "det", 0, ["mean_network"])
        self.assertEqual(len(log["history"]), 1)
        self.assertEqual(sorted(self.weights("det.pt")), sorted(ResNet20().state_dict()))
        self.assertEqual(self.run_command("resnet20", "bnn", *SHORT, "--init",
                                          self.folder / "det.pt"), (0, ""))
        log = self.check_results("resnet20", "bnn", 21, ["mean_network", "T1", "T20"])
        self.assertEqual({row["stage"] for row in log["history"]}, {"variational"})

    def test_one_command_equals_two(self):
        self.run_command("resnet20", "both", *SHORT)
        self.run_command("resnet20", "det", *SHORT, "--deterministic")
        self.run_command("resnet20", "bnn", *SHORT, "--init", self.folder / "det.pt")
        both, two = self.weights("both.pt"), self.weights("bnn.pt")
        self.assertEqual([k for k in both if not torch.equal(both[k], two[k])], [])

    def test_held_out_images_are_reported_and_not_trained_on(self):
        self.run_command("resnet20", "a", *SHORT, "--deterministic", "--validation-count", 20)
        log = json.loads((self.folder / "a.json").read_text())
        self.assertEqual(log["evaluated_on"], "last 20 training images, not trained on")
        self.assertIn("validation_accuracy", log["history"][0])

    def test_vgg16(self):
        for name, flags in (("det", ["--deterministic"]), ("bnn", ["--init", "det.pt"])):
            flags = [self.folder / f if f == "det.pt" else f for f in flags]
            with unittest.mock.patch.object(train, "evaluate", lambda *_: {"left out": {}}):
                self.assertEqual(self.run_command("vgg16", name, "--det-epochs", 1, "--epochs", 1,
                                                  "--batch", 64, *flags), (0, ""))
        self.check_results("vgg16", "det", 0, ["left out"])
        self.check_results("vgg16", "bnn", 15, ["left out"])


class Resume(Folder):
    def test_interrupted_in_either_stage_ends_in_the_same_weights(self):
        self.run_command("resnet20", "whole", *SHORT)
        whole = self.weights("whole.pt")
        for epochs in (1, 2):  # at the end of the first stage, within the second
            name = f"cut{epochs}"
            self.interrupt_after(epochs, "resnet20", name, *SHORT)
            self.assertFalse((self.folder / f"{name}.pt").exists())
            self.assertEqual(self.run_command("resnet20", name, *SHORT, "--resume"), (0, ""))
            cut = self.weights(f"{name}.pt")
            self.assertEqual(sorted(cut), sorted(whole))
            self.assertEqual([k for k in cut if not torch.equal(cut[k], whole[k])], [], epochs)
            log = json.loads((self.folder / f"{name}.json").read_text())
            self.assertEqual(len(log["history"]), 3)

    def test_truncated_checkpoint(self):
        self.interrupt_after(1, "lenet5", "a", *SHORT)
        path = self.folder / "a.checkpoint.pt"
        data = path.read_bytes()
        for size in (0, 1, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:size])
            status, errors = self.run_command("lenet5", "a", *SHORT)
            self.assertEqual(status, 2, size)
            self.assertIn("a.checkpoint.pt: damaged or cut short, expected a training checkpoint",
                          errors)

    def test_other_settings_and_other_start_are_refused_by_name(self):
        self.interrupt_after(1, "lenet5", "a", *SHORT)
        status, errors = self.run_command("lenet5", "a", *SHORT, "--beta", 0.7, "--seed", 3)
        self.assertEqual(status, 2)
        for text in ("other settings", "beta: it has 0.1, asked for 0.7", "seed: it has 0, asked"):
            self.assertIn(text, errors)
        self.assertNotIn("prior_sigma", errors)

    def test_a_state_dict_is_no_checkpoint(self):
        save_atomically(LeNet5().state_dict(), self.folder / "a.checkpoint.pt")
        status, errors = self.run_command("lenet5", "a", *SHORT)
        self.assertEqual(status, 2)
        self.assertIn("expected a training checkpoint", errors)

    def test_resume_without_a_checkpoint(self):
        status, errors = self.run_command("lenet5", "a", *SHORT, "--resume")
        self.assertEqual(status, 2)
        self.assertIn("a.checkpoint.pt", errors)


class BadInput(Folder):
    def test_init_of_another_network(self):
        save_atomically(LeNet5().state_dict(), self.folder / "l.pt")
        status, errors = self.run_command("resnet20", "a", *SHORT, "--init", self.folder / "l.pt")
        self.assertEqual(status, 2)
        self.assertIn("not a ResNet20 of such layers", errors)

    def test_data_that_is_missing_damaged_or_too_little(self):
        empty = self.folder / "data"
        empty.mkdir()
        for content, expected in ((None, "holds no data_batch_1.bin"), (b"", "0 bytes, expected a multiple"),
                                  (b"\0" * 3072, "3072 bytes"), (b"\x0a" * 3073, "label 10")):
            if content is not None:
                (empty / "data_batch_1.bin").write_bytes(content)
            with self.assertRaisesRegex((OSError, ValueError), expected):
                read_cifar10(empty, "train")
        (empty / "data_batch_1.bin").unlink()
        (empty / "data_batch_1.bin.xz").write_bytes(lzma.compress(b"\0" * 3073)[:-20])
        with self.assertRaisesRegex(ValueError, "cannot be unpacked"):
            read_cifar10(empty, "train")
        status, errors = self.run_command("resnet20", "a", "--batch", 65)
        self.assertEqual(status, 2)
        self.assertIn("fewer than one batch of 65", errors)

    def test_usage(self):
        for flags in (["--epochs", 0], ["--beta", "nan"], ["--prior-sigma", 0],
                      ["--deterministic", "--init", "x"], ["--validation-count", -1]):
            self.assertEqual(self.run_command("resnet20", "a", *flags)[0], 2, flags)
        self.assertEqual(list(self.folder.iterdir()), [])


class Parts(Folder):
    def test_batches_are_windows_of_the_padded_image_or_of_its_mirror(self):
        images, labels = read_cifar10(self.data, "train")
        network, margin = ResNet20, RECIPES["resnet20"].max_shift
        training = TrainingImages(images, labels, network, RECIPES["resnet20"], "cpu")
        mean, std = (np.array(v)[:, None, None] for v in (network.mean, network.std))
        torch.manual_seed(2)
        mirrored = 0
        for size in (32, 24):
            x, y = training.batch(torch.arange(40, 60), size)
            self.assertEqual((tuple(x.shape), y.tolist()),
                             ((20, 3, size, size), labels[40:60].tolist()))
            for window, image in zip(x.numpy(), images[40:60]):
                padded = np.pad(image, ((0, 0), (margin, margin), (margin, margin)))
                padded = (padded / 255 - mean) / std
                places = range(padded.shape[1] - size + 1)
                found = [flip for flip in (False, True) for r in places for c in places
                         if np.allclose(window[:, :, ::-1] if flip else window,
                                        padded[:, r : r + size, c : c + size], atol=1e-5)]
                self.assertEqual(len(found), 1)
                mirrored += found[0]
        self.assertTrue(5 < mirrored < 35, mirrored)

    def test_start_from_takes_means_sigmas_and_batchnorm(self):
        torch.manual_seed(1)
        plain = ResNet20()
        plain.bn1.running_var.uniform_(1, 2)
        plain.layer3[2].bn2.weight.data.normal_()
        net = ResNet20(VariationalConv2d, VariationalLinear)
        start_from(net, plain.state_dict(), 0.1)
        torch.testing.assert_close(net.bn1.running_var, plain.bn1.running_var)
        torch.testing.assert_close(net.layer3[2].bn2.weight, plain.layer3[2].bn2.weight)
        layer, w = net.layer1[0].conv1, plain.layer1[0].conv1.weight
        torch.testing.assert_close(layer.mu_kernel, w)
        torch.testing.assert_close(torch.nn.functional.softplus(layer.rho_kernel),
                                   0.1 * w.abs(), rtol=1e-3, atol=1e-6)


if __name__ == "__main__":
    torch.set_num_threads(1)
    unittest.main()
