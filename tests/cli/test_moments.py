"""`--moments` of `mu8 convert` and `--method moments` of the other commands: what they report, and what
they refuse.

    /usr/bin/python3 tests/cli/test_moments.py build/release/mu8
"""

import json

import cli

CONVERT = ("convert", *cli.LENET5, *cli.IMAGES, "--calibration-limit", 96, "--calibration-passes", 2,
           "--sigma-bits", 4)
FITTED = ("--moments", "--moments-images", 32, "--moments-passes", 40)
BY_MOMENTS = ("--method", "moments")
FEW = ("--data", cli.DIGITS, "--limit", 60)


class MomentsTest(cli.CommandTest):
    """What setUpModule leaves: moments.mu8, and sampling.mu8, the same without section 10."""
    report = {}


def setUpModule():
    MomentsTest.report = MomentsTest.json_of(*CONVERT, *FITTED, "-o", "moments.mu8")["moments"]
    MomentsTest.text_of(*CONVERT, "-o", "sampling.mu8")


class Convert(MomentsTest):
    def test_what_it_was_measured_with(self):
        self.assertEqual(self.report["images"], 32)
        self.assertEqual(self.report["output_images"], 64)
        self.assertEqual(self.report["passes"], 40)
        metadata = self.json_of("inspect", "moments.mu8")["metadata"]
        self.assertEqual(metadata["moments.images"], "32")
        self.assertEqual(metadata["moments.passes"], "40")

    def test_every_layer_has_a_step_and_a_factor(self):
        layers = self.report["layers"]
        self.assertEqual(len(layers), 7)
        for layer in layers:
            self.assertGreater(layer["step"], 0, layer)
            self.assertGreater(layer["factor"], 0.1, layer)
            self.assertLess(layer["factor"], 10, layer)
        self.assertEqual(layers[-1]["step"], 1)

    def test_it_is_near_sampling_on_other_images(self):
        quality = self.report["quality"]
        self.assertEqual(quality["images"], 32)
        self.assertGreaterEqual(quality["divergence"], 0)
        self.assertLess(quality["divergence"], 0.01)
        self.assertGreater(quality["divergence_of_passes"], 0)
        self.assertGreater(quality["epistemic_correlation"], 0.9)
        self.assertLess(abs(quality["epistemic_ratio"] - 1),
                        0.25 + 3 * quality["epistemic_ratio_error"])

    def test_text_says_it_too(self):
        text = self.text_of(*CONVERT, *FITTED, "-o", "again.mu8")
        self.assert_same_bytes("again.mu8", "moments.mu8")
        self.assertRegex(text, r"\nmoments +factors .*32 and 64 inputs, 40 passes\n")
        self.assertRegex(text, r"\nbeside sampling +32 other inputs: KL ")

    def test_sampling_is_what_it_was(self):
        for name in ("moments", "sampling"):
            self.text_of("eval", f"{name}.mu8", *FEW, "--samples", 5, "--predictions",
                         f"{name}.f32")
        self.assert_same_bytes("moments.f32", "sampling.f32")

    def test_without_deviations_there_is_nothing_to_measure(self):
        self.wrong_command("convert", *cli.MODEL, "--deterministic", *cli.NORMAL, *cli.QUICK,
                           "--moments", "-o", "new.mu8",
                           says="--moments: expected --posterior P.npz with it")

    def test_images_and_passes_belong_to_it(self):
        for option in ("--moments-images", "--moments-passes"):
            self.wrong_command(*CONVERT, option, 8, "-o", "new.mu8",
                               says=f"{option} requires --moments")

    def test_one_pass_tells_no_variance(self):
        self.wrong_command(*CONVERT, "--moments", "--moments-passes", 1, "-o", "new.mu8",
                           says='--moments-passes: is "1", expected a whole number, 2 to 65536')


