"""Data that is no picture: tables, arrays, series; their targets, and what lies beyond their range.

    /usr/bin/python3 tests/cli/test_numbers.py build/release/mu8
"""

import io
import warnings
import zipfile

import cli
import numpy as np
import onnx
from onnx import TensorProto, helper

SIZES = np.array([0.02, 5.0, 3000.0], np.float32)  # of the three features
RNG = np.random.default_rng(5)
W1 = (RNG.normal(0, 0.6, (16, 3)) / SIZES).astype(np.float32)
B1 = RNG.normal(0, 0.5, 16).astype(np.float32)
W2 = RNG.normal(0, 0.4, (2, 16)).astype(np.float32)
B2 = np.array([0.3, -0.2], np.float32)
SIGMA = 0.05  # of each weight, in its own size


def features(count, seed):
    return (np.random.default_rng(seed).normal(0, 1, (count, 3)) * SIZES).astype(np.float32)


def outputs(x, w1=W1, w2=W2):
    return np.tanh(x @ w1.T + B1) @ w2.T + B2


def network(shape, nodes=(), head="values", last=None, w1=W1):
    """Gemm, Tanh, Gemm behind `nodes` that make (n, 3) out of x."""
    source = nodes[-1].output[0] if nodes else "x"
    nodes = [*nodes, helper.make_node("Gemm", [source, "w1", "b1"], ["h"], transB=1),
             helper.make_node("Tanh", ["h"], ["a"]),
             helper.make_node("Gemm", ["a", "w2", "b2"], ["z" if last else "y"], transB=1)]
    if last:
        nodes.append(helper.make_node(last, ["z"], ["y"]))
    tensors = [helper.make_tensor(name, TensorProto.FLOAT, value.shape, value.ravel())
               for name, value in (("w1", w1), ("b1", B1), ("w2", W2), ("b2", B2))]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    if head:
        helper.set_model_props(model, {"head": head})
    return model.SerializeToString()


