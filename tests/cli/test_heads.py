"""What the outputs are: sigmoids, values, one output or several, and what is never guessed.

    /usr/bin/python3 tests/cli/test_heads.py build/release/mu8
"""

import json
import math
import struct

import cli
import numpy as np
import onnx
from onnx import TensorProto, helper

PIXELS = 4
WEIGHTS = np.array([[0.9, -1.2, 0.5, 0.3], [-0.4, 0.8, -0.9, 1.1], [1.3, 0.2, -0.6, -1.0]], np.float32)
BIAS = np.array([0.2, -0.3, 0.1], np.float32)
X = np.array([[0.1, 0.9, 0.4, 0.7]], np.float32)


def network(outputs, last=None, head=None, more_outputs=()):
    """y = W x + b of `outputs` rows, and a node behind it."""
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["z" if last else "y"], transB=1)]
    if last:
        nodes.append(helper.make_node(last, ["z"], ["y"]))
    nodes += [helper.make_node("Neg", ["y"], [name]) for name in more_outputs]
    tensors = [helper.make_tensor("w", TensorProto.FLOAT, [outputs, PIXELS], WEIGHTS[:outputs].ravel()),
               helper.make_tensor("b", TensorProto.FLOAT, [outputs], BIAS[:outputs])]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", PIXELS])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", outputs])
         for name in ("y", *more_outputs)], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    if head:
        helper.set_model_props(model, {"head": head})
    return model.SerializeToString()


class HeadTest(cli.CommandTest):
    def setUp(self):
        rng = np.random.default_rng(3)
        pixels = rng.integers(0, 256, 64 * PIXELS, dtype=np.uint8).tobytes()
        self.write("images", struct.pack(">IIIII", 0x804, 64, 1, 1, PIXELS) + pixels)
        np.save(self.folder / "x.npy", X)

    def write(self, name, content):
        (self.folder / name).write_bytes(content)

    def convert(self, content, *options):
        self.write("m.onnx", content)
        return ("convert", "--model", "m.onnx", *options, "--calibration", "images", "-o", "m.mu8",
                "--mean", "0,0,0,0", "--std", "1,1,1,1")

    def converted(self, content, *options, note=None):
        return self.json_of(*self.convert(content, "--deterministic", *options), note=note)

    def prediction(self, *options):
        return self.json_of("predict", "m.mu8", "x.npy", *options)["predictions"][0]


class Sigmoids(HeadTest):
    def test_one_output_is_a_probability_and_not_a_class(self):
        report = self.converted(network(1, "Sigmoid"))
        self.assertEqual((report["head"], report["head_reason"]),
                         ("sigmoid", "the graph ends in Sigmoid"))
        found = self.prediction()
        right = 1 / (1 + math.exp(-float(X[0] @ WEIGHTS[0] + BIAS[0])))
        self.assertAlmostEqual(found["mean"][0], right, delta=0.01)
        self.assertNotIn("label_name", found)
        self.assertEqual(len(found["labels"]), 1)
        self.assertGreater(found["labels"][0]["predictive_entropy"], 0.1)
        self.assertIn("one label, true or not", self.text_of("predict", "m.mu8", "x.npy"))

    def test_several_need_not_add_up_to_one(self):
        self.converted(network(3, "Sigmoid"))
        found = self.prediction("--top", 3)
        right = 1 / (1 + np.exp(-(X @ WEIGHTS.T + BIAS)[0]))
        np.testing.assert_allclose(found["mean"], right, atol=0.01)
        order = [label["label"] for label in found["labels"]]
        self.assertEqual(order, list(np.argsort(-right)))
        for label in found["labels"]:
            p = right[label["label"]]
            entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
            self.assertAlmostEqual(label["predictive_entropy"], entropy, delta=0.01)
        self.assertEqual(self.json_of("inspect", "m.mu8")["head"], "sigmoid")
        self.text_of("eval", "m.mu8", "--data", "images", "--predictions", "p.f32")
        same = self.json_of("eval", "m.mu8", "--data", "images", "--against", "p.f32")
        self.assertEqual(same["kl_against"], 0)
        self.assertNotIn("label_agreement", same)

    def test_logits_when_told(self):
        self.converted(network(1), "--head", "sigmoid")
        right = 1 / (1 + math.exp(-float(X[0] @ WEIGHTS[0] + BIAS[0])))
        self.assertAlmostEqual(self.prediction()["mean"][0], right, delta=0.01)


