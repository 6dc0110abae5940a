#!/usr/bin/env python3
"""Layers of Bayesian libraries: mean and variance of their outputs, beside the library's own.

    /usr/bin/python3 tests/python/test_torch_layers.py build/release/tools/python \\
        build/release/tests/mu8_run_onnx

The library draws; the imported layer runs in mu8's FP32 reference, once with the means, and once,
of squared inputs, with squared sigmas, which gives the variance. Libraries that this Python has not
are skipped and named; `tools/setup libraries` makes one that has them.
"""

import sys

import torch_support
from torch_support import library, run_onnx

import mu8.torch
import numpy as np
import torch
import unittest
from torch import nn

DRAWS, ROWS = 500, 8
BAYESIAN_TORCH = "bayesian_torch.layers"

# name: (library, layer of the library's module, shape of an input)
CASES = {}
for kind in ("Reparameterization", "Flipout"):
    for name, arguments, shape in (
            ("Linear", (12, 7), (12,)),
            ("Conv1d", (6, 4, 3, 2, 1), (6, 11)),
            ("Conv2d", (4, 6, 3, 1, 1, 1, 2), (4, 9, 7)),
            # As many outputs as inputs: with others bayesian-torch 0.5.0 fails by itself.
            ("ConvTranspose1d", (4, 4, 4, 2, 1), (4, 6)),
            ("ConvTranspose2d", (4, 4, 4, 2, 1), (4, 5, 6))):
        CASES[f"bayesian_torch_{name}{kind}"] = (
            BAYESIAN_TORCH,
            lambda lib, layer=name + kind, given=arguments: getattr(lib, layer)(*given), shape)
CASES |= {
    "bayesian_torch_without_bias": (
        BAYESIAN_TORCH, lambda lib: lib.Conv2dReparameterization(3, 4, 3, bias=False), (3, 8, 8)),
    "torchbnn_linear": ("torchbnn", lambda lib: lib.BayesLinear(0, .1, 12, 7), (12,)),
    "torchbnn_conv2d": (
        "torchbnn", lambda lib: lib.BayesConv2d(0, .1, 4, 6, 3, stride=2, padding=1, groups=2),
        (4, 9, 8)),
    "torchbnn_without_bias": (
        "torchbnn", lambda lib: lib.BayesLinear(0, .1, 12, 7, bias=False), (12,)),
    "torchbnn_batch_norm": ("torchbnn", lambda lib: lib.BayesBatchNorm2d(0, .1, 5), (5, 6, 4)),
    "blitz_linear": ("blitz.modules", lambda lib: lib.BayesianLinear(12, 7), (12,)),
    "blitz_linear_without_bias": (
        "blitz.modules", lambda lib: lib.BayesianLinear(12, 7, bias=False), (12,)),
    "blitz_conv1d": ("blitz.modules", lambda lib: lib.BayesianConv1d(6, 4, 3, padding=1), (6, 11)),
    "blitz_conv2d": (
        "blitz.modules", lambda lib: lib.BayesianConv2d(4, 6, (3, 2), groups=2, stride=2),
        (4, 9, 8)),
    "torch_uncertainty_linear": (
        "torch_uncertainty.layers.bayesian", lambda lib: lib.BayesLinear(12, 7), (12,)),
    "torch_uncertainty_linear_without_bias": (
        "torch_uncertainty.layers.bayesian", lambda lib: lib.BayesLinear(12, 7, bias=False), (12,)),
    "torch_uncertainty_conv1d": (
        "torch_uncertainty.layers.bayesian", lambda lib: lib.BayesConv1d(6, 4, 3, padding=1),
        (6, 11)),
    "torch_uncertainty_conv2d": (
        "torch_uncertainty.layers.bayesian",
        lambda lib: lib.BayesConv2d(4, 6, 3, stride=2, padding=1, groups=2), (4, 9, 8)),
}


def randomize(module):
    """Means of both signs, and sigmas of about .05 to .3, whatever the library calls them."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            spread = any(word in name for word in ("rho", "sigma"))
            parameter.copy_(-2 + .5 * torch.randn(parameter.shape) if spread
                            else torch.randn(parameter.shape) * .5)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_()
            elif name.endswith("running_var"):
                buffer.uniform_(.5, 2)


def without_sigma(module):
    """Its sigmas become next to nothing."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if any(word in name for word in ("rho", "sigma")):
                parameter.fill_(-60)


def first(output):
    return output[0] if isinstance(output, tuple) else output


def nhwc(values):
    return np.moveaxis(np.asarray(values, np.float64), 1, -1)


