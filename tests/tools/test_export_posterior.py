#!/usr/bin/env python3
"""Tests of tools/export_posterior.py. Run: python3 tests/tools/test_export_posterior.py

Needs torch, numpy and onnx (Debian: python3-torch, python3-onnx). Where one is missing the run
fails; it never skips.
"""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools" / "train")]

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnx.numpy_helper  # noqa: E402
import torch  # noqa: E402
import torch.nn as nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402

import export_posterior as ep  # noqa: E402
from networks import LeNet5, ResNet20  # noqa: E402


class UserNet(nn.Module):
    """A user's own network: convolution, BatchNorm, zero-padded shortcut, dense."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        return self.head(F.pad(x, (0, 0, 0, 0, 1, 1)).mean((2, 3)))


def user_net():
    torch.manual_seed(1)
    module = UserNet()
    module.norm.running_mean.normal_()
    module.norm.running_var.uniform_(0.5, 2)
    return module.eval()


def sigmas_for(module):
    return {name: np.full(tuple(p.shape), 0.01, np.float32)
            for name, p in module.named_parameters() if not name.startswith("norm")}


def lenet_state(seed=0):
    """A bayesian-torch state_dict of LeNet-5 with Reparameterization or Flipout keys."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, tensor in LeNet5().state_dict().items():
        layer, leaf = name.split(".")
        leaf = "kernel" if leaf == "weight" and layer.startswith("conv") else leaf
        state[f"{layer}.mu_{leaf}"] = torch.randn(tensor.shape, generator=generator) * 0.1
        state[f"{layer}.rho_{leaf}"] = torch.randn(tensor.shape, generator=generator) - 3
    return state


class Folder(unittest.TestCase):
    """A test with an empty folder and the paths of an export in it."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.paths = str(self.folder / "net.onnx"), str(self.folder / "net.npz")

    def export(self, module, sigmas, shape=(1, 1, 8, 8)):
        ep.export_posterior(module, sigmas, torch.zeros(shape), *self.paths)
        return onnx.load(self.paths[0]).graph, dict(np.load(self.paths[1]))

    def assert_export_fails(self, sigmas, *expected, module=None):
        """The export names everything in `expected` and leaves no file."""
        with self.assertRaises(ep.ExportError) as raised:
            self.export(module or user_net(), sigmas)
        for text in expected:
            self.assertIn(text, str(raised.exception))
        self.assertEqual(list(self.folder.iterdir()), [])

    def run_command(self, *arguments):
        """Exit status and standard error of the command."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            try:
                status = ep.main([str(argument) for argument in arguments])
            except SystemExit as e:
                status = e.code
        return status, errors.getvalue()


class Softplus(unittest.TestCase):
    def test_large_rho_does_not_overflow(self):
        with np.errstate(over="raise", invalid="raise"):
            self.assertEqual(ep.softplus(np.float32([1000]))[0], 1000)

    def test_very_negative_rho_keeps_relative_precision(self):
        # float32 log(1 + exp(-20)) would be 0 or 1.19e-7 instead of 2.06e-9.
        rho = np.float32([-80, -40, -20])
        np.testing.assert_allclose(ep.softplus(rho), np.exp(np.float64(rho)), rtol=1e-7)

    def test_equals_the_definition_and_is_float32(self):
        rho = np.linspace(-10, 20, 61)
        np.testing.assert_allclose(ep.softplus(rho), np.log(1 + np.exp(rho)), rtol=1e-6)
        self.assertEqual(ep.softplus(rho).dtype, np.float32)