class Values(HeadTest):
    def test_in_their_own_units(self):
        for outputs in (1, 3):
            report = self.converted(network(outputs), "--head", "values")
            self.assertEqual(report["head"], "values")
            found = self.prediction()
            right = (X @ WEIGHTS.T + BIAS)[0][:outputs]
            np.testing.assert_allclose(found["mean"], right, atol=0.02)
            self.assertEqual(found["standard_deviation"], [0] * outputs)
            self.assertNotIn("predictive_entropy", found)
            self.assertEqual(len(found["values"]), outputs)

    def test_the_spread_of_the_networks(self):
        sigma = np.full((3, PIXELS), 0.1, np.float32)
        np.savez(self.folder / "p.npz", **{"w.sigma": sigma})
        self.json_of(*self.convert(network(3, head="values"), "--posterior", "p.npz"))
        found = self.prediction("--samples", 4000)
        right = 0.1 * float(np.sqrt((X ** 2).sum()))
        for value in found["values"]:
            self.assertAlmostEqual(value["standard_deviation"] / right, 1, delta=0.05)
            low, high = value["interval_95"]
            self.assertAlmostEqual((high - low) / (2 * 1.959964 * right), 1, delta=0.05)
        self.assertIn("epistemic", self.text_of("predict", "m.mu8", "x.npy"))

    def test_a_bias_beyond_the_integers_raises_the_step_of_the_weights(self):
        global BIAS
        kept, BIAS = BIAS, np.array([2e7, 0, 0], np.float32)
        try:
            self.converted(network(1), "--head", "values")
            found = self.prediction()["mean"][0]
            self.assertLess(abs(found - float(X[0] @ WEIGHTS[0] + 2e7)), 4)  # float32 has steps of 2
        finally:
            BIAS = kept

    def test_one_network_has_no_interval(self):
        self.converted(network(1), "--head", "values")
        self.assertIsNone(self.prediction("--samples", 1)["values"][0]["interval_95"])
        self.assertIn("one network alone", self.text_of("predict", "m.mu8", "x.npy", "--samples", 1))


