"""Small posteriors by libraries that people use, each trained on MNIST in its own way for a minute.

One convolutional network for all; priors, first sigmas and the weight of the divergence are those
of the library's own examples or its defaults, so that the posteriors differ as users' do. Each
function returns a Trained, or raises ModuleNotFoundError where its library is not installed.
docs/LIBRARIES.md says which versions run with which PyTorch.
"""

import collections
import contextlib
import importlib
import itertools
import pathlib
import sys
from importlib import metadata

import torch
from data_files.idx import read_idx, read_mnist
from export_posterior import importers
from torch import nn
from torch.nn import functional as F

BENCH = pathlib.Path(__file__).resolve().parent.parent
COMMITTED = BENCH.parent / "tests" / "data" / "mnist"
DIGITS, BATCH, EPOCHS, RATE = 20000, 100, 6, .001  # RATE: of Adam

# draw(x): the logits [N][10] of x by one draw of the posterior, as the library draws; arguments:
# the first and the named ones of mu8.torch.posterior, without the example.
Trained = collections.namedtuple("Trained", "draw module arguments")


def library(name):
    """The installed package of that name, never one of bench/ (bench/bayesian_torch.py)."""
    kept = sys.path[:]
    sys.path[:] = [entry for entry in kept if pathlib.Path(entry).resolve() != BENCH]
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = kept


def network(conv=nn.Conv2d, dense=nn.Linear, dropout=None):
    """Of MNIST's digits, pixels 0 to 1."""
    drop = [] if dropout is None else [nn.Dropout(dropout)]
    return nn.Sequential(conv(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2), conv(8, 16, 5), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), *drop, dense(256, 64), nn.ReLU(), *drop,
                         dense(64, 10))


def digits(mnist):
    """(x [N][1][28][28], labels) of the training set's first digits; None: the committed ones."""
    if mnist is None:
        pixels, labels = (read_idx(COMMITTED / f"calibration-{part}-ubyte.gz")
                          for part in ("images-idx3", "labels-idx1"))
    else:
        pixels, labels = (values[:DIGITS] for values in read_mnist(mnist, "train"))
    return torch.from_numpy(pixels[:, None] / 255).float(), torch.from_numpy(
        labels.astype("int64"))


def fit(parameters, mnist, loss_of, epochs=None, optimizer=None, after_step=lambda: None):
    """Adam, or another optimizer, on loss_of(x, labels)."""
    x, labels = digits(mnist)
    optimizer = optimizer or torch.optim.Adam(parameters, RATE)
    for _ in range(epochs or EPOCHS):
        for part in torch.randperm(len(x)).split(BATCH):
            loss = loss_of(x[part], labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            after_step()


def layered(model):
    """Of a model whose layers draw by themselves."""
    return Trained(model.eval(), model, {})


def with_parameters(model, values, x):
    """model(x) with other values of its parameters, by name."""
    try:
        from torch.func import functional_call
    except ImportError:  # PyTorch before 2.0
        from torch.nn.utils.stateless import functional_call
    return functional_call(model, values, (x,))


def with_bayesian_torch(mnist, kind="Reparameterization"):
    to_bayesian = library("bayesian_torch.models.dnn_to_bnn")
    model = network()
    to_bayesian.dnn_to_bnn(model, {
        "prior_mu": 0., "prior_sigma": 1., "posterior_mu_init": 0., "posterior_rho_init": -3.,
        "type": kind, "moped_enable": False, "moped_delta": .5})
    fit(model.parameters(), mnist, lambda x, labels: F.cross_entropy(model(x), labels)
        + to_bayesian.get_kl_loss(model) / BATCH)
    return layered(model)


def with_flipout(mnist):
    return with_bayesian_torch(mnist, "Flipout")


def with_torchbnn(mnist):
    bnn = library("torchbnn")
    model = network(lambda a, b, kernel: bnn.BayesConv2d(0, .1, a, b, kernel),
                    lambda a, b: bnn.BayesLinear(0, .1, a, b))
    divergence = bnn.BKLLoss(reduction="mean", last_layer_only=False)
    fit(model.parameters(), mnist, lambda x, labels: F.cross_entropy(model(x), labels)
        + .01 * divergence(model))
    return layered(model)


def with_blitz(mnist):
    modules, utils = library("blitz.modules"), library("blitz.utils")
    utils.variational_estimator(nn.Sequential)
    model = network(lambda a, b, kernel: modules.BayesianConv2d(a, b, (kernel, kernel)),
                    modules.BayesianLinear)
    fit(model.parameters(), mnist, lambda x, labels: model.sample_elbo(
        x, labels, F.cross_entropy, sample_nbr=1, complexity_cost_weight=1 / DIGITS))
    return layered(model)


def with_torch_uncertainty(mnist):
    bayesian = library("torch_uncertainty.layers.bayesian")
    elbo = library("torch_uncertainty.losses").ELBOLoss
    model = network(bayesian.BayesConv2d, bayesian.BayesLinear)
    loss = elbo(model, nn.CrossEntropyLoss(), kl_weight=1 / DIGITS, num_samples=1)
    fit(model.parameters(), mnist, loss)
    return layered(model)


def with_ivon(mnist):
    optimizer_of, model = library("ivon").IVON, network()
    x, labels = digits(mnist)
    optimizer = optimizer_of(model.parameters(), lr=.1, ess=len(x))
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x)).split(BATCH):
            with optimizer.sampled_params(train=True):
                optimizer.zero_grad()
                F.cross_entropy(model(x[part]), labels[part]).backward()
            optimizer.step()

    def draw(x):
        with optimizer.sampled_params():
            return model(x)
    return Trained(draw, model.eval(), {"optimizer": optimizer})