class Layers(unittest.TestCase):
    run_onnx = None

    def check(self, case):
        module, make, shape = CASES[case]
        lib = library(module)
        torch.manual_seed(1)
        layer = make(lib)
        randomize(layer)
        layer.eval()
        before = {name: value.clone() for name, value in layer.state_dict().items()}
        x = torch.randn(ROWS, *shape)
        found = mu8.torch.posterior(layer, x)
        for name, value in layer.state_dict().items():
            self.assertTrue(torch.equal(value, before[name]), f"{name} was changed")
        self.assertEqual("Flipout" in case, any("Flipout draws" in note for note in found.notes))
        with torch.no_grad():
            draws = torch.stack([first(layer(x)) for _ in range(DRAWS)]).double()
            without_sigma(layer)
            mean = nhwc(first(layer(x)))
        got = run_onnx(self.run_onnx, found.onnx, nhwc(x)).reshape(mean.shape)
        self.assertLess(np.abs(got - mean).max(), 2e-5 * np.abs(mean).max())
        self.assertGreater(mean.std(), .1)

        # Of a layer y = W x + b, var(y) = var(W) x^2 + var(b); batch normalization first scales x.
        variance = nhwc(draws.var(0))
        if "batch_norm" in case:
            scaled = (x - layer.running_mean[:, None, None]) / (
                layer.running_var + layer.eps).sqrt()[:, None, None]
            weight, bias = (np.square(found.sigmas[f"factor.{part}"]).reshape(1, -1, 1, 1)
                            for part in ("weight", "bias"))
            expected = nhwc(scaled.numpy() ** 2 * weight + bias)
        else:
            squares = {name: sigma ** 2 for name, sigma in found.sigmas.items()}
            expected = self.of_sigmas(found, squares, nhwc(x ** 2)).reshape(variance.shape)
        self.assertEqual(sorted(found.sigmas), sorted(self.random_names(case, layer)))
        # 500 draws give a variance to 6.3 %; the mean over outputs is far better known, the worst
        # of a few hundred is within 6 deviations.
        self.assertLess(abs(np.mean(variance / expected) - 1), .06)
        self.assertLess(np.abs(variance / expected - 1).max(), 6 * np.sqrt(2 / DRAWS))

    def of_sigmas(self, found, squares, x):
        """The outputs of x of the network whose parameters are `squares`; others are zeros."""
        none = {tensor: np.zeros_like(value) for tensor, value in self.parameters(found).items()}
        return run_onnx(self.run_onnx, found.onnx, x, {**none, **squares})

    def parameters(self, found):
        onnx = mu8.torch.graph.import_onnx()
        return {tensor.name: onnx.numpy_helper.to_array(tensor)
                for tensor in onnx.load_model_from_string(found.onnx).graph.initializer}

    @staticmethod
    def random_names(case, _layer):
        if "batch_norm" in case:
            return ["factor.weight", "factor.bias"]
        return ["weight"] if "without_bias" in case else ["weight", "bias"]


for case in CASES:
    setattr(Layers, f"test_{case}", lambda self, case=case: self.check(case))