def two_heads(end=None):
    """mean = W x + b of two rows, scale = W' x + b' of two others, behind which is `end`."""
    rows = {"wm": WEIGHTS[:2], "bm": BIAS[:2], "ws": -0.5 * WEIGHTS[1:], "bs": BIAS[1:] - 1}
    nodes = [helper.make_node("Gemm", ["x", "wm", "bm"], ["mean"], transB=1),
             helper.make_node("Gemm", ["x", "ws", "bs"], ["r" if end else "scale"], transB=1)]
    if end:
        nodes.append(helper.make_node(end, ["r"], ["scale"]))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", PIXELS])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2])
         for name in ("mean", "scale")],
        [helper.make_tensor(name, TensorProto.FLOAT, value.shape, value.ravel())
         for name, value in rows.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString()


class Gaussians(HeadTest):
    JOIN = ("--output-name", "mean,scale", "--head", "gaussian")
    MEAN = (X @ WEIGHTS[:2].T + BIAS[:2])[0]
    RAW = (X @ (-0.5 * WEIGHTS[1:]).T + BIAS[1:] - 1)[0]

    def check(self, deviation):
        found = self.prediction()
        self.assertEqual(found["head"], "gaussian")
        np.testing.assert_allclose(found["mean"], self.MEAN, atol=0.02)
        np.testing.assert_allclose([value["noise_standard_deviation"] for value in found["values"]],
                                   deviation, rtol=0.02)
        self.assertEqual(found["clamped_scales"], 0)

    def test_each_meaning_of_the_scale(self):
        for end, scale, deviation in (
                (None, "log-variance", np.exp(self.RAW / 2)), (None, "log-deviation", np.exp(self.RAW)),
                (None, "softplus", np.log1p(np.exp(self.RAW))),
                ("Exp", "variance", np.exp(self.RAW / 2)), ("Exp", "deviation", np.exp(self.RAW)),
                ("Softplus", "deviation", np.log1p(np.exp(self.RAW)))):
            with self.subTest(end=end, scale=scale):
                report = self.converted(two_heads(end), *self.JOIN, "--scale", scale)
                self.assertEqual(len(report["layers"]), 1)  # nothing is rounded in between
                self.check(deviation)

    def test_what_nobody_says_is_asked(self):
        refused = lambda end, *options, says: self.fails(
            *self.convert(two_heads(end), "--deterministic", *self.JOIN, *options), says=says)
        refused(None, says="head gaussian: the model does not say what its second half")
        refused(None, "--scale", "variance", says="--scale variance: its second half of outputs ends in no")
        refused("Exp", "--scale", "log-variance", says="--scale log-variance: the graph's scale ends in")
        # What is taken off for a gaussian is not taken off in silence for another head.
        self.fails(*self.convert(two_heads("Exp"), "--deterministic", "--output-name", "mean,scale",
                                 "--head", "values"),
                   says="the last of the joined outputs ends in Exp or Softplus")
        refused("Softplus", "--scale", "variance", says="--scale variance: a variance that is a softplus")
        self.fails(*self.convert(network(3), "--deterministic", "--head", "gaussian", "--scale", "softplus"),
                   says="head gaussian: the network has 3 outputs")
        self.fails(*self.convert(network(3), "--deterministic", "--head", "values", "--scale", "softplus"),
                   says="--scale belongs to --head gaussian")

    def test_units_of_any_size(self):
        for size in (1e-7, 1e7):  # the least variances are those of a float
            self.converted(two_heads(), *self.JOIN, "--scale", "log-variance", "--output-std", size)
            found = self.prediction()
            self.assertEqual(found["clamped_scales"], 0)
            np.testing.assert_allclose(
                [value["noise_standard_deviation"] for value in found["values"]],
                np.exp(self.RAW / 2) * size, rtol=0.02)

    def test_in_the_units_of_the_targets(self):
        self.converted(two_heads(), *self.JOIN, "--scale", "log-variance", "--output-mean", "100,-5",
                       "--output-std", "10,3")
        found = self.prediction()
        np.testing.assert_allclose(found["mean"], self.MEAN * [10, 3] + [100, -5], atol=0.2)
        np.testing.assert_allclose([value["noise_standard_deviation"] for value in found["values"]],
                                   np.exp(self.RAW / 2) * [10, 3], rtol=0.02)

    def test_the_interval_is_that_of_observations(self):
        sigma = {f"{name}.sigma": np.full((2, PIXELS), 0.1, np.float32) for name in ("wm", "ws")}
        np.savez(self.folder / "p.npz", **sigma)
        self.json_of(*self.convert(two_heads(), "--posterior", "p.npz", *self.JOIN, "--scale",
                                   "log-variance"))
        for value in self.prediction("--samples", 2000)["values"]:
            total = math.hypot(value["standard_deviation"], value["noise_standard_deviation"])
            low, high = value["interval_95"]
            self.assertAlmostEqual((high - low) / (2 * 1.959964 * total), 1, delta=1e-4)
        self.assertIn("95 % of observations", self.text_of("predict", "m.mu8", "x.npy"))

    def test_few_bits_of_sigma(self):
        sigma = {f"{name}.sigma": np.full((2, PIXELS), 0.1, np.float32) for name in ("wm", "ws")}
        np.savez(self.folder / "p.npz", **sigma)
        for bits in (2, 1, 0):  # whose importance is measured, by predictions with their noise
            self.json_of(*self.convert(two_heads(), "--posterior", "p.npz", *self.JOIN, "--scale",
                                       "log-variance", "--sigma-bits", bits))

    def test_eval_knows_the_noise(self):
        self.converted(two_heads(), *self.JOIN, "--scale", "log-variance")
        rng = np.random.default_rng(8)
        x = rng.random((500, PIXELS)).astype(np.float32)
        mean, raw = x @ WEIGHTS[:2].T + BIAS[:2], x @ (-0.5 * WEIGHTS[1:]).T + BIAS[1:] - 1
        y = (mean + rng.normal(0, 1, mean.shape) * np.exp(raw / 2)).astype(np.float32)
        np.savez(self.folder / "t.npz", x=x, y=y)
        for arguments in (("m.mu8",), ("--model", "m.onnx", "--mean-weights", *self.JOIN, "--scale",
                                       "log-variance")):
            found = self.json_of("eval", *arguments, "--data", "t.npz")
            for k, value in enumerate(found["values"]):
                nll = (np.log(2 * np.pi) + raw + (y - mean) ** 2 / np.exp(raw)).mean(0)[k] / 2
                self.assertAlmostEqual(value["nll"], nll, delta=0.01)


class Noise(HeadTest):
    def test_given_or_fitted_it_is_in_the_file(self):
        self.converted(network(2), "--head", "values", "--noise", "0.04,0.25")
        for value, deviation in zip(self.prediction()["values"], (0.2, 0.5), strict=True):
            self.assertAlmostEqual(value["noise_standard_deviation"], deviation, delta=1e-6)
        rng = np.random.default_rng(9)
        x = rng.random((400, PIXELS)).astype(np.float32)
        y = (x @ WEIGHTS[:2].T + BIAS[:2] + rng.normal(0, 1, (400, 2)) * [0.3, 2]).astype(np.float32)
        np.savez(self.folder / "t.npz", x=x, y=y)
        self.write("m.onnx", network(2, head="values"))
        report = self.json_of("convert", "--model", "m.onnx", "--deterministic", "--calibration",
                              "t.npz", "--noise", "fit", "-o", "m.mu8")
        np.testing.assert_allclose(report["noise_variance"], [0.09, 4], rtol=0.2)
        found = self.json_of("eval", "m.mu8", "--data", "t.npz")
        for value, fitted in zip(found["values"], report["noise_variance"], strict=True):
            self.assertAlmostEqual(value["mean_noise_variance"] / fitted, 1, delta=1e-6)
            self.assertAlmostEqual(value["intervals"]["coverage"][1], 0.9, delta=0.04)

    def test_it_needs_targets(self):
        self.fails(*self.convert(network(2), "--deterministic", "--head", "values", "--noise", "fit"),
                   says="images: --noise fit needs 2 targets an input (y), it has 0")
        self.fails(*self.convert(network(2), "--deterministic", "--head", "values", "--noise", "1"),
                   says="--noise: expected 2 variances above zero")


def autoencoder(last=None):
    """x -> 2 numbers -> x again."""
    enc = np.array([[0.9, -0.3, 0.5, 0.2], [0.1, 0.8, -0.4, 0.6]], np.float32)
    rows = {"we": enc, "be": np.zeros(2, np.float32), "wd": np.linalg.pinv(enc).astype(np.float32),
            "bd": np.full(PIXELS, 0.1, np.float32)}
    nodes = [helper.make_node("Gemm", ["x", "we", "be"], ["z"], transB=1),
             helper.make_node("Gemm", ["z", "wd", "bd"], ["r" if last else "y"], transB=1)]
    if last:
        nodes.append(helper.make_node(last, ["r"], ["y"]))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", PIXELS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", PIXELS])],
        [helper.make_tensor(name, TensorProto.FLOAT, value.shape, value.ravel())
         for name, value in rows.items()])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString()
    return content, lambda x: x @ enc.T @ rows["wd"].T + rows["bd"]


