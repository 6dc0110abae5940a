"""BLiTZ: layers of the library, trained by its sample_elbo."""

import digits
import networks
import torch
from blitz.modules import BayesianConv2d, BayesianLinear
from blitz.utils import variational_estimator
from torch import nn
from torch.nn import functional as F

import mu8
import mu8.torch

torch.manual_seed(1)
variational_estimator(nn.Sequential)
net = networks.network(lambda inputs, outputs, kernel: BayesianConv2d(inputs, outputs, (kernel, kernel)),
                     BayesianLinear)
optimizer = torch.optim.Adam(net.parameters(), .003)
for x, labels in networks.batches(epochs=40):
    loss = net.sample_elbo(x, labels, F.cross_entropy, sample_nbr=1,
                           complexity_cost_weight=.1 / len(digits.train_x))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

posterior = mu8.torch.posterior(net.eval(), example=digits.test_x)
mu8.convert(posterior, calibration=digits.train_x, output="net.mu8")
digits.show(mu8.load("net.mu8").predict(digits.test_x))