class Eval(MomentsTest):
    @classmethod
    def setUpClass(cls):
        options = ("eval", "moments.mu8", *FEW, "--ood", cli.FASHION)
        cls.sampled = cls.json_of(*options, "--samples", 100)
        cls.found = cls.json_of(*options, *BY_MOMENTS)

    def test_the_same_keys(self):
        self.assertEqual(self.found.keys(), self.sampled.keys())
        self.assertEqual(self.found["method"], "moments")
        self.assertEqual(self.found["samples"], 0)
        self.assertEqual(self.sampled["method"], "sampling")
        self.assertEqual(self.sampled["samples"], 100)

    def test_the_figures_are_near(self):
        for key in ("accuracy", "nll", "mean_entropy", "mean_mutual_information"):
            self.assertLess(abs(self.found[key] - self.sampled[key]), 0.02, key)
        self.assertGreater(self.found["mean_mutual_information"], 0)
        for score in ("by_entropy", "by_mutual_information"):
            self.assertLess(abs(self.found["ood"][0][score]["auroc"]
                                - self.sampled["ood"][0][score]["auroc"]), 0.03, score)

    def test_neither_batch_nor_kernels_nor_threads_nor_samples_change_it(self):
        self.text_of("eval", "moments.mu8", *FEW, *BY_MOMENTS, "--predictions", "one.f32",
                     "--uncertainty", "one.u.f32")
        self.text_of("eval", "moments.mu8", *FEW, *BY_MOMENTS, "--batch", 7, "--kernels", "scalar",
                     "--threads", 2, "--samples", 3, "--predictions", "two.f32", "--uncertainty",
                     "two.u.f32")
        self.assert_same_bytes("one.f32", "two.f32")
        self.assert_same_bytes("one.u.f32", "two.u.f32")

    def test_text_names_the_method(self):
        self.assertRegex(self.text_of("eval", "moments.mu8", *FEW, *BY_MOMENTS),
                         r"\nmethod +moments, kernels ")


class Predict(MomentsTest):
    def test_json(self):
        found = self.json_of("predict", "moments.mu8", cli.PICTURES[0], *BY_MOMENTS)
        self.assertEqual(found["method"], "moments")
        self.assertEqual(found["samples"], 0)
        prediction = found["predictions"][0]
        self.assertEqual(prediction["samples_used"], 0)
        self.assertEqual(prediction["label_name"], "7")
        self.assertEqual(prediction["verdict"], "confident")
        self.assertAlmostEqual(sum(prediction["mean"]), 1, 5)
        self.assertGreater(max(prediction["standard_deviation"]), 0)
        self.assertEqual(prediction["replay"]["method"], 1)

    def test_text(self):
        text = self.text_of("predict", "moments.mu8", cli.PICTURES[0], *BY_MOMENTS)
        self.assertIn("\n  by moments\n", text)
        self.assertNotIn("samples", text)

    def test_what_is_unsure_is_explained(self):
        found = self.json_of("predict", "moments.mu8", *[f"{cli.FASHION}#{i}" for i in range(20)],
                             *BY_MOMENTS)["predictions"]
        self.assertFalse([p for p in found if p["verdict"] == "unexplained"])
        self.assertTrue([p for p in found if p["verdict"] != "confident"])

    def test_replay(self):
        self.write("record.json", json.dumps(
            self.json_of("predict", "moments.mu8", cli.PICTURES[1], *BY_MOMENTS, "--seed", 9)))
        self.assertIn("the same bytes, by moments",
                      self.text_of("replay", "record.json", "moments.mu8", cli.PICTURES[1]))
        found = self.json_of("replay", "record.json", "moments.mu8", cli.PICTURES[1])
        self.assertTrue(found["equal"])
        self.assertEqual(found["replay"]["method"], 1)
        self.assertEqual(found["replay"]["seed"], 9)


class Bench(MomentsTest):
    def test_both_methods(self):
        self.text_of("convert", *cli.MODEL, "--deterministic", *cli.NORMAL, *cli.QUICK, "-o",
                     "known.mu8")
        found = self.json_of("bench", "moments.mu8", *BY_MOMENTS, "--samples", 5,
                             "--deterministic", "known.mu8")
        moments = found["moments"]
        self.assertEqual(found["samples"], 5)
        self.assert_near(moments["over_a_pass"],
                         moments["us_per_prediction_p50"] / found["us_per_pass_p50"])
        self.assert_near(moments["sampling_over_moments"],
                         found["us_per_prediction_p50"] / moments["us_per_prediction_p50"])
        self.assert_near(moments["over_a_deterministic_pass"],
                         moments["us_per_prediction_p50"]
                         / moments["us_per_deterministic_pass_p50"])
        self.assertGreater(moments["arena_bytes"], 0)

    def test_text(self):
        text = self.text_of("bench", "moments.mu8", *BY_MOMENTS, "--samples", 2)
        self.assertRegex(text, r"\nmoments +[0-9.]+ us \(p50\)")
        self.assertIn("times faster than 2 samples", text)

    def test_a_deterministic_file_belongs_to_moments(self):
        self.wrong_command("bench", "moments.mu8", "--deterministic", "moments.mu8",
                           says="--deterministic: expected --method moments with it")


