"""laplace-torch: a Gaussian around a trained network, as independent weights in the right basis.

The engine draws independent weights. A diagonal approximation has them. A Kronecker-factored one
(Ritter et al. 2018; Daxberger et al. 2021, section 3.1) has the precision H (x) Q + delta I of a
layer's weights, so in the eigenvectors A of H and B of Q the weights are independent:

    W = A (A'M B + S * E) B',   S = (h q' + delta)^(-1/2),   E independent standard normal numbers

and the layer becomes three: B' without sigmas, the random one, A without sigmas. Nothing is
approximated: the joint distribution of all outputs is that of W. A convolution's W is [O][I k k]:
B' is a convolution to I k k channels, the others have one tap. A, B, h, q and delta are those of
the library's own `posterior_precision`, from which it draws.

A full covariance of a last layer's P weights and biases, with eigenvectors u_k and eigenvalues v_k,
is no such product, but in its eigenvectors W = M + sum_k sqrt(v_k) e_k U_k with independent e_k and
U_k of W's shape, so

    W x = M x + sum_k sqrt(v_k) e_k (U_k x)

a dense layer without sigmas to the P vectors U_k x, and one random number for each of them, the
same for all outputs: a convolution of one tap over the outputs, from P channels to one. What comes
before that runs once an input, not once a pass. Exact as well.
"""

import numpy as np
import torch
from torch import nn

from .errors import PosteriorError
from .layers import as_array


MOST_PRODUCTS = 1 << 24  # weights of the layer to all directions of a full covariance


class Rotated(nn.Module):
    """A dense layer or convolution around independent weights.

    layer: nn.Linear or nn.Conv2d with the means. a: [O][O], b: [D][D], orthogonal, D inputs of an
    output; bias_basis: [O][O] or None, the basis in which the bias has independent elements.
    """

    def __init__(self, layer, a, b, bias_basis):
        super().__init__()
        mean = as_array(layer.weight, np.float64)
        mean = a.T @ mean.reshape(len(mean), -1) @ b
        bias = None if layer.bias is None else as_array(layer.bias, np.float64)
        # A bias in another basis than the weights' is drawn in rows of its own.
        own_rows = bias_basis is not None and not np.allclose(bias_basis, a, atol=1e-5)
        if own_rows:
            mean = np.concatenate([mean, np.zeros_like(mean)])
            bias_means = np.concatenate([np.zeros(len(a)), bias_basis.T @ bias])
            a = np.concatenate([a, bias_basis], axis=1)
        else:
            bias_means = None if bias_basis is None else a.T @ bias
        self.own_rows = own_rows
        fixed_bias = bias if bias_basis is None else None
        if isinstance(layer, nn.Linear):
            self.input_basis = _dense(b.T, None)
            self.random = _dense(mean, bias_means)
            self.output_basis = _dense(a, fixed_bias)
        else:
            shape = layer.weight.shape
            self.input_basis = nn.Conv2d(shape[1], len(b), shape[2:], layer.stride, layer.padding,
                                         layer.dilation, bias=False,
                                         padding_mode=layer.padding_mode)
            _fill(self.input_basis.weight, b.T.reshape(len(b), *shape[1:]))
            self.random, self.output_basis = _one_tap(mean, bias_means), _one_tap(a, fixed_bias)

    def sigmas(self, weight_sigma, bias_sigma):
        """By parameter of this module, of sigmas in the bases: [O][D] and [O] or None."""
        shape = tuple(self.random.weight.shape)
        if self.own_rows:
            weight_sigma = np.concatenate([weight_sigma, np.zeros_like(weight_sigma)])
            bias_sigma = np.concatenate([np.zeros_like(bias_sigma), bias_sigma])
        found = {"random.weight": weight_sigma.reshape(shape).astype(np.float32)}
        if bias_sigma is not None:
            found["random.bias"] = bias_sigma.astype(np.float32)
        return found

    def forward(self, x):
        return self.output_basis(self.random(self.input_basis(x)))


