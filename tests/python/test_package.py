"""The Python package beside the `mu8` command: the same bytes, and clear errors.

usage: test_package.py PACKAGE_FOLDER MU8 (the folder that holds the package, the command)
"""

import json
import pathlib
import pickle
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
sys.path.insert(0, sys.argv.pop(1))
COMMAND = sys.argv.pop(1)
sys.path.insert(0, str(ROOT / "tools"))

import numpy as np  # noqa: E402
from data_files.images import read_images  # noqa: E402

import mu8  # noqa: E402

DIGITS = DATA / "mnist" / "digits-images-idx3-ubyte.gz"
CALIBRATION = DATA / "mnist" / "calibration-images-idx3-ubyte.gz"
NORMALIZED = {"mean": [0.1307], "std": [0.3081]}


def command(*arguments):
    done = subprocess.run([COMMAND, *map(str, arguments), "--json"], capture_output=True, check=True)
    return json.loads(done.stdout)


class Names(unittest.TestCase):
    """What `import mu8` promises is imported when it is asked for."""

    def test_all_are_there(self):
        self.assertEqual(dir(mu8), sorted(mu8.__all__))
        for name in mu8.__all__:
            self.assertTrue(callable(getattr(mu8, name)), name)
        with self.assertRaisesRegex(AttributeError, "no attribute 'nothing'"):
            _ = mu8.nothing

    def test_import_is_quick(self):
        done = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {sys.path[1]!r}); import mu8; "
                               "print([name for name in sys.modules if name in ('numpy', 'mu8._library')])"],
                              capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "[]\n")


