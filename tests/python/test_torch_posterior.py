#!/usr/bin/env python3
"""mu8.torch.posterior with plain PyTorch: what it takes, what it refuses and says, and that `mu8
convert` takes what it writes.

    /usr/bin/python3 tests/python/test_torch_posterior.py build/release/tools/python \\
        build/release/mu8 build/release/tests/mu8_run_onnx
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch_support
from torch_support import ROOT, run_onnx

import mu8.torch
import numpy as np
import torch
import unittest
from torch import nn
from torch.nn import functional as F

MNIST = ROOT / "tests" / "data" / "mnist"
X = torch.linspace(-1, 1, 2 * 64).reshape(2, 1, 8, 8)


def net(*extra):
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), *extra, nn.Flatten(),
                         nn.Linear(4 * 36, 3)).eval()


def sigmas_of(module, scale=.1):
    return {name: scale * (1 + torch.rand(value.shape))
                           for name, value in module.named_parameters()}


def initializers(found):
    onnx = mu8.torch.graph.import_onnx()
    return {tensor.name: onnx.numpy_helper.to_array(tensor)
            for tensor in onnx.load_model_from_string(found.onnx).graph.initializer}


class Package(unittest.TestCase):
    def test_needs_no_engine(self):
        """tools/export_posterior.py imports it from a source tree in which nothing was built."""
        code = ("import mu8.torch\ntry: mu8.load\nexcept ImportError as error: print(error)\n"
                "else: print('the library is there')")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT / "tools" / "python")})
        self.assertIn("_mu8.so is missing: build the package", done.stdout)


class Refused(unittest.TestCase):
    def refuses(self, *says, module=None, example=X, **options):
        with self.assertRaises(mu8.torch.PosteriorError) as raised:
            mu8.torch.posterior(net() if module is None else module, example, **options)
        for text in says:
            self.assertIn(text, str(raised.exception))


class Kinds(Refused):
    def test_module_without_a_posterior(self):
        self.refuses("no layer of a Bayesian library", "sigmas=", "mu8 convert --deterministic")

    def test_ensembles(self):
        self.refuses("2 modules: an ensemble", "convert each", module=[net(), net()])

    def test_state_dict(self):
        self.refuses("a state_dict has no layers", "load_state_dict", module=net().state_dict())

    def test_other_object(self):
        self.refuses("int: expected a torch.nn.Module", module=3)

    def test_examples(self):
        for example, says in ((None, "example is missing"), (X.to(torch.uint8), "torch.uint8"),
                              (X[0, 0, 0], "shape [8]"), (X[:0], "N >= 1"),
                              (torch.zeros(1, 3, 8, 8), "does not run on the example")):
            with self.subTest(says):
                self.refuses(says, example=example, sigmas=sigmas_of(net()))

    def test_two_posteriors(self):
        self.refuses("give one of sigmas, swag", sigmas={}, swag={})

    def test_unknown_random_layer_is_named(self):
        class OwnLinear(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight_mu = nn.Parameter(torch.randn(3, 64))
                self.weight_rho = nn.Parameter(torch.full((3, 64), -3.))

            def forward(self, x):
                return F.linear(x.flatten(1), self.weight_mu)

        self.refuses("0: OwnLinear has weight_rho", "layers={OwnLinear: function}",
                     module=nn.Sequential(OwnLinear()))

        def plain(layer):
            dense = nn.Linear(64, 3, bias=False)
            dense.weight.data.copy_(layer.weight_mu.data)
            return dense, {"weight": F.softplus(layer.weight_rho).detach().numpy()}
        module = nn.Sequential(nn.Flatten(), OwnLinear())
        found = mu8.torch.posterior(module, X, layers={OwnLinear: plain})
        np.testing.assert_allclose(found.sigmas["1.weight"], np.log1p(np.exp(-3.)), rtol=1e-6)
        np.testing.assert_array_equal(initializers(found)["1.weight"],
                                      module[1].weight_mu.detach().numpy())
        self.assertEqual(found.library, "layers[OwnLinear]")

    def test_names_that_only_look_random_can_be_ignored(self):
        module = net()
        module.register_parameter("log_sigma", nn.Parameter(torch.zeros(1)))
        sigmas = {"4.weight": np.full((3, 144), .1)}
        self.refuses("has log_sigma", module=module, sigmas=sigmas)
        found = mu8.torch.posterior(module, X, sigmas=sigmas, ignore=["log_sigma"])
        self.assertEqual(list(found.sigmas), ["4.weight"])

    def test_randomness_in_forward(self):
        class Noisy(nn.Module):
            def forward(self, x):
                return x + .1 * torch.randn_like(x)

        class Dropping(nn.Module):
            def forward(self, x):
                return F.dropout(x, .5, training=True)
        for layer, operator in ((Noisy(), "randn_like"), (Dropping(), "bernoulli")):
            module = net(layer)
            self.refuses("random beyond its layers' posteriors", "3: draws", operator,
                         module=module, sigmas={"5.weight": np.full((3, 144), .1)})

    def test_randomness_that_does_not_reach_the_output_is_noted(self):
        class Idle(nn.Module):
            def forward(self, x):
                torch.randn_like(x)
                return x
        found = mu8.torch.posterior(net(Idle()), X, sigmas={"5.weight": np.full((3, 144), .1)})
        self.assertTrue(any("does not depend" in note for note in found.notes), found.notes)

    def test_recurrent_layers_and_attention_in_one_line(self):
        class Recurrent(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder = nn.LSTM(8, 4, batch_first=True)

            def forward(self, x):
                return self.encoder(x[:, 0])[0][:, -1]
        self.refuses("encoder: LSTM is recurrent", module=Recurrent(), sigmas={})
        self.refuses("MultiheadAttention", "no attention", sigmas={},
                     module=nn.Sequential(nn.Flatten(1, 2), nn.MultiheadAttention(8, 2)))

    def test_two_outputs(self):
        class Two(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = net()

            def forward(self, x):
                return self.body(x), self.body(x)
        self.refuses("returns tuple of 2", "(out, kl)", module=Two(), sigmas={})

    def test_more_outputs_than_inputs(self):
        class Repeated(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = net()

            def forward(self, x):
                return torch.cat([self.body(x), self.body(x)])
        self.refuses(
            "returns [4, 3] for 2 inputs",
            "wrapper that repeats",
            module=Repeated(),
            sigmas={})

    def test_random_layer_that_runs_twice(self):
        class Twice(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(64, 64)

            def forward(self, x):
                return self.layer(self.layer(x.flatten(1)))
        module = Twice()
        self.refuses("layer: 2 times", module=module, sigmas=sigmas_of(module))


class Dictionaries(Refused):
    def test_sigmas_by_name(self):
        module = net()
        sigmas = {name: value for name, value in sigmas_of(module).items() if name[0] != "1"}
        found = mu8.torch.posterior(module, X, sigmas=sigmas, mean=[.5], std=[.25],
                                    labels=list("abc"))
        self.assertEqual(sorted(found.sigmas), sorted(sigmas))
        means = initializers(found)
        for name, value in module.named_parameters():
            np.testing.assert_array_equal(means[name], value.detach().numpy())
        for name, value in sigmas.items():
            np.testing.assert_array_equal(found.sigmas[name], value.numpy())
        self.assertIn(b"labels", found.onnx)

    def test_wrong_names_show_the_closest(self):
        self.refuses("4.weigth: no initializer", "closest: 4.weight",
                     sigmas={"4.weigth": np.ones((3, 144))})

    def test_wrong_shapes_and_values(self):
        self.refuses("sigma has shape [3]", sigmas={"4.weight": np.ones(3)})
        self.refuses("3 sigmas negative", sigmas={"4.bias": -np.ones(3)})
        self.refuses("1 sigmas not finite", sigmas={"4.bias": np.array([1, np.nan, 1])})

    def test_mean_without_std(self):
        self.refuses("mean and std together", sigmas={}, mean=[.5])

    def test_the_module_is_left_as_it_is(self):
        module = net().train()
        state = {name: value.clone() for name, value in module.state_dict().items()}
        sigmas = sigmas_of(module)
        generator = torch.random.get_rng_state()
        found = mu8.torch.posterior(module, X, sigmas=sigmas)
        self.assertTrue(torch.equal(torch.random.get_rng_state(), generator))
        self.assertTrue(module.training and all(part.training for part in module.modules()))
        for name, value in module.state_dict().items():
            self.assertTrue(torch.equal(value, state[name]), name)
        self.assertTrue(any("training mode" in note for note in found.notes))

    def test_equal_arguments_give_equal_bytes(self):
        module = net()
        sigmas = sigmas_of(module)
        one, other = (mu8.torch.posterior(module, X, sigmas=dict(order(list(sigmas.items()))))
                      for order in (list, reversed))
        self.assertEqual(one.onnx, other.onnx)
        self.assertEqual(list(one.sigmas), list(other.sigmas))

    def test_other_precisions_are_noted(self):
        found = mu8.torch.posterior(net().double(), X, sigmas={"4.bias": np.ones(3)})
        self.assertTrue(any("float64" in note for note in found.notes))

    def test_data_parallel_is_unwrapped(self):
        found = mu8.torch.posterior(
            nn.DataParallel(
                net()), X.numpy(), sigmas={
                    "4.bias": np.ones(3)})
        self.assertIn("0.weight", initializers(found))

    def test_swag(self):
        module = net()
        snapshots = [{name: value.detach() + .1 * torch.randn(value.shape)
                      for name, value in module.named_parameters()} for _ in range(50)]
        mean = {name: torch.stack([part[name] for part in snapshots]).mean(0)
                                  for name in snapshots[0]}
        square = {name: torch.stack([part[name] ** 2 for part in snapshots]).mean(0)
                  for name in snapshots[0]}
        spread = torch.stack([part["4.weight"]
                             for part in snapshots]).std(0, unbiased=False).numpy()
        state = {f"base.{name}_mean": value for name, value in mean.items()}
        state |= {f"base.{name}_sq_mean": value for name, value in square.items()}
        for swag in ({"mean": mean, "sq_mean": square}, state):
            found = mu8.torch.posterior(module, X, swag=swag, swag_scale=.5)
            np.testing.assert_allclose(found.sigmas["4.weight"], spread * .5 ** .5, rtol=1e-3)
            np.testing.assert_allclose(initializers(found)["4.weight"], mean["4.weight"], rtol=1e-6)
        self.refuses("low-rank part",
                     swag={**state, "base.4.weight_cov_mat_sqrt": torch.ones(2, 432)})
        self.refuses("expected {'mean'", swag={"mean": mean})

    def test_optimizers_without_a_posterior(self):
        module = net()
        self.refuses("Adam has no posterior", module=module,
                     optimizer=torch.optim.Adam(module.parameters()))

    def test_guides_without_pyro(self):
        self.refuses("guide: dict", "load it into a guide",
                     guide={"scales.0.weight_unconstrained": 1})


class Dropout(Refused):
    def test_only_dropout_is_no_posterior(self):
        self.refuses("only randomness is dropout: 3 (p = 0.5)", 'dropout="gaussian"',
                     module=net(nn.Dropout(.5)))

    def test_dropout_in_a_function(self):
        class Functional(nn.Module):
            def forward(self, x):
                return F.dropout(x, .5, self.training)
        self.refuses("only randomness is dropout: 3 (in its forward()", module=net(Functional()))

    def test_mc_dropout_that_was_switched_on(self):
        module = net(nn.Dropout(.5))
        module[3].train()
        self.refuses("MC dropout is asked for: 3", module=module, sigmas={"5.bias": np.ones(3)})

    def test_beside_sigmas_it_is_noted(self):
        found = mu8.torch.posterior(net(nn.Dropout(.5)), X, sigmas={"5.bias": np.ones(3)})
        self.assertTrue(any("dropout of 3 (p = 0.5) is off" in note for note in found.notes))

    def test_notes_are_warnings_too(self):
        with self.assertWarnsRegex(mu8.torch.PosteriorWarning, "dropout of 3 .* is off"):
            mu8.torch.posterior(net(nn.Dropout(.5)), X, sigmas={"5.bias": np.ones(3)})

    def test_gaussian(self):
        module = net(nn.Dropout2d(.2), nn.Dropout(.5))
        found = mu8.torch.posterior(module, X, dropout="gaussian")
        self.assertEqual({name: sigma.shape for name, sigma in found.sigmas.items()},
                         {"3.factors.0.weight": (4, 1, 1, 1), "4.factors.0.weight": (144, 1, 1, 1)})
        np.testing.assert_allclose(found.sigmas["3.factors.0.weight"], .5)
        np.testing.assert_allclose(found.sigmas["4.factors.0.weight"], 1)
        self.assertEqual(sum("an approximation that was asked for" in n for n in found.notes), 2)

    def test_one_dropout_at_two_places_has_two_sets_of_factors(self):
        class Shared(nn.Module):
            def __init__(self):
                super().__init__()
                self.drop, self.fc, self.out = nn.Dropout(.5), nn.Linear(64, 9), nn.Linear(9, 3)

            def forward(self, x):
                return self.out(self.drop(F.relu(self.fc(self.drop(x.flatten(1))))))
        found = mu8.torch.posterior(Shared().eval(), X, dropout="gaussian")
        self.assertEqual([sigma.shape[0] for sigma in found.sigmas.values()], [64, 9])

    def test_one_dropout_at_two_places_of_a_sequence(self):
        drop = nn.Dropout(.5)
        module = nn.Sequential(nn.Flatten(), drop, nn.Linear(64, 9), drop, nn.Linear(9, 3)).eval()
        found = mu8.torch.posterior(module, X, dropout="gaussian")
        self.assertEqual([sigma.shape[0] for sigma in found.sigmas.values()], [64, 9])

    def test_kinds_without_a_gaussian_form(self):
        self.refuses("AlphaDropout; expected", module=net(nn.AlphaDropout(.5)), dropout="gaussian")
        self.refuses('expected None or "gaussian"', dropout="bernoulli")


class Engine(unittest.TestCase):
    """What `mu8 convert` makes of it, beside PyTorch."""

    mu8, run_onnx = None, None

    def command(self, *arguments):
        done = subprocess.run([self.mu8, *map(str, arguments)], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_random_batch_norm_is_the_same_function(self):
        module = net()
        with torch.no_grad():
            module[1].running_mean.normal_()
            module[1].running_var.uniform_(.5, 2)
            module[1].weight.normal_()
        found = mu8.torch.posterior(module, X, sigmas=sigmas_of(module))
        self.assertIn("1.factor.weight", found.sigmas)
        with torch.no_grad():
            np.testing.assert_allclose(
                run_onnx(self.run_onnx, found.onnx, np.moveaxis(X.numpy(), 1, -1)).reshape(2, 3),
                module(X).numpy(), atol=1e-5)

    def test_gaussian_dropout_keeps_the_means(self):
        module = net(nn.Dropout(.5), nn.Dropout2d(.3))
        found = mu8.torch.posterior(module, X, dropout="gaussian")
        with torch.no_grad():
            np.testing.assert_allclose(
                run_onnx(self.run_onnx, found.onnx, np.moveaxis(X.numpy(), 1, -1)).reshape(2, 3),
                module(X).numpy(), atol=1e-5)

    def trained(self):
        """A small network trained on the committed digits, and sigmas."""
        sys.path.insert(0, str(ROOT / "tools"))
        from data_files.idx import read_idx
        x, labels = (read_idx(MNIST / f"calibration-{part}.gz")
                     for part in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        x = torch.from_numpy(x[:, None] / 255).float()
        labels = torch.from_numpy(labels.astype(np.int64))
        torch.manual_seed(1)
        module = nn.Sequential(nn.Conv2d(1, 6, 5, stride=2), nn.ReLU(), nn.Flatten(),
                               nn.Linear(864, 10, bias=False))
        optimizer = torch.optim.Adam(module.parameters(), .003)
        for _ in range(40):
            loss = F.cross_entropy(module(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return module.eval(), {name: .15 * value.detach().std() + 0 * value.detach()
                               for name, value in module.named_parameters()}

    def test_posterior_becomes_a_file_that_predicts_as_pytorch_does(self):
        module, sigmas = self.trained()
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            found = mu8.torch.posterior(module, torch.zeros(1, 1, 28, 28), sigmas=sigmas)
            paths = found.save(folder / "net")
            self.assertEqual(sorted(p.name for p in folder.iterdir()), ["net.npz", "net.onnx"])
            self.command("convert", "--model", paths[0], "--posterior", paths[1], "--calibration",
                         MNIST / "calibration-images-idx3-ubyte.gz", "--calibration-limit", 64,
                         "--sigma-bits", 4, "-o", folder / "net.mu8")
            said = json.loads(self.command(
                "eval", folder / "net.mu8", "--data", MNIST / "digits-images-idx3-ubyte.gz",
                "--predictions", folder / "p.f32", "--json"))
            predicted = np.fromfile(folder / "p.f32", np.float32).reshape(-1, 10).astype(float)
        from data_files.idx import read_idx
        x = torch.from_numpy(read_idx(MNIST / "digits-images-idx3-ubyte.gz")[:, None] / 255).float()
        own = [self.monte_carlo(module, sigmas, x, seed) for seed in (1, 2, 3)]
        divergence = lambda p, q: (p * np.log(np.maximum(p, 1e-9) / \
                                   np.maximum(q, 1e-9))).sum(1).mean()
        between = np.mean([divergence(own[i], own[j]) for i in range(3)
                          for j in range(3) if i != j])
        ratio = np.mean([divergence(p, predicted) for p in own]) / between
        self.assertEqual(said["images"], 200)
        self.assertGreater(between, 1e-4)  # else there is nothing to compare
        self.assertLess(ratio, 1.35)  # of 200 images; bench/libraries.py measures with 2,000

    @staticmethod
    @torch.no_grad()
    def monte_carlo(module, sigmas, x, seed, passes=50):
        torch.manual_seed(seed)
        means = {name: value.detach().clone() for name, value in module.named_parameters()}
        total = 0
        for _ in range(passes):
            for name, value in module.named_parameters():
                value.copy_(means[name] + sigmas[name] * torch.randn(value.shape))
            total = total + torch.softmax(module(x), 1).double()
        for name, value in module.named_parameters():
            value.copy_(means[name])
        return (total / passes).numpy()

    def test_nothing_is_left_where_a_file_cannot_be_written(self):
        found = mu8.torch.posterior(net(), X, sigmas={"4.bias": np.ones(3)})
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "net.npz").mkdir()
            with self.assertRaises(OSError):
                found.save(pathlib.Path(folder) / "net")
            self.assertEqual([p.name for p in pathlib.Path(folder).iterdir()], ["net.npz"])
            with self.assertRaises(OSError):
                found.save(pathlib.Path(folder) / "none" / "net")


if __name__ == "__main__":
    Engine.mu8, Engine.run_onnx = sys.argv.pop(1), sys.argv.pop(1)
    torch_support.main()