class Correlated(nn.Module):
    """A dense layer whose weights and biases have any covariance.

    layer: nn.Linear, D inputs, O outputs. directions: [P][O][D + 1] (the last column of the bias)
    or [P][O][D], orthonormal; the random factor of each has a sigma of its own.
    """

    def __init__(self, layer, directions):
        super().__init__()
        count, outputs, columns = directions.shape
        inputs = layer.in_features
        flat = directions.reshape(count * outputs, columns)
        self.directions = _dense(flat[:, :inputs], flat[:, inputs] if columns > inputs else None)
        self.random = nn.Conv1d(count, 1, 1, bias=False)
        nn.init.zeros_(self.random.weight)
        self.order = _dense(np.eye(outputs), None)  # from positions to outputs
        self.output = _dense(np.concatenate([as_array(layer.weight), np.eye(outputs)], axis=1),
                             None if layer.bias is None else as_array(layer.bias))

    def forward(self, x):
        each = self.directions(x).reshape(-1, self.random.in_channels, self.order.in_features)
        return self.output(torch.cat([x, self.order(self.random(each).flatten(1))], 1))


def _fill(parameter, values):
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.asarray(values, np.float32)))


def _dense(weight, bias):
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    _fill(layer.weight, weight)
    if bias is not None:
        _fill(layer.bias, bias)
    return layer


def _one_tap(weight, bias):
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=bias is not None)
    _fill(layer.weight, weight[:, :, None, None])
    if bias is not None:
        _fill(layer.bias, bias)
    return layer


def is_laplace(found):
    return type(found).__module__.split(".")[
                0] == "laplace" and hasattr(found, "posterior_precision")


