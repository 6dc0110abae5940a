"""laplace-torch: the last layer of a trained network, with Kronecker factors."""

import digits
import networks
import torch
from laplace import Laplace
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import mu8
import mu8.torch

torch.manual_seed(1)
net = networks.network()
optimizer = torch.optim.Adam(net.parameters(), .003)
for x, labels in networks.batches(epochs=20):
    loss = F.cross_entropy(net(x), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
la = Laplace(net.eval(), "classification", subset_of_weights="last_layer", hessian_structure="kron")
data = TensorDataset(torch.from_numpy(digits.train_x), torch.from_numpy(digits.train_y))
la.fit(DataLoader(data, batch_size=64))
la.optimize_prior_precision(method="marglik")

posterior = mu8.torch.posterior(la, example=digits.test_x)
mu8.convert(posterior, calibration=digits.train_x, output="net.mu8")
digits.show(mu8.load("net.mu8").predict(digits.test_x))