class Reconstructions(HeadTest):
    def test_the_error_is_that_to_the_input(self):
        content, network_of = autoencoder()
        rng = np.random.default_rng(10)
        sizes = np.array([1, 100, 0.01, 5], np.float32)
        raw = rng.normal(0, 1, (300, PIXELS)).astype(np.float32) * sizes
        far = rng.choice([-1.5, 1.5], (200, PIXELS)).astype(np.float32) * sizes  # no layer saturates
        np.savez(self.folder / "t.npz", x=raw)
        np.savez(self.folder / "far.npz", x=far)
        self.write("m.onnx", content)
        scaled = ("--mean", "0,0,0,0", "--std", ",".join(map(str, sizes)))
        report = self.json_of("convert", "--model", "m.onnx", "--deterministic", "--head",
                              "reconstruction", "--calibration", "t.npz", *scaled, "-o", "m.mu8")
        self.assertEqual(report["head"], "reconstruction")
        found = self.json_of("predict", "m.mu8", "t.npz", "--samples", 2)["predictions"]
        right = ((network_of(raw / sizes) - raw / sizes) ** 2).mean(1)
        np.testing.assert_allclose([one["error"] for one in found], right, rtol=0.05, atol=0.02)
        outcome = self.json_of("eval", "m.mu8", "--data", "t.npz", "--ood", "far.npz")
        reference = self.json_of("eval", "--model", "m.onnx", "--mean-weights", "--head",
                                 "reconstruction", *scaled, "--data", "t.npz", "--ood", "far.npz")
        self.assertAlmostEqual(outcome["error"] / reference["error"], 1, delta=0.02)
        self.assertAlmostEqual(outcome["ood"][0]["by_error"]["auroc"],
                               reference["ood"][0]["by_error"]["auroc"], delta=0.01)
        self.assertGreater(outcome["ood"][0]["by_error"]["auroc"], 0.6)
        self.assertIn("squared error", self.text_of("predict", "m.mu8", "t.npz#0"))

    def test_of_pixels(self):
        content, network_of = autoencoder()
        self.converted(content, "--head", "reconstruction")
        pixels = np.frombuffer((self.folder / "images").read_bytes()[20:], np.uint8).reshape(-1, PIXELS)
        x = pixels[:5] / 255
        for i, right in enumerate(((network_of(x) - x) ** 2).mean(1)):
            self.write("one.npy", b"")
            np.save(self.folder / "one.npy", pixels[i])
            found = self.json_of("predict", "m.mu8", "one.npy",
                                 note="one.npy: its elements are uint8")["predictions"][0]
            self.assertAlmostEqual(found["error"], right, delta=0.05 * right + 0.001)

    def test_an_error_for_each_pixel(self):
        content, network_of = autoencoder()
        self.write("images", struct.pack(">IIII", 0x803, 40, 2, 2) + np.random.default_rng(3).integers(
            0, 256, (40, PIXELS), dtype=np.uint8).tobytes())
        self.write("m.onnx", content)
        self.json_of("convert", "--model", "m.onnx", "--deterministic", "--calibration", "images",
                     "--mean", 0, "--std", 1, "--head", "reconstruction", "-o", "m.mu8")
        (self.folder / "maps").mkdir(exist_ok=True)
        found = self.json_of("predict", "m.mu8", "images#3", "--maps", "maps")["predictions"][0]
        self.assertEqual([name.split("images_3")[1] for name in found["maps"]],
                         [".mean.npy", ".variance.npy", ".error.npy", ".error.png"])
        error = np.load(self.folder / "maps" / "images_3.error.npy")
        self.assertEqual(error.shape, (2, 2, 1))
        self.assertAlmostEqual(float(error.mean()), found["error"], delta=1e-5)
        pixels = np.frombuffer((self.folder / "images").read_bytes()[16:], np.uint8).reshape(-1, PIXELS)
        x = pixels[3] / 255
        np.testing.assert_allclose(error.ravel(), (network_of(x) - x) ** 2, atol=0.01)
        self.text_of("predict", "m.mu8", "images#3", "--maps", "maps")

    def test_a_sigmoid_at_the_end(self):
        content, logits_of = autoencoder("Sigmoid")
        network_of = lambda x: 1 / (1 + np.exp(-logits_of(x)))
        report = self.converted(content, "--head", "reconstruction")
        self.assertIn("Sigmoid at the graph's end", report["head_reason"])
        pixels = np.frombuffer((self.folder / "images").read_bytes()[20:], np.uint8).reshape(-1, PIXELS)
        x = pixels / 255
        right = ((network_of(x) - x) ** 2).mean(1)
        outcome = self.json_of("eval", "m.mu8", "--data", "images")
        self.assertAlmostEqual(outcome["error"] / right.mean(), 1, delta=0.01)
        reference = self.json_of("eval", "--model", "m.onnx", "--mean-weights", "--head",
                                 "reconstruction", "--mean", 0, "--std", 1, "--data", "images")
        self.assertAlmostEqual(reference["error"] / right.mean(), 1, delta=1e-5)
        self.converted(content, "--head", "values")
        np.testing.assert_allclose(self.prediction()["mean"], network_of(X)[0], atol=0.01)

    def test_a_sigmoid_never_reaches_what_lies_beyond(self):
        beyond = ("head reconstruction: the outputs are a Sigmoid's, between 0 and 1, and are held "
                  "against the normalized input; ")
        self.write("m.onnx", autoencoder("Sigmoid")[0])
        self.write("pixels", struct.pack(">IIII", 0x803, 40, 2, 2) + bytes(range(160)))
        self.fails("convert", "--model", "m.onnx", "--deterministic", "--head", "reconstruction",
                   "--calibration", "pixels", "--mean", "0.5", "--std", "0.25", "-o", "m.mu8",
                   says=beyond + "with mean 0.500000 and std 0.250000 pixels lie between -2.000000 and "
                   "2.000000: expected pixels of 0 to 1")
        convert = ("convert", "--model", "m.onnx", "--deterministic", "--head", "reconstruction",
                   "--calibration", "t.npz", "--mean", "0", "--std", "1", "-o", "m.mu8")
        x = np.random.default_rng(4).uniform(0, 1, (50, PIXELS)).astype(np.float32)
        np.savez(self.folder / "t.npz", x=3 * x)
        self.fails(*convert, says=f"{beyond}{(3 * x > 1.0001).sum()} of 200 numbers lie beyond: expected "
                   "--mean and --std that bring them to 0 to 1")
        x[7, 2] = 1.5
        np.savez(self.folder / "t.npz", x=x)
        self.json_of(*convert, note=beyond + "1 of 200 numbers lie beyond, which no output can reach")

    def test_other_shapes_and_ends_are_refused(self):
        self.fails(*self.convert(network(3), "--deterministic", "--head", "reconstruction"),
                   says="head reconstruction: the outputs are 1x1x3, the input is 1x1x4")
        self.fails(*self.convert(autoencoder("Softmax")[0], "--deterministic", "--head",
                                 "reconstruction"), says="--head reconstruction contradicts the model")


