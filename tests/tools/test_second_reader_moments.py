"""The second reader's predictions by moments against the mathematics that they stand for: the
functions of formats/FORMAT.md 13.1 against exact formulas and integrals, a layer's variances
against sampled networks.

    /usr/bin/python3 tests/tools/test_second_reader_moments.py

Runs in the repository root and needs no engine.
"""

import math
import pathlib
import subprocess
import sys
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden"
sys.path.insert(0, str(ROOT / "tools"))

from second_reader.arithmetic import quantize_input, run_pass  # noqa: E402
from second_reader.moments import (Pass, Value, covariances, second_moments,  # noqa: E402
                                   squares, weight_variance)
from second_reader.moments_math import (F, Target, bound, clip_moments, inverse_root,  # noqa: E402
                                        larger, root, shape, store, through)
from second_reader.moments_prediction import lower_triangle, normals, predict_moments  # noqa: E402
from second_reader.prediction import predict  # noqa: E402
from second_reader.reader import read_model  # noqa: E402
from second_reader.sampling import EPSILON, WeightSource  # noqa: E402


def density(z):
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def probability(z):
    return np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)))(np.asarray(z, float))


def powers(low, high, count, seed=1):
    """f32 numbers spread evenly over the exponents from 2^low to 2^high."""
    return np.exp2(np.random.default_rng(seed).uniform(low, high, count)).astype(F)


def integral_of_clamp(x, v, low, high):
    """Mean and variance of clamp(X, low, high), by numerical integration."""
    z = np.linspace(-12, 12, 480001)
    weight = density(z)
    weight /= weight.sum()
    value = np.clip(x + math.sqrt(v) * z, low, high)
    mean = (weight * value).sum()
    return mean, (weight * (value - mean) ** 2).sum()


def golden(name, step=1.0, factor=1.0):
    """A golden model with the same step and factor for each layer."""
    model = read_model((GOLDEN / f"{name}.mu8").read_bytes())
    model.moments = np.tile(np.float32([[step, factor]]), (len(model.layers), 1))
    return model


def image_of(model, seed=3):
    t = model.tensors[0]
    return np.random.default_rng(seed).integers(0, 256, (t.height, t.width, t.channels), np.uint8)


def sources_of(model):
    return {i: WeightSource(model, i) for i, layer in enumerate(model.layers) if layer.weighted}


