"""What is random in a module: found by running it, not by its class names.

PyTorch tags every operator that draws random numbers; a run under a dispatch mode sees them all,
whether a layer, a function or the user's own forward() calls them.
"""

import collections

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# operator: as "aten.bernoulli_.float"; module: the path of the innermost module that ran it.
Draw = collections.namedtuple("Draw", "operator module")


class _Recorder(TorchDispatchMode):
    def __init__(self, stack):
        super().__init__()
        self.stack, self.draws = stack, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if torch.Tag.nondeterministic_seeded in func.tags:
            draw = Draw(str(func), self.stack[-1])
            if draw not in self.draws:
                self.draws.append(draw)
        return func(*args, **(kwargs or {}))


def run(module, x):
    """(output, draws, calls) of module(x): calls has how often each module ran, by path."""
    stack, calls, hooks = [""], collections.Counter(), []

    def enter(path):
        def before(*_):
            stack.append(path)
            calls[path] += 1
        return before

    def leave(*_):
        stack.pop()

    for path, part in module.named_modules():
        hooks.append(part.register_forward_pre_hook(enter(path)))
        hooks.append(part.register_forward_hook(leave))
    try:
        recorder = _Recorder(stack)
        with torch.no_grad(), recorder:
            output = module(x)
    finally:
        for hook in hooks:
            hook.remove()
    return output, recorder.draws, calls


def describe(draws):
    return [f"{draw.module or '(the module itself)'}: draws random numbers ({draw.operator})"
            for draw in draws]
