"""Figures that several sources agree on; the sources are libraries that know nothing of mu8.

Sources that need a torch newer than Debian's are loaded as single modules, without their package's
own imports.
"""

import importlib
import importlib.util
import math
import sys
import types

import numpy as np

NUMPY = "numpy, typed from the paper"


def torch_uncertainty(module):
    """torch_uncertainty.metrics.classification.MODULE, without the packages' __init__."""
    name = ""
    for part in ["torch_uncertainty", "metrics", "classification"]:
        parent, name = name, f"{name}.{part}".strip(".")
        if name not in sys.modules:
            package = types.ModuleType(name)
            package.__path__ = (importlib.util.find_spec(name).submodule_search_locations
                                if not parent else
                                [f"{path}/{part}" for path in sys.modules[parent].__path__])
            sys.modules[name] = package
    return importlib.import_module(f"{name}.{module}")


def none_if_nan(value):
    return None if math.isnan(value) else value


class Figures:
    """A tree of figures, each agreed on by its sources."""

    def __init__(self, name):
        self.name, self.tree, self.problems, self.lines = name, {}, [], []

    def add(self, path, value, source, **others):
        """`value` at "a/b/c"; others: source=value, or source=(value, tolerance)."""
        value = np.asarray(value, float)
        texts = [source]
        for other, found in others.items():
            found, tolerance = found if isinstance(found, tuple) else (found, 1e-9)
            gap = float(np.max(np.abs(np.asarray(found, float) - value)))
            texts.append(f"{other.replace('_', '-')} (off by {gap:.0e})")
            if not gap <= tolerance:
                self.problems.append(f"{self.name}/{path}: {source} has {value.tolist()}, "
                                     f"{other} has {np.asarray(found).tolist()}")
        shown = f"{value:.6g}" if value.ndim == 0 else f"[{value.size}]"
        self.lines.append((path, shown, "; ".join(texts)))
        *parents, key = path.split("/")
        node = self.tree
        for parent in parents:
            node = node[int(parent)] if isinstance(node, list) else node.setdefault(parent, {})
        node[key] = ([none_if_nan(v) for v in value.tolist()] if value.ndim else
                     none_if_nan(float(value)))

    def print_table(self):
        print(f"{self.name}: {len(self.lines)} figures")
        for path, shown, sources in self.lines:
            print(f"  {path:52} {shown:>12}  {sources}")


def mean_of_ties(scores, values):
    """`values` replaced by their mean over images of equal score."""
    _, group = np.unique(scores, return_inverse=True)
    return (np.bincount(group, values) / np.bincount(group))[group]
