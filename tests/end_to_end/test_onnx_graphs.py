#!/usr/bin/python3
"""Imported graphs give PyTorch's own outputs.

Each module is exported by torch.onnx, imported, folded and run in FP32 by run_onnx (argument 1);
its logits must equal the module's. The operators that the graph must end up as are listed, too, so
that nothing passes by a detour.
"""

import copy
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "train"))
from export_posterior import export_graph  # noqa: E402
from networks import ResNet20  # noqa: E402

BATCH = 5


class Lambda(nn.Module):
    """Layers by name and a forward function of (layers, x)."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.function(self, x)


def view_by_product(x):
    return x.view(-1, x.size(1) * x.size(2) * x.size(3))


def randomize(module, seed):
    """Random BatchNorm statistics: those of a new module would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor in (layer.running_mean, layer.weight.data, layer.bias.data):
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            layer.running_var.copy_(torch.rand(layer.running_var.shape, generator=generator) + 0.5)


def activation_net(function):
    return Lambda(lambda m, x: m.fc(function(m.conv(x)).flatten(1)),
                  conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(4 * 6 * 6, 5))


def squeeze_excite():
    def forward(m, x):
        x = m.bn(m.conv(x)).relu()
        gate = torch.sigmoid(m.up(F.silu(m.down(F.adaptive_avg_pool2d(x, 1)))))
        return m.fc((x * gate).mean((2, 3)))
    return Lambda(forward, conv=nn.Conv2d(3, 8, 3, bias=False), bn=nn.BatchNorm2d(8),
                  down=nn.Conv2d(8, 2, 1), up=nn.Conv2d(2, 8, 1), fc=nn.Linear(8, 5))


def pre_activation():
    def forward(m, x):
        x = m.conv1(x)
        y = m.conv2(F.relu(m.bn(x)))
        return m.fc((x + y).flatten(1))
    return Lambda(forward, conv1=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4),
                  conv2=nn.Conv2d(4, 4, 3, padding=1), fc=nn.Linear(4 * 36, 5))


def dense_block():
    def forward(m, x):
        for conv in m.convs:
            x = torch.cat([x, F.leaky_relu(conv(x), 0.1)], 1)
        return m.fc(F.max_pool2d(x, 2).flatten(1))
    return Lambda(forward, convs=nn.ModuleList([nn.Conv2d(3 + 4 * i, 4, 3, padding=1)
                                                for i in range(3)]), fc=nn.Linear(15 * 16, 5))


def inverted_residual():
    """MobileNetV3 style: expansion, depthwise with stride, HardSwish and ReLU6."""
    def forward(m, x):
        y = F.hardswish(m.expand(x))
        y = F.relu6(m.depth(y))
        return m.project(y) + x[:, :, ::2, ::2]
    return Lambda(lambda m, x: m.fc(forward(m, x).mean((2, 3))),
                  expand=nn.Conv2d(3, 12, 1), depth=nn.Conv2d(12, 12, 3, 2, 1, groups=12),
                  project=nn.Conv2d(12, 3, 1), fc=nn.Linear(3, 5))


def sequence():
    return nn.Sequential(nn.Conv1d(3, 8, 5, padding=2), nn.BatchNorm1d(8), nn.GELU(),
                         nn.MaxPool1d(2), nn.Conv1d(8, 6, 3, dilation=2), nn.Tanh(),
                         nn.AvgPool1d(3, 2), nn.Flatten(), nn.Linear(6, 5))


def padded():
    def forward(m, x):
        x = F.pad(m.conv(F.pad(x, (1, 2, 0, 1))), (-1, 0, 2, -1))  # left, right, top, bottom
        return m.fc(x.flatten(1))
    return Lambda(forward, conv=nn.Conv2d(3, 4, 3, stride=2), fc=nn.Linear(4 * 5 * 4, 5))


