#!/usr/bin/env python3
"""tools/export_laplace.py: the rotated layers have the distribution of the correlated posterior.

    /usr/bin/python3 tests/tools/test_export_laplace.py build/release/mu8
"""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "cli")]

import cli  # noqa: E402
import export_laplace as laplace  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

CLASSES, INPUTS, PIXELS = 5, 12, 6
PRIOR = 3.0


def random(seed=1):
    return np.random.default_rng(seed)


def factors(seed=1):
    """A curvature as it is found: symmetric, one of the directions without any."""
    rng = random(seed)
    h, q = rng.normal(size=(CLASSES, CLASSES - 1)), rng.normal(size=(INPUTS, 40))
    return h @ h.T, q @ q.T


def parameters(seed=2):
    rng = random(seed)
    return {"v": rng.normal(size=(INPUTS, PIXELS)).astype(np.float32),
            "w": rng.normal(size=(CLASSES, INPUTS)).astype(np.float32),
            "b": rng.normal(size=CLASSES).astype(np.float32)}


def network(kind="Gemm", last=None):
    """x -> v -> ReLU -> w, b -> y."""
    arrays = parameters()
    nodes = [helper.make_node("Gemm", ["x", "v"], ["h"], transB=1),
             helper.make_node("Relu", ["h"], ["r"])]
    if kind == "Gemm":
        nodes.append(helper.make_node("Gemm", ["r", "w", "b"], ["z" if last else "y"], transB=1))
    else:
        arrays["w"] = np.ascontiguousarray(arrays["w"].T)
        nodes.append(helper.make_node("MatMul", ["r", "w"], ["m"]))
        nodes.append(helper.make_node("Add", ["b", "m"], ["z" if last else "y"]))
    if last:
        nodes.append(helper.make_node(last, ["z"], ["y"]))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", PIXELS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


def hidden(x):
    return np.maximum(x @ parameters()["v"].T.astype(np.float64), 0)


def covariance(a, s, b):
    """Of the weights of A (S * E) B, row after row."""
    rotation = np.kron(a, b.T)
    return rotation @ np.diag(s.ravel() ** 2) @ rotation.T


