"""The deterministic twin of a module: a copy whose layers are plain and hold the means.

The module itself is never changed. Known layers are put into the copy's place before copying (by
the memo of deepcopy), so that what libraries keep in their layers (non-leaf tensors that cannot be
copied, samplers, priors) is not copied at all, and a layer that appears twice stays one.
"""

import copy
import re

import torch
from torch import nn

from . import layers
from .errors import PosteriorError

LOOKS_RANDOM = re.compile(r"(^|_)(rho|sigma|sigmas|log_?sigma|log_?var|logvar|log_?std)(_|$)")
RECURRENT = (nn.RNNBase, nn.RNNCellBase)
NORMS = (nn.modules.batchnorm._BatchNorm,)
DROPOUTS = tuple(getattr(nn, name) for name in ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d")
                 if hasattr(nn, name))


def unwrapped(module, notes):
    """The module inside wrappers that only distribute, compile or repeat it."""
    while True:
        name, inner = type(module).__name__, None
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = module.module
        elif name == "OptimizedModule":
            inner = getattr(module, "_orig_mod", None)
        elif type(module).__module__.startswith("torch_uncertainty."):
            if name == "StochasticModel":
                inner = module.core_model
                notes.append(
                    f"StochasticModel runs its network {module.num_samples} times and joins"
                    " the outputs; its core_model is taken, mu8 repeats it by itself")
        if inner is None:
            return module
        module = inner