def with_pyro(mnist, kind="AutoNormal"):
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
    guide = getattr(guides, kind)(joint, init_loc_fn=guides.init_to_sample, init_scale=.02)
    elbo = (inference.TraceMeanField_ELBO if kind == "AutoNormal" else inference.Trace_ELBO)()
    inferred = inference.SVI(joint, guide, pyro.optim.Adam({"lr": RATE}), elbo)
    x, labels = digits(mnist)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x)).split(BATCH):
            inferred.step(x[part], labels[part])
    plain = network().eval()

    def draw(x):
        return with_parameters(plain, {name: value for name, value in guide(x, None).items()
                                       if name != "label"}, x)
    return Trained(draw, model, {"guide": guide})


def with_diagonal_pyro(mnist):
    return with_pyro(mnist, "AutoDiagonalNormal")


def with_laplace(mnist, structure="kron"):
    """A network trained to its mode, and laplace-torch's approximation of its last layer."""
    laplace = library("laplace")
    model = network()
    fit(model.parameters(), mnist, lambda x, labels: F.cross_entropy(model(x), labels), EPOCHS // 2)
    data = torch.utils.data.TensorDataset(*digits(mnist))
    found = laplace.Laplace(model.eval(), "classification", subset_of_weights="last_layer",
                            hessian_structure=structure)
    found.fit(torch.utils.data.DataLoader(data, batch_size=BATCH))
    found.optimize_prior_precision(method="marglik")

    def draw(x):
        last = found.model.last_layer
        torch.nn.utils.vector_to_parameters(found.sample(1)[0], last.parameters())
        logits = found.model.model(x)
        torch.nn.utils.vector_to_parameters(found.mean, last.parameters())
        return logits
    return Trained(draw, found, {})


def with_diagonal_laplace(mnist):
    return with_laplace(mnist, "diag")


def with_full_laplace(mnist):
    return with_laplace(mnist, "full")


def with_swag(mnist):
    """SWAG-diagonal as in section 3.2 of Maddox et al. 2019, a snapshot every 20 steps."""
    model, sums, steps = network(), {}, itertools.count(1)
    fit(model.parameters(), mnist, lambda x, labels: F.cross_entropy(model(x), labels), EPOCHS // 3)
    snapshots = []

    def collect():
        if next(steps) % 20 == 0:
            snapshots.append({name: value.detach().clone()
                              for name, value in model.named_parameters()})
    fit(None, mnist, lambda x, labels: F.cross_entropy(model(x), labels), EPOCHS * 2 // 3,
        torch.optim.SGD(model.parameters(), lr=.05, momentum=.9), collect)
    for power, name in ((1, "mean"), (2, "sq_mean")):
        sums[name] = {key: torch.stack([part[key] ** power for part in snapshots]).mean(0)
                      for key in snapshots[0]}

    def draw(x):
        return with_parameters(model, {
            key: mean + (sums["sq_mean"][key] - mean ** 2).clamp(min=0).sqrt()
            * torch.randn_like(mean) for key, mean in sums["mean"].items()}, x)
    return Trained(draw, model.eval(), {"swag": sums})


def with_dropout(mnist):
    model = network(dropout=.5)
    fit(model.train().parameters(), mnist, lambda x, labels: F.cross_entropy(model(x), labels))
    return Trained(model, model, {"dropout": "gaussian"})


POSTERIORS = {  # name: what is installed for it, how it is trained
    "bayesian-torch": ("bayesian-torch", with_bayesian_torch),
    "bayesian-torch, Flipout": ("bayesian-torch", with_flipout),
    "torchbnn": ("torchbnn", with_torchbnn),
    "blitz": ("blitz-bayesian-pytorch", with_blitz),
    "torch-uncertainty": ("torch-uncertainty", with_torch_uncertainty),
    "IVON": ("ivon-opt", with_ivon),
    "pyro": ("pyro-ppl", with_pyro),
    "pyro, AutoDiagonalNormal": ("pyro-ppl", with_diagonal_pyro),
    "laplace-torch, diagonal": ("laplace-torch", with_diagonal_laplace),
    "laplace-torch, Kronecker": ("laplace-torch", with_laplace),
    "laplace-torch, full": ("laplace-torch", with_full_laplace),
    "SWAG-diagonal": ("torch", with_swag),
    "MC dropout, Gaussian": ("torch", with_dropout),
}


def version(name):
    """Of the library of POSTERIORS[name]."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(POSTERIORS[name][0])
    if POSTERIORS[name][0] == "torch":  # Debian's package has no metadata
        return torch.__version__
    raise ModuleNotFoundError(POSTERIORS[name][0])


def trained(name, mnist):
    """POSTERIORS[name], trained on the data of the folder `mnist`: a Trained."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    return POSTERIORS[name][1](mnist)


def posterior_of(found):
    """The mu8.torch.Posterior of a Trained: the one line for each library, one for all here."""
    return importers.posterior(found.module, torch.zeros(1, 1, 28, 28), **found.arguments)


def train(name, mnist, prefix):
    """PREFIX.onnx and .npz of POSTERIORS[name], trained on the data of the folder `mnist`."""
    posterior_of(trained(name, mnist)).save(prefix)
