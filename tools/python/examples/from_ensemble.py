"""A deep ensemble: plain networks, a file each, that predict as one."""

import digits
import networks
import torch
from torch.nn import functional as F

import mu8
import mu8.torch

for member in range(3):
    torch.manual_seed(member)
    net = networks.network()
    optimizer = torch.optim.Adam(net.parameters(), .003)
    for x, labels in networks.batches(epochs=20):
        loss = F.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    onnx = mu8.torch.graph.export_graph(net.eval(), torch.from_numpy(digits.test_x))
    mu8.convert(onnx, calibration=digits.train_x, output=f"{member}.mu8", deterministic=True)

digits.show(mu8.load(["0.mu8", "1.mu8", "2.mu8"]).predict(digits.test_x, samples=1))
