"""Numbers whose network says the variance of their noise.

    /usr/bin/python3 tests/cli/test_gaussians.py build/release/mu8
"""

import math

import cli
import numpy as np
from heads import BIAS, PIXELS, WEIGHTS, HeadTest, X, network
from onnx import TensorProto, helper


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
        for join, says in (("mean,mean", 'm.onnx: --output-name names "mean" twice'),
                           ("scale,mean", "head gaussian: the means come first, but the first of")):
            self.fails(*self.convert(two_heads(), "--deterministic", "--output-name", join, "--head",
                                     "gaussian", "--scale", "log-variance"), says=says)
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


if __name__ == "__main__":
    cli.main()
