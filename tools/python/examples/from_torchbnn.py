"""torchbnn: layers and divergence of the library."""

import digits
import networks
import torch
import torchbnn
from torch.nn import functional as F

import mu8
import mu8.torch

torch.manual_seed(1)
net = networks.network(lambda inputs, outputs, kernel: torchbnn.BayesConv2d(0, .1, inputs, outputs, kernel),
                     lambda inputs, outputs: torchbnn.BayesLinear(0, .1, inputs, outputs))
divergence = torchbnn.BKLLoss(reduction="mean", last_layer_only=False)
optimizer = torch.optim.Adam(net.parameters(), .003)
for x, labels in networks.batches(epochs=40):
    loss = F.cross_entropy(net(x), labels) + .01 * divergence(net)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

posterior = mu8.torch.posterior(net.eval(), example=digits.test_x)
mu8.convert(posterior, calibration=digits.train_x, output="net.mu8")
digits.show(mu8.load("net.mu8").predict(digits.test_x))
