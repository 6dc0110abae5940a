"""Layers of Bayesian libraries: which plain layer each is, and where its means and sigmas are.

No library is imported: a layer is known by the module that its class comes from, by the class's
name and by the attributes that it must have. Each library's source is the source of its formula:

  bayesian-torch       sigma = log(1 + exp(rho_kernel or rho_weight)); forward returns (out, kl)
                       unless dnn_to_bnn made the layer
  torchbnn             sigma = exp(weight_log_sigma)
  blitz                sigma = log(1 + exp(weight_rho)); BayesianLinear(bias=False) keeps a bias_mu
                       that it does not use
  torch-uncertainty    sigma = log(1 + exp(weight_sigma)): its "sigma" is rho
  PyTorch-BayesianCNN  sigma = log(1 + exp(W_rho)); layers of BBB_LRT draw outputs, not weights
"""

import collections

import numpy as np
import torch
from torch import nn

from .errors import PosteriorError

# layer: the plain torch layer with the means; sigmas: by the layer's parameter; notes: what to say.
Plain = collections.namedtuple("Plain", "layer sigmas notes")

FLIPOUT = (
    "Flipout draws new signs for each element of a layer's input and output, so that each example,"
    " and in a convolution each position, sees other weights; mu8 draws the weights once a pass,"
    " for all positions. The posterior is the same; the spread of a prediction over the passes is"
    " that of weight sampling, larger behind convolutions than what the library shows")
LOCAL = (
    "local reparameterization draws each output of a layer by itself, so that each position of a"
    " convolution has noise of its own; mu8 draws the weights once a pass. The posterior is the"
    " same; the spread of a prediction over the passes is that of weight sampling, larger behind"
    " convolutions than what these layers show")


def softplus(rho):
    """sigma = log(1 + exp(rho)) as float32, any shape (Blundell et al. 2015, section 3.2).

    float64 logaddexp(0, rho) neither overflows for large rho nor rounds 1 + exp(rho) to 1 for very
    negative rho, so sigma keeps full relative precision at both ends.
    """
    return np.logaddexp(0.0, as_array(rho, np.float64)).astype(np.float32)


def exponential(log_sigma):
    return np.exp(as_array(log_sigma, np.float64)).astype(np.float32)


def as_array(values, dtype=np.float32):
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    return np.array(values, dtype=dtype)


class WithDivergence:
    """Of a plain layer in place of one whose forward returns (out, kl): a divergence of 0."""

    def forward(self, x, return_kl=True):
        out = super().forward(x)
        return (out, out.new_zeros(())) if return_kl else out

    def kl_loss(self):
        return torch.zeros(())


def _numbers(value, rank):
    """A stride, padding, ... of `rank` axes: an int or a tuple of them; padding may be a word."""
    if isinstance(value, (str, int)):
        return value
    if len(value) != rank:
        raise PosteriorError(f"{tuple(value)} is no stride, padding or dilation of {rank} axes")
    return tuple(int(number) for number in value)


def plain_layer(kind, source, weight, bias, transposed=False, returns_pair=False,
                padding_mode=None):
    """The torch layer `kind` of these means, with the geometry of the layer `source`; padding_mode:
    the layer's own if None.

    weight: as torch has it, [O][I / groups][...], of a transposed convolution [I][O / groups][...].
    """
    base = getattr(nn, kind)
    if returns_pair:
        base = type(kind, (WithDivergence, base), {})
    if kind == "Linear":
        layer = base(weight.shape[1], weight.shape[0], bias=bias is not None)
    else:
        rank = weight.ndim - 2
        geometry = {name: _numbers(getattr(source, name), rank)
                    for name in ("stride", "padding", "dilation", "groups", "output_padding")
                    if hasattr(source, name) and (name != "output_padding" or transposed)}
        groups = geometry.get("groups", 1)
        channels = ((weight.shape[0], weight.shape[1] * groups) if transposed
                    else (weight.shape[1] * groups, weight.shape[0]))
        layer = base(*channels, weight.shape[2:], bias=bias is not None,
                     padding_mode=padding_mode or getattr(source, "padding_mode", "zeros"),
                     **geometry)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(as_array(weight)))
        if bias is not None:
            layer.bias.copy_(torch.from_numpy(as_array(bias)))
    return layer


def _need(module, *names):
    """The attributes of a layer, or an error that says what this version of the library lacks."""
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        raise PosteriorError(
            f"{type(module).__module__}.{type(module).__name__} has no {', '.join(missing)}:"
            " another version of the library than those that docs/LIBRARIES.md names; give a"
            " function for this class in layers={...}, or plain layers and their sigmas in"
            " sigmas={...}")
    return [getattr(module, name) for name in names]


# ---- One function a library: (layer, class name) -> Plain, or None for a

