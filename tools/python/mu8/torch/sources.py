"""Posteriors that are not in the layers: (means, sigmas) by parameter name, of a plain module.

  sigmas=       a dict of deviations; the means are the module's parameters
  optimizer=    IVON: sigma = 1 / sqrt(ess (hess + weight_decay)), the formula by which it draws
  swag=         SWAG-diagonal: sigma = sqrt(scale (E[w^2] - E[w]^2)) (Maddox et al. 2019, 3.2)
  guide=        Pyro's AutoNormal and AutoDiagonalNormal: loc and scale of each latent site
Each function returns (library, means or {}, sigmas, notes).
"""

import difflib

import numpy as np

from .errors import PosteriorError
from .layers import as_array


def of_dict(sigmas):
    return "sigmas", {}, {name: as_array(value) for name, value in sigmas.items()}, []


def of_ivon(optimizer, module):
    """module: the one that was trained, whose parameters the optimizer holds."""
    kind = type(optimizer)
    if "ivon" not in kind.__module__.lower() and kind.__name__.upper() != "IVON":
        raise PosteriorError(f"optimizer: {kind.__name__} has no posterior; IVON has"
                             " (SWAG goes in swag=, a dict of sigmas in sigmas=)")
    names = {id(tensor): name for name, tensor in module.named_parameters()}
    sigmas, problems = {}, []
    for number, group in enumerate(optimizer.param_groups):
        missing = [key for key in ("hess", "ess", "weight_decay") if key not in group]
        if missing:
            raise PosteriorError(f"optimizer: group {number} has no {', '.join(missing)}: another"
                                 " version of ivon-opt than those that docs/LIBRARIES.md names")
        hess = as_array(group["hess"], np.float64).reshape(-1)
        sigma = 1 / np.sqrt(float(group["ess"]) * (hess + float(group["weight_decay"])))
        at = 0
        for tensor in group["params"]:
            if tensor is None:
                continue
            part, at = sigma[at:at + tensor.numel()], at + tensor.numel()
            if id(tensor) not in names:
                problems.append(
                    f"group {number}: a parameter of shape {list(tensor.shape)} is none of"
                    " the module's")
            else:
                sigmas[names[id(tensor)]] = part.reshape(tuple(tensor.shape)).astype(np.float32)
        if at != len(sigma):
            problems.append(f"group {number}: {len(sigma)} curvatures for {at} parameters")
    if problems:
        raise PosteriorError("the optimizer's state is not of this module", problems)
    plain = [name for name in names.values() if name not in sigmas]
    notes = ["the means are the module's parameters as they are now: not to be read inside"
             " `with optimizer.sampled_params()`, where they are one draw"]
    if plain:
        notes.append("not in the optimizer, so without sigmas: " + ", ".join(plain))
    return "IVON", {}, sigmas, notes