class Maps(HeadTest):
    """A network that answers pixel by pixel."""

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(12)
        self.w = rng.normal(0, 0.7, (3, 1, 3, 3)).astype(np.float32)
        self.pixels = rng.integers(0, 256, (40, 6, 8), dtype=np.uint8)
        self.write("maps.idx", struct.pack(">IIII", 0x803, 40, 6, 8) + self.pixels.tobytes())

    def model(self, last=None):
        nodes = [helper.make_node("Conv", ["x", "w"], ["z" if last else "y"], pads=[1, 1, 1, 1])]
        if last:
            nodes.append(helper.make_node(last, ["z"], ["y"], axis=1))
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 6, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 6, 8])],
            [helper.make_tensor("w", TensorProto.FLOAT, self.w.shape, self.w.ravel())])
        self.write("m.onnx", helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString())

    def scores(self):
        x = np.pad(self.pixels / 255, ((0, 0), (1, 1), (1, 1)))
        return np.stack([sum(self.w[c, 0, i, j] * x[:, i:i + 6, j:j + 8] for i in range(3)
                             for j in range(3)) for c in range(3)], -1)

    def converted(self, *options):
        return self.json_of("convert", "--model", "m.onnx", "--deterministic", "--calibration",
                            "maps.idx", "--mean", 0, "--std", 1, *options, "-o", "m.mu8")

    def test_classes_at_each_position(self):
        self.model("Softmax")
        self.converted()
        p = np.exp(self.scores())
        p /= p.sum(-1, keepdims=True)
        folder = self.folder / "maps"
        folder.mkdir(exist_ok=True)
        found = self.json_of("predict", "m.mu8", "maps.idx#3", "--maps", "maps")["predictions"][0]
        self.assertEqual(found["shape"], [6, 8, 3])
        mean = np.load(folder / "maps.idx_3.mean.npy")
        np.testing.assert_allclose(mean, p[3], atol=0.03)
        entropy = np.load(folder / "maps.idx_3.entropy.npy")
        np.testing.assert_allclose(entropy, -(mean * np.log(mean)).sum(-1), atol=1e-5)
        self.assertAlmostEqual(found["predictive_entropy"], float(entropy.mean()), delta=1e-5)
        self.assertEqual(np.load(folder / "maps.idx_3.mutual_information.npy").shape, (6, 8))
        self.assertEqual(found["positions_of_class"],
                         np.bincount(mean.argmax(-1).ravel(), minlength=3).tolist())
        for name in ("label.png", "mutual_information.png"):
            self.assertEqual((folder / f"maps.idx_3.{name}").read_bytes()[:4], b"\x89PNG")
        self.assertIn("6 x 8 positions of 3 outputs", self.text_of("predict", "m.mu8", "maps.idx#3"))

    def test_eval_counts_positions(self):
        self.model("Softmax")
        self.converted()
        label = self.scores().argmax(-1)
        label[::2] = (label[::2] + 1) % 3  # half of the images are wrong
        np.savez(self.folder / "t.npz", x=self.pixels[:, None], y=label)
        note = 't.npz: "x": its elements are uint8'
        found = self.json_of("eval", "m.mu8", "--data", "t.npz", note=note)
        self.assertEqual((found["images"], found["positions"]), (40, 48))
        self.assertAlmostEqual(found["accuracy"], 0.5, delta=0.02)
        right = self.scores().argmax(-1)
        iou = [((right == c) & (label == c)).sum() / ((right == c) | (label == c)).sum()
               for c in range(3)]
        self.assertAlmostEqual(found["mean_iou"], np.mean(iou), delta=0.02)
        self.fails("eval", "m.mu8", "--data", "maps.idx", "--stop-error", "0.05", code=2,
                   says="--stop-error: decides about one answer, the model gives one at each")
        reference = self.json_of("eval", "--model", "m.onnx", "--mean-weights", "--mean", 0, "--std",
                                 1, "--data", "t.npz", note=note)
        self.assertAlmostEqual(found["nll"], reference["nll"], delta=0.01)

    def test_numbers_at_each_position(self):
        self.model()
        self.converted("--head", "values")
        (self.folder / "maps").mkdir(exist_ok=True)
        self.text_of("predict", "m.mu8", "maps.idx#5", "--maps", "maps")
        np.testing.assert_allclose(np.load(self.folder / "maps" / "maps.idx_5.mean.npy"),
                                   self.scores()[5], atol=0.03)
        np.savez(self.folder / "p.npz", **{"w.sigma": np.full(self.w.shape, 0.1, np.float32)})
        found = self.json_of("diff", "m.mu8", "--model", "m.onnx", "--posterior", "p.npz", "--mean", 0,
                             "--std", 1, "--data", "maps.idx", "--limit", 4, "--samples", 2)
        self.assertEqual(found["head"], "values")

    def test_targets_of_several_numbers_at_each_position(self):
        self.model()
        self.converted("--head", "values")
        noise = np.random.default_rng(5).normal(0, [0.1, 0.5, 2], (40, 6, 8, 3))
        y = (self.scores() + noise).astype(np.float32)
        right = np.sqrt((noise ** 2).mean((0, 1, 2)))

        def values(*arguments, key="values"):
            head = ("--head", "values") if "--model" in arguments else ()
            outcome = self.run_mu8(*arguments, *head, "--json")
            self.assertEqual(outcome.code, 0, outcome.stderr)
            self.assertEqual("the targets, (6, 8, 3) an input, are taken as nhwc" in outcome.stderr,
                             array is y)
            return json.loads(outcome.stdout)[key]

        plain = ("--mean", 0, "--std", 1)
        for array in (y, y.transpose(0, 3, 1, 2)):
            np.savez(self.folder / "t.npz", x=self.pixels[:, None], y=array)
            found = values("eval", "m.mu8", "--data", "t.npz")
            np.testing.assert_allclose([value["rmse"] for value in found], right, rtol=0.03)
            reference = values("eval", "--model", "m.onnx", "--mean-weights", *plain, "--data", "t.npz")
            np.testing.assert_allclose([value["rmse"] for value in reference], right, rtol=1e-4)
            fitted = values("convert", "--model", "m.onnx", "--deterministic", "--calibration", "t.npz",
                            *plain, "--noise", "fit", "-o", "n.mu8", key="noise_variance")
            np.testing.assert_allclose(np.sqrt(fitted), right, rtol=1e-3)
        for value in values("eval", "n.mu8", "--data", "t.npz"):
            self.assertAlmostEqual(value["intervals"]["coverage"][1], 0.9, delta=0.03)
        for wrong, says in ((y.transpose(0, 2, 3, 1), "t.npz: the targets: "),
                            (y[..., :2], "t.npz: has 96 targets an input, expected 144")):
            np.savez(self.folder / "t.npz", x=self.pixels[:, None], y=wrong)
            self.fails("eval", "m.mu8", "--data", "t.npz", says=says)

    def test_no_maps_overwrite_each_other(self):
        self.model("Softmax")
        self.converted()
        for name in ("a", "b", "maps"):
            (self.folder / name).mkdir(exist_ok=True)
            np.save(self.folder / name / "one.npy", self.pixels[:1])
        (self.folder / "maps" / "one.npy").unlink()
        self.fails("predict", "m.mu8", "a/one.npy", "b/one.npy", "--maps", "maps",
                   says="b/one.npy: another input's maps have the same names")

    def test_one_answer_has_no_maps(self):
        HeadTest.converted(self, network(3), "--head", "values")
        (self.folder / "maps").mkdir(exist_ok=True)
        self.wrong_command("predict", "m.mu8", "x.npy", "--maps", "maps",
                           says="--maps: the model answers once")