def of_bayesian_torch(module, name):
    kind = name.replace("Reparameterization", "").replace("Flipout", "")
    if kind == name or kind not in ("Linear", "Conv1d", "Conv2d", "ConvTranspose1d",
                                    "ConvTranspose2d"):
        return None
    part = "weight" if kind == "Linear" else "kernel"
    mu, rho, mu_bias, rho_bias = _need(module, f"mu_{part}", f"rho_{part}", "mu_bias", "rho_bias")
    sigmas = {"weight": softplus(rho)}
    if mu_bias is not None:
        sigmas["bias"] = softplus(rho_bias)
    layer = plain_layer(kind, module, mu, mu_bias, kind.startswith("ConvTranspose"),
                        returns_pair=not getattr(module, "dnn_to_bnn_flag", False))
    return Plain(layer, sigmas, [FLIPOUT] if name.endswith("Flipout") else [])


def of_torchbnn(module, name):
    frozen = ["a layer was frozen to one draw of its weights; its whole posterior is taken"]
    if name == "BayesBatchNorm2d":
        if not module.affine:
            return Plain(_batch_norm(module, None, None), {}, [])
        mu, log_sigma, mu_bias, log_sigma_bias, eps = _need(
            module, "weight_mu", "weight_log_sigma", "bias_mu", "bias_log_sigma", "weight_eps")
        layer, sigmas = random_norm(_batch_norm(module, mu, mu_bias), exponential(log_sigma),
                                    exponential(log_sigma_bias))
        return Plain(layer, sigmas, [] if eps is None else frozen)
    if name not in ("BayesLinear", "BayesConv2d"):
        return None
    mu, log_sigma, has_bias, eps = _need(module, "weight_mu", "weight_log_sigma", "bias",
                                         "weight_eps")
    sigmas = {"weight": exponential(log_sigma)}
    if has_bias:
        sigmas["bias"] = exponential(module.bias_log_sigma)
    # Circular padding is half as wide there as PyTorch's; other modes than that are not looked at.
    if getattr(module, "padding_mode", "zeros") == "circular":
        raise PosteriorError("torchbnn's circular padding is none that PyTorch has: pad with F.pad")
    layer = plain_layer(name.replace("Bayes", ""), module, mu, module.bias_mu if has_bias else None,
                        padding_mode="zeros")
    return Plain(layer, sigmas, [] if eps is None else frozen)


def of_blitz(module, name):
    if name not in ("BayesianLinear", "BayesianConv1d", "BayesianConv2d"):
        return None
    sampler, has_bias, frozen = _need(module, "weight_sampler", "bias", "freeze")
    mu, rho = _need(sampler, "mu", "rho")  # what forward() draws from; weight_mu shares its storage
    sigmas, bias, notes = {"weight": softplus(rho)}, None, []
    if has_bias:
        bias, sigmas["bias"] = module.bias_sampler.mu, softplus(module.bias_sampler.rho)
    if not torch.equal(mu, module.weight_mu):
        notes.append(
            "a layer's weight_mu is not what its weight_sampler draws from, as after a move to"
            " another device; the sampler's is taken, from which forward() draws")
    if frozen is True:
        notes.append("a layer was frozen to its means (freeze_()); its whole posterior is taken")
    return Plain(plain_layer(name.replace("Bayesian", ""), module, mu, bias), sigmas, notes)


def of_torch_uncertainty(module, name):
    if name not in ("BayesLinear", "BayesConv1d", "BayesConv2d"):
        return None
    mu, rho, mu_bias, sampler = _need(module, "weight_mu", "weight_sigma", "bias_mu",
                                      "weight_sampler")
    if getattr(sampler, "rho", None) is not rho:
        raise PosteriorError(
            f"torch_uncertainty's {name}: its sampler does not take weight_sigma as rho, as the"
            " versions that docs/LIBRARIES.md names do; give a function for this class in"
            " layers={...}")
    sigmas = {"weight": softplus(rho)}
    if mu_bias is not None:
        sigmas["bias"] = softplus(module.bias_sigma)
    layer = plain_layer(name.replace("Bayes", ""), module, mu, mu_bias)
    frozen = ["a layer was frozen to its means (freeze()); its whole posterior is taken"]
    return Plain(layer, sigmas, frozen if getattr(module, "frozen", False) else [])


def of_bayesian_cnn(module, name):
    if name not in ("BBBLinear", "BBBConv2d"):
        return None
    mu, rho, has_bias, mu_bias, rho_bias = _need(module, "W_mu", "W_rho", "use_bias", "bias_mu",
                                                 "bias_rho")
    sigmas = {"weight": softplus(rho)}
    if has_bias:
        sigmas["bias"] = softplus(rho_bias)
    layer = plain_layer(name.replace("BBB", ""), module, mu, mu_bias if has_bias else None)
    return Plain(layer, sigmas, [LOCAL] if "LRT" in type(module).__module__ else [])