class Distribution(cli.CommandTest):
    def test_kronecker(self):
        h, q = factors()
        a, s, b, bias = laplace.of_kronecker(h, q, np.array([PRIOR]))
        precision = np.kron(h, q) + PRIOR * np.eye(CLASSES * INPUTS)
        np.testing.assert_allclose(covariance(a, s, b), np.linalg.inv(precision), atol=1e-12)
        found = a @ np.diag(bias ** 2) @ a.T
        np.testing.assert_allclose(found, np.linalg.inv(h + PRIOR * np.eye(CLASSES)), atol=1e-12)

    def test_product(self):
        rng = random()
        for p, r in ((CLASSES, INPUTS), (2, 3), (7, 20)):
            with self.subTest(p=p, r=r):
                left, right = rng.normal(size=(CLASSES, p)), rng.normal(size=(r, INPUTS))
                a, s, b, bias = laplace.of_product(left, right)
                self.assertIsNone(bias)
                np.testing.assert_allclose(covariance(a, s, b),
                                           np.kron(left @ left.T, right.T @ right), atol=1e-10)

    def test_the_mean_network_stays(self):
        x, arrays = random().normal(size=(4, PIXELS)), parameters()
        expected = hidden(x) @ arrays["w"].T + arrays["b"]
        for kind in ("Gemm", "MatMul"):
            model, sigmas = laplace.rotate(network(kind), "w", *laplace.of_kronecker(*factors(), PRIOR))
            onnx.checker.check_model(model)
            found = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
            self.assertEqual(set(found),
                             {"v", "w", "w.bias", "w.input_basis", "w.output_basis"})
            self.assertEqual({name: array.shape for name, array in sigmas.items()},
                             {"w": (CLASSES, INPUTS), "w.bias": (CLASSES,)})
            y = hidden(x) @ found["w.input_basis"].T @ found["w"].T + found["w.bias"]
            np.testing.assert_allclose(y @ found["w.output_basis"].T, expected, atol=1e-4)

    def test_converted_predictions_vary_as_they_should(self):
        """Values: the variance of each output is known in closed form, biases included."""
        rng = random(3)
        h, q = factors()
        np.savez(self.folder / "laplace.npz", output_factor=h, input_factor=q,
                 prior_precision=PRIOR)
        onnx.save(network(), self.folder / "net.onnx")
        done = subprocess.run([sys.executable, ROOT / "tools" / "export_laplace.py", "net.onnx",
                               "laplace.npz", "--weight", "w", "--output-prefix", "out"],
                              cwd=self.folder, capture_output=True, text=True, check=True)
        self.assertIn("12 inputs and 5 outputs", done.stdout)
        x = rng.normal(size=(256, PIXELS)).astype(np.float32)
        np.save(self.folder / "x.npy", x)
        self.json_of("convert", "--model", "out.onnx", "--posterior", "out.npz", "--head", "values",
                     "--calibration", "x.npy", "-o", "out.mu8")
        found = self.json_of("predict", "out.mu8", "x.npy", "--samples", "2000")["predictions"]
        w = np.linalg.inv(np.kron(h, q) + PRIOR * np.eye(CLASSES * INPUTS))
        w = w.reshape(CLASSES, INPUTS, CLASSES, INPUTS)
        bias = np.diag(np.linalg.inv(h + PRIOR * np.eye(CLASSES)))
        phi = hidden(x.astype(np.float64))
        of_weights = np.stack([np.einsum("ni,ij,nj->n", phi, w[c, :, c, :], phi)
                               for c in range(CLASSES)], 1)
        right = np.sqrt(of_weights + bias)
        ours = np.array([p["standard_deviation"] for p in found])
        ratio = ours / right
        self.assertAlmostEqual(float(np.sqrt((ratio ** 2).mean())), 1, delta=.02)
        self.assertLess(float(np.abs(ratio - 1).max()), .15)
        means = np.array([p["mean"] for p in found])
        arrays = parameters()
        error = means - (phi @ arrays["w"].T + arrays["b"])
        self.assertLess(float(np.sqrt((error ** 2).mean())), .03 * float(means.std()))


class Refusals(cli.CommandTest):
    def refuses(self, says, model=None, weight="w", **arrays):
        onnx.save(network() if model is None else model, self.folder / "net.onnx")
        np.savez(self.folder / "p.npz", **arrays)
        done = subprocess.run([sys.executable, ROOT / "tools" / "export_laplace.py", "net.onnx", "p.npz",
                               "--weight", weight, "--output-prefix", "refused"], cwd=self.folder,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(says, done.stderr)
        self.assertFalse((self.folder / "refused.onnx").exists())
        self.assertFalse((self.folder / "refused.npz").exists())

    def test_posteriors(self):
        h, q = factors()
        good = {"output_factor": h, "input_factor": q, "prior_precision": PRIOR}
        self.refuses("a full covariance is no product of two factors", covariance=np.eye(60))
        self.refuses("holds nothing, expected output_factor, input_factor, prior_precision or left")
        self.refuses("output_factor: not symmetric", **{**good, "output_factor": np.triu(h)})
        self.refuses("input_factor: has the eigenvalue -", **{**good, "input_factor": -q})
        self.refuses("prior_precision: expected one number above 0", **{**good, "prior_precision": 0})
        self.refuses("input_factor: not finite", **{**good, "input_factor": q * np.nan})
        self.refuses("w is 5 x 12, the posterior's factors are of 5 x 5", **{**good, "input_factor": h})
        self.refuses("left: shape [5], expected a matrix", left=h[0], right=q)

    def test_networks(self):
        h, q = factors()
        good = {"output_factor": h, "input_factor": q, "prior_precision": PRIOR}
        self.refuses("fc: no initializer of that name in the graph; it has b, v, w", weight="fc", **good)
        self.refuses("v: not the last layer", weight="v", **good)
        self.refuses("w: not the last layer", model=network(last="Tanh"), **good)


if __name__ == "__main__":
    cli.main()