def cropped_like():
    """As U-Nets join their halves: cut to, and from the middle of, another value's size."""
    def forward(m, x):
        y = m.conv(x)
        top = (x.size(2) - y.size(2)) // 2
        x = x[:, :, top:top + y.size(2)][..., :y.size(3)]
        return m.fc(torch.cat([x, y], 1).flatten(1))
    return Lambda(forward, conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(7 * 36, 5))


def padded_like():
    def forward(m, x):
        y = m.conv(x)
        down, right = x.size(2) - y.size(2), x.size(3) - y.size(3)
        y = F.pad(y, [right // 2, right - right // 2, down // 2, down - down // 2])
        return m.fc(torch.cat([x, y], 1).flatten(1))
    return Lambda(forward, conv=nn.Conv2d(3, 4, 4), fc=nn.Linear(7 * 64, 5))


def channels_last():
    def forward(m, x):  # x: (N, H, W, C), as NHWC frameworks export it
        x = m.conv(x.permute(0, 3, 1, 2)).relu().permute(0, 2, 3, 1)
        return m.fc(m.pool((x + m.bias).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).flatten(1))
    net = Lambda(forward, conv=nn.Conv2d(3, 4, 3), pool=nn.MaxPool2d(2), fc=nn.Linear(36, 5))
    net.bias = nn.Parameter(torch.randn(4))
    return net


def arithmetic():
    def forward(m, x):
        a, b = m.a(x), m.b(x)
        y = (2.0 - a) * 0.5 - b * (b + 3.0).clamp(0, 6) / 6
        return m.fc((y * a + (a * a) * 0.1).flatten(1))
    return Lambda(forward, a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(3, 4, 3), fc=nn.Linear(144, 5))


def u_net():
    """Both ways up: a transposed convolution, then bilinear interpolation by aligned corners."""
    def forward(m, x):
        a = m.a(x).relu()
        b = m.b(F.max_pool2d(a, 2)).relu()
        c = m.c(F.max_pool2d(b, 2)).relu()
        b = m.d(torch.cat([F.relu(m.bn(m.up(c))), b], 1)).relu()
        up = F.interpolate(b, size=(8, 8), mode="bilinear", align_corners=True)
        return m.last(m.e(torch.cat([up, a], 1)).relu())
    return Lambda(forward, a=nn.Conv2d(3, 4, 3, padding=1), b=nn.Conv2d(4, 6, 3, padding=1),
                  c=nn.Conv2d(6, 8, 3, padding=1), up=nn.ConvTranspose2d(8, 6, 2, stride=2),
                  bn=nn.BatchNorm2d(6), d=nn.Conv2d(12, 6, 3, padding=1),
                  e=nn.Conv2d(10, 4, 3, padding=1), last=nn.Conv2d(4, 2, 1))


def transposed(*arguments, **options):
    """A transposed convolution of four channels between two others."""
    return Lambda(lambda m, x: m.last(m.up(m.first(x)).relu()), first=nn.Conv2d(3, 4, 3),
                  up=nn.ConvTranspose2d(4, *arguments, **options),
                  last=nn.Conv2d(arguments[0], 2, 1))


def resized(**options):
    return Lambda(lambda m, x: m.last(F.interpolate(m.first(x), **options)),
                  first=nn.Conv2d(3, 4, 3), last=nn.Conv2d(4, 2, 3))


def between(function, channels=4):
    """The function of four channels of 6 x 6, between two convolutions."""
    return Lambda(lambda m, x: m.last(function(m.first(x))), first=nn.Conv2d(3, 4, 3),
                  last=nn.Conv2d(channels, 2, 1))


def channel_shuffle(x):
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def fixed(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3)) + 3


PHASES, SPREAD = "Conv2d Conv2d Clip Gather Conv2d", "Conv2d Gather Conv2d Clip Conv2d"
LINEAR = "Conv2d Gather Conv2d Gather Conv2d Gather Conv2d"
BLOCK, SHRINK = " Conv2d Clip Conv2d Add Clip", " Conv2d Clip Conv2d Slice Add Clip"
RESNET20 = "Conv2d Clip" + 3 * BLOCK + 2 * (SHRINK + 2 * BLOCK) + " AveragePool Dense"
IMAGE, SEQUENCE = (3, 8, 8), (3, 16)
CASES = {
    # name: (module, input shape, operators after folding, or None where they do not matter)
    "relu": (activation_net(F.relu), IMAGE, "Conv2d Clip Dense"),
    "relu6": (activation_net(F.relu6), IMAGE, "Conv2d Clip Dense"),
    "leaky_relu": (activation_net(F.leaky_relu), IMAGE, "Conv2d Lookup Dense"),
    "elu": (activation_net(F.elu), IMAGE, "Conv2d Lookup Dense"),
    "selu": (activation_net(F.selu), IMAGE, "Conv2d Lookup Dense"),
    "celu": (activation_net(lambda x: F.celu(x, 1.5)), IMAGE, "Conv2d Lookup Dense"),
    "gelu": (activation_net(F.gelu), IMAGE, "Conv2d Lookup Dense"),
    "silu": (activation_net(F.silu), IMAGE, "Conv2d Lookup Dense"),
    "mish": (activation_net(F.mish), IMAGE, "Conv2d Lookup Dense"),
    "hardswish": (activation_net(F.hardswish), IMAGE, "Conv2d Lookup Dense"),
    "hardsigmoid": (activation_net(F.hardsigmoid), IMAGE, "Conv2d Lookup Dense"),
    "softplus": (activation_net(F.softplus), IMAGE, "Conv2d Lookup Dense"),
    "softsign": (activation_net(F.softsign), IMAGE, "Conv2d Lookup Dense"),
    "tanh": (activation_net(torch.tanh), IMAGE, "Conv2d Lookup Dense"),
    "prelu": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(), nn.Flatten(), nn.Linear(144, 5)), IMAGE,
              "Conv2d Lookup Dense"),
    "sqrt_abs": (activation_net(lambda x: x.abs().sqrt()), IMAGE, "Conv2d Lookup Dense"),
    "squeeze_excite": (squeeze_excite(), IMAGE, "Conv2d Clip AveragePool Conv2d Lookup Conv2d"
                       " Lookup Mul AveragePool Dense"),
    "pre_activation": (pre_activation(), IMAGE, "Conv2d Conv2d Clip Conv2d Add Dense"),
    "dense_block": (dense_block(), IMAGE, "Conv2d Lookup Concat Conv2d Lookup Concat Conv2d Lookup"
                    " Concat MaxPool Dense"),
    "inverted_residual": (inverted_residual(), IMAGE, None),
    "sequence": (sequence(), SEQUENCE, "Conv2d Lookup MaxPool Conv2d Lookup AveragePool Dense"),
    "padded": (padded(), IMAGE, "Conv2d Slice Dense"),
    "channels_last": (channels_last(), (8, 8, 3), None),
    "arithmetic": (arithmetic(), IMAGE, None),
    "no_last_layer": (Lambda(lambda m, x: m.conv(x).mean((2, 3)), conv=nn.Conv2d(3, 4, 3)), IMAGE,
                      "Conv2d AveragePool Conv2d"),
    "ceil_mode": (nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True),
                                nn.AvgPool2d(2, 3, ceil_mode=True, count_include_pad=False),
                                nn.Flatten(), nn.Linear(12, 5)), IMAGE,
                  "MaxPool AveragePool Dense"),
    # Idioms that export as shapes computed by the graph.
    "view": (Lambda(lambda m, x: m.fc(m.conv(x).relu().view(x.size(0), -1)),
                    conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(144, 5)), IMAGE,
             "Conv2d Clip Dense"),
    "view_product": (Lambda(lambda m, x: m.fc(view_by_product(m.conv(x))),
                            conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(144, 5)), IMAGE,
                     "Conv2d Dense"),
    "view_shape": (Lambda(lambda m, x: m.fc(m.conv(x).reshape(x.shape[:1] + (144,))),
                          conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(144, 5)), IMAGE,
                   "Conv2d Dense"),
    "view_numel": (Lambda(lambda m, x: m.fc(m.conv(x).reshape(-1, x.shape[1] * 48)),
                          conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(144, 5)), IMAGE,
                   "Conv2d Dense"),
    "expand": (Lambda(lambda m, x: m.fc(m.conv(x).expand(x.size(0), -1, 6, -1).flatten(1)),
                      conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(144, 5)), IMAGE,
               "Conv2d Dense"),
    "cut_at_shape": (Lambda(lambda m, x: m.fc(x[..., :m.conv(x).size(3)].flatten(1)),
                            conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(144, 5)), IMAGE,
                     "Slice Dense"),
    "cropped_like": (cropped_like(), IMAGE, "Conv2d Slice Concat Dense"),
    "padded_like": (padded_like(), IMAGE, "Conv2d Slice Concat Dense"),
    "resnet20": (ResNet20(), ResNet20.input_shape, RESNET20),
    # More pixels than before.
    "u_net": (u_net(), IMAGE, None),
    "transposed_2_2": (transposed(6, 2, stride=2), IMAGE, PHASES),
    "transposed_4_2": (transposed(6, 4, stride=2, padding=1), IMAGE, PHASES),
    "transposed_6_3": (transposed(6, (6, 3), stride=3, padding=(4, 0), output_padding=(2, 1)),
                       IMAGE, PHASES),
    "transposed_3_2": (transposed(6, 3, stride=2, padding=1, output_padding=1), IMAGE, SPREAD),
    "transposed_stride_1": (transposed(6, 3, padding=1), IMAGE, "Conv2d Conv2d Clip Conv2d"),
    "transposed_cut": (transposed(6, 2, padding=2), IMAGE, SPREAD),
    "transposed_dilated": (transposed(6, 3, stride=2, padding=1, dilation=2), IMAGE, SPREAD),
    "transposed_far": (transposed(6, 1, stride=3, output_padding=1), IMAGE, SPREAD),
    "transposed_mixed": (transposed(6, (4, 3), stride=2, padding=(1, 0)), IMAGE,
                         "Conv2d Gather Conv2d Clip Gather Conv2d"),
    "transposed_groups": (transposed(6, 4, stride=2, padding=1, groups=2), IMAGE, PHASES),
    "transposed_groups_3": (transposed(6, 3, stride=2, groups=2), IMAGE, SPREAD),
    "transposed_depthwise": (transposed(4, 4, stride=2, padding=1, groups=4, bias=False), IMAGE,
                             PHASES),
    "transposed_last": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 2, 2, stride=2)),
                        IMAGE, "Conv2d Gather Conv2d"),
    "transposed_1d": (nn.Sequential(nn.Conv1d(3, 4, 3), nn.ConvTranspose1d(4, 5, 4, 2, 1),
                                    nn.ReLU(), nn.Conv1d(5, 2, 1)), SEQUENCE, PHASES),
    "nearest": (resized(size=(12, 12), mode="nearest"), IMAGE, "Conv2d Gather Conv2d"),
    "nearest_to_size": (resized(size=(15, 4), mode="nearest"), IMAGE, "Conv2d Gather Conv2d"),
    "linear": (resized(size=(12, 12), mode="bilinear"), IMAGE, LINEAR),
    "linear_to_size": (resized(size=(13, 5), mode="bilinear"), IMAGE, LINEAR),
    "linear_aligned": (resized(size=(18, 18), mode="bilinear", align_corners=True), IMAGE, LINEAR),
    "nearest_by_factor": (resized(scale_factor=2), IMAGE, "Conv2d Gather Conv2d"),
    "linear_by_factor": (resized(scale_factor=2, mode="bilinear"), IMAGE, LINEAR),
    "linear_1d": (Lambda(lambda m, x: m.last(F.interpolate(m.first(x), size=28,
                                                           mode="linear")),
                         first=nn.Conv1d(3, 4, 3), last=nn.Conv1d(4, 2, 3)), SEQUENCE,
                  "Conv2d Gather Conv2d Gather Conv2d"),
    "pixel_shuffle": (Lambda(lambda m, x: m.last(F.pixel_shuffle(m.first(x), 2)),
                             first=nn.Conv2d(3, 8, 3), last=nn.Conv2d(2, 3, 3)), IMAGE,
                      "Conv2d Gather Conv2d"),
    "channel_shuffle": (between(channel_shuffle), IMAGE, "Conv2d Gather Conv2d"),
    "channels_as_columns": (between(lambda x: x.permute(0, 2, 3, 1).reshape(-1, 4, 6, 6)), IMAGE,
                            "Conv2d Gather Gather Conv2d"),
    "unflatten": (Lambda(lambda m, x: m.last(m.up(m.fc(x.flatten(1)).relu().view(-1, 4, 3, 3))
                                             .relu()),
                         fc=nn.Linear(192, 36), up=nn.ConvTranspose2d(4, 4, 4, 2, 1),
                         last=nn.Conv2d(4, 2, 1)), IMAGE,
                  "Dense Clip Gather Conv2d Clip Gather Conv2d"),
    "split_and_joined": (Lambda(lambda m, x: m.fc(m.first(x).view(-1, 2, 2, 36).flatten(1)),
                                first=nn.Conv2d(3, 4, 3), fc=nn.Linear(144, 5)), IMAGE,
                         "Conv2d Dense"),
    "pixel_unshuffle": (between(lambda x: F.pixel_unshuffle(x, 2), 16), IMAGE,
                        "Conv2d Gather Conv2d"),
    # A number for each channel or each element; other arithmetic of two.
    "prelu_by_channel": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.Flatten(),
                                       nn.Linear(144, 5)), IMAGE, "Conv2d Lookup Dense"),
    "maximum": (Lambda(lambda m, x: m.last(torch.maximum(m.a(x), m.b(x))), a=nn.Conv2d(3, 4, 3),
                       b=nn.Conv2d(3, 4, 3), last=nn.Conv2d(4, 2, 3)), IMAGE,
                "Conv2d Conv2d Max Conv2d"),
    "minimum": (Lambda(lambda m, x: m.last(torch.minimum(m.a(x), m.b(x).relu())),
                       a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(3, 4, 3), last=nn.Conv2d(4, 2, 3)), IMAGE,
                "Conv2d Conv2d Clip Min Conv2d"),
    "add_map": (between(lambda x, c=fixed(6, 6): x + c), IMAGE, "Conv2d Constant Add Conv2d"),
    "add_all": (between(lambda x, c=fixed(4, 6, 6): c - x), IMAGE, None),
    "scale_columns": (between(lambda x, c=fixed(6): x * c), IMAGE, "Conv2d Constant Mul Conv2d"),
    "divide": (between(lambda x, c=fixed(1, 4, 6, 1): x / c), IMAGE, "Conv2d Constant Mul Conv2d"),
    # Elements in other places.
    "pad_reflect": (between(lambda x: F.pad(x, (1, 2, 3, 0), "reflect")), IMAGE,
                    "Conv2d Gather Conv2d"),
    "pad_edge": (between(lambda x: F.pad(x, (1, 2, 3, 0), "replicate")), IMAGE,
                 "Conv2d Gather Conv2d"),
    "flip": (between(lambda x: x.flip(2, 3)), IMAGE, None),
    "every_other_channel": (between(lambda x: x[:, ::2], 2), IMAGE, "Conv2d Gather Conv2d"),
    "channels_by_index": (between(lambda x: x[:, [3, 1, 1]], 3), IMAGE, "Conv2d Gather Conv2d"),
    "rows_by_index": (between(lambda x: x[:, :, [-1, 0, 2]]), IMAGE, "Conv2d Gather Conv2d"),
    "last_row": (Lambda(lambda m, x: m.fc(m.first(x)[:, :, -1].flatten(1)),
                        first=nn.Conv2d(3, 4, 3), fc=nn.Linear(24, 5)), IMAGE,
                 "Conv2d Gather Dense"),
    "last_step": (Lambda(lambda m, x: m.fc(m.first(x).relu()[:, :, -1]),
                         first=nn.Conv1d(3, 4, 3), fc=nn.Linear(4, 5)), SEQUENCE,
                  "Conv2d Clip Gather Dense"),
    "last_step_of_sequence": (Lambda(lambda m, x: m.fc(m.first(x).transpose(1, 2)[:, -1]),
                                     first=nn.Conv1d(3, 4, 3), fc=nn.Linear(4, 5)), SEQUENCE,
                              "Conv2d Gather Dense"),
    "split": (between(lambda x: torch.mul(*x.split([2, 2], 1)), 2), IMAGE,
              "Conv2d Slice Slice Mul Conv2d"),
    "chunk_rows": (between(lambda x: torch.mul(*x.chunk(2, 2))), IMAGE,
                   "Conv2d Slice Slice Mul Conv2d"),
}
# Of these the sigmas are looked at, too: names of parameters that have none.
SIGMAS = {"transposed_4_2": ("up.bias",),
          "transposed_3_2": (), "transposed_groups": ("up.bias",), "transposed_groups_3": (),
          "transposed_depthwise": (), "transposed_last": (), "transposed_2_2": (),
          "transposed_1d": ("1.bias",), "transposed_mixed": ("up.bias",)}