Library = collections.namedtuple("Library", "name distribution prefixes plain")
LIBRARIES = (
    Library("bayesian-torch", "bayesian-torch", ("bayesian_torch.layers.",), of_bayesian_torch),
    Library("torchbnn", "torchbnn", ("torchbnn.",), of_torchbnn),
    Library("BLiTZ", "blitz-bayesian-pytorch", ("blitz.",), of_blitz),
    Library("torch-uncertainty", "torch-uncertainty", ("torch_uncertainty.layers.bayesian",),
            of_torch_uncertainty),
    Library("PyTorch-BayesianCNN", None, ("layers.BBB",), of_bayesian_cnn),
)
# Of these packages' classes, what draws no weights and runs as it is.
HARMLESS = ("BatchNorm1dLayer", "BatchNorm2dLayer", "BatchNorm3dLayer", "ReLU", "Dropout")


def library_class(module):
    """(library, class) that a layer's class is or is derived from, or (None, None)."""
    for base in type(module).__mro__:
        for library in LIBRARIES:
            if any((base.__module__ + ".").startswith(prefix) for prefix in library.prefixes):
                return library, base
    return None, None


# ---- Layers that the engine has in another form ------------------------

class RandomNorm(nn.Module):
    """Batch normalization with random factors and offsets, as a plain one and a depthwise layer.

    The engine folds a BatchNormalization into constants. (x - mean) / sqrt(var + eps) stays one,
    and what is random, a factor and an offset for each channel, becomes a convolution of one tap:
    the same function of the same random numbers. x: [N][C], [N][C][L] or [N][C][H][W].
    """

    def __init__(self, norm, weight, bias):
        super().__init__()
        self.norm = norm
        self.factor = nn.Conv2d(len(weight), len(weight), 1, groups=len(weight))
        with torch.no_grad():
            self.factor.weight.copy_(torch.from_numpy(as_array(weight)).reshape(-1, 1, 1, 1))
            self.factor.bias.copy_(torch.from_numpy(as_array(bias)))

    def forward(self, x):
        x = self.norm(x)
        if x.dim() == 2:
            return self.factor(x[:, :, None, None]).flatten(1)
        return self.factor(x[:, :, None])[:, :, 0] if x.dim() == 3 else self.factor(x)


def _batch_norm(source, weight, bias):
    """A plain BatchNorm2d with the statistics of `source`."""
    layer = nn.BatchNorm2d(source.num_features, eps=source.eps, momentum=source.momentum,
                           affine=weight is not None,
                           track_running_stats=source.track_running_stats)
    with torch.no_grad():
        if weight is not None:
            layer.weight.copy_(torch.from_numpy(as_array(weight)))
            layer.bias.copy_(torch.from_numpy(as_array(bias)))
        if source.track_running_stats:
            layer.running_mean.copy_(source.running_mean.cpu())
            layer.running_var.copy_(source.running_var.cpu())
    return layer


def random_norm(norm, weight_sigma, bias_sigma):
    """(RandomNorm, its sigmas) of a BatchNorm layer whose weight and bias have sigmas [C]."""
    kind = {nn.BatchNorm1d: nn.BatchNorm1d, nn.BatchNorm2d: nn.BatchNorm2d}.get(type(norm))
    if kind is None:
        raise PosteriorError(f"{type(norm).__name__} with random factors: expected BatchNorm1d or"
                             " BatchNorm2d; leave its parameters out of the posterior")
    fixed = kind(norm.num_features, eps=norm.eps, affine=False,
                 track_running_stats=norm.track_running_stats)
    if norm.track_running_stats:
        with torch.no_grad():
            fixed.running_mean.copy_(norm.running_mean)
            fixed.running_var.copy_(norm.running_var)
    return RandomNorm(fixed, norm.weight, norm.bias), {
        "factor.weight": as_array(weight_sigma).reshape(-1, 1, 1, 1),
        "factor.bias": as_array(bias_sigma)}


class GaussianDropout(nn.Module):
    """Dropout as multiplication by N(1, p / (1 - p)): depthwise layers (Srivastava et al. 2014,
    section 10). Each element of an input without its batch axis has a factor, of Dropout1d and
    Dropout2d each channel.

    shapes: of the input of each call in one forward() of the network, without the batch axis; each
    call has factors of its own, as each has a mask of its own.
    """

    def __init__(self, shapes, by_channel):
        super().__init__()
        self.shapes, self.by_channel, self.call = shapes, by_channel, 0
        counts = [shape[0] if by_channel else int(np.prod(shape)) for shape in shapes]
        self.factors = nn.ModuleList([nn.Conv2d(n, n, 1, groups=n, bias=False) for n in counts])
        for factor in self.factors:
            nn.init.ones_(factor.weight)

    def forward(self, x):
        factor, shape = self.factors[self.call], self.shapes[self.call]
        self.call = (self.call + 1) % len(self.factors)
        if len(shape) == 1:
            return factor(x[:, :, None, None]).flatten(1)
        if self.by_channel:
            return factor(x[:, :, None])[:, :, 0] if len(shape) == 2 else factor(x)
        return factor(x.flatten(1)[:, :, None, None]).reshape(-1, *shape)
