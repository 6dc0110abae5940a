"""Pyro: Normal priors on a network's parameters, and an AutoNormal guide."""

import digits
import networks
import pyro
import torch
from pyro import distributions
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoNormal, init_to_sample
from pyro.nn.module import PyroSample, to_pyro_module_

import mu8
import mu8.torch

pyro.set_rng_seed(1)
net = networks.network()
to_pyro_module_(net)
for layer in net.modules():
    for name, value in list(layer.named_parameters(recurse=False)):
        setattr(layer, name, PyroSample(distributions.Normal(0., .3).expand(value.shape).to_event(value.dim())))


def model(x, labels):
    logits = net(x)
    with pyro.plate("digits", size=len(digits.train_x), subsample_size=len(x)):
        pyro.sample("label", distributions.Categorical(logits=logits), obs=labels)


guide = AutoNormal(model, init_loc_fn=init_to_sample, init_scale=.02)
inference = SVI(model, guide, pyro.optim.Adam({"lr": .003}), TraceMeanField_ELBO())
for x, labels in networks.batches(epochs=60):
    inference.step(x, labels)

posterior = mu8.torch.posterior(net.eval(), example=digits.test_x, guide=guide)
mu8.convert(posterior, calibration=digits.train_x, output="net.mu8")
digits.show(mu8.load("net.mu8").predict(digits.test_x))
