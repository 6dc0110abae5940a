"""SWAG-diagonal: mean and mean square of snapshots, plain PyTorch."""

import digits
import networks
import torch
from torch.nn import functional as F

import mu8
import mu8.torch

torch.manual_seed(1)
net = networks.network()
optimizer = torch.optim.SGD(net.parameters(), lr=.05, momentum=.9)
snapshots = []
for step, (x, labels) in enumerate(networks.batches(epochs=40)):
    loss = F.cross_entropy(net(x), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step >= 160 and step % 4 == 0:
        snapshots.append({name: value.detach().clone() for name, value in net.named_parameters()})
swag = {kind: {name: torch.stack([each[name] ** power for each in snapshots]).mean(0) for name in snapshots[0]}
        for kind, power in (("mean", 1), ("sq_mean", 2))}

posterior = mu8.torch.posterior(net.eval(), example=digits.test_x, swag=swag)
mu8.convert(posterior, calibration=digits.train_x, output="net.mu8")
digits.show(mu8.load("net.mu8").predict(digits.test_x))
