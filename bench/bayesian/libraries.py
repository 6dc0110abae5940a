"""Small posteriors by libraries that people use, each trained on MNIST in its own way for a minute.

One convolutional network for all; priors, first sigmas and the weight of the divergence are those of
the library's own examples or its defaults, so that the posteriors differ as users' do. Each function
writes PREFIX.onnx and PREFIX.npz, or raises ModuleNotFoundError where its library is not installed.
Versions that run with PyTorch 1.13: bayesian-torch 0.5.0, torchbnn 1.2, blitz-bayesian-pytorch 0.2.8,
pyro-ppl 1.8.6, laplace-torch 0.1a2 (with asdfghjkl 0.1a2 and backpack-for-pytorch 1.7.1).
"""

import importlib
import pathlib
import sys
from importlib import metadata

import numpy as np
import onnx
import torch
from data_files.idx import read_mnist
from export_laplace import of_kronecker, rotate
from export_posterior import export_posterior, load_means, softplus, split_posterior
from torch import nn
from torch.nn import functional as F

DIGITS, BATCH, EPOCHS = 20000, 100, 6
BENCH = pathlib.Path(__file__).resolve().parent.parent


def library(name):
    """The installed package of that name, never one of bench/ (bench/bayesian_torch.py)."""
    kept = sys.path[:]
    sys.path[:] = [entry for entry in kept if pathlib.Path(entry).resolve() != BENCH]
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = kept


def network(conv=nn.Conv2d, dense=nn.Linear):
    """Of MNIST's digits, pixels 0 to 1."""
    return nn.Sequential(conv(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2), conv(8, 16, 5), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), dense(256, 64), nn.ReLU(), dense(64, 10))


def digits(mnist):
    """(x [N][1][28][28], labels) of the training set's first digits."""
    pixels, labels = (values[:DIGITS] for values in read_mnist(mnist, "train"))
    return torch.from_numpy(pixels[:, None] / np.float32(255)), torch.from_numpy(
        labels.astype(np.int64))


def fit(parameters, mnist, loss_of, epochs=EPOCHS):
    """Adam on loss_of(x, labels)."""
    x, labels = digits(mnist)
    optimizer = torch.optim.Adam(parameters)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(BATCH):
            loss = loss_of(x[part], labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def write(means, sigmas, prefix):
    """PREFIX.onnx and .npz of the network with these means, both by the names of its parameters."""
    plain = network()
    load_means(plain, means)
    export_posterior(plain.eval(), sigmas, torch.zeros(1, 1, 28, 28), f"{prefix}.onnx",
                     f"{prefix}.npz")


def arrays(module, suffix):
    """The parameters `X<suffix>` of a module, as arrays by the name X."""
    return {name[:-len(suffix)]: value.detach().numpy() for name, value in module.named_parameters()
            if name.endswith(suffix)}


def with_bayesian_torch(mnist, prefix):
    to_bayesian = library("bayesian_torch.models.dnn_to_bnn")
    model = network()
    to_bayesian.dnn_to_bnn(model, {
        "prior_mu": 0., "prior_sigma": 1., "posterior_mu_init": 0., "posterior_rho_init": -3.,
        "type": "Reparameterization", "moped_enable": False, "moped_delta": .5})
    fit(model.parameters(), mnist, lambda x, labels: F.cross_entropy(model(x), labels)
        + to_bayesian.get_kl_loss(model) / BATCH)
    write(*split_posterior({name: value.detach().numpy()
                            for name, value in model.state_dict().items()}), prefix)


def with_torchbnn(mnist, prefix):
    bnn = library("torchbnn")
    model = network(lambda a, b, kernel: bnn.BayesConv2d(0, .1, a, b, kernel),
                    lambda a, b: bnn.BayesLinear(0, .1, a, b))
    divergence = bnn.BKLLoss(reduction="mean", last_layer_only=False)
    fit(model.parameters(), mnist, lambda x, labels: F.cross_entropy(model(x), labels)
        + .01 * divergence(model))
    write(arrays(model, "_mu"), {name: np.exp(value) for name, value
                                 in arrays(model, "_log_sigma").items()}, prefix)


def with_blitz(mnist, prefix):
    modules, utils = library("blitz.modules"), library("blitz.utils")
    utils.variational_estimator(nn.Sequential)
    model = network(lambda a, b, kernel: modules.BayesianConv2d(a, b, (kernel, kernel)),
                    modules.BayesianLinear)
    fit(model.parameters(), mnist, lambda x, labels: model.sample_elbo(
        x, labels, F.cross_entropy, sample_nbr=1, complexity_cost_weight=1 / DIGITS))
    write(arrays(model, "_mu"), {name: softplus(value) for name, value
                                 in arrays(model, "_rho").items()}, prefix)


def with_pyro(mnist, prefix):
    pyro, guides = library("pyro"), library("pyro.infer.autoguide")
    distributions, inference = library("pyro.distributions"), library("pyro.infer")
    pyro.clear_param_store()
    pyro.set_rng_seed(1)
    model = network()
    library("pyro.nn.module").to_pyro_module_(model)
    for module in model.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            prior = distributions.Normal(0., .3).expand(value.shape).to_event(value.dim())
            setattr(module, name, library("pyro.nn").PyroSample(prior))

    def joint(x, labels):
        logits = model(x)
        with pyro.plate("digits", size=DIGITS, subsample_size=len(x)):
            pyro.sample("label", distributions.Categorical(logits=logits), obs=labels)
    guide = guides.AutoNormal(joint, init_loc_fn=guides.init_to_sample, init_scale=.02)
    inferred = inference.SVI(joint, guide, pyro.optim.Adam({"lr": .001}),
                             inference.TraceMeanField_ELBO())
    x, labels = digits(mnist)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x)).split(BATCH):
            inferred.step(x[part], labels[part])
    named = [name for name, _ in network().named_parameters()]
    found = {name: guide._get_loc_and_scale(name) for name in named}
    write(*({name: pair[i].detach().numpy() for name, pair in found.items()} for i in (0, 1)), prefix)