class Diff(MomentsTest):
    DIFF = ("diff", "moments.mu8", *BY_MOMENTS, "--data", cli.DIGITS, "--limit", 40)

    def test_layers(self):
        found = self.json_of(*self.DIFF)
        self.assertEqual(found["images"], 40)
        self.assertEqual(found["samples"], 50)
        self.assertLess(found["kl"], 0.02)
        self.assertGreater(found["epistemic_correlation"], 0.8)
        self.assertEqual(len(found["layers"]), 6)
        for layer in found["layers"]:
            self.assertGreater(layer["sqnr_of_mean_db"], 15, layer)
            self.assertGreater(layer["variance_ratio"], 0.8, layer)
            self.assertLess(layer["variance_ratio"], 1.25, layer)
            self.assertGreater(layer["variance_correlation"], 0.5, layer)

    def test_text(self):
        text = self.text_of(*self.DIFF, "--samples", 5)
        self.assertIn("KL(sampling || moments)", text)
        self.assertIn("40, 5 of seed 1", text)

    def test_it_needs_no_other_network(self):
        self.wrong_command(*self.DIFF, *cli.MODEL,
                           says="--method moments: compares the file with itself")
        self.wrong_command("diff", "moments.mu8", "--data", cli.DIGITS, says="--model is required")

    def test_one_pass_tells_no_variance(self):
        self.wrong_command(*self.DIFF, "--samples", 1, says="--samples: is 1, --method moments")