class OwnModels(unittest.TestCase):
    """Whole networks as users of the libraries write them."""

    def test_bayesian_torch_model_that_returns_its_divergence(self):
        layers = library(BAYESIAN_TORCH)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv1 = layers.Conv2dReparameterization(1, 4, 3)
                self.fc = layers.LinearReparameterization(4 * 36, 3)

            def forward(self, x):
                total = 0
                x, kl = self.conv1(x)
                total += kl
                x, kl = self.fc(torch.relu(x).flatten(1))
                return x, total + kl

        found = mu8.torch.posterior(Net(), torch.randn(2, 1, 8, 8))
        self.assertEqual(
            sorted(
                found.sigmas), [
                    "conv1.bias", "conv1.weight", "fc.bias", "fc.weight"])
        self.assertTrue(found.library.startswith("bayesian-torch"))

    def test_residual_network_by_dnn_to_bnn(self):
        to_bayesian = library("bayesian_torch.models.dnn_to_bnn")
        sys.path.insert(0, str(torch_support.ROOT / "tools" / "train"))
        from networks import ResNet20
        model = ResNet20()
        to_bayesian.dnn_to_bnn(model, {
            "prior_mu": 0., "prior_sigma": 1., "posterior_mu_init": 0., "posterior_rho_init": -3.,
            "type": "Reparameterization", "moped_enable": True, "moped_delta": .1})
        found = mu8.torch.posterior(model.eval(), torch.randn(1, 3, 32, 32))
        self.assertEqual(len(found.sigmas), 19 + 2)

    def test_trained_blitz_layer_that_deepcopy_refuses(self):
        modules = library("blitz.modules")
        net = nn.Sequential(modules.BayesianLinear(6, 4), nn.ReLU(), modules.BayesianLinear(4, 2))
        net(torch.randn(3, 6)).sum().backward()  # leaves non-leaf tensors in the layers
        for module in net.modules():
            if hasattr(module, "freeze"):
                module.freeze = True
        found = mu8.torch.posterior(net, torch.randn(1, 6))
        self.assertEqual(len(found.sigmas), 4)
        self.assertTrue(any("frozen" in note for note in found.notes))

    def test_torch_uncertainty_wrappers(self):
        layers, methods = (library("torch_uncertainty." + part)
                           for part in ("layers.bayesian", "methods"))
        net = nn.Sequential(nn.Flatten(), layers.BayesLinear(16, 8), nn.ReLU(),
                            layers.BayesLinear(8, 3)).eval()
        found = mu8.torch.posterior(methods.StochasticModel(net, 4).eval(), torch.randn(2, 1, 4, 4))
        self.assertEqual(len(found.sigmas), 4)
        plain = nn.Sequential(nn.Flatten(), nn.Dropout(.5), nn.Linear(16, 8), nn.Dropout(.2),
                              nn.Linear(8, 3))
        wrapped = methods.mc_dropout(plain, num_estimators=4, last_layer=True).eval()
        with self.assertRaisesRegex(mu8.torch.PosteriorError, "MC dropout is asked for: 3 drops"):
            mu8.torch.posterior(wrapped, torch.randn(2, 1, 4, 4))
        found = mu8.torch.posterior(wrapped, torch.randn(2, 1, 4, 4), dropout="gaussian")
        self.assertEqual(list(found.sigmas), ["3.factors.0.weight"])

    def test_torchbnn_circular_padding_is_another_than_pytorchs(self):
        bnn = library("torchbnn")
        with self.assertRaisesRegex(mu8.torch.PosteriorError, "torchbnn's circular padding"):
            mu8.torch.posterior(bnn.BayesConv2d(0, .1, 2, 3, 3, padding=2, padding_mode="circular"),
                                torch.randn(1, 2, 8, 8))

    def test_pyro_guides(self):
        pyro, guides = library("pyro"), library("pyro.infer.autoguide")
        distributions = library("pyro.distributions")
        pyro.clear_param_store()
        pyro.set_rng_seed(1)
        net = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
        library("pyro.nn.module").to_pyro_module_(net)
        for module in net.modules():
            for name, value in list(module.named_parameters(recurse=False)):
                setattr(module, name, library("pyro.nn").PyroSample(
                    distributions.Normal(0., 1.).expand(value.shape).to_event(value.dim())))

        def joint(x, labels=None):
            noise = pyro.sample("noise", distributions.Gamma(1., 1.))
            mean = net(x)
            pyro.sample("y", distributions.Normal(mean, noise).to_event(2), obs=labels)
        x, labels = torch.randn(8, 5), torch.randn(8, 3)
        for kind in ("AutoNormal", "AutoDiagonalNormal"):
            with self.subTest(kind):
                guide = getattr(guides, kind)(joint, init_scale=.1)
                with self.assertRaisesRegex(mu8.torch.PosteriorError, "has never run"):
                    mu8.torch.posterior(net, x, guide=guide)
                guide(x, labels)
                found = mu8.torch.posterior(net, x, guide=guide)
                self.assertEqual(sorted(found.sigmas), ["0.bias", "0.weight", "2.bias", "2.weight"])
                draws = [guide(x, labels) for _ in range(DRAWS)]
                for name, sigma in found.sigmas.items():
                    values = torch.stack([draw[name] for draw in draws]).detach()
                    self.assertAlmostEqual(float(values.std(0).mean()) / sigma.mean(), 1, delta=.1)
                self.assertTrue(any("noise is no parameter" in note for note in found.notes))
        with self.assertRaisesRegex(mu8.torch.PosteriorError, "full covariance"):
            mu8.torch.posterior(net, x, guide=guides.AutoMultivariateNormal(joint))

    def test_ivon_draws_with_the_same_deviations(self):
        ivon = library("ivon")
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
        optimizer = ivon.IVON(net.parameters(), lr=.1, ess=100)
        for _ in range(3):
            with optimizer.sampled_params(train=True):
                optimizer.zero_grad()
                net(torch.randn(8, 5)).square().mean().backward()
            optimizer.step()
        found = mu8.torch.posterior(net.eval(), torch.randn(1, 5), optimizer=optimizer)
        self.assertEqual(sorted(found.sigmas), ["0.bias", "0.weight", "1.factor.bias",
                                                "1.factor.weight", "3.bias", "3.weight"])
        draws = {name: [] for name, _ in net.named_parameters()}
        for _ in range(DRAWS):
            with optimizer.sampled_params():
                for name, value in net.named_parameters():
                    draws[name].append(value.detach().clone())
        for name, values in draws.items():
            sigma = found.sigmas[name.replace("1.", "1.factor.")].reshape(-1)
            ratio = torch.stack(values).std(0).reshape(-1).numpy() / sigma
            self.assertAlmostEqual(float(ratio.mean()), 1, delta=.1)