class Laplace:
    """What `posterior` needs of a fitted laplace.Laplace: the network, and what to do to its
    twin."""

    def __init__(self, found):
        self.found = found
        self.subset, self.structure = getattr(type(found), "_key", (None, None))
        if self.subset not in ("last_layer", "all"):
            raise PosteriorError(f"laplace-torch: {type(found).__name__} is of the subset"
                                 f" {self.subset}; expected last_layer or all")
        if self.structure not in ("diag", "kron") and (self.subset, self.structure) != (
                "last_layer", "full"):
            raise PosteriorError(
                f"laplace-torch: {type(found).__name__} has correlated weights ({self.structure} of"
                f" {self.subset}) for which mu8 has no independent form, and the square roots of"
                " its diagonal alone are another, wrong posterior: fit hessian_structure='kron',"
                " which mu8 takes exactly, or 'diag'")
        model = found.model
        if self.subset == "last_layer":
            if getattr(model, "last_layer", None) is None:
                raise PosteriorError("laplace-torch: not fitted; call fit() first")
            self.module, last = model.model, model.last_layer
            parameters = list(last.parameters())
        else:
            self.module = model
            parameters = list(getattr(found, "params", None) or model.parameters())
        paths = {id(tensor): name for name, tensor in self.module.named_parameters()}
        self.names = [paths[id(tensor)] for tensor in parameters]
        if found.H is None or not torch.is_tensor(found.mean) or found.mean.numel() != sum(
                tensor.numel() for tensor in parameters):
            raise PosteriorError("laplace-torch: not fitted; call fit() first")
        self.notes = [
            "mu8 draws weights and averages what the network gives, as pred_type='nn' or, of a last"
            " layer, link_approx='mc' do; the probit and bridge approximations of the library's"
            " call give other probabilities"]
        likelihood = getattr(found, "likelihood", None)
        if getattr(likelihood, "value", likelihood) == "regression":
            self.notes.append(
                f"the observations' noise, of deviation {float(found.sigma_noise):g}, is no part of"
                " the weights' posterior: give its variance to mu8.convert as noise=")

    def apply(self, twin):
        """Puts means, sigmas and bases into a twin of self.module."""
        sizes = [tensor.numel() for name in self.names
                 for tensor in [twin.module.get_parameter(name)]]
        parts = torch.split(self.found.mean.detach().cpu().float(), sizes)
        twin.load_means({name: part.reshape(twin.module.get_parameter(name).shape)
                         for name, part in zip(self.names, parts)})
        if self.structure == "diag":
            variances = torch.split(self.found.posterior_variance.detach().cpu(), sizes)
            twin.sigmas.update({
                name: as_array(part.sqrt()).reshape(tuple(twin.module.get_parameter(name).shape))
                for name, part in zip(self.names, variances)})
        elif self.structure == "full":
            self._correlate(twin)
        else:
            self._rotate(twin)

    def _correlate(self, twin):
        """The last layer by the eigenvectors of its covariance."""
        path = self.names[0].rpartition(".")[0]
        layer = twin.module.get_submodule(path)
        if not isinstance(layer, nn.Linear) or len(self.names) != (1 if layer.bias is None else 2):
            raise PosteriorError(
                f"laplace-torch: {path}: {type(layer).__name__} with a full covariance;"
                " expected Linear with all of its parameters")
        size, outputs = self.found.mean.numel(), layer.out_features
        if size * size * outputs > MOST_PRODUCTS:
            raise PosteriorError(
                f"laplace-torch: {path}: a full covariance of {size} parameters takes a layer of"
                f" {size} x {outputs} x {layer.in_features} weights in a file, more than is useful"
                " on a device: fit hessian_structure='kron', which mu8 takes exactly in layers of"
                " its own size")
        covariance = as_array(self.found.posterior_covariance, np.float64)
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        known = values > 1e-9 * values[-1]
        values, vectors = values[known][::-1], vectors.T[known][::-1]
        parts = vectors[:, :layer.weight.numel()].reshape(-1, outputs, layer.in_features)
        if layer.bias is not None:
            parts = np.concatenate([parts, vectors[:, layer.weight.numel():, None]], axis=2)
        twin.replace(path, Correlated(layer, parts).eval())
        name = f"{path}.random.weight" if path else "random.weight"
        twin.sigmas[name] = np.sqrt(values).astype(np.float32).reshape(1, -1, 1)

    def _rotate(self, twin):
        precision = self.found.posterior_precision
        deltas = as_array(precision.deltas, np.float64).reshape(-1)
        groups = {}
        for name, values, vectors, delta in zip(self.names, precision.eigenvalues,
                                                precision.eigenvectors, deltas):
            path, _, leaf = name.rpartition(".")
            groups.setdefault(path, {})[leaf] = (
                [np.maximum(as_array(v, np.float64), 0) for v in values],
                [as_array(v, np.float64) for v in vectors], delta)
        damped = bool(getattr(precision, "damping", False))
        for path, parts in groups.items():
            layer = twin.module.get_submodule(path)
            is_known = isinstance(layer, nn.Linear) or (
                isinstance(layer, nn.Conv2d) and layer.groups == 1)
            if not is_known or "weight" not in parts or len(parts["weight"][0]) != 2:
                raise PosteriorError(
                    f"laplace-torch: {path}: {type(layer).__name__} has no Kronecker"
                    " factors that mu8 can rotate; expected Linear or Conv2d in one"
                    " group. subset_of_weights='last_layer' leaves it as it is")
            (h, q), (a, b), delta = parts["weight"]
            products = (np.outer(h + np.sqrt(delta), q + np.sqrt(delta)) if damped
                        else np.outer(h, q) + delta)
            bias_basis = bias_sigma = None
            if "bias" in parts:
                (bias_h,), (bias_basis,), bias_delta = parts["bias"]
                bias_sigma = 1 / np.sqrt(bias_h + bias_delta)
            rotated = Rotated(layer, a, b, bias_basis)
            twin.replace(path, rotated.eval())
            twin.sigmas.update({f"{path}.{name}" if path else name: sigma for name, sigma in
                                rotated.sigmas(1 / np.sqrt(products), bias_sigma).items()})