def of_swag(swag, scale):
    """swag: {"mean": {name: array}, "sq_mean": {name: array}}, a state_dict with `X_mean` and
    `X_sq_mean`, or a module that has one (swa_gaussian's SWAG)."""
    state = swag.state_dict() if hasattr(swag, "state_dict") else dict(swag)
    if set(state) == {"mean", "sq_mean"}:
        mean, square = dict(state["mean"]), dict(state["sq_mean"])
    else:
        ranks = [key for key, value in state.items()
                 if key.endswith("cov_mat_sqrt") and as_array(value).size]
        if ranks:
            raise PosteriorError(
                "swag: has a low-rank part, whose weights are correlated; the engine draws"
                " independent ones. Fit with no_cov_mat=True, or pass {'mean': ..., 'sq_mean': ...}"
                " alone, which is"
                " SWAG-diagonal: another, narrower posterior", ranks)
        square = {key[:-len("_sq_mean")]: value for key, value in state.items()
                  if key.endswith("_sq_mean")}
        mean = {key[:-len("_mean")]: value for key, value in state.items()
                if key.endswith("_mean") and not key.endswith(("_sq_mean", "running_mean"))}
        if all(name.startswith("base.") for name in square):
            mean, square = ({name[len("base."):]: value for name, value in part.items()}
                            for part in (mean, square))
    if not square or set(mean) != set(square):
        lone = sorted(set(mean) ^ set(square))
        raise PosteriorError("swag: expected {'mean': {name: array}, 'sq_mean': {name: array}} or a"
                             " state with X_mean and X_sq_mean for each X"
                             + (f"; without a partner: {', '.join(lone)}" if lone else ""))
    sigmas, negative = {}, 0
    for name in mean:
        variance = as_array(square[name], np.float64) - as_array(mean[name], np.float64) ** 2
        negative += int((variance < 0).sum())
        sigmas[name] = np.sqrt(scale * np.maximum(variance, 0)).astype(np.float32)
    notes = ["statistics of batch normalization are the module's: compute them anew at the mean"
             " before (swa_utils.update_bn), as SWAG does",
             f"scale {scale:g}: SWAG-diagonal as published is 1, the diagonal half of SWAG 0.5"]
    if negative:
        notes.append(
            f"{negative} variances E[w^2] - E[w]^2 are below 0 by rounding and are taken as 0")
    return "SWAG-diagonal", mean, sigmas, notes


def of_pyro(guide, names):
    """names: of the module's parameters that the sites may be."""
    kind = type(guide).__name__
    if kind not in ("AutoNormal", "AutoDiagonalNormal"):
        hint = {"AutoDelta": "a point, without sigmas",
                "AutoMultivariateNormal": "a full covariance: the engine draws independent weights",
                "AutoLowRankMultivariateNormal": "correlated weights: the engine draws independent"
                                                 " ones"}.get(kind, "unknown")
        if isinstance(guide, dict):
            hint = ("a state holds scales before their transformation, and not which it is: load it"
                    " into a guide and pass that")
        raise PosteriorError(f"guide: {kind} ({hint}); expected Pyro's AutoNormal or"
                             " AutoDiagonalNormal")
    trace = getattr(guide, "prototype_trace", None)
    if trace is None:
        raise PosteriorError(
            "guide: has never run, so that its sites are not known; train it, or call"
            " it once with the model's arguments")
    sites = dict(trace.iter_stochastic_nodes())
    if kind == "AutoNormal":
        found = {name: guide._get_loc_and_scale(name) for name in sites}
    else:
        loc, scale = guide._loc_scale()
        locs, scales = ({site["name"]: value for site, value in guide._unpack_latent(part)}
                        for part in (loc, scale))
        found = {name: (locs[name], scales[name]) for name in sites}
    prefix = _common_prefix(found, names)
    means, sigmas, notes, problems = {}, {}, [], []
    for site, (loc, scale) in found.items():
        name = site[len(prefix):] if site.startswith(prefix) else None
        if name not in names:
            close = difflib.get_close_matches(site, names, 2)
            notes.append(f"latent site {site} is no parameter of the module and is left out"
                         + (f" (closest: {', '.join(close)})" if close else ""))
            continue
        support = str(sites[site]["fn"].support)
        if "Real" not in support and "real" not in support:
            problems.append(f"{site}: its values are constrained ({support}), so not Gaussian")
        means[name], sigmas[name] = as_array(loc), as_array(scale)
    if problems:
        raise PosteriorError("the guide's posterior is not Gaussian", problems)
    if not sigmas:
        raise PosteriorError("guide: none of its sites is a parameter of the module",
                             [f"sites: {', '.join(sorted(found))}",
                              f"parameters: {', '.join(sorted(names))}"])
    return f"Pyro {kind}", means, sigmas, notes


def _common_prefix(sites, names):
    """What sites have before the module's names ("net." of a model that keeps the module in
    .net)."""
    prefixes = {""} | {site[:-len(name)] for site in sites for name in names
                       if site.endswith("." + name)}
    return max(sorted(prefixes), key=lambda prefix: sum(
        site.startswith(prefix) and site[len(prefix):] in names for site in sites))