class LaplaceTorch(unittest.TestCase):
    """Outputs by the rotated layers have the covariance that the library states."""

    run_onnx = None

    def fitted(self, structure, subset="last_layer", last_bias=True):
        laplace = library("laplace")
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3, bias=last_bias))
        x, labels = torch.randn(60, 6), torch.randint(0, 3, (60,))
        found = laplace.Laplace(net.eval(), "classification", subset_of_weights=subset,
                                hessian_structure=structure)
        found.fit(torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, labels), 20))
        return found, x[:5]

    def check(self, structure, subset, last_bias=True):
        found, x = self.fitted(structure, subset, last_bias)
        posterior = mu8.torch.posterior(found, x)
        means = run_onnx(self.run_onnx, posterior.onnx, x.numpy()).reshape(5, 3)
        net = found.model.model if subset == "last_layer" else found.model
        with torch.no_grad():
            np.testing.assert_allclose(means, net(x).numpy(), atol=1e-5)
        covariance = self.by_draws(posterior, x)
        last = list(net.modules())[-1]
        parameters = list(last.parameters() if subset == "last_layer" else net.parameters())
        outputs = []
        for draw in found.sample(4000):
            torch.nn.utils.vector_to_parameters(draw, parameters)
            outputs.append(net(x).detach().numpy().reshape(-1))
        expected = np.cov(np.array(outputs).T)
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        self.assertLess(np.abs((covariance - expected) / scale).max(), .12)
        self.assertGreater(np.abs(expected / scale - np.eye(len(scale))).max(), .3)

    @staticmethod
    def by_draws(posterior, x, count=4000):
        """The covariance of the outputs by draws of the imported parameters, in NumPy."""
        onnx = mu8.torch.graph.import_onnx()
        graph = onnx.load_model_from_string(posterior.onnx).graph
        means = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        rng, outputs = np.random.default_rng(1), []
        for _ in range(count):
            drawn = {name: mean + posterior.sigmas.get(name, 0) * rng.standard_normal(mean.shape)
                     for name, mean in means.items()}
            value = x.numpy()
            if "2.random.weight" in drawn and "2.directions.weight" in drawn:
                value = np.tanh(value @ drawn["0.weight"].T + drawn["0.bias"])
                each = value @ drawn["2.directions.weight"].T + drawn.get("2.directions.bias", 0)
                factors = drawn["2.random.weight"].reshape(-1)
                noise = np.einsum("nkc,k->nc", each.reshape(len(each), len(factors), -1), factors)
                value = (np.concatenate([value, noise @ drawn["2.order.weight"].T], 1)
                         @ drawn["2.output.weight"].T + drawn.get("2.output.bias", 0))
                outputs.append(value.reshape(-1))
                continue
            for path in ("0", "0.input_basis", "0.random", "0.output_basis", "tanh", "2",
                         "2.input_basis", "2.random", "2.output_basis"):
                if path == "tanh":
                    value = np.tanh(value)
                elif path + ".weight" in drawn:
                    value = value @ drawn[path + ".weight"].T + drawn.get(path + ".bias", 0)
            outputs.append(value.reshape(-1))
        return np.cov(np.array(outputs).T)

    def test_last_layer_kronecker(self):
        self.check("kron", "last_layer")

    def test_last_layer_kronecker_without_bias(self):
        self.check("kron", "last_layer", last_bias=False)

    def test_noise_of_a_regression_is_noted(self):
        laplace = library("laplace")
        torch.manual_seed(1)
        net, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), torch.randn(20, 3)
        found = laplace.Laplace(net.eval(), "regression", sigma_noise=.5,
                                subset_of_weights="last_layer", hessian_structure="diag")
        found.fit(torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(x, torch.randn(20, 1)), 10))
        notes = mu8.torch.posterior(found, x).notes
        self.assertTrue(any("deviation 0.5" in note for note in notes), notes)

    def test_last_layer_diagonal(self):
        self.check("diag", "last_layer")

    def test_all_layers_kronecker(self):
        self.check("kron", "all")

    def test_all_layers_diagonal(self):
        self.check("diag", "all")

    def test_last_layer_full(self):
        self.check("full", "last_layer")

    def test_last_layer_full_without_bias(self):
        self.check("full", "last_layer", last_bias=False)

    def test_full_covariance_of_all_layers_is_refused(self):
        found, x = self.fitted("full", "all")
        with self.assertRaisesRegex(mu8.torch.PosteriorError, "hessian_structure='kron'"):
            mu8.torch.posterior(found, x)


if __name__ == "__main__":
    Layers.run_onnx = LaplaceTorch.run_onnx = sys.argv.pop(1)
    torch_support.main()
