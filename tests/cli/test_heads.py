"""What the outputs are: sigmoids, values and their noise, one output or several, and what is never
guessed.

    /usr/bin/python3 tests/cli/test_heads.py build/release/mu8
"""

import math

import cli
import numpy as np
from heads import BIAS, PIXELS, WEIGHTS, HeadTest, X, network


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

    def test_an_output_that_never_varies_is_no_loss(self):
        for last in ("Relu", "Tanh"):
            bias = np.array([BIAS[0], -50, BIAS[2]], np.float32)  # at 0, or -1
            report = self.converted(network(3, last, bias=bias), "--head", "values")
            self.assertEqual(report["verdict"]["verdict"], "kept", last)

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
        self.converted(network(1, bias=np.array([2e7], np.float32)), "--head", "values")
        found = self.prediction()["mean"][0]
        self.assertLess(abs(found - float(X[0] @ WEIGHTS[0] + 2e7)), 4)  # float32 has steps of 2

    def test_one_network_has_no_interval(self):
        self.converted(network(1), "--head", "values")
        self.assertIsNone(self.prediction("--samples", 1)["values"][0]["interval_95"])
        self.assertIn("one network alone", self.text_of("predict", "m.mu8", "x.npy", "--samples", 1))


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
        self.fails(*self.convert(network(2), "--deterministic", "--head", "values", "--noise", "1,1e-45"),
                   says="--noise: expected 2 variances above zero, one for each output, none closer to it")

    def test_units_beyond_the_files_floats(self):
        stderr = self.fails(*self.convert(network(1), "--deterministic", "--head", "values", "--output-mean", "3e38",
                                          "--output-std", "1"),
                            says="the converted model does not fit the file format (layer 'Gemm#0'): mu8 error 41")
        self.assertIn("--mean, --std, --output-mean and --output-std change the units", stderr)


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