class FunctionTest(unittest.TestCase):
    def test_bound(self):
        found = bound(np.float32([0, 1e-45, 2 ** -127, 2.0 ** -126, 3, 2.0 ** 64, 3e38, np.inf]))
        self.assertEqual(found.tolist(), [0, 0, 0, 2.0 ** -126, 3, 2.0 ** 64, 2.0 ** 64, 2.0 ** 64])

    def test_inverse_root(self):
        x = np.concatenate([powers(-24, 127, 200000), F([2.0 ** -24, 1, 2, 4])])
        error = inverse_root(x).astype(float) * np.sqrt(x.astype(float)) - 1
        self.assertLess(np.abs(error).max(), 0.016)
        self.assertGreater(np.abs(error).max(), 0.015)  # the page claims no more than it must

    def test_root(self):
        x = np.concatenate([powers(-126, 127, 200000), F([2.0 ** -126, 1, 4])])
        error = root(x) / np.sqrt(x.astype(float)) - 1
        self.assertLess(np.abs(error).max(), 2e-7)
        self.assertEqual(root(F([0, 1e-39, 1.1e-38])).tolist(), [0, 0, 0])

    def test_shape(self):
        z = np.linspace(-7, 7, 140001).astype(F)
        exact_z = z.astype(float)
        p, d = probability(exact_z), density(exact_z)
        mean = d + exact_z * p
        variance = (exact_z ** 2 + 1) * p + exact_z * d - mean ** 2
        for name, found, exact in zip("UGP", shape(z), (mean - np.maximum(exact_z, 0), variance,
                                                        p)):
            with self.subTest(name):
                self.assertLess(np.abs(found - exact).max(), 0.0021)
        u, g, p = (float(value) for value in shape(F(0)))
        self.assertEqual((u, g, p), (13004 / 32768, 11138 / 32768, 0.5))

    def test_store(self):
        target = Target(100, F(-100), F(50), F(0.5))
        codes = store(target, F([-200, 0.5, 1.5, 60]), F([0, 0.2, 0.75, 1e9]))
        self.assertEqual(codes[0].tolist(), [0, 100, 102, 150])
        self.assertEqual(codes[1].tolist(), [0, 0, 2, 255])

    def test_clip_against_integration(self):
        """Errors in units of the deviation and the variance of X."""
        worst = [0.0, 0.0]
        for low, high in ((0, 255), (-17, 90), (0, 30), (-128, 127)):
            for deviation in (0.01, 0.7, 3, 12, 40):
                for x in np.linspace(low - 4 * deviation, high + 4 * deviation, 41):
                    v = F(deviation ** 2)
                    found = clip_moments(F(low), F(high), F(x), v)
                    exact = integral_of_clamp(float(F(x)), float(v), low, high)
                    for k, unit in enumerate((math.sqrt(v), v)):
                        worst[k] = max(worst[k], abs(float(found[k]) - exact[k]) / float(unit))
        self.assertLess(worst[0], 0.011)
        self.assertLess(worst[1], 0.06)

    def test_clip_of_no_variance(self):
        x, v = clip_moments(F(0), F(10), F([-5, 3, 20]), np.full(3, 2.0 ** -25, F))
        self.assertEqual((x.tolist(), v.tolist()), ([-5, 3, 20], [0, 0, 0]))

    def test_larger_against_clark(self):
        rng = np.random.default_rng(5)
        x1, x2 = rng.uniform(-50, 50, (2, 20000)).astype(F)
        v1, v2 = powers(-6, 10, 20000), powers(-6, 10, 20000, 2)
        mean, variance = larger((x1, v1), (x2, v2))
        a1, a2, b1, b2 = (value.astype(float) for value in (x1, x2, v1, v2))
        spread = np.sqrt(b1 + b2)
        z = (a1 - a2) / spread
        p, d = probability(z), density(z)
        first = a1 * p + a2 * (1 - p) + spread * d
        second = (a1 ** 2 + b1) * p + (a2 ** 2 + b2) * (1 - p) + (a1 + a2) * spread * d
        self.assertLess((np.abs(mean - first) / spread).max(), 0.011)
        self.assertLess((np.abs(variance - (second - first ** 2)) / (b1 + b2)).max(), 0.02)

    def test_larger_of_no_variance(self):
        nothing = np.zeros(3, F)
        x, v = larger((F([1, 2, 3]), nothing), (F([2, 2, 1]), nothing))
        self.assertEqual((x.tolist(), v.tolist()), ([2, 2, 3], [0, 0, 0]))

    def test_through_is_exact_of_polynomials_but_for_the_root(self):
        code = np.arange(256)
        q, v = np.arange(40, 200), powers(-2, 7, 160)
        x, variance = through(lambda at: code[at], q, v)
        self.assertLess(np.abs(x - q).max(), 1e-4)
        self.assertLess(np.abs(variance / v - 1).max(), 2.1 * 0.016)
        parabola = (code - 128) ** 2  # no u8, but the mathematics do not mind
        x, variance = through(lambda at: parabola[at], q, v)
        mean = (q - 128.0) ** 2 + v
        self.assertLess((np.abs(x - mean) / (v + 1)).max(), 0.25)  # it is linear between codes
        spread = 4 * (q - 128.0) ** 2 * v + 2 * v.astype(float) ** 2
        self.assertLess((np.abs(variance - spread) / (spread + 40)).max(), 0.07)

    def test_through_ends_where_the_table_ends(self):
        code = np.arange(256)
        x, variance = through(lambda at: code[at], np.array([0, 255]), F([400, 400]))
        w = 20 * math.sqrt(3)
        for found, expected in zip(x, (w / 6, 255 - w / 6)):
            self.assertAlmostEqual(float(found), expected, delta=0.1)
        self.assertEqual(through(lambda at: code[at], np.array([7]), F([0]))[0].tolist(), [7])


