"""mu8.torch.posterior: from what a library trained to a network of means and its sigmas."""

import contextlib
import os
import warnings
from importlib import metadata

import numpy as np
import torch
from torch import nn

from . import graph, layers, sources, stochastic
from .errors import PosteriorError, PosteriorWarning
from .laplace import Laplace, is_laplace
from .twin import DROPOUTS, Twin, pyro_samples, unwrapped

MC_DROPOUT = (
    "mu8 draws Gaussian weights, not masks of zeros and ones. Next step: dropout=\"gaussian\""
    " multiplies by N(1, p / (1 - p)) instead, which has the mean and variance of the mask: an"
    " approximation of this posterior, so measure it (docs/LIBRARIES.md). A network without"
    " uncertainty is converted by `mu8 convert --deterministic`")


class Posterior:
    """A network of means and the deviations around them, as `mu8 convert` takes them.

    onnx: bytes, the deterministic twin, whose initializers are the means; one input, one output.
    sigmas: dict initializer name -> float32 array of the initializer's shape: standard deviations.
    library: what it was read as. notes: what was taken how and why, one string each.
    """

    def __init__(self, onnx, sigmas, library, notes):
        self.onnx, self.sigmas, self.library, self.notes = onnx, sigmas, library, list(notes)

    def __repr__(self):
        count = sum(sigma.size for sigma in self.sigmas.values())
        return (f"<mu8.torch.Posterior of {self.library}: {count} random parameters in"
                f" {len(self.sigmas)} arrays, {len(self.onnx)} bytes of ONNX,"
                f" {len(self.notes)} notes>")

    def save(self, prefix):
        """Writes PREFIX.onnx and PREFIX.npz (`mu8 convert --model PREFIX.onnx --posterior
        PREFIX.npz`), both or, after an error (OSError), neither new one. Returns the two paths."""
        contents = {f"{os.fspath(prefix)}.onnx": self.onnx,
                    f"{os.fspath(prefix)}.npz": graph.archive_bytes(self.onnx, self.sigmas)}
        write_all(contents)
        return tuple(contents)


def write_all(contents):
    """Writes dict path -> bytes: each to a temporary, all renamed at the end, or nothing at all."""
    leftovers = []
    try:
        for path, data in contents.items():
            leftovers.append(f"{path}.{os.getpid()}.tmp")
            with open(leftovers[-1], "wb") as file:
                file.write(data)
        for path in contents:
            os.replace(f"{path}.{os.getpid()}.tmp", path)
            leftovers.append(path)
        leftovers.clear()
    finally:
        for path in leftovers:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