class Lenet(unittest.TestCase):
    """LeNet-5 of the demo, converted once by the package."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name) / "lenet5.mu8"
        cls.report = mu8.convert(DATA / "lenet5_mnist.onnx", DATA / "lenet5_mnist.npz", CALIBRATION, cls.path,
                                 moments=True, **NORMALIZED)
        cls.model = mu8.load(cls.path)
        cls.pixels = read_images(DIGITS, (1, 28, 28))[:12].transpose(0, 2, 3, 1).copy()

    @classmethod
    def tearDownClass(cls):
        cls.model.close()
        cls.folder.cleanup()

    def assertSame(self, one, other):
        self.assertEqual(one.mean.tobytes(), other.mean.tobytes())
        self.assertEqual(one.variance.tobytes(), other.variance.tobytes())
        self.assertEqual(one.samples_used.tolist(), other.samples_used.tolist())


class Conversion(Lenet):
    def test_report(self):
        self.assertEqual(self.report.file, str(self.path))
        self.assertEqual(mu8.inspect(self.path)["sigma_bits"], 4)
        self.assertEqual(mu8.inspect(self.model)["name"], "lenet5_mnist")
        self.assertIn("convert", repr(self.report))
        self.assertIn("<table>", self.report._repr_html_())

    def test_same_file_as_the_command(self):
        other = pathlib.Path(self.folder.name) / "command.mu8"
        command("convert", "--model", DATA / "lenet5_mnist.onnx", "--posterior", DATA / "lenet5_mnist.npz",
                "--calibration", CALIBRATION, "--mean", "0.1307", "--std", "0.3081", "--sigma-bits", 4,
                "--moments", "-o", other)
        self.assertEqual(other.read_bytes(), self.path.read_bytes())

    def test_arrays_in_memory(self):
        """Bytes, a dict of sigmas, pixels as an array: the same network as from files, whose checksums differ."""
        sigmas = np.load(DATA / "lenet5_mnist.npz")
        images = read_images(CALIBRATION, (1, 28, 28)).transpose(0, 2, 3, 1)
        report = mu8.convert((DATA / "lenet5_mnist.onnx").read_bytes(),
                             {name[:-len(".sigma")]: sigmas[name] for name in sigmas.files if name.endswith(".sigma")},
                             images, name="lenet5_mnist", moments=True, **NORMALIZED)
        found, expected = mu8.inspect(report), mu8.inspect(self.path)
        for figures in (found, expected):
            del figures["file"], figures["metadata"]["source.posterior.crc32c"]
        self.assertEqual(found, expected)
        self.assertSame(report.load().predict(self.pixels, 5), self.model.predict(self.pixels, 5))
        path = pathlib.Path(self.folder.name) / "saved.mu8"
        report.save(path)
        self.assertSame(report.load().predict(self.pixels, 3), mu8.load(path).predict(self.pixels, 3))

    def test_refused(self):
        for what, arguments, options in (
                ("calibration data", (DATA / "lenet5_mnist.onnx", {}), {}),
                ("no such option|following arguments were not expected",
                 (DATA / "lenet5_mnist.onnx", DATA / "lenet5_mnist.npz", CALIBRATION), {"sigma_bit": 3}),
                ("sigma-bits", (DATA / "lenet5_mnist.onnx", DATA / "lenet5_mnist.npz", CALIBRATION),
                 {"sigma_bits": 3}),
                ("nothing.onnx", ("nothing.onnx", DATA / "lenet5_mnist.npz", CALIBRATION), {}),
                ("the network is int", (3, DATA / "lenet5_mnist.npz", CALIBRATION), {}),
                ("data is int", (DATA / "lenet5_mnist.onnx", DATA / "lenet5_mnist.npz", 3), {})):
            path = pathlib.Path(self.folder.name) / "refused.mu8"
            with self.assertRaisesRegex(mu8.Error, what):
                mu8.convert(*arguments, output=path, **options)
            self.assertFalse(path.exists())


class Predictions(Lenet):
    def test_same_numbers_as_the_command(self):
        for options, arguments in (
                ({}, ()), ({"samples": 7, "seed": 3}, ("--samples", 7, "--seed", 3)),
                ({"noise": "antithetic"}, ("--antithetic",)), ({"method": "moments"}, ("--method", "moments")),
                ({"stop": mu8.Stop(0.05)}, ("--stop-error", 0.05)),
                ({"stop": mu8.Stop(0.05, outputs="7", threshold=0.5)},
                 ("--stop-error", 0.05, "--stop-class", "name:7", "--stop-threshold", 0.5)),
                ({"stop": mu8.Stop(0.05, outputs="all", threshold=0.5)},
                 ("--stop-error", 0.05, "--stop-class", "all", "--stop-threshold", 0.5)),
                ({"stop": mu8.Stop(0.05), "method": "auto"}, ("--method", "auto", "--stop-error", 0.05))):
            with self.subTest(options=options):
                mine = self.model.predict(self.pixels, **options)
                with tempfile.TemporaryDirectory() as folder:
                    means, entropies = (pathlib.Path(folder) / name for name in ("p.f32", "u.f32"))
                    found = command("eval", self.path, "--data", DIGITS, "--limit", 12, "--predictions", means,
                                    "--uncertainty", entropies, *arguments)
                    self.assertEqual(found["images"], 12)
                    self.assertEqual(means.read_bytes(), mine.mean.tobytes())
                    total, aleatoric, epistemic = np.fromfile(entropies, "<f4").reshape(12, 3).T
                    self.assertEqual(aleatoric.tobytes(), mine.expected_entropy.tobytes())
                    self.assertEqual(epistemic.tobytes(), mine.mutual_information.tobytes())
                    # eval has it from the mean that it writes.
                    self.assertLess(np.abs(total - mine.predictive_entropy).max(), 1e-6)

    def test_batches_threads_and_kernels_change_no_byte(self):
        expected = self.model.predict(self.pixels, 9)
        for options in ({"batch": 1}, {"batch": 5}, {"threads": 2}, {"threads": 2, "batch": 3},
                        {"kernels": "scalar"}, {"progress": True}):
            self.assertSame(self.model.predict(self.pixels, 9, **options), expected)

    def test_layouts(self):
        expected = self.model.predict(self.pixels, 3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for array in (self.pixels[..., 0], self.pixels.transpose(0, 3, 1, 2),
                          self.pixels[:, ::-1][:, ::-1]):
                self.assertSame(self.model.predict(array, 3), expected)
            one = self.model.predict(self.pixels[0], 3)
            self.assertSame(one, expected[0])
            self.assertSame(self.model.predict(self.pixels[0, :, :, 0], 3), expected[0])
            floats = (self.pixels.astype(np.float64) / 255 - 0.1307) / 0.3081
            self.assertSame(self.model.predict(floats, 3), expected)

    def test_two_readings(self):
        from mu8 import _layout
        own = ("nchw", (3, 3, 3))
        with self.assertWarnsRegex(UserWarning, "fit the layouts nchw, nhwc: taken as nchw"):
            _layout.to_nhwc(np.zeros((2, 3, 3, 3), np.float32), (3, 3, 3), own, None)
        with self.assertWarnsRegex(UserWarning, "taken as nhwc, the only layout that fits"):
            _layout.to_nhwc(np.zeros((2, 4, 5, 3), np.float32), (4, 5, 3), ("nchw", (3, 4, 5)), None)
        with self.assertRaisesRegex(mu8.Error, "say which by"):
            _layout.to_nhwc(np.zeros((2, 3, 3, 3), np.float32), (3, 3, 3), ("nf", (27,)), None)
        taken = _layout.to_nhwc(np.arange(54).reshape(2, 3, 3, 3), (3, 3, 3), own, "nhwc")
        self.assertEqual(taken.ravel().tolist(), list(range(54)))

    def test_text_of_a_layout_is_untrusted(self):
        from mu8 import _layout
        for text in (None, "", "nchw", "nchw:", "nchw:3", "nchw:3,x,5", "nchw:0,4,5", "nchw:3,4,6", "nxyz:3,4,5",
                     "nchw:3,4,5,1", "nchw:\u0663,4,5"):
            self.assertEqual(_layout.own_layout(text, (4, 5, 3)), ("nchw", (3, 4, 5)), text)
        self.assertEqual(_layout.own_layout("nhwc:4,5,3", (4, 5, 3)), ("nhwc", (4, 5, 3)))

    def test_logits(self):
        kept = self.model.predict(self.pixels, 6, logits=True)
        self.assertEqual(kept.logits.shape, (12, 6, 10))
        shifted = np.exp(kept.logits.astype(np.float64) - kept.logits.max(axis=2, keepdims=True))
        mean = (shifted / shifted.sum(axis=2, keepdims=True)).mean(axis=1)
        self.assertLess(np.abs(mean - kept.mean).max(), 2e-4)
        moments = self.model.predict(self.pixels, method="moments", logits=True)
        self.assertEqual(moments.logits.shape, (12, 1, 10))
        self.assertEqual(moments.logit_covariance.shape, (12, 10, 10))
        self.assertTrue((np.linalg.eigvalsh(moments.logit_covariance.astype(np.float64)) > -1e-3).all())

    def test_replay(self):
        record = self.model.predict(self.pixels, 5, seed=77).replay
        self.assertEqual(record["seed"].tolist(), [77] * 12)
        self.assertEqual(record["samples_used"].tolist(), [5] * 12)
        self.assertEqual(record["model_hash"].tolist(), [self.model.hash] * 12)

    def test_many_threads_of_python(self):
        expected, found = self.model.predict(self.pixels, 5), []
        threads = [threading.Thread(target=lambda: found.append(self.model.predict(self.pixels, 5)))
                   for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(found), 8)
        for prediction in found:
            self.assertSame(prediction, expected)

    def test_refused(self):
        for what, call in (
                ("T = 0 to|mc_samples", lambda: self.model.predict(self.pixels, 0)),
                ("samples is 1.5", lambda: self.model.predict(self.pixels, 1.5)),
                ("seed is -1", lambda: self.model.predict(self.pixels, seed=-1)),
                ("method is 'laplace'", lambda: self.model.predict(self.pixels, method="laplace")),
                ("inputs are int64", lambda: self.model.predict(self.pixels.astype(np.int64))),
                ("the model expects", lambda: self.model.predict(self.pixels[:, :27])),
                ("shape", lambda: self.model.predict(np.uint8(3))),
                ("holds a NaN", lambda: self.model.predict(np.full((1, 28, 28, 1), np.nan, np.float32))),
                ("no output is named 'cat'", lambda: self.model.predict(self.pixels, stop=mu8.Stop(outputs="cat",
                                                                                                threshold=.5))),
                ("without outputs", lambda: self.model.predict(self.pixels, stop=mu8.Stop(threshold=.5))),
                ("stop.error", lambda: self.model.predict(self.pixels, stop=mu8.Stop(error=.9))),
                ("layout is 'nxyz'", lambda: self.model.predict(self.pixels, layout="nxyz"))):
            with self.subTest(what=what), self.assertRaisesRegex(mu8.Error, what):
                call()

    def test_far_from_the_range_is_said(self):
        with self.assertWarnsRegex(UserWarning, "beyond the range"):
            self.model.predict(self.pixels.astype(np.float32))

    def test_shown(self):
        found = self.model.predict(self.pixels, 5)
        self.assertEqual(len(found), 12)
        self.assertIn("probability", repr(found))
        self.assertIn("<table>", found._repr_html_())
        self.assertEqual(found[-1].mean.shape, (1, 10))
        with self.assertRaises(IndexError):
            found[12]
        self.assertEqual(self.model.predict_proba(self.pixels, 5).tobytes(), found.mean.tobytes())
        self.assertEqual(len(self.model.predict(self.pixels[:0], 5)), 0)


class Ensembles(Lenet):
    """Several models as one, as the command joins them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = mu8.convert(DATA / "lenet5_mnist.onnx", DATA / "lenet5_mnist.npz", CALIBRATION, sigma_bits=2,
                                calibration_limit=32, moments=True, **NORMALIZED)
        cls.both = mu8.load([cls.path, cls.other.data])

    def test_same_numbers_as_the_command(self):
        self.other.save(pathlib.Path(self.folder.name) / "other.mu8")
        for options, arguments in (({}, ()), ({"samples": 7, "seed": 3}, ("--samples", 7, "--seed", 3)),
                                   ({"method": "moments"}, ("--method", "moments"))):
            with self.subTest(options=options), tempfile.TemporaryDirectory() as folder:
                mine = self.both.predict(self.pixels, **options)
                means, entropies = (pathlib.Path(folder) / name for name in ("p.f32", "u.f32"))
                command("eval", self.path, self.other.file, "--data", DIGITS, "--limit", 12, "--predictions", means,
                        "--uncertainty", entropies, *arguments)
                self.assertEqual(means.read_bytes(), mine.mean.tobytes())
                found = np.stack([mine.predictive_entropy, mine.expected_entropy, mine.mutual_information], axis=1)
                np.testing.assert_allclose(found.ravel(), np.fromfile(entropies, "<f4"), rtol=1e-6, atol=1e-9)

    def test_all_draws_count(self):
        """The split over members is that over their passes, thrown together."""
        found = self.both.predict(self.pixels, 6, logits=True)
        self.assertEqual(found.logits.shape, (12, 12, 10))
        self.assertEqual(found.samples_used.tolist(), [12] * 12)
        shifted = np.exp(found.logits.astype(np.float64) - found.logits.max(axis=2, keepdims=True))
        p = shifted / shifted.sum(axis=2, keepdims=True)
        inside = -(p * np.log(p)).sum(axis=2).mean(axis=1)
        total = -(p.mean(axis=1) * np.log(p.mean(axis=1))).sum(axis=1)
        for mine, expected in ((found.mean, p.mean(axis=1)), (found.variance, p.var(axis=1)),
                               (found.expected_entropy, inside), (found.predictive_entropy, total),
                               (found.mutual_information, total - inside)):
            self.assertLess(np.abs(mine - expected).max(), 5e-4)
        self.assertEqual(found.label.tolist(), p.mean(axis=1).argmax(axis=1).tolist())
        self.assertEqual(self.both.predict_proba(self.pixels, 6).tobytes(), found.mean.tobytes())

    def test_members_keep_what_is_their_own(self):
        found = self.both.predict(self.pixels, 3)
        self.assertEqual(found.replay["model_hash"].tolist(), [[each.hash for each in self.both.members]] * 12)
        for name in ("ended", "abstains"):
            self.assertEqual(getattr(found, name).shape, (12, 2))
        self.assertEqual(found[3].mean.tobytes(), found.mean[3].tobytes())
        self.assertIn("mutual information", repr(found))
        self.assertIn("Ensemble of 2", repr(self.both))

    def test_every_head(self):
        pairs = (("tiny_sigma4", "tiny_sigma2"), ("tiny_gaussian", "tiny_gaussian_abstain"),
                 ("tiny_values", "tiny_values_noise"), ("tiny_sigmoid", "tiny_sigmoid_abstain"),
                 ("dense_sigmoid", "dense_sigmoid_moments"), ("dense_reconstruction", "dense_reconstruction_abstain"))
        for names in pairs:
            with self.subTest(names=names):
                both = mu8.load([DATA / "golden" / f"{name}.mu8" for name in names])
                pixels = np.random.default_rng(1).integers(0, 256, (5, *both.members[0].input_shape), np.uint8)
                one, two = (member.predict(pixels, 4, layout="nhwc") for member in both.members)
                found = both.predict(pixels, 4, layout="nhwc")
                for name in ("mean", "noise_variance", "expected_entropy", "output_expected_entropy", "error"):
                    parts = [getattr(each, name) for each in (one, two)]
                    if any(part is None for part in parts):  # as the noise of values, which one file alone says
                        self.assertIsNone(getattr(found, name), name)
                    else:
                        np.testing.assert_allclose(getattr(found, name), (parts[0] + parts[1]) / 2, rtol=1e-5,
                                                   atol=1e-7)
                variance = (one.variance + two.variance) / 2 + ((one.mean - two.mean) / 2) ** 2
                np.testing.assert_allclose(found.variance, variance, rtol=1e-4, atol=1e-7)

    def test_one_member_is_itself(self):
        for name in ("tiny_sigma4", "dense_softmax", "dense_sigmoid", "dense_gaussian"):
            with self.subTest(name=name):
                model = mu8.load(DATA / "golden" / f"{name}.mu8")
                pixels = np.random.default_rng(1).integers(0, 256, (5, *model.input_shape), np.uint8)
                expected = model.predict(pixels, 4, layout="nhwc")
                found = mu8.load([model.to_bytes()]).predict(pixels, 4, layout="nhwc")
                self.assertSame(found, expected)
                for what in ("predictive_entropy", "expected_entropy", "mutual_information", "output_entropy",
                             "output_expected_entropy", "noise_variance", "label"):
                    mine, theirs = (getattr(each, what) for each in (found, expected))
                    self.assertEqual(mine is None, theirs is None, what)
                    if mine is not None:
                        self.assertEqual(mine.shape, theirs.shape, what)
                        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6, err_msg=what)

    def test_refused(self):
        tiny = DATA / "golden" / "tiny_sigma4.mu8"
        for what, files in (("member 1: is the same model", [self.path, self.path]),
                            ("member 1: differs from member 0 in its input", [self.path, tiny]),
                            ("no models", [])):
            with self.subTest(what), self.assertRaisesRegex(mu8.Error, what):
                mu8.load(files)
        with self.assertRaisesRegex(mu8.Error, "networks of one model"):
            self.both.predict(self.pixels, method="auto")