class WeightTest(unittest.TestCase):
    def test_the_variance_of_a_drawn_weight(self):
        for shift in range(1, 16):
            for top in (1, 3, 10, 40, 100, 255):
                n = (top * EPSILON + (1 << (shift - 1))) >> shift
                found = float(weight_variance(top, shift))
                exact = float((n * n).mean())
                if found < 0.25:
                    self.assertAlmostEqual(found, exact, delta=1e-6)
                else:
                    self.assertLess(abs(found / exact - 1), 0.1, (top, shift))

    def test_squares_of_every_sigma_width(self):
        """S * W / 64 against the variance of 300 draws, M * 256 against mu * mu."""
        compared = 0
        for bits in (8, 4, 2, 1, 0):
            model = golden(f"tiny_sigma{bits}")
            for layer in (0, 1):
                parameters = model.layers[layer].parameters
                parameters.shift = np.minimum(parameters.shift + 3, 12)
                source = WeightSource(model, layer)
                found = squares(source)
                mu = source.means()[0]
                self.assertLessEqual(np.abs(found.mu * 256 - mu * mu).max(), 128)
                self.assertLessEqual(found.levels.max(), 64)
                drawn = np.stack([source.sample(4, t)[0] for t in range(300)]).astype(float)
                expected = found.levels * found.weight[:, None] / 64
                # Not where rounding leaves few values or few bits of S, nor where weights are
                # clamped.
                fits = ((expected > 2) & (found.levels > 3)
                        & (np.abs(mu) + 3 * np.sqrt(expected) < 127))
                compared += fits.sum()
                ratio = drawn.var(0)[fits].sum() / expected[fits].sum()
                self.assertTrue(0.85 < ratio < 1.15, (bits, layer, ratio))
        self.assertGreater(compared, 80)

    def test_second_moments(self):
        q, v = np.meshgrid(np.arange(256), np.arange(256))
        value = Value(q.astype(np.uint8), v.astype(np.uint8))
        for zero, step in ((0, 0.05), (128, 2.0), (255, 1.0), (7, 100.0)):
            e, c = second_moments(zero, F(step), value)
            exact = (q - zero) ** 2 + v * step
            unit = 65536 / c
            inside = exact < min(254 * unit, 65000)
            self.assertLessEqual(np.abs(e * unit - exact)[inside].max(), unit)
            self.assertTrue((e[exact > 256 * unit] == 255).all())

    def test_covariances_of_groups(self):
        rng = np.random.default_rng(2)
        v, mu = rng.integers(0, 256, (3, 2, 5)), rng.integers(-127, 128, (6, 5))
        found = covariances(v, mu)
        for position in range(3):
            for a in range(6):
                for b in range(6):
                    expected = sum(int(x) * int(mu[a, i]) * int(mu[b, i])
                                   for i, x in enumerate(v[position, a // 3])) if a // 3 == b // 3 \
                        else 0
                    self.assertEqual(found[position, a, b], expected)


class LayerTest(unittest.TestCase):
    """Golden models whose noise is small enough for no clamp of weights."""

    def test_variances_of_sampled_networks(self):
        """Of a first layer the inputs are certain, so its variances are exact but for rounding."""
        for name in ("tiny_sigma8", "tiny_sigma4", "tiny_sigma2", "tiny_sigma1", "tiny_sigma0",
                     "dense_softmax", "tiny_mu5"):
            with self.subTest(name):
                model = golden(name, step=0.1)
                parameters = model.layers[0].parameters
                parameters.shift = np.minimum(parameters.shift + 5, 14)
                parameters.bias_shift = np.minimum(parameters.bias_shift + 5, 14)
                sources = sources_of(model)
                stored, _ = quantize_input(model, image_of(model))
                found = Pass(model, sources, stored)
                found.run()
                drawn = np.stack([run_pass(model, sources, stored, 1, t)[0][1]
                                  for t in range(300)]).astype(float)
                variance = found.values[1].variance * 0.1
                known = (variance < 20) & (drawn.var(0) < 20)
                self.assertGreater(known.sum(), known.size // 3)
                error = np.abs(drawn.mean(0) - found.values[1].mean)
                self.assertLess((error / np.sqrt(drawn.var(0) + 1))[known].max(), 0.6)
                ratio = (drawn.var(0)[known] + 0.2).sum() / (variance[known] + 0.2).sum()
                self.assertTrue(0.8 < ratio < 1.25, ratio)

    def test_the_prefix_is_computed_as_ever(self):
        uncertain = 0
        for name in ("deterministic_prefix", "table_operators_prefix"):
            model = golden(name)
            sources = sources_of(model)
            stored, _ = quantize_input(model, image_of(model))
            found = Pass(model, sources, stored)
            found.run()
            wanted = run_pass(model, sources, stored, 1, 0)[0]
            first = model.first_pass_layer
            self.assertGreater(first, 4)
            for i in range(first + 1):
                np.testing.assert_array_equal(found.values[i].mean, wanted[i])
                self.assertFalse(found.values[i].variance.any())
            uncertain += sum(value.variance.any() for value in found.values)
        self.assertGreater(uncertain, 3)


class PredictionTest(unittest.TestCase):
    def test_the_triangle(self):
        rng = np.random.default_rng(7)
        for count in (1, 2, 5, 10, 64):
            half = rng.normal(size=(count, count)) * 10 ** rng.uniform(-2, 2, (count, 1))
            k = (half @ half.T + np.diag(np.diag(half @ half.T)) * 1e-3).astype(F)
            found = lower_triangle(k).astype(float)
            scale = np.sqrt(np.outer(np.diag(k), np.diag(k)))
            self.assertLess((np.abs(found @ found.T - k) / scale).max(), 1e-5)
            self.assertFalse(np.triu(found, 1).any())

    def test_a_triangle_of_too_few_dimensions(self):
        k = np.ones((3, 3), F)  # three logits that are one
        self.assertEqual(lower_triangle(k).tolist(), [[1, 0, 0], [1, 0, 0], [1, 0, 0]])
        self.assertFalse(lower_triangle(np.zeros((2, 2), F)).any())

    def test_the_numbers_of_rows(self):
        for classes, rows in ((1, 64), (10, 64), (32, 64), (33, 128), (64, 128)):
            x = normals(classes)
            self.assertEqual(x.shape, (rows, classes))
            np.testing.assert_array_equal(x[0::2], -x[1::2])
            np.testing.assert_allclose(x.T @ x / rows, np.eye(classes), atol=1e-6)
            self.assertAlmostEqual(float((x ** 4).mean()), 2.93, delta=0.06)
        x = normals(200)  # those of 64 and more by themselves
        np.testing.assert_allclose((x ** 2).mean(0), 1)
        self.assertLess(np.abs(x.T @ x / 128 - np.eye(200)).max(), 0.8)

    def test_a_network_without_noise(self):
        for name in ("deterministic", "tiny_deterministic"):
            model = golden(name)
            found, wanted = predict_moments(model, image_of(model)), predict(
                model, image_of(model), 1, 1)
            self.assertEqual(found.label, wanted.label)
            np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-5, atol=1e-6)
            self.assertLess(float(found.mutual_information), 1e-6)

    def test_where_there_are_none(self):
        plain = read_model((GOLDEN / "tiny_sigma4.mu8").read_bytes())
        for model in (plain, golden("tiny_reconstruction")):
            with self.assertRaisesRegex(ValueError, "error 78"):
                predict_moments(model, image_of(model))


class CommandTest(unittest.TestCase):
    def run_command(self, *arguments):
        """(exit status, stdout, stderr)"""
        done = subprocess.run([ROOT / "tools" / "read_mu8", *arguments], capture_output=True,
                              text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_a_prediction_by_its_bytes(self):
        path, digits = GOLDEN / "tiny_moments.mu8", ROOT / "build" / "second_reader_moments.npy"
        model = read_model(path.read_bytes())
        digits.parent.mkdir(exist_ok=True)
        np.save(digits, image_of(model))
        self.addCleanup(digits.unlink)
        mean = predict_moments(model, image_of(model)).mean
        self.assertEqual(self.run_command(path, "--image", digits, "--method", "moments", "--seed",
                                          "8", "--hash"),
                         (0, mean.astype("<f4").tobytes().hex() + "\n", ""))
        status, text, _ = self.run_command(path, "--image", digits, "--method", "moments")
        self.assertEqual(status, 0)
        self.assertIn("mutual_information", text)

    def test_wrong_usage(self):
        path = GOLDEN / "tiny_moments.mu8"
        for more in (["--samples", "3"], ["--antithetic"]):
            status, _, error = self.run_command(path, "--image", "x.npy", "--method", "moments",
                                                *more)
            self.assertEqual(status, 2)
            self.assertIn("--method moments draws no networks", error)
        self.assertEqual(self.run_command(path, "--method", "moments")[0], 2)


if __name__ == "__main__":
    unittest.main()