def posterior(module, example=None, *, sigmas=None, optimizer=None, swag=None, swag_scale=1.0,
              guide=None, dropout=None, layers=None, ignore=(), mean=None, std=None, labels=None):
    """Reads a trained Bayesian network of any library in docs/LIBRARIES.md; leaves it as it is.

    module: a torch.nn.Module with layers of bayesian-torch, torchbnn, BLiTZ, torch-uncertainty or
        PyTorch-BayesianCNN; a fitted laplace.Laplace; or a plain module and one of `sigmas`,
        `optimizer`, `swag`, `guide`.
    example: an input as the module takes it, a tensor or array [N][...] of floats; N >= 1.
    sigmas: dict parameter name -> standard deviations of that parameter's shape.
    optimizer: the IVON optimizer that trained the module.
    swag, swag_scale: SWAG-diagonal: {"mean": {name: array}, "sq_mean": {name: array}}, or a SWAG
        module or its state; the variance is swag_scale (E[w^2] - E[w]^2).
    guide: Pyro's AutoNormal or AutoDiagonalNormal, trained; module: the network inside its model.
    dropout: "gaussian" takes Dropout layers as multiplication by N(1, p / (1 - p)), an
        approximation of MC dropout; None refuses a network whose only uncertainty is dropout.
    layers: dict class -> function(layer) -> (plain torch layer with the means, dict of its
        parameters' sigmas), for layers of your own.
    ignore: paths of parameters that look like a layer's sigma and are none.
    mean, std: x = (u8 / 255 - mean[c]) / std[c], one number per channel; labels: one name per
        class. They go into the ONNX file, where `mu8 convert` finds them.

    Returns a Posterior; its notes are also warnings (PosteriorWarning). Raises PosteriorError, with
    the cause and the next step, for what mu8 would have to guess or drop: unknown random layers,
    randomness in forward(), MC dropout, ensembles, correlated weights. Equal arguments give equal
    bytes (with one version of PyTorch and NumPy).
    """
    _check_kind(module)
    if (mean is None) != (std is None):
        raise PosteriorError("give mean and std together")
    if dropout not in (None, "gaussian"):
        raise PosteriorError(f"dropout: {dropout!r}, expected None or \"gaussian\"")
    given = [name for name, value in (("sigmas", sigmas), ("optimizer", optimizer), ("swag", swag),
                                      ("guide", guide)) if value is not None]
    if len(given) > 1:
        raise PosteriorError("give one of " + ", ".join(given))
    # A fork: what the user draws next is what it would have been without us.
    with torch.random.fork_rng(devices=[]):
        twin, x = _twin_of(module, _example(example), given, dropout, layers or {}, ignore,
                           sigmas=sigmas, optimizer=optimizer, swag=swag, swag_scale=swag_scale,
                           guide=guide)
        model = graph.export_graph(twin.module, x)
    checked = graph.check_sigmas(model, twin.sigmas)
    graph.add_metadata(model, mean, std, labels)
    library = " and ".join(_with_version(name) for name in twin.libraries)
    for note in twin.notes:
        warnings.warn(f"{library}: {note}", PosteriorWarning, stacklevel=2)
    return Posterior(model.SerializeToString(deterministic=True), checked, library, twin.notes)


def _twin_of(module, x, given, dropout, extra_layers, ignore, **source):
    """(Twin with all sigmas, example), checked; the arguments are those of `posterior`."""
    notes = []
    found = Laplace(module) if is_laplace(module) else None
    if found is not None:
        if given:
            raise PosteriorError(f"{given[0]}: a laplace.Laplace has its own posterior")
        module, notes = found.module, found.notes
    module = unwrapped(module, notes)
    module, active = _active_dropouts(module, dropout, notes)
    if module.training:
        notes.append("the module was in training mode; its copy is taken in eval() mode")
    twin = Twin(module, extra_layers, ignore, notes)
    if found is not None:
        found.apply(twin)
        twin.libraries.append(f"laplace-torch ({found.subset}, {found.structure})")
    elif given:
        _add_source(twin, given[0], module, **source)
    twin.split_random_norms()
    _one_output(twin, x)
    if dropout == "gaussian":
        _make_gaussian(twin, x, active)
    _check_output(twin, x, notes)
    _check_dropped(twin, x, notes)
    return twin, x


def _check_kind(module):
    if isinstance(module, (list, tuple)):
        raise PosteriorError(
            f"{len(module)} modules: an ensemble is no Gaussian posterior, and no file holds"
            " several networks. Next step: convert each by `mu8 convert --deterministic`, average"
            " what they predict; or give one module with a posterior around it (SWAG: swag=)")
    if isinstance(module, dict):
        raise PosteriorError("a state_dict has no layers: load it into its module"
                             " (module.load_state_dict(state)) and pass the module")
    if not isinstance(module, nn.Module) and not is_laplace(module):
        raise PosteriorError(f"{type(module).__name__}: expected a torch.nn.Module or a fitted"
                             " laplace.Laplace")


def _example(example):
    """float32 [1 or 2][...] of what the user gave."""
    if example is None:
        raise PosteriorError(
            "example is missing: an input as the module takes it, a tensor or array"
            " [N][...], to follow its forward() with")
    x = example if isinstance(example, torch.Tensor) else torch.from_numpy(np.array(example))
    if not x.is_floating_point():
        raise PosteriorError(f"example: {x.dtype}, expected floats as the module takes them"
                             " (of pixels: scaled as in training)")
    if x.dim() < 2 or len(x) == 0:
        raise PosteriorError(f"example: shape {list(x.shape)}, expected [N][...] with N >= 1")
    return x.detach().cpu().float()[:2].clone()


