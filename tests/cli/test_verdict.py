"""`mu8 convert`'s verdict: networks whose ranges were spoilt are converted right, or refused.

    /usr/bin/python3 tests/cli/test_verdict.py build/release/mu8

Each network is spoilt so that its FP32 outputs stay sound: what one layer does the next one undoes.
With ReLU the converter can scale channels back; with a clip that never acts, in ReLU's place, it
may not, and must see what it lost.
"""

import struct

import cli
import numpy as np
import onnx
from onnx import TensorProto, helper

SIZE, CHANNELS, CLASSES = 12, 8, 10
node = helper.make_node


def pictures(rng, count):
    """Smooth pictures, so that activations have structure."""
    coarse = rng.random((count, SIZE // 4, SIZE // 4, 3)).repeat(4, 1).repeat(4, 2)
    return np.uint8((coarse * 0.8 + rng.random((count, SIZE, SIZE, 3)) * 0.2) * 255)


class Net:
    """Convolutions of CHANNELS channels, a pool and a dense layer. `capped`: no ReLU."""

    def __init__(self, seed, capped=False):
        self.rng = np.random.default_rng(seed)
        self.capped = capped
        self.nodes, self.tensors = [], {"zero": np.float32(0), "cap": np.float32(1e30)}
        self.dense = self.weights(CLASSES, CHANNELS, gain=20)

    def weights(self, *shape, gain=1):
        return self.rng.standard_normal(shape) * gain / np.sqrt(np.prod(shape[1:]))

    def conv(self, source, target, weights, bias=None):
        self.tensors[target + ".w"] = weights
        if bias is not None:
            self.tensors[target + ".b"] = bias
        names = [target + ".w"] + ([target + ".b"] if bias is not None else [])
        self.nodes.append(node("Conv", [source, *names], [target + ".sum"], name=target,
                               pads=[weights.shape[2] // 2] * 4))
        self.relu(target + ".sum", target)

    def relu(self, source, target):
        self.nodes.append(node("Clip", [source, "zero", "cap"], [target]) if self.capped
                          else node("Relu", [source], [target]))

    def bytes(self, last):
        self.tensors["fc.w"] = self.dense
        self.nodes += [node("GlobalAveragePool", [last], ["pool"]), node("Flatten", ["pool"], ["f"]),
                       node("Gemm", ["f", "fc.w"], ["y"], transB=1)]
        tensors = [helper.make_tensor(name, TensorProto.FLOAT, np.shape(value),
                                      np.float32(value).ravel())
                   for name, value in self.tensors.items()]
        value = helper.make_tensor_value_info
        graph = helper.make_graph(self.nodes, "g",
                                  [value("x", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
                                  [value("y", TensorProto.FLOAT, ["n", CLASSES])], tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        helper.set_model_props(model, {"head": "softmax", "mean": "0", "std": "1"})
        return model.SerializeToString()


def sound(net):
    net.conv("x", "a", net.weights(CHANNELS, 3, 3, 3))
    return "a"


def most_values_far_into_a_tanh(net):
    net.tensors["t.w"] = net.weights(CHANNELS, 3, 3, 3) * 40
    net.nodes += [node("Conv", ["x", "t.w"], ["t"], name="t", pads=[1] * 4),
                  node("Tanh", ["t"], ["u"])]
    net.conv("u", "a", net.weights(CHANNELS, CHANNELS, 3, 3))
    return "a"


def one_channel_is_1000_times_larger(net):
    weights = net.weights(CHANNELS, 3, 3, 3)
    weights[0] *= 1000
    net.dense[:, 0] /= 1000
    net.conv("x", "a", weights)
    return "a"


def the_same_before_a_pool(net):
    first, second = net.weights(CHANNELS, 3, 3, 3), net.weights(CHANNELS, CHANNELS, 3, 3)
    first[0] *= 1000
    second[:, 0] /= 1000
    net.conv("x", "a", first)
    net.nodes.append(node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]))
    net.conv("p", "b", second)
    return "b"


def concatenation_of_unlike_ranges(net):
    net.conv("x", "a", net.weights(CHANNELS // 2, 3, 3, 3) * 1000)
    net.conv("x", "b", net.weights(CHANNELS // 2, 3, 3, 3))
    net.nodes.append(node("Concat", ["a", "b"], ["c"], axis=1))
    net.dense[:, :CHANNELS // 2] /= 1000
    return "c"


def residual_sum_of_unlike_channels(net):
    scale = np.array([1000] * 2 + [1] * (CHANNELS - 2))
    first, second = net.weights(CHANNELS, 3, 3, 3), net.weights(CHANNELS, CHANNELS, 3, 3)
    net.dense /= scale
    net.conv("x", "a", first * scale[:, None, None, None])
    net.conv("a", "b", second * scale[:, None, None, None] / scale[:, None, None])
    net.nodes.append(node("Add", ["a", "b"], ["s"]))
    return "s"


def weights_unlike_their_inputs(net):
    first, second = net.weights(CHANNELS, 3, 3, 3), net.weights(CHANNELS, CHANNELS, 3, 3)
    first[1:] /= 1000
    second[:, 1:] *= 1000
    net.conv("x", "a", first)
    net.conv("a", "b", second)
    return "b"


def huge_weights_of_a_dead_channel(net):
    first, second = net.weights(CHANNELS, 3, 3, 3), net.weights(CHANNELS, CHANNELS, 3, 3)
    first[0] = 0
    second[:, 0] = 1e4
    net.conv("x", "a", first)
    net.conv("a", "b", second)
    return "b"


def numbers_near_the_end_of_float32(net):
    net.conv("x", "a", net.weights(CHANNELS, 3, 3, 3) * 1e-36)
    net.conv("a", "b", net.weights(CHANNELS, CHANNELS, 3, 3) * 1e36)
    return "b"


def weights_of_1e_minus_7(net):
    net.conv("x", "a", net.weights(CHANNELS, 3, 3, 3) * 1e-7)
    net.conv("a", "b", net.weights(CHANNELS, CHANNELS, 3, 3) * 1e7)
    return "b"


def biases_beyond_the_integers(net):
    net.conv("x", "a", net.weights(CHANNELS, 3, 3, 3) * 1e-7, net.rng.normal(0, 1, CHANNELS))
    net.conv("x", "b", net.weights(CHANNELS, 3, 3, 3))
    net.nodes.append(node("Add", ["a", "b"], ["s"]))
    return "s"


def a_branch_of_1e_minus_8(net):
    net.conv("x", "a", net.weights(CHANNELS, 3, 3, 3))
    net.conv("a", "b", net.weights(CHANNELS, CHANNELS, 3, 3) * 1e-8)
    net.nodes.append(node("Add", ["a", "b"], ["s"]))
    return "s"


def a_branch_of_subnormal_weights(net):
    net.conv("x", "a", net.weights(CHANNELS, 3, 3, 3))
    net.tensors["b.w"] = net.weights(CHANNELS, CHANNELS, 3, 3) * 1e-40
    net.nodes += [node("Conv", ["a", "b.w"], ["b"], pads=[1] * 4), node("Add", ["a", "b"], ["s"])]
    net.relu("s", "t")
    return "t"


def a_branch_that_is_dead(net):
    net.conv("x", "a", net.weights(CHANNELS, 3, 3, 3))
    net.conv("a", "b", net.weights(CHANNELS, CHANNELS, 3, 3), np.full(CHANNELS, -100.0))
    net.nodes.append(node("Add", ["a", "b"], ["s"]))
    return "s"


def a_signal_of_a_thousandth_of_its_offset(net):
    weights = net.weights(CHANNELS, CHANNELS, 1, 1) * 1000
    net.conv("x", "a", net.weights(CHANNELS, 3, 3, 3) / 1000, np.full(CHANNELS, 5.0))
    net.conv("a", "b", weights, -5 * weights.sum((1, 2, 3)))
    return "b"


SCALED = (one_channel_is_1000_times_larger, the_same_before_a_pool, concatenation_of_unlike_ranges,
          residual_sum_of_unlike_channels, weights_unlike_their_inputs,
          huge_weights_of_a_dead_channel)
WHOLE = (sound, weights_of_1e_minus_7, numbers_near_the_end_of_float32, biases_beyond_the_integers,
         a_branch_of_1e_minus_8, a_branch_of_subnormal_weights, a_branch_that_is_dead)
NOTE = "the ranges of channels differ so much"


class VerdictTest(cli.CommandTest):
    def setUp(self):
        pixels = pictures(np.random.default_rng(5), 64)
        self.write("images", struct.pack(">5I", 0x804, *pixels.shape) + pixels.tobytes())

    def write(self, name, content):
        (self.folder / name).write_bytes(content)

    def convert(self, spoil, *options, seed=1, capped=False, limit=64):
        net = Net(seed, capped)
        self.write("m.onnx", net.bytes(spoil(net)))
        (self.folder / "m.mu8").unlink(missing_ok=True)
        return ("convert", "--model", "m.onnx", "--deterministic", "--calibration", "images",
                "--calibration-limit", limit, "-o", "m.mu8", *options)


class Kept(VerdictTest):
    def kept(self, spoil, note=None, **options):
        report = self.json_of(*self.convert(spoil, **options), note=note)
        verdict = report["verdict"]
        self.assertEqual(verdict["verdict"], "kept", spoil.__name__)
        self.assertGreaterEqual(verdict["label_agreement"], 0.95)
        self.assertLess(verdict["divergence"], 0.02 * verdict["information"] + 1e-4)
        found = self.json_of("eval", "m.mu8", "--data", "images", "--samples", 1,
                             "--predictions", "found.f32")
        self.assertEqual(found["images"], 64)
        self.text_of("eval", "--model", "m.onnx", "--mean-weights", "--data", "images",
                     "--predictions", "right.f32")
        right, engine = (np.fromfile(self.folder / name, "<f4").reshape(64, CLASSES)
                         for name in ("right.f32", "found.f32"))
        self.assertGreater(right.max(0).max() - right.min(0).max(), 1e-3, "FP32 tells nothing")
        self.assertLess(np.abs(right - engine).max(), 0.1)
        return verdict

    def test_ordinary_ranges_and_those_of_whole_layers(self):
        for spoil in WHOLE:
            with self.subTest(spoil.__name__):
                note = NOTE if spoil is numbers_near_the_end_of_float32 else None
                self.assertEqual(self.kept(spoil, note=note)["findings"], [])

    def test_what_a_function_makes_good_is_no_finding(self):
        self.assertEqual(self.kept(most_values_far_into_a_tanh)["findings"], [])
        model = ("m.mu8", "--model", "m.onnx", "--data", "images", "--samples", 1)
        before, behind = self.json_of("diff", *model)["layers"][:2]
        self.assertLess(before["sqnr_db"], 10)
        self.assertGreater(behind["sqnr_db"], 20)

    def test_channels_of_unlike_ranges_are_scaled(self):
        for spoil in SCALED:
            with self.subTest(spoil.__name__):
                self.kept(spoil, note=NOTE)

    def test_the_scales_are_in_the_file_and_diff_knows_them(self):
        self.kept(one_channel_is_1000_times_larger, note=NOTE)
        metadata = self.json_of("inspect", "m.mu8")["metadata"]
        self.assertRegex(metadata["equalization"], r"^0: (-?\d+,){7}-?\d+$")
        sigmas = {name: np.full(shape, 1e-30, np.float32) for name, shape in
                  (("a.w.sigma", (CHANNELS, 3, 3, 3)), ("fc.w.sigma", (CLASSES, CHANNELS)))}
        np.savez(self.folder / "p.npz", **sigmas)
        layers = self.json_of("diff", "m.mu8", "--model", "m.onnx", "--posterior", "p.npz",
                              "--data", "images", "--samples", 1)["layers"]
        for layer in layers:
            self.assertGreater(layer["sqnr_db"], 25, layer["name"])


class Lost(VerdictTest):
    def lost(self, spoil, *options):
        """Exit code 3, no file, and the report on stdout all the same."""
        outcome = self.run_mu8(*self.convert(spoil, *options, "--json", capped=True))
        self.assertEqual(outcome.code, 3, outcome.stderr)
        self.assertFalse((self.folder / "m.mu8").exists())
        self.assertRegex(outcome.stderr, r"^mu8: m.mu8: not written: it (loses|decides) .* expected")
        return cli.json.loads(outcome.stdout)["verdict"]

    def test_what_cannot_be_scaled_is_refused_and_the_layer_is_named(self):
        for spoil in (*SCALED, a_signal_of_a_thousandth_of_its_offset):
            with self.subTest(spoil.__name__):
                verdict = self.lost(spoil)
                self.assertEqual((verdict["verdict"], verdict["written"]), ("lost", False))
                self.assertTrue(verdict["findings"])
                for finding in verdict["findings"]:
                    self.assertLess(finding["sqnr_db"], 10)
                    self.assertTrue(finding["cause"] and finding["remedy"])

    def test_the_cause_is_the_channel_that_takes_the_range(self):
        finding, = self.lost(one_channel_is_1000_times_larger)["findings"]
        self.assertRegex(finding["cause"], r"^\d of 8 channels of its input 'a' drown in steps of "
                                           r".*: they vary by .*, others by ")

    def test_the_cause_is_the_offset(self):
        finding, = self.lost(a_signal_of_a_thousandth_of_its_offset)["findings"]
        self.assertEqual(finding["layer"], "a")
        self.assertRegex(finding["cause"], "^8 of 8 channels of its result drown .* offset")

    def test_one_bit_is_not_enough_for_means(self):
        finding = self.lost(sound, "--mu-bits", 1)["findings"][0]
        self.assertIn("dB with 1 bits", finding["cause"])

    def test_accept_writes_it(self):
        options = self.convert(one_channel_is_1000_times_larger, "--accept", capped=True)
        verdict = self.json_of(*options)["verdict"]
        self.assertEqual((verdict["verdict"], verdict["written"]), ("lost", True))
        self.assertTrue((self.folder / "m.mu8").exists())

    def test_as_text(self):
        outcome = self.run_mu8(*self.convert(one_channel_is_1000_times_larger, capped=True))
        self.assertEqual(outcome.code, 3)
        self.assertRegex(outcome.stdout, r"\nnot written +m\.mu8\n")
        self.assertRegex(outcome.stdout, r"\nverdict +lost: it loses ")


class Unproven(VerdictTest):
    def test_few_inputs_prove_nothing(self):
        verdict = self.json_of(*self.convert(sound, limit=8))["verdict"]
        self.assertEqual(verdict["verdict"], "unproven")
        self.assertIn("8 inputs, at least 16 are needed", verdict["reason"])

    def test_few_inputs_are_enough_to_see_a_loss(self):
        outcome = self.run_mu8(*self.convert(one_channel_is_1000_times_larger, limit=8, capped=True))
        self.assertEqual(outcome.code, 3)

    def test_a_network_that_gives_a_constant(self):
        def constant(net):
            net.conv("x", "a", net.weights(CHANNELS, 3, 3, 3) * 0, np.full(CHANNELS, 0.5))
            return "a"
        verdict = self.json_of(*self.convert(constant))["verdict"]
        self.assertEqual(verdict["verdict"], "unproven")
        self.assertIn("gives the same for all inputs", verdict["reason"])


class Trained(VerdictTest):
    def test_the_uncertainty_of_a_posterior_beside_fp32(self):
        verdict = self.json_of("convert", *cli.LENET5, *cli.CALIBRATION, "-o", "l.mu8")["verdict"]
        self.assertEqual((verdict["verdict"], verdict["label_agreement"]), ("kept", 1.0))
        self.assertEqual((verdict["inputs"], verdict["passes"]), (64, 8))
        self.assertLess(verdict["divergence"], 1e-3)
        self.assertGreater(verdict["information"], 1)
        ratio, error = verdict["epistemic_ratio"], verdict["epistemic_ratio_error"]
        self.assertLess(abs(ratio - 1), 0.05 + 4 * error)
        found, fp32 = verdict["mean_uncertainty"], verdict["mean_uncertainty_fp32"]
        self.assertAlmostEqual(found["mutual_information"] / fp32["mutual_information"], ratio)
        self.assertLess(abs(found["entropy"] / fp32["entropy"] - 1), 0.1)


if __name__ == "__main__":
    cli.main()