def laplace_of(mnist, structure):
    """A network trained to its mode, and laplace-torch's approximation of its last layer."""
    laplace = library("laplace")
    model = network()
    fit(model.parameters(), mnist, lambda x, labels: F.cross_entropy(model(x), labels), 3)
    data = torch.utils.data.TensorDataset(*digits(mnist))
    found = laplace.Laplace(model.eval(), "classification", subset_of_weights="last_layer",
                            hessian_structure=structure)
    found.fit(torch.utils.data.DataLoader(data, batch_size=BATCH))
    found.optimize_prior_precision(method="marglik")
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}, found


def with_diagonal_laplace(mnist, prefix):
    means, found = laplace_of(mnist, "diag")
    weights, bias = means["9.weight"], means["9.bias"]
    deviations = found.posterior_variance.detach().sqrt().numpy()
    write(means, {"9.weight": deviations[:weights.size].reshape(weights.shape),
                  "9.bias": deviations[weights.size:].reshape(bias.shape)}, prefix)


def with_kronecker_laplace(mnist, prefix):
    means, found = laplace_of(mnist, "kron")
    output_factor, input_factor = found.H_facs.kfacs[0]
    plain = network()
    load_means(plain, means)
    export_posterior(plain.eval(), {}, torch.zeros(1, 1, 28, 28), f"{prefix}.onnx", None)
    model, sigmas = rotate(onnx.load(f"{prefix}.onnx"), "9.weight", *of_kronecker(
        output_factor.numpy(), input_factor.numpy(), found.prior_precision.detach().numpy()))
    onnx.save(model, f"{prefix}.onnx")
    np.savez(f"{prefix}.npz", **{f"{name}.sigma": sigma for name, sigma in sigmas.items()})


POSTERIORS = {  # name: what is installed for it, how it is trained
    "bayesian-torch": ("bayesian-torch", with_bayesian_torch),
    "torchbnn": ("torchbnn", with_torchbnn),
    "blitz": ("blitz-bayesian-pytorch", with_blitz),
    "pyro": ("pyro-ppl", with_pyro),
    "laplace-torch, diagonal": ("laplace-torch", with_diagonal_laplace),
    "laplace-torch, Kronecker": ("laplace-torch", with_kronecker_laplace),
}


def version(name):
    """Of the library of POSTERIORS[name]."""
    return metadata.version(POSTERIORS[name][0])


def train(name, mnist, prefix):
    """Trains POSTERIORS[name] on the data of the folder `mnist`."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    POSTERIORS[name][1](mnist, prefix)