class Checkpoint(Folder):
    def read(self, value, name="a.pt"):
        torch.save(value, self.folder / name)
        return ep.read_checkpoint(self.folder / name)

    def test_wrappers_and_module_prefix(self):
        plain = {"a.weight": torch.ones(2), "b.bias": torch.zeros(3)}
        prefixed = {"module." + key: value for key, value in plain.items()}
        for value in (plain, prefixed, {"state_dict": plain, "epoch": 3},
                      {"model_state_dict": prefixed, "best": True}):
            state = self.read(value)
            self.assertEqual(sorted(state), sorted(plain))
            np.testing.assert_array_equal(state["a.weight"], [1, 1])

    def test_npz_with_metadata_and_prefix(self):
        np.savez(self.folder / "a.npz", **{"__meta__": "{}"})
        self.assertEqual(ep.read_checkpoint(self.folder / "a.npz"), {})
        np.savez(self.folder / "b.npz", **{"module.a.weight": np.ones(2), "__meta__": "{}"})
        self.assertEqual(list(ep.read_checkpoint(self.folder / "b.npz")), ["a.weight"])

    def test_entries_that_are_not_tensors_are_named(self):
        with self.assertRaisesRegex(ep.ExportError, "epoch: int"):
            self.read({"a.weight": torch.ones(1), "epoch": 3})

    def test_arbitrary_pickles_are_refused(self):
        with self.assertRaises(ep.ExportError) as raised:
            self.read(nn.Linear(2, 2))
        self.assertIn("not a checkpoint of plain tensors", str(raised.exception))
        self.assertNotIn("weights_only", str(raised.exception))

    def test_half_precision_becomes_float32(self):
        self.assertEqual(self.read({"a": torch.ones(1).bfloat16()})["a"].dtype, np.float32)

    def test_variational_keys_become_means_and_sigmas(self):
        one = np.ones((2, 2), np.float32)
        means, sigmas = ep.split_posterior({
            "c.mu_kernel": one, "c.rho_kernel": -one, "d.mu_weight": one, "d.rho_weight": 2 * one,
            "d.mu_bias": one[0], "d.rho_bias": one[0], "bn.running_var": one[0],
            "c.eps_kernel": one, "c.prior_weight_mu": one, "d.prior_bias_sigma": one[0]})
        self.assertEqual(sorted(means), ["bn.running_var", "c.weight", "d.bias", "d.weight"])
        self.assertEqual(sorted(sigmas), ["c.weight", "d.bias", "d.weight"])
        np.testing.assert_allclose(sigmas["c.weight"], np.log(1 + np.exp(-1.0)), rtol=1e-6)

    def test_unpaired_and_doubled_keys_are_all_named(self):
        one = np.ones(1)
        with self.assertRaises(ep.ExportError) as raised:
            ep.split_posterior({"a.mu_weight": one, "b.rho_bias": one,
                                "c.mu_kernel": one, "c.rho_kernel": one, "c.weight": one})
        for text in ("a.mu_weight: no a.rho_weight", "b.bias: rho without mu",
                     "c.weight: a second mu"):
            self.assertIn(text, str(raised.exception))


class Graph(Folder):
    def test_batchnorm_and_parameter_names_survive(self):
        module = user_net()
        graph, sigmas = self.export(module, sigmas_for(module))
        self.assertIn("BatchNormalization", [node.op_type for node in graph.node])
        initializers = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        for name, tensor in module.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                np.testing.assert_array_equal(initializers[name], tensor.numpy())
        self.assertEqual(sorted(sigmas), sorted(name + end for name in sigmas_for(module)
                                                for end in (".sigma", ".mean")))
        for name in sigmas_for(module):
            np.testing.assert_array_equal(sigmas[name + ".mean"], initializers[name])
        self.assertTrue(all(value.dtype == np.float32 for value in sigmas.values()))
        self.assertEqual([value.name for value in graph.input], ["input"])
        self.assertEqual([value.name for value in graph.output], ["logits"])
        batch = graph.input[0].type.tensor_type.shape.dim[0]
        self.assertEqual(batch.dim_param, "batch")

    def test_parameters_of_equal_value_keep_their_own_initializers(self):
        # PyTorch merges them into one initializer and Identity nodes.
        module = user_net()
        with torch.no_grad():
            for tensor in (module.stem.bias, module.norm.bias, module.norm.running_mean):
                tensor.zero_()
        graph, _ = self.export(module, sigmas_for(module))
        self.assertNotIn("Identity", [node.op_type for node in graph.node])
        names = {tensor.name for tensor in graph.initializer}
        self.assertLessEqual({"stem.bias", "norm.bias", "norm.running_mean"}, names)

    def test_channel_padding_has_constant_amounts(self):
        graph, _ = self.export(user_net(), {})
        pads = [node for node in graph.node if node.op_type == "Pad"]
        values = {node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t)
                  for node in graph.node if node.op_type == "Constant"}
        self.assertEqual(len(pads), 1)
        self.assertEqual(values[pads[0].input[1]].tolist(), [0, 1, 0, 0, 0, 1, 0, 0])

    def test_equal_input_gives_equal_bytes(self):
        seen = set()
        for order in (list, reversed):
            sigmas = dict(order(list(sigmas_for(user_net()).items())))
            self.export(user_net(), sigmas)
            seen.add(tuple(pathlib.Path(path).read_bytes() for path in self.paths))
        self.assertEqual(len(seen), 1)

    def test_normalization_and_labels_become_metadata(self):
        ep.export_posterior(user_net(), {}, torch.zeros(1, 1, 8, 8), *self.paths, mean=[0.5],
                            std=[0.25], labels=["no", "yes"])
        properties = {p.key: p.value for p in onnx.load(self.paths[0]).metadata_props}
        self.assertEqual(properties, {"mean": "0.5", "std": "0.25", "labels": "no\nyes"})

    def test_mean_without_std_fails(self):
        with self.assertRaisesRegex(ep.ExportError, "mean and std together"):
            ep.export_posterior(user_net(), {}, torch.zeros(1, 1, 8, 8), *self.paths, mean=[0.5])
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_only_the_two_files_are_left(self):
        self.export(user_net(), {})
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["net.npz", "net.onnx"])

    def test_sigma_without_initializer_fails_and_leaves_no_file(self):
        sigmas = {**sigmas_for(user_net()), "stem.gain": np.ones(4), "tail.bias": np.ones(2)}
        self.assert_export_fails(sigmas, "stem.gain: no initializer", "tail.bias: no initializer")

    def test_shape_mismatch_fails(self):
        sigmas = {"stem.weight": np.ones((4, 1, 3)), "head.bias": np.ones(3)}
        self.assert_export_fails(sigmas, "stem.weight: sigma has shape [4, 1, 3]",
                                 "initializer [4, 1, 3, 3]", "head.bias: sigma has shape [3]")

    def test_negative_and_not_finite_sigmas_fail(self):
        sigmas = {"stem.bias": [0, -1e-9, 0, -1], "head.bias": [np.nan, np.inf]}
        self.assert_export_fails(sigmas, "stem.bias: 2 sigmas negative",
                                 "head.bias: 2 sigmas not finite")

    def test_not_finite_mean_fails(self):
        module = user_net()
        with torch.no_grad():
            module.head.bias[0] = float("nan")
        self.assert_export_fails({}, "head.bias: 1 means not finite", module=module)

    def test_training_mode_fails(self):
        self.assert_export_fails({}, "norm", module=user_net().train())

    def test_missing_folder_fails_and_leaves_no_file(self):
        self.paths = self.paths[0], str(self.folder / "none" / "net.npz")
        with self.assertRaises(OSError):
            self.export(user_net(), {})
        self.assertEqual(list(self.folder.iterdir()), [])