class NeverGuessed(HeadTest):
    def refused(self, content, *options, says):
        self.fails(*self.convert(content, "--deterministic", *options), says=says)

    def test_one_output_is_asked_about(self):
        self.refused(network(1), says="the model does not say what its one output is")

    def test_a_softmax_of_one_output(self):
        self.refused(network(1), "--head", "softmax", says="a softmax over one output is 1")
        self.refused(network(1, "Softmax"), says="a softmax over one output is 1")

    def test_what_contradicts_the_graph(self):
        self.refused(network(3, "Sigmoid"), "--head", "softmax",
                     says="--head softmax contradicts the model")
        self.refused(network(3, "Softmax"), "--head", "values",
                     says="--head values contradicts the model")
        self.refused(network(3, "Softmax", head="sigmoid"),
                     says='m.onnx: metadata "head": sigmoid, but the graph ends in Softmax')

    def test_a_head_that_does_not_exist(self):
        self.wrong_command(*self.convert(network(3), "--deterministic", "--head", "regression"),
                           says="--head: regression not in")

    def test_several_outputs_are_classes_with_a_notice(self):
        report = self.converted(network(3), note="the model does not say what its 3 outputs are")
        self.assertEqual(report["head"], "softmax")
        self.assertEqual(len(report["notices"]), 1)
        self.assertEqual(self.converted(network(3), "--head", "softmax")["notices"], [])

    def test_two_graph_outputs_are_listed_and_chosen(self):
        both = network(3, "Sigmoid", more_outputs=("minus",))
        self.refused(both, says='m.onnx: the graph has 2 outputs ("y", "minus"), expected one')
        self.refused(both, "--output-name", "loss", says='m.onnx: the graph has no output "loss"')
        self.assertEqual(self.converted(both, "--output-name", "y")["head"], "sigmoid")
        self.converted(both, "--output-name", "minus", "--head", "values")
        np.testing.assert_allclose(self.prediction()["mean"],
                                   -1 / (1 + np.exp(-(X @ WEIGHTS.T + BIAS)[0])), atol=0.02)

    def test_options_that_belong_to_other_heads(self):
        self.converted(network(3), "--head", "values")
        for option in (("--against", "x.npy"), ("--curves", "--json"), ("--uncertainty", "u.f32")):
            self.fails("eval", "m.mu8", "--data", "images", *option, code=2,
                       says=f"{option[0]}: is about probabilities of classes, the outputs are")
        self.converted(network(3), "--head", "softmax")
        self.fails("eval", "m.mu8", "--data", "images", "--noise", "1", code=2,
                   says="--noise: belongs to values, the head is softmax")
        self.converted(network(1, "Sigmoid"))
        self.wrong_command("predict", "m.mu8", "x.npy", "--stop-error", "0.05",
                           says="--stop-error: the model's outputs are labels")
        decided = self.prediction("--stop-error", "0.05", "--stop-class", "0",
                                  "--stop-threshold", "0.9", "--samples", "2000")
        self.assertEqual(decided["ended"], "below")
        self.converted(network(3), "--head", "values")
        self.wrong_command("predict", "m.mu8", "x.npy", "--stop-error", "0.05",
                           says="--stop-error: the model's outputs are numbers")


if __name__ == "__main__":
    cli.main()
