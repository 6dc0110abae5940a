"""From a network trained with a Bayesian library of PyTorch to what `mu8 convert` takes.

    posterior = mu8.torch.posterior(net, example=x)
    mu8.convert(posterior, calibration=data, output="net.mu8")
    mu8.load("net.mu8").predict(x)

Pure Python beside PyTorch (1.13 or later), NumPy and onnx; no Bayesian library is needed but the
one that trained the network. docs/LIBRARIES.md has a section for each.
"""

from .errors import PosteriorError, PosteriorWarning
from .importer import Posterior, posterior

__all__ = ["Posterior", "PosteriorError", "PosteriorWarning", "posterior"]