def _active_dropouts(module, dropout, notes):
    """(module, paths of the Dropout layers that draw in its predictions, None where none does)."""
    wrapper = None
    kind = type(module)
    if kind.__module__.startswith("torch_uncertainty.") and "MCDropout" in kind.__name__:
        wrapper, module = module, module.core_model
        chosen = [id(part) for part in wrapper.filtered_modules]
        notes.append("the MC dropout wrapper's core_model is taken, mu8 repeats it by itself")
    drops = {path: part for path, part in module.named_modules()
             if isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0}
    if wrapper is not None:
        active = [path for path, part in drops.items() if id(part) in chosen]
    else:
        active = [path for path, part in drops.items() if part.training and not module.training]
    if not active and wrapper is None:
        return module, None
    if dropout is None:
        raise PosteriorError(
            f"MC dropout is asked for: {', '.join(active)} drops in eval() mode, too. {MC_DROPOUT}")
    return module, active


def _add_source(twin, name, module, *, sigmas, optimizer, swag, swag_scale, guide):
    """Means and sigmas that are not in the layers."""
    if name == "sigmas":
        library, means, found, said = sources.of_dict(sigmas)
    elif name == "optimizer":
        library, means, found, said = sources.of_ivon(optimizer, module)
    elif name == "swag":
        library, means, found, said = sources.of_swag(swag, swag_scale)
    else:
        drawn = pyro_samples(module)
        names = {*drawn, *(path for path, _ in twin.module.named_parameters())}
        library, means, found, said = sources.of_pyro(guide, names)
        missing = [path for path in drawn if path not in means]
        if missing:
            raise PosteriorError("guide: has no site for what the module draws", missing)
    twice = sorted(set(found) & set(twin.sigmas))
    if twice:
        raise PosteriorError(f"{name}: sigmas of parameters that have one by their layer", twice)
    twin.load_means(means)
    twin.sigmas.update(found)
    twin.libraries.append(library)
    twin.notes.extend(said)


def _one_output(twin, x):
    """forward(x) of the twin becomes one tensor: (out, divergence) becomes out. It takes x alone,
    or the exporter would make inputs of the other arguments' defaults."""
    forward = twin.module.forward
    output, _, _ = _run(twin, x)
    is_pair = False
    if isinstance(output, tuple) and len(output) == 2 and isinstance(output[0], torch.Tensor):
        is_pair = (output[1].numel() == 1 if isinstance(output[1], torch.Tensor)
                   else isinstance(output[1], (int, float)))
    twin.module.forward = lambda x: forward(x)[0] if is_pair else forward(x)


def _run(twin, x):
    try:
        return stochastic.run(twin.module, x)
    except PosteriorError:
        raise
    except Exception as error:  # of the user's forward()
        raise PosteriorError(
            f"the network does not run on the example of shape {list(x.shape)} with"
            f" plain layers in place of its own: {type(error).__name__}:"
            f" {error}") from error


def _make_gaussian(twin, x, active):
    """Dropout layers become depthwise ones, all or those of `active`."""
    shapes, hooks = {}, []
    drops = [(path, part) for path, part in twin.dropouts() if active is None or path in active]
    problems = [f"{path}: {type(part).__name__}; expected Dropout, Dropout1d or Dropout2d"
                for path, part in drops if type(part) not in DROPOUTS
                or type(part) is nn.Dropout3d]
    if problems:
        raise PosteriorError("dropout=\"gaussian\": no Gaussian form is known of", problems)
    for path, part in drops:
        hooks.append(part.register_forward_pre_hook(
            lambda _, arguments, path=path: shapes.setdefault(path, []).append(
                tuple(arguments[0].shape[1:]))))
    _run(twin, x)
    for hook in hooks:
        hook.remove()
    for path, part in drops:
        if path not in shapes:
            continue  # never called
        layer = layers.GaussianDropout(shapes[path], type(part) is not nn.Dropout)
        twin.replace(path, layer.eval())
        sigma = (part.p / (1 - part.p)) ** 0.5
        for i, factor in enumerate(layer.factors):
            twin.sigmas[f"{path}.factors.{i}.weight" if path else f"factors.{i}.weight"] = np.full(
                tuple(factor.weight.shape), sigma, np.float32)
        twin.notes.append(f"{path}: dropout of p = {part.p:g} is taken as multiplication by"
                          f" N(1, {part.p / (1 - part.p):g}), an approximation that was asked for:"
                          " mean and variance are those of the mask, its shape is not")
    if shapes:
        twin.libraries.append("MC dropout as Gaussian dropout")