class Auto(MomentsTest):
    RULE = ("--method", "auto", "--stop-error", 0.05)
    NOTE = "with --method auto images have different numbers of samples"

    def predictions(self, name, *how):
        note = None if how == BY_MOMENTS else "with --"
        self.text_of("eval", "moments.mu8", *FEW, *how, "--predictions", name, note=note)
        return self.rows_of(name, 10)

    def test_each_image_is_of_moments_or_of_sampling(self):
        auto = self.predictions("auto.f32", *self.RULE, "--margin", 0.5)
        moments = self.predictions("moments.f32", *BY_MOMENTS)
        sampled = self.predictions("sampled.f32", "--stop-error", 0.05)
        found = self.json_of("eval", "moments.mu8", *FEW, *self.RULE, "--margin", 0.5,
                             note=self.NOTE)
        decided = 0
        for mine, one, many in zip(auto, moments, sampled):
            first, second = sorted(one)[-1], sorted(one)[-2]
            self.assertEqual(mine, one if first - second >= 0.5 else many)
            decided += first - second >= 0.5
        self.assertGreater(decided, 0)
        self.assertAlmostEqual(found["samples_used"]["by_moments"], decided / len(auto), 9)
        self.assertEqual(found["method"], "auto")
        self.assertEqual(found["samples"], 50)

    def test_entropies_in_the_band_are_sampled(self):
        found = self.json_of("eval", "moments.mu8", *FEW, "--method", "auto", "--doubt-entropy",
                             "0.1,0.7", "--samples", 9, note=self.NOTE)["samples_used"]
        self.assertGreater(found["by_moments"], 0.5)
        self.assertLess(found["by_moments"], 1)
        self.assertAlmostEqual(found["mean"], 9 * (1 - found["by_moments"]), 9)
        self.assertEqual(found["undecided"], 0)  # there was nothing to decide

    def test_a_prediction_says_which_it_is_and_is_replayed(self):
        inputs = [cli.PICTURES[0], *[f"{cli.FASHION}#{i}" for i in range(12)]]
        found = self.json_of("predict", "moments.mu8", *inputs, *self.RULE)
        self.assertEqual(found["method"], "auto")
        self.assertEqual(found["predictions"][0]["ended"], "moments")
        ways = set()
        for index, prediction in enumerate(found["predictions"]):
            by_moments = prediction["ended"] == "moments"
            ways.add(by_moments)
            self.assertEqual(prediction["samples_used"] == 0, by_moments)
            self.assertEqual(prediction["replay"]["method"], int(by_moments))
            self.assertEqual(prediction["replay"]["stop_rule"], int(not by_moments))
            self.write("record.json", json.dumps(found))
            self.text_of("replay", "record.json", "moments.mu8", inputs[index], "--index", index)
        self.assertEqual(ways, {False, True})

    def test_decisions_of_moments_are_replayed(self):
        found = self.json_of("predict", "moments.mu8", cli.PICTURES[0], *self.RULE, "--stop-class",
                             "all", "--stop-threshold", 0.5)
        self.assertEqual(found["predictions"][0]["ended"], "moments")
        decisions = {one["label"]: one["decision"] for one in found["predictions"][0]["decisions"]}
        self.assertEqual(decisions, {c: "above" if c == 7 else "below" for c in range(10)})
        self.write("record.json", json.dumps(found))
        self.text_of("replay", "record.json", "moments.mu8", cli.PICTURES[0])

    def test_text(self):
        text = self.text_of("predict", "moments.mu8", cli.PICTURES[0], *self.RULE)
        self.assertIn("\n  by moments, which left no doubt\n", text)
        text = self.text_of("eval", "moments.mu8", *FEW, *self.RULE, note=self.NOTE)
        self.assertRegex(text, r"\nmethod +auto: moments first")
        self.assertRegex(text, r"\ndecided by moments +[0-9.]+ %, without samples and without")

    def test_wrong_ones(self):
        predict = ("predict", "moments.mu8", cli.PICTURES[0])
        for options, says in (
                (("--method", "auto"), "--method auto: expected --stop-error"),
                (("--margin", 0.1), "--margin: expected --method auto with it"),
                (("--doubt-entropy", "0,1"), "--doubt-entropy: expected --method auto with it"),
                (("--method", "auto", "--doubt-entropy", "0,1", "--margin", 0.1),
                 "--margin: is about the decision of --stop-error"),
                ((*self.RULE, "--margin", 2), '--margin: is "2", expected a number from 0.000001 to 1'),
                ((*self.RULE, "--doubt-entropy", "1,0.5"), '--doubt-entropy: is "1,0.5", expected two'),
                ((*self.RULE, "--doubt-entropy", "1"), '--doubt-entropy: is "1", expected two'),
                ((*self.RULE, "--doubt-entropy", "1,x"), '--doubt-entropy: is "1,x", expected comma'),
                ((*self.RULE, "--stop-class", "7", "--stop-within", 0.1), "--stop-within: moments cannot")):
            self.wrong_command(*predict, *options, says=says)
        self.wrong_command("bench", "moments.mu8", "--method", "auto", "--doubt-entropy", "0,1",
                           says="--method auto: its time depends on the images")
        self.fails("predict", "sampling.mu8", cli.PICTURES[0], *self.RULE, says="sampling.mu8: mu8 error 78")


class Refusals(MomentsTest):
    def test_a_file_without_what_it_needs(self):
        says = "sampling.mu8: mu8 error 78: no predictions by moments"
        self.fails("predict", "sampling.mu8", cli.PICTURES[0], *BY_MOMENTS, says=says)
        self.fails("eval", "sampling.mu8", *FEW, *BY_MOMENTS, says=says)
        self.fails("bench", "sampling.mu8", *BY_MOMENTS, says=says)
        self.fails("diff", "sampling.mu8", *BY_MOMENTS, "--data", cli.DIGITS, says=says)

    def test_passes_are_of_sampling(self):
        for option, value in (("--antithetic", ()), ("--stop-error", (0.05,))):
            self.wrong_command("predict", "moments.mu8", cli.PICTURES[0], *BY_MOMENTS, option,
                               *value, says=f"{option}: is about the passes of --method sampling")
        self.wrong_command("predict", "moments.mu8", cli.PICTURES[0], *BY_MOMENTS, "--deadline-ms",
                           5, says="--deadline-ms: ends the passes of --method sampling")

    def test_the_reference_has_no_moments(self):
        self.wrong_command("eval", *cli.MODEL, *cli.POSTERIOR, *FEW, *BY_MOMENTS,
                           says="--method: belongs to a .mu8 file, not to the FP32 reference")

    def test_another_method(self):
        self.wrong_command("predict", "moments.mu8", cli.PICTURES[0], "--method", "guess",
                           says="--method: guess not in {sampling,moments,auto}")


if __name__ == "__main__":
    cli.main()
