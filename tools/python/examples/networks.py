"""What the examples of PyTorch share: a network for the digits, and the digits in batches."""

import digits
import torch
from torch import nn


def batches(epochs, size=64):
    """(x, labels) of the digits to train on, `epochs` times, each time in another order."""
    x, labels = torch.from_numpy(digits.train_x), torch.from_numpy(digits.train_y)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(size):
            yield x[part], labels[part]


def network(conv=nn.Conv2d, dense=nn.Linear, dropout=0):
    """conv(inputs, outputs, kernel), dense(inputs, outputs): of PyTorch or a Bayesian library."""
    drop = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(conv(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2), conv(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), *drop, dense(256, 32), nn.ReLU(), *drop, dense(32, 10))