def _check_output(twin, x, notes):
    """One tensor that does not change from run to run, of parameters that are each used once."""
    output, draws, calls = _run(twin, x)
    if not isinstance(output, torch.Tensor):
        kinds = (", ".join(type(part).__name__ for part in output)
                 if isinstance(output, (tuple, list, dict)) else "")
        count = f" of {len(output)} ({kinds})" if kinds else ""
        raise PosteriorError(
            f"the module returns {type(output).__name__}{count}; expected one tensor, or one with"
            " its divergence (out, kl): wrap it in a module that returns the outputs to predict")
    if output.dim() < 2 or len(output) != len(x):
        raise PosteriorError(
            f"the module returns {list(output.shape)} for {len(x)} inputs; expected"
            f" [{len(x)}][...]: pass the network inside a wrapper that repeats it or"
            " averages members (an ensemble is no Gaussian posterior)")
    if draws:
        if _output_of(twin, x, 1) != _output_of(twin, x, 2):
            raise PosteriorError(
                "the network is random beyond its layers' posteriors, also in eval() mode, and mu8"
                " would lose that: take it out, or give layers={class: function} where it is a"
                " layer's",
                stochastic.describe(draws))
        notes.extend(f"{text}, on which its output does not depend"
                     for text in stochastic.describe(draws))
    owners = {name.rpartition(".")[0] for name in twin.sigmas}
    twice = [f"{path or '(the module itself)'}: {calls[path]} times" for path in sorted(owners)
             if calls[path] > 1 and not path.endswith("factors")]
    if twice:
        raise PosteriorError(
            "random layers that run more than once in forward(): libraries draw new"
            " weights each time, a file's layer has one place; use a layer for each", twice)


def _output_of(twin, x, seed):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        return twin.module(x).numpy().tobytes()


def _check_dropped(twin, x, notes):
    """What training mode draws and eval() does not: dropout, wherever it is called."""
    drops = dict(twin.dropouts())
    for part in twin.module.modules():
        part.training = "BatchNorm" not in type(part).__name__
    try:
        _, draws, _ = stochastic.run(twin.module, x)
    except Exception as error:  # of the user's forward() in training mode
        draws = []
        notes.append("whether training mode has a dropout that eval() leaves out is not known: the"
                     f" network does not run in it ({type(error).__name__}: {error})")
    finally:
        twin.module.eval()
    found = [f"{draw.module or '(the module itself)'}"
             + (f" (p = {drops[draw.module].p:g})" if draw.module in drops else
                f" (in its forward(), {draw.operator})") for draw in draws]
    if twin.sigmas:
        notes.extend(f"dropout of {text} is off, as in eval() mode: it is no part of the posterior"
                     for text in found)
        return
    if found:
        raise PosteriorError(f"the module's only randomness is dropout: {', '.join(found)}. "
                             + MC_DROPOUT)
    raise PosteriorError(
        "the module has no layer of a Bayesian library (docs/LIBRARIES.md), and no posterior beside"
        " it was given. Next step: sigmas={parameter: array}, optimizer= (IVON), guide= (Pyro),"
        " swag=, or a fitted laplace.Laplace; a network without uncertainty is converted by"
        " `mu8 convert --deterministic`")


DISTRIBUTIONS = {library.name: library.distribution for library in layers.LIBRARIES} | {
    "IVON": "ivon-opt", "Pyro AutoNormal": "pyro-ppl", "Pyro AutoDiagonalNormal": "pyro-ppl"}


def _with_version(name):
    distribution = DISTRIBUTIONS.get(name) or (
        "laplace-torch" if name.startswith("laplace") else None)
    try:
        return f"{name} {metadata.version(distribution)}" if distribution else name
    except metadata.PackageNotFoundError:
        return name