class Command(Folder):
    def test_lenet5_checkpoint(self):
        state = lenet_state()
        torch.save({"state_dict": {"module." + k: v for k, v in state.items()}},
                   self.folder / "a.pt")
        status, errors = self.run_command(self.folder / "a.pt", "--arch", "lenet5",
                                          "--output-prefix", self.folder / "net")
        self.assertEqual((status, errors), (0, ""))
        graph, sigmas = onnx.load(self.paths[0]).graph, np.load(self.paths[1])
        self.assertEqual([node.op_type for node in graph.node], [
            "Conv", "Relu", "MaxPool", "Conv", "Relu", "MaxPool", "Flatten",
            "Gemm", "Relu", "Gemm", "Relu", "Gemm"])
        means = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        np.testing.assert_array_equal(means["conv1.weight"], state["conv1.mu_kernel"].numpy())
        np.testing.assert_allclose(sigmas["fc1.weight.sigma"],
                                   F.softplus(state["fc1.rho_weight"]).numpy(), rtol=1e-5)

    def test_resnet20_keeps_batchnorm(self):
        # Straight from its initial weights, where most BatchNorm parameters are equal.
        torch.save(ResNet20().state_dict(), self.folder / "a.pt")
        status, errors = self.run_command(self.folder / "a.pt", "--arch", "resnet20",
                                          "--output-prefix", self.folder / "net")
        self.assertEqual((status, errors), (0, ""))
        graph = onnx.load(self.paths[0]).graph
        ops = [node.op_type for node in graph.node]
        counts = {op: ops.count(op) for op in set(ops) - {"Constant"}}
        self.assertEqual(counts, {"Conv": 19, "BatchNormalization": 19, "Relu": 19, "Add": 9,
                                  "Slice": 4, "Pad": 2, "GlobalAveragePool": 1, "Flatten": 1,
                                  "Gemm": 1})
        self.assertEqual(len(graph.initializer), 19 + 4 * 19 + 2)

    def test_wrong_network_lists_all_keys(self):
        state = lenet_state()
        del state["fc3.mu_bias"], state["fc3.rho_bias"]
        state["fc4.weight"], state["extra"] = torch.ones(1), torch.ones(1)
        torch.save(state, self.folder / "a.pt")
        status, errors = self.run_command(self.folder / "a.pt", "--arch", "lenet5",
                                          "--output-prefix", self.folder / "net")
        self.assertEqual(status, 2)
        for text in ("missing: fc3.bias", "unexpected: fc4.weight", "unexpected: extra"):
            self.assertIn(text, errors)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["a.pt"])

    def test_bad_usage_and_missing_file_exit_2(self):
        self.assertEqual(self.run_command("a.pt")[0], 2)
        missing = self.folder / "none.pt"
        status, errors = self.run_command(missing, "--arch", "lenet5", "--output-prefix", "x")
        self.assertEqual(status, 2)
        self.assertIn(str(missing), errors)

    def test_truncated_and_foreign_files_exit_2(self):
        torch.save(lenet_state(), self.folder / "whole.pt")
        data = (self.folder / "whole.pt").read_bytes()
        for name, content in (("short.pt", data[: len(data) // 2]), ("text.pt", b"version 1\n"),
                              ("empty.pt", b""), ("text.npz", b"version 1\n"), ("empty.npz", b"")):
            (self.folder / name).write_bytes(content)
            status, errors = self.run_command(self.folder / name, "--arch", "lenet5",
                                              "--output-prefix", self.folder / "net")
            self.assertEqual((name, status), (name, 2))
            self.assertIn(name, errors)


if __name__ == "__main__":
    unittest.main()