class Files(Lenet):
    def test_closed(self):
        with mu8.load(self.path) as model:
            self.assertEqual(model.to_bytes(), self.path.read_bytes())
        with self.assertRaisesRegex(mu8.Error, "closed"):
            model.predict(self.pixels)

    def test_broken(self):
        data = self.path.read_bytes()
        with self.assertRaisesRegex(mu8.Error, "mu8 error 1"):
            mu8.load(data[:-1])
        with self.assertRaises(FileNotFoundError):
            mu8.load("nothing.mu8")
        with self.assertRaises(TypeError):
            pickle.dumps(self.model)

    def test_evaluate(self):
        labels = [int(label) for label in mu8.inspect(self.model)["labels"]]
        self.assertEqual(labels, list(range(10)))
        images = read_images(DIGITS, (1, 28, 28)).transpose(0, 2, 3, 1)
        by_file = mu8.evaluate(self.path, DIGITS, samples=5)
        truth = np.frombuffer(__import__("gzip").decompress(
            (DATA / "mnist" / "digits-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
        for data in ((images, truth), list(zip(images, truth.tolist()))):
            by_arrays = mu8.evaluate(self.model, data, samples=5)
            self.assertEqual(by_arrays["accuracy"], by_file["accuracy"])
            self.assertEqual(by_arrays["images"], by_file["images"])

    def test_ensemble(self):
        other = mu8.convert(DATA / "lenet5_mnist.onnx", DATA / "lenet5_mnist.npz", CALIBRATION, sigma_bits=2,
                            calibration_limit=32, **NORMALIZED)
        found = mu8.evaluate([self.model, other], DIGITS, limit=20, samples=4)
        self.assertEqual(found["samples"], 8)
        self.assertEqual(len(found["members"]), 2)
        with self.assertRaisesRegex(mu8.Error, "is the same model"):
            mu8.evaluate([self.model, self.path], DIGITS, limit=20, samples=4)
        with mu8.load([self.path, other.data]) as both:
            again = mu8.evaluate(both, DIGITS, limit=20, samples=4)
        self.assertEqual(again["nll"], found["nll"])

    def test_plots(self):
        try:
            import matplotlib
        except ModuleNotFoundError:
            self.skipTest("matplotlib is missing")
        matplotlib.use("Agg")
        axes = self.model.predict(self.pixels, 5).plot(3)
        self.assertEqual(len(axes.patches), 10)
        self.assertIn("epistemic", axes.get_title())
        found = mu8.evaluate(self.model, DIGITS, ood=DATA / "mnist" / "fashion-images-idx3-ubyte.gz", samples=3,
                             curves=True)
        self.assertEqual(len(found.plot()), 2)
        with self.assertRaisesRegex(mu8.Error, "curves=True"):
            mu8.inspect(self.model).plot()

    def test_diff(self):
        found = mu8.diff(self.model, CALIBRATION, DATA / "lenet5_mnist.onnx", DATA / "lenet5_mnist.npz", limit=8,
                         samples=2)
        self.assertEqual(len(found["layers"]), len(mu8.inspect(self.model)["layers"]))


if __name__ == "__main__":
    unittest.main()
