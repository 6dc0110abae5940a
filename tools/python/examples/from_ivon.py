"""IVON: the posterior is in the optimizer."""

import digits
import ivon
import networks
import torch
from torch.nn import functional as F

import mu8
import mu8.torch

torch.manual_seed(1)
net = networks.network()
optimizer = ivon.IVON(net.parameters(), lr=.1, ess=len(digits.train_x))
for x, labels in networks.batches(epochs=60):
    with optimizer.sampled_params(train=True):
        optimizer.zero_grad()
        F.cross_entropy(net(x), labels).backward()
    optimizer.step()

posterior = mu8.torch.posterior(net.eval(), example=digits.test_x, optimizer=optimizer)
mu8.convert(posterior, calibration=digits.train_x, output="net.mu8")
digits.show(mu8.load("net.mu8").predict(digits.test_x))
