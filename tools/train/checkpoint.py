"""The state of a training run on disk: written after every epoch, read by the run that goes on.

A checkpoint holds the model, the optimizers' moments, and as JSON the settings, the stage, the
epochs done and their log. Learning rates and random numbers are functions of (seed, stage, epoch),
so nothing more is needed to go on with the same result.
"""

import json
import pickle

import torch

from data_files.atomic import write_atomically


def save_atomically(value, path):
    write_atomically(path, lambda temporary: torch.save(value, temporary))


def save_checkpoint(path, model, optimizers, plain):
    """`plain` goes in as JSON: the safe unpickler of PyTorch 1.13 reads no floats."""
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    save_atomically({"model": model.state_dict(), "optimizers": states,
                     "json": json.dumps(plain)}, path)


def load_tensors(path, expected):
    """What torch.save wrote, on the CPU, if it is whole and holds plain tensors; `expected` says
    what the file should be."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as e:
        reason = str(e).partition("\n")[0] or type(e).__name__
        raise ValueError(f"{path}: damaged or cut short, expected {expected} ({reason})") from e
    if not isinstance(state, dict):
        raise ValueError(f"{path}: holds {type(state).__name__}, expected {expected}")
    return state


def check_fit(module, state, path):
    """Raises ValueError unless `state` holds tensors of all names and shapes of `module`."""
    expected = module.state_dict()
    wrong = [name for name in sorted({*expected, *state})
             if name not in expected or not isinstance(state.get(name), torch.Tensor)
             or state[name].shape != expected[name].shape]
    if wrong:
        raise ValueError(f"{path}: not a {type(module).__name__} of such layers: {', '.join(wrong[:5])}"
                         f"{', ...' if len(wrong) > 5 else ''} missing, unexpected or misshapen")


def load_checkpoint(path, settings):
    """The saved state, with the JSON's keys among its own; refuses one of other settings."""
    expected = "a training checkpoint; remove it to start afresh"
    state = load_tensors(path, expected)
    if sorted(state) != ["json", "model", "optimizers"]:
        raise ValueError(f"{path}: holds {sorted(state)[:3]}, ..., expected {expected}")
    state.update(json.loads(state.pop("json")))
    if state["settings"] != settings:
        differing = [f"{key}: it has {state['settings'].get(key)}, asked for {settings.get(key)}"
                     for key in sorted({*settings, *state["settings"]})
                     if state["settings"].get(key) != settings.get(key)]
        raise ValueError("\n  ".join([f"{path} was made with other settings:", *differing])
                         + "\nremove it to start afresh")
    return state


def restore(state, model, optimizers):
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"]):
        optimizer.load_state_dict({**optimizer.state_dict(), "state": saved})
