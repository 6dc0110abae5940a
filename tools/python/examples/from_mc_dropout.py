"""MC dropout as Gaussian dropout, plain PyTorch: an approximation that is asked for."""

import digits
import networks
import torch
from torch.nn import functional as F

import mu8
import mu8.torch

torch.manual_seed(1)
net = networks.network(dropout=.3)
optimizer = torch.optim.Adam(net.parameters(), .003)
for x, labels in networks.batches(epochs=30):
    loss = F.cross_entropy(net(x), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

posterior = mu8.torch.posterior(net.eval(), example=digits.test_x, dropout="gaussian")
mu8.convert(posterior, calibration=digits.train_x, output="net.mu8")
digits.show(mu8.load("net.mu8").predict(digits.test_x))
