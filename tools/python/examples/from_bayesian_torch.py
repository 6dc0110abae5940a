"""bayesian-torch: a plain network made Bayesian by dnn_to_bnn."""

import digits
import networks
import torch
from bayesian_torch.models.dnn_to_bnn import dnn_to_bnn, get_kl_loss
from torch.nn import functional as F

import mu8
import mu8.torch

torch.manual_seed(1)
net = networks.network()
dnn_to_bnn(net, {"prior_mu": 0., "prior_sigma": 1., "posterior_mu_init": 0., "posterior_rho_init": -3.,
                 "type": "Reparameterization", "moped_enable": False, "moped_delta": .5})
optimizer = torch.optim.Adam(net.parameters(), .003)
for x, labels in networks.batches(epochs=40):
    loss = F.cross_entropy(net(x), labels) + .1 * get_kl_loss(net) / len(digits.train_x)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

posterior = mu8.torch.posterior(net.eval(), example=digits.test_x)
mu8.convert(posterior, calibration=digits.train_x, output="net.mu8")
digits.show(mu8.load("net.mu8").predict(digits.test_x))
