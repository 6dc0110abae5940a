"""torch-uncertainty: layers of the library, trained by its ELBOLoss."""

import digits
import networks
import torch
from torch import nn
from torch_uncertainty.layers.bayesian import BayesConv2d, BayesLinear
from torch_uncertainty.losses import ELBOLoss

import mu8
import mu8.torch

torch.manual_seed(1)
net = networks.network(BayesConv2d, BayesLinear)
elbo = ELBOLoss(net, nn.CrossEntropyLoss(), kl_weight=.1 / len(digits.train_x), num_samples=1)
optimizer = torch.optim.Adam(net.parameters(), .003)
for x, labels in networks.batches(epochs=40):
    loss = elbo(x, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

posterior = mu8.torch.posterior(net.eval(), example=digits.test_x)
mu8.convert(posterior, calibration=digits.train_x, output="net.mu8")
digits.show(mu8.load("net.mu8").predict(digits.test_x))