class Twin:
    """module: the copy, in eval() mode, float32, on the CPU. sigmas: by parameter name.
    libraries: what its layers are of. notes: the list that was given.
    """

    def __init__(self, module, extra_layers, ignore, notes):
        self.sigmas, self.libraries, problems = {}, [], []
        memo, replaced, self.notes = {}, {}, notes
        for path, part in module.named_modules():
            if any(path.startswith(parent + ".") or parent == "" for parent in replaced):
                continue  # inside a layer that is replaced
            try:
                found = self._plain(part, path, extra_layers, ignore)
            except PosteriorError as error:
                problems.append(f"{path or '(the module itself)'}: {error}")
                continue
            if found is not None:
                memo[id(part)] = found.layer
                replaced[path] = found
        if problems:
            raise PosteriorError("the module has what mu8 cannot take over", problems)
        _detach_kept_tensors(module, memo)
        self.module = copy.deepcopy(module, memo).cpu()
        for path, part in self.module.named_modules():
            _as_torch_class(part, path)
        kinds = {tensor.dtype for tensor in (*module.parameters(), *module.buffers())
                 if tensor.is_floating_point()}
        if kinds - {torch.float32}:
            notes.append("numbers of other precision than float32 are taken as float32: "
                         + ", ".join(sorted(str(kind) for kind in kinds - {torch.float32})))
        self.module = self.module.float().eval()
        for path, found in replaced.items():
            self.sigmas.update({f"{path}.{name}" if path else name: sigma
                                for name, sigma in found.sigmas.items()})

    def _plain(self, part, path, extra_layers, ignore):
        """The layers.Plain that stands for a module, or None where the module stays."""
        if type(part) in extra_layers:
            layer, sigmas = extra_layers[type(part)](part)
            self._add(f"layers[{type(part).__name__}]")
            return layers.Plain(layer, sigmas, [])
        library, base = layers.library_class(part)
        if library is not None and base.__name__ not in layers.HARMLESS:
            found = library.plain(part, base.__name__)
            if found is not None:
                if type(part).forward is not base.forward:
                    raise PosteriorError(
                        f"{type(part).__name__} overrides the forward() of {library.name}'s"
                        f" {base.__name__}; give a function for this class in layers={{...}}")
                self._add(library.name)
                for text in found.notes:
                    if f"{library.name}: {text}" not in self.notes:
                        self.notes.append(f"{library.name}: {text}")
                return found
            if list(part.parameters(recurse=False)):
                raise PosteriorError(f"{library.name}'s {base.__name__} has no counterpart in the"
                                     " engine, which has dense layers and 1-D and 2-D convolutions")
        if isinstance(part, RECURRENT) or "LSTM" in type(part).__name__:
            raise PosteriorError(
                f"{type(part).__name__} is recurrent: the engine has no recurrent"
                " layers; a convolution over time or a dense layer does this work there")
        if isinstance(part, nn.MultiheadAttention):
            raise PosteriorError(
                "MultiheadAttention multiplies activations with each other: the engine"
                " has no attention; it multiplies activations by weights")
        suspects = [name for name, _ in part.named_parameters(recurse=False)
                    if LOOKS_RANDOM.search(name)
                    and (f"{path}.{name}" if path else name) not in ignore]
        if suspects:
            raise PosteriorError(
                f"{type(part).__name__} has {', '.join(suspects)}, as a random layer has, and is of"
                f" no known library: give layers={{{type(part).__name__}: function}}, which returns"
                " a plain layer of the means and {parameter: sigma}, or name in ignore=[...] what"
                " is no part of a posterior")
        return None

    def _add(self, name):
        if name not in self.libraries:
            self.libraries.append(name)

    def load_means(self, means):
        """Copies means, by parameter name, into the copy."""
        state = dict(self.module.named_parameters())
        problems = []
        for name, mean in means.items():
            if name not in state:
                problems.append(f"{name}: no parameter of that name in the module")
            elif state[name].numel() == 0:  # of Pyro
                state[name].data = torch.empty(tuple(mean.shape))
            elif tuple(state[name].shape) != tuple(mean.shape):
                problems.append(f"{name}: mean of shape {list(mean.shape)}, the parameter has"
                                f" {list(state[name].shape)}")
        if problems:
            raise PosteriorError("the means do not fit the module", problems)
        with torch.no_grad():
            for name, mean in means.items():
                state[name].copy_(torch.from_numpy(layers.as_array(mean)))

    def replace(self, path, layer):
        """Puts another module at a path, and wherever else the one that is there is used."""
        old = self.module.get_submodule(path)
        if old is self.module:
            self.module = layer
        for parent in list(self.module.modules()):
            for name, child in parent._modules.items():
                if child is old:
                    parent._modules[name] = layer

    def split_random_norms(self):
        """Random factors of batch normalization become depthwise layers."""
        for path, part in list(self.module.named_modules()):
            names = [f"{path}.{leaf}" if path else leaf for leaf in ("weight", "bias")]
            if not isinstance(part, NORMS) or not any(name in self.sigmas for name in names):
                continue
            sigmas = [self.sigmas.pop(name, None) for name in names]
            if part.weight is None:
                raise PosteriorError(f"{path}: {type(part).__name__} without factors has a sigma")
            none = torch.zeros_like(part.weight)
            layer, found = layers.random_norm(part, *(none if s is None else s for s in sigmas))
            self.replace(path, layer.eval())
            self.sigmas.update({f"{path}.{name}" if path else name: sigma
                                for name, sigma in found.items()})

    def dropouts(self):
        """(path, module) of Dropout layers that drop something."""
        return [(path, part) for path, part in self.module.named_modules()
                if isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0]


def _detach_kept_tensors(module, memo):
    """Tensors that a forward() left in a module (a divergence) and deepcopy refuses to copy."""
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()


def pyro_samples(module):
    """Paths of the PyroSample attributes of a module: parameters that Pyro draws."""
    return [f"{path}.{name}" if path else name for path, part in module.named_modules()
            for name in vars(part).get("_pyro_samples", ())]


def _as_torch_class(part, path):
    """A module that to_pyro_module_() or PyroModule[...] made becomes one of its own class again,
    with parameters in place of what Pyro draws, not filled yet."""
    base, samples = type(part).__bases__[0], vars(part).get("_pyro_samples")
    if type(part).__name__ == "Pyro" + base.__name__ and not hasattr(base, "named_pyro_params"):
        part.__class__ = base
        for name in samples or ():
            part.register_parameter(name, nn.Parameter(torch.empty(0)))
    elif samples:
        raise PosteriorError(f"{path or '(the module itself)'}: {type(part).__name__} draws"
                             f" {', '.join(samples)} by itself: put them into layers as"
                             " PyroModule[nn.Linear] or PyroModule[nn.Conv2d]")
