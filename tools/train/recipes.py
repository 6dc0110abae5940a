"""How each network is trained: all the numbers of train.py that are not a matter of the machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The settings of both stages; README.md says what they mean and where they come from."""

    data: str  # "mnist" or "cifar10"
    det_epochs: int  # of the deterministic stage
    epochs: int  # of the variational stage
    det_rate: float  # peak learning rates: of all weights,
    mu_rate: float  # of the posterior means (and BatchNorm),
    rho_rate: float  # of rho
    mu_decay: float  # weight decay of the means beyond what the prior does
    beta: float  # weight of the KL
    prior_sigma: float
    max_shift: int  # training images move by up to this many pixels, each by its own amount
    mirror: bool  # and half of them are mirrored
    small_size: int  # side of the crops that the early deterministic epochs see; 0: none do
    samples: int  # T, the Monte-Carlo passes of the final report
    batch: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4  # of the deterministic stage
    moped_delta: float = 0.1


CIFAR10 = {"data": "cifar10", "det_epochs": 25, "epochs": 54, "det_rate": 0.1, "mu_rate": 0.05,
           "rho_rate": 0.01, "mu_decay": 5e-4, "beta": 0.005, "prior_sigma": 0.2, "max_shift": 4,
           "mirror": True, "small_size": 24, "samples": 20}

RECIPES = {
    "lenet5": Recipe("mnist", det_epochs=20, epochs=30, det_rate=0.05, mu_rate=0.02, rho_rate=0.01,
                     mu_decay=0, beta=0.1, prior_sigma=0.2, max_shift=2, mirror=False,
                     small_size=0, samples=50),
    "resnet20": Recipe(**CIFAR10),
    "vgg16": Recipe(**{**CIFAR10, "det_epochs": 40, "epochs": 40, "batch": 512,
                       "small_size": 0}),  # its five poolings need all 32 pixels
}
SMALL_SHARE = 0.5  # of the deterministic epochs see them: while the learning rate is high