class OnnxGraphs(unittest.TestCase):
    run_onnx = None

    def check_sigmas(self, name):
        """Positive weights instead of the means, here and there."""
        module = copy.deepcopy(CASES[name][0])
        generator = torch.Generator().manual_seed(5)
        sigmas = {key: torch.rand(value.shape, generator=generator) + 0.1
                  for key, value in module.named_parameters() if key not in SIGMAS[name]}
        with torch.no_grad():
            for key, value in module.named_parameters():
                if key in sigmas:
                    value.copy_(sigmas[key])
        self.check(name, module, {f"{k}.sigma": v.numpy() for k, v in sigmas.items()})

    def check(self, name, expected_module=None, sigmas=None):
        module, shape, operators = CASES[name]
        torch.manual_seed(1)
        randomize(module, 2)
        module.eval()
        x = torch.randn(BATCH, *shape)
        with torch.no_grad():
            # Outputs at several positions are written NHWC.
            expected = (expected_module or module).eval()(x).numpy().astype(np.float64)
        expected = np.moveaxis(expected, 1, -1)
        model = export_graph(module, torch.zeros(1, *shape))
        # The engine reads NHWC; the channels-last module does, too.
        images = x.numpy() if name == "channels_last" else np.moveaxis(x.numpy(), 1, -1)
        with tempfile.TemporaryDirectory() as folder:
            paths = [str(Path(folder) / part) for part in ("model.onnx", "input", "output")]
            Path(paths[0]).write_bytes(model.SerializeToString())
            np.ascontiguousarray(images).tofile(paths[1])
            if sigmas is not None:
                paths.append(str(Path(folder) / "sigmas.npz"))
                np.savez(paths[-1], **sigmas)
                operators = None  # random biases are not repeated
            done = subprocess.run([self.run_onnx, *paths], capture_output=True, text=True,
                                  check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            found = np.fromfile(paths[2], dtype=np.float32).reshape(expected.shape)
        if operators is not None:
            self.assertEqual(done.stdout.split(), operators.split())
        scale = np.abs(expected).max()
        self.assertGreater(expected.std(), 1e-3 * scale)  # a constant output would prove little
        self.assertLess(np.abs(found - expected).max(), 2e-5 * scale)


for case in CASES:
    setattr(OnnxGraphs, f"test_{case}", lambda self, case=case: self.check(case))
for case in SIGMAS:
    setattr(OnnxGraphs, f"test_sigmas_{case}", lambda self, case=case: self.check_sigmas(case))


if __name__ == "__main__":
    OnnxGraphs.run_onnx = sys.argv.pop(1)
    unittest.main()
