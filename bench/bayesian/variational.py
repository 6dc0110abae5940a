"""Mean-field Gaussian posteriors in PyTorch: layers, training, ensembles, export for mu8.

Trained with the local reparameterization (Kingma et al. 2015): in training mode a layer draws its
outputs, whose mean and variance follow from those of the weights; in `passes` it draws the weights,
one network for all inputs, as the engine does; else it computes with the means. All noise is of
torch's own generator: torch.manual_seed() before a network is made says all of it.
"""

import copy
import sys

import numpy as np
import torch
from export_posterior import export_posterior
from torch import nn
from torch.nn import functional as F


class Random:
    """Of a layer: log sigma of its weights, and the Kullback-Leibler divergence from the prior."""

    is_drawing = False

    def make_random(self, fan):
        """fan: inputs of an output, so that prior and output have about the input's spread."""
        self.prior = float(fan) ** -.5
        self.log_sigma = nn.Parameter(torch.full_like(self.weight, float(np.log(.05 * self.prior))))

    def start(self, spread=1.0, sigma=.1):
        """Normal weights and known sigmas, in units of the prior's deviation; no bias."""
        with torch.no_grad():
            self.weight.copy_(torch.randn(self.weight.shape) * self.prior * spread)
            self.log_sigma.fill_(float(np.log(sigma * self.prior)))
            self.bias.zero_()

    def prior_deviation(self):
        return self.prior

    def divergence(self):
        sigma, prior = self.log_sigma.exp(), self.prior_deviation()
        return (torch.log(prior / sigma) + (sigma ** 2 + self.weight ** 2) / (2 * prior ** 2)
                - .5).sum()

    def forward(self, x):
        if self.training:
            variance = self.apply_weights(x ** 2, (2 * self.log_sigma).exp(), None)
            mean = self.apply_weights(x, self.weight, self.bias)
            return mean + (variance + 1e-12).sqrt() * torch.randn_like(mean)
        weights = self.weight
        if self.is_drawing:
            weights = weights + self.log_sigma.exp() * torch.randn_like(weights)
        return self.apply_weights(x, weights, self.bias)

    def plain(self):
        """The layer of the means alone, and the sigmas of its parameters."""
        layer = copy.deepcopy(self)
        del layer.log_sigma
        return layer, {"weight": self.log_sigma.detach().exp().numpy()}


class Conv(Random, nn.Conv2d):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.make_random(np.prod(self.weight.shape[1:]))

    def apply_weights(self, x, weights, bias):
        return self._conv_forward(x, weights, bias)


class ConvTranspose(Random, nn.ConvTranspose2d):
    """Of a stride as long as the kernel: every output is of one position."""

    def __init__(self, inputs, outputs, stride):
        super().__init__(inputs, outputs, stride, stride)
        self.make_random(inputs)

    def apply_weights(self, x, weights, bias):
        return F.conv_transpose2d(x, weights, bias, self.stride)


class Dense(Random, nn.Linear):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.make_random(self.in_features)

    def apply_weights(self, x, weights, bias):
        return F.linear(x, weights, bias)


class DenseRandomBias(Random, nn.Module):
    """A dense layer whose biases are random, too: the last column of the weights; prior deviation 1."""

    bias = None

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs + 1))
        self.make_random(inputs)

    def start(self, spread=1.0, sigma=.1):
        with torch.no_grad():
            self.weight.copy_(torch.randn(self.weight.shape) * self.prior * spread)
            self.weight[:, -1] = 0
            self.log_sigma.fill_(float(np.log(sigma * self.prior)))

    def prior_deviation(self):
        deviation = torch.full_like(self.weight, self.prior)
        deviation[:, -1] = 1
        return deviation

    def apply_weights(self, x, weights, bias):
        if self.training:
            return F.pad(x, (0, 1), value=1) @ weights.T
        return F.linear(x, weights[:, :-1], weights[:, -1])

    def plain(self):
        layer = nn.Linear(self.weight.shape[1] - 1, len(self.weight))
        sigma = self.log_sigma.detach().exp().numpy()
        with torch.no_grad():
            layer.weight.copy_(self.weight[:, :-1])
            layer.bias.copy_(self.weight[:, -1])
        return layer, {"weight": sigma[:, :-1], "bias": sigma[:, -1]}


def random_layers(network):
    return [module for module in network.modules() if isinstance(module, Random)]


def train(network, x, y, loss_of, epochs, rate=.01, batch=100, augment=lambda x: x, temperature=1):
    """Minimizes loss_of(outputs, targets), a mean over inputs, + an input's share of the divergence,
    times a temperature: below 1 a tempered posterior (Wenzel et al. 2020)."""
    layers = random_layers(network)
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * -(-len(x) // batch))
    network.train()
    for epoch in range(epochs):
        total = 0.0
        for part in torch.randperm(len(x)).split(batch):
            loss = loss_of(network(augment(x[part])), y[part])
            total += float(loss) * len(part) / len(x)
            loss = loss + temperature * sum(layer.divergence() for layer in layers) / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"  epoch {epoch + 1} of {epochs}: loss {total:.4f}", file=sys.stderr, flush=True)
    return network.eval()


@torch.no_grad()
def passes(network, x, count, seed):
    """The outputs for all of x of each of `count` networks; draw nothing else meanwhile."""
    torch.manual_seed(seed)
    layers = random_layers(network)
    for layer in layers:
        layer.is_drawing = True
    for _ in range(count):
        yield network(x)
    for layer in layers:
        layer.is_drawing = False


def plain_network(network):
    """The network of the means, and the sigmas of its parameters by name."""
    network, sigmas = copy.deepcopy(network), {}
    for name, module in list(network.named_modules()):
        if isinstance(module, Random):
            layer, found = module.plain()
            sigmas.update({f"{name}.{parameter}": sigma for parameter, sigma in found.items()})
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, layer)
    return network, sigmas


def export(network, shape, folder):
    """net.onnx, the mean network on inputs of `shape`, and net.npz, its sigmas."""
    plain, sigmas = plain_network(network)
    export_posterior(plain.eval(), sigmas, torch.zeros(1, *shape), str(folder / "net.onnx"),
                     str(folder / "net.npz"))