class NumbersTest(cli.CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.bytes_to("m.onnx", network([3]))
        np.savez(cls.folder / "p.npz", **{
            "w1.sigma": np.abs(W1) * SIGMA, "w2.sigma": np.abs(W2) * SIGMA})
        cls.x = features(400, 1)
        np.savez(cls.folder / "train.npz", x=cls.x)
        cls.test = features(300, 2)
        cls.noise = np.random.default_rng(3).normal(0, 0.1, (300, 2)).astype(np.float32)
        cls.y = (outputs(cls.test) + cls.noise).astype(np.float32)
        np.savez(cls.folder / "test.npz", x=cls.test, y=cls.y)
        cls.report = cls.json_of("convert", "--model", "m.onnx", "--posterior", "p.npz",
                                 "--calibration", "train.npz", "-o", "m.mu8")

    @classmethod
    def bytes_to(cls, name, content):
        (cls.folder / name).write_bytes(content)

    def means(self, *arguments):
        found = self.json_of("predict", "m.mu8", *arguments)["predictions"]
        return np.array([one["mean"] for one in found])


class Files(NumbersTest):
    def test_all_give_the_same_predictions(self):
        np.save(self.folder / "x.npy", self.test[:5].astype(np.float64))
        self.test[:5].tofile(self.folder / "x.f32")
        np.savez_compressed(self.folder / "x.npz", x=self.test[:5])
        rows = "\n".join(",".join(map(repr, map(float, row))) for row in self.test[:5])
        self.write("x.csv", "a,b,c\n" + rows + "\n")
        right = self.means("x.npy")
        self.assertEqual(right.shape, (5, 2))
        np.testing.assert_allclose(right, outputs(self.test[:5]), atol=0.06)
        for name in ("x.f32", "x.npz", "x.csv"):
            np.testing.assert_array_equal(self.means(name), right, name)
        np.testing.assert_array_equal(self.means("x.csv#3", "x.npy#1"), right[[3, 1]])
        np.save(self.folder / "one.npy", self.test[2])
        np.testing.assert_array_equal(self.means("one.npy"), right[[2]])

    def test_pictures_are_no_numbers(self):
        self.fails("predict", "m.mu8", cli.PICTURES[0],
                   says=f"{cli.PICTURES[0]}: the model takes 1 x 1 x 3 numbers")
        np.save(self.folder / "u8.npy", np.zeros((4, 3), np.uint8))
        self.fails("predict", "m.mu8", "u8.npy", says="u8.npy#0: holds pixels (uint8), the model takes numbers")

    def test_what_is_wrong_with_a_file(self):
        np.save(self.folder / "four.npy", np.zeros((5, 4), np.float32))
        self.fails("predict", "m.mu8", "four.npy",
                   says="four.npy: an input of the array is (4,), the model expects (3,), layout nf")
        np.savez(self.folder / "z.npz", z=self.x)
        self.fails("predict", "m.mu8", "z.npz", says='z.npz: holds the arrays "z", expected one named x')
        np.savez(self.folder / "many.npz", **{f"z_{i}": self.x for i in range(60)})
        self.fails("predict", "m.mu8", "many.npz", says='many.npz: holds the arrays "z_0", "z_1", "z_2", "z_3", '
                   '"z_4", "z_5", "z_6", "z_7", "z_8", "z_9", "z_10", "z_11", "z_12", "z_13", "z_14", "z_15" and 44 more, expected one named x')
        np.savez(self.folder / "capital.npz", X=self.test, truth=self.y)
        note = self.run_mu8("eval", "m.mu8", "--data", "capital.npz").stderr
        self.assertIn("capital.npz: X is taken for the inputs", note)
        self.assertIn('its other arrays ("truth") are not read: targets are in one named y', note)
        np.savez(self.folder / "table.npz", x=np.zeros(4, [("a", "f4"), ("b", "f4")]))
        self.fails("predict", "m.mu8", "table.npz", says='table.npz: "x": the .npy header is that of a structured array')
        np.savez(self.folder / "two.npz", x_a=self.x, x_b=self.x)
        self.fails("predict", "m.mu8", "two.npz",
                   says='two.npz: the arrays "x_a", "x_b" may each be meant')
        self.fails("predict", "m.mu8", "train.npz#400", says="train.npz: has no entry 400")
        with zipfile.ZipFile(self.folder / "twice.npz", "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the second member
            for values in (self.x, self.test):
                member = io.BytesIO()
                np.save(member, values)
                archive.writestr("x.npy", member.getvalue())
        self.fails("predict", "m.mu8", "twice.npz", says='twice.npz: "x.npy": the archive holds this name twice')
        cut = (self.folder / "train.npz").read_bytes()[:3000]
        self.bytes_to("cut.npz", cut)
        self.fails("predict", "m.mu8", "cut.npz", says="cut.npz: the ZIP archive of 3000 bytes")

    def test_columns_are_found_by_name(self):
        def table(name, columns):
            text = ",".join(columns) + "\n"
            for row in self.x[:40]:
                text += ",".join(repr(float(row["abc".index(c)])) for c in columns) + "\n"
            self.bytes_to(name, text.encode())

        table("abc.csv", "abc")
        table("cab.csv", "cab")
        self.json_of("convert", "--model", "m.onnx", "--deterministic", "--calibration", "abc.csv",
                     "-o", "named.mu8")
        right = self.json_of("predict", "named.mu8", "abc.csv")["predictions"]
        found = self.json_of("predict", "named.mu8", "cab.csv",
                             note="cab.csv: its columns are in another order")["predictions"]
        self.assertEqual([one["mean"] for one in found], [one["mean"] for one in right])
        (self.folder / "other.csv").write_text("a,b,d\n1,2,3\n")
        self.fails("predict", "named.mu8", "other.csv",
                   says='other.csv: has no column "c" (as the model\'s calibration data had)')

    def test_a_series_is_cut_into_windows(self):
        self.bytes_to("w.onnx", network([3, 1], [helper.make_node("Flatten", ["x"], ["f"])]))
        line = (np.arange(12, dtype=np.float32) * 0.001).reshape(-1, 1)
        np.savez(self.folder / "line.npz", x=line, y=np.arange(12, dtype=np.float32))
        self.json_of("convert", "--model", "w.onnx", "--deterministic", "--calibration", "line.npz",
                     "--window-step", 1, "-o", "w.mu8", "--accept")  # a line of 0.01 in length
        found = self.json_of("predict", "w.mu8", "line.npz", "--window-step", 4)["predictions"]
        windows = np.array([line[i:i + 3, 0] for i in (0, 4, 8)])
        np.testing.assert_allclose([one["mean"] for one in found], outputs(windows), atol=0.05)


class Range(NumbersTest):
    def test_each_feature_has_its_own_scale(self):
        self.assertEqual(self.report["input"]["kind"], "numbers")
        self.assertGreaterEqual(self.report["input"]["room"], 1)
        self.assertLess(self.report["input"]["output_error"], 0.02)
        for feature in range(3):
            x = np.zeros((9, 3), np.float32)
            x[:, feature] = np.linspace(-2, 2, 9) * SIZES[feature]
            np.save(self.folder / "sweep.npy", x)
            np.testing.assert_allclose(self.means("sweep.npy", "--samples", 400), outputs(x), atol=0.08)

    def test_ten_times_the_range_is_said(self):
        x = np.zeros((1, 3), np.float32)
        x[0, 1] = 10 * np.abs(self.x[:, 1]).max()
        np.save(self.folder / "far.npy", x)
        found = self.json_of("predict", "m.mu8", "far.npy")["predictions"][0]
        self.assertEqual(found["clamped_inputs"], 1)
        self.assertIn("1 of the input's numbers lie beyond the range",
                      self.text_of("predict", "m.mu8", "far.npy"))
        np.save(self.folder / "near.npy", self.x)
        inside = self.json_of("predict", "m.mu8", "near.npy")["predictions"]
        self.assertEqual(sum(one["clamped_inputs"] for one in inside), 0)
        np.savez(self.folder / "far.npz", x=np.concatenate([self.test[:3], x]))
        self.assertEqual(self.json_of("eval", "m.mu8", "--data", "far.npz")["clamped"],
                         {"numbers": 1, "inputs": 1})

    def test_values_far_from_zero_are_said_to_be_coarse(self):
        x = np.random.default_rng(4).normal(0, 1, (200, 3)).astype(np.float32) * SIZES
        x[:, 1] = 2000 + x[:, 1]
        np.savez(self.folder / "years.npz", x=x)
        report = self.run_mu8("convert", "--model", "m.onnx", "--deterministic", "--calibration",
                              "years.npz", "-o", "y.mu8")
        self.assertIn("mu8: note: rounding the inputs to 8 bits changes the outputs by", report.stderr)
        self.assertIn("inputs 1 (from 0) vary by fewer than 16 of 256 steps", report.stderr)

    def test_mean_and_std_are_taken_into_the_file(self):
        mean, std = self.x.mean(0), self.x.std(0)
        standard = ((self.x - mean) / std).astype(np.float32)
        self.bytes_to("n.onnx", network([3], w1=W1 * SIZES))
        np.savez(self.folder / "standard.npz", x=standard)
        self.json_of("convert", "--model", "n.onnx", "--deterministic", "--calibration",
                     "standard.npz", "-o", "a.mu8")
        self.json_of("convert", "--model", "n.onnx", "--deterministic", "--calibration", "train.npz",
                     "--mean", ",".join(map(str, mean)), "--std", ",".join(map(str, std)),
                     "-o", "b.mu8")
        np.save(self.folder / "standard.npy", standard[:20])
        np.save(self.folder / "raw.npy", self.x[:20])
        a = self.json_of("predict", "a.mu8", "standard.npy")["predictions"]
        b = self.json_of("predict", "b.mu8", "raw.npy")["predictions"]
        for one, other in zip(a, b, strict=True):
            np.testing.assert_allclose(one["mean"], other["mean"], atol=0.01)


class Evaluation(NumbersTest):
    def test_errors_are_those_of_the_predictions(self):
        self.text_of("eval", "m.mu8", "--data", "test.npz", "--predictions", "p.f32")
        mean = np.array(self.floats_of("p.f32")).reshape(-1, 2)
        found = self.json_of("eval", "m.mu8", "--data", "test.npz")
        for output, value in enumerate(found["values"]):
            error = mean[:, output] - self.y[:, output]
            self.assert_near(value["rmse"], np.sqrt((error ** 2).mean()), 1e-6)
            self.assert_near(value["mae"], np.abs(error).mean(), 1e-6)
            self.assertNotIn("nll", value)
        reference = self.json_of("eval", "--model", "m.onnx", "--posterior", "p.npz", "--data",
                                 "test.npz")
        for value, other in zip(found["values"], reference["values"], strict=True):
            self.assertAlmostEqual(value["rmse"] / other["rmse"], 1, delta=0.05)

    def test_with_the_noise_there_are_intervals(self):
        found = self.json_of("eval", "m.mu8", "--data", "test.npz", "--noise", "0.01,0.01")
        for value in found["values"]:
            self.assertEqual(value["intervals"]["level"], [0.5, 0.9, 0.95])
            self.assertAlmostEqual(value["intervals"]["coverage"][1], 0.9, delta=0.08)
            self.assertLess(value["nll"], 0)
        self.assertIn("Gaussians of epistemic and noise variance",
                      self.text_of("eval", "m.mu8", "--data", "test.npz", "--noise", "0.01,0.01"))

    def test_targets_that_do_not_fit(self):
        np.savez(self.folder / "one.npz", x=self.test, y=self.y[:, 0])
        self.fails("eval", "m.mu8", "--data", "one.npz",
                   says="one.npz: has 1 targets an input, expected 2, one for each output")
        np.savez(self.folder / "few.npz", x=self.test, y=self.y[:7])
        self.fails("eval", "m.mu8", "--data", "few.npz",
                   says='few.npz: "y": the array of targets is (7, 2), expected 300 of them')
        self.fails("eval", "m.mu8", "--data", "test.npz", "--noise", "0.1", code=2,
                   says='--noise: is "0.1", expected 2 variances above zero')

    def test_labels_true_or_not(self):
        self.bytes_to("s.onnx", network([3], head=None, last="Sigmoid"))
        self.json_of("convert", "--model", "s.onnx", "--posterior", "p.npz", "--calibration",
                     "train.npz", "-o", "s.mu8")
        p = 1 / (1 + np.exp(-outputs(self.test)))
        y = (np.random.default_rng(6).random(p.shape) < p).astype(np.float32)
        np.savez(self.folder / "labels.npz", x=self.test, y=y)
        found = self.json_of("eval", "s.mu8", "--data", "labels.npz")
        for label in range(2):
            true, false = p[y[:, label] == 1, label], p[y[:, label] == 0, label]
            auroc = (true[:, None] > false).mean() + (true[:, None] == false).mean() / 2
            self.assertAlmostEqual(found["labels"][label]["auroc"], auroc, delta=0.02)
            self.assertAlmostEqual(found["labels"][label]["brier"],
                                   ((p - y) ** 2).mean(0)[label], delta=0.01)
        self.assertIn("macro", found)
        y[3, 1] = 2
        np.savez(self.folder / "two.npz", x=self.test, y=y)
        self.fails("eval", "s.mu8", "--data", "two.npz",
                   says="two.npz: the target of entry 3 is 2, expected 0 or 1")

    def test_diff_speaks_of_values(self):
        found = self.json_of("diff", "m.mu8", "--model", "m.onnx", "--posterior", "p.npz", "--data",
                             "test.npz", "--limit", 50)
        self.assertLess(found["divergence"], 0.01)
        self.assertNotIn("label_agreement", found)
        for layer in found["layers"]:
            self.assertGreater(layer["sqnr_db"], 20, layer)


if __name__ == "__main__":
    cli.main()
