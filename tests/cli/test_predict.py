"""`mu8 predict`: what it says of an image, fewer passes, and what it refuses.

    /usr/bin/python3 tests/cli/test_predict.py build/release/mu8
"""

import math

import cli
from inputs import flip_a_bit

FIRST = f"{cli.DIGITS}#0"  # a seven
STOP = ("--stop-error", 0.05)


def setUpModule():
    cli.CommandTest.text_of("convert", *cli.LENET5, *cli.CALIBRATION, "-o", "model.mu8")


class Pictures(cli.CommandTest):
    """The first four digits as PNG files."""

    @classmethod
    def setUpClass(cls):
        cls.found = cls.json_of("predict", "model.mu8", *cli.PICTURES)
        cls.predictions = cls.found["predictions"]

    def test_labels(self):
        self.assertEqual([p["label"] for p in self.predictions], [7, 2, 1, 0])

    def test_settings(self):
        self.assertEqual(self.found["samples"], 50)
        self.assertEqual(self.found["seed"], 1)
        self.assertIn(self.found["kernels"], cli.KERNELS)

    def test_a_mean_and_a_deviation_for_each_class(self):
        for p in self.predictions:
            self.assertEqual(len(p["mean"]), 10)
            self.assertEqual(len(p["standard_deviation"]), 10)

    def test_probabilities_sum_to_one(self):
        for p in self.predictions:
            self.assert_near(sum(p["mean"]), 1, 1e-5)

    def test_the_label_has_the_largest_probability(self):
        for p in self.predictions:
            self.assertEqual(p["probability"], max(p["mean"]))
            self.assertEqual(p["probability"], p["top"][0]["probability"])
            self.assertEqual(p["probability"], p["mean"][p["label"]])

    def test_the_three_best_classes_are_listed(self):
        for p in self.predictions:
            self.assertEqual([best["probability"] for best in p["top"]],
                             sorted(p["mean"], reverse=True)[:3])

    def test_entropy_is_that_of_the_mean(self):
        for p in self.predictions:
            self.assert_near(p["predictive_entropy"],
                             -sum(q * math.log(q) for q in p["mean"] if q), 1e-5)

    def test_entropy_is_aleatoric_plus_epistemic(self):
        for p in self.predictions:
            self.assert_near(p["predictive_entropy"],
                             p["expected_entropy"] + p["mutual_information"], 1e-5)

    def test_a_verdict_with_a_reason(self):
        for p in self.predictions:
            self.assertIn(p["verdict"], ("confident", "epistemic", "aleatoric", "mixed"))
            self.assertTrue(p["why"])

    def test_every_pass_is_used(self):
        for p in self.predictions:
            self.assertEqual(p["samples_used"], 50)

    def test_an_idx_entry_is_the_same_picture(self):
        found = self.json_of("predict", "model.mu8", FIRST)
        self.assertEqual(found["predictions"][0]["mean"], self.predictions[0]["mean"])

    def test_npy_files_of_both_shapes_are_the_same_picture(self):
        found = self.json_of("predict", "model.mu8", "first.npy", "chw.npy")
        for p in found["predictions"]:
            self.assertEqual(p["mean"], self.predictions[0]["mean"])

    def test_every_kernel_set_predicts_the_same_or_is_refused(self):
        ran = []
        for kernels in cli.KERNELS:
            with self.subTest(kernels):
                arguments = ("predict", "model.mu8", *cli.PICTURES, "--kernels", kernels)
                if self.run_mu8(*arguments).code == 0:
                    found = self.json_of(*arguments)
                    self.assertEqual(found["kernels"], kernels)
                    self.assertEqual(found["predictions"], self.predictions)
                    ran.append(kernels)
                else:
                    self.fails(*arguments, says="model.mu8: mu8 error 63: these kernels were not "
                               "built or this processor lacks them")
        self.assertIn("scalar", ran)


class Text(cli.CommandTest):
    def test_names_the_class_and_splits_the_entropy(self):
        self.text_of("convert", *cli.LENET5, *cli.QUICK, "--labels", "labels.txt",
                     "-o", "named.mu8")
        text = self.text_of("predict", "named.mu8", cli.PICTURES[0], "--top", 2)
        self.assertIn("digit_0_label7.png: seven (", text)
        self.assertRegex(text, r"\n  entropy \S+ of at most 2\.3026 nats = aleatoric \S+ \+ "
                               r"epistemic \S+\n")
        self.assertRegex(text, r"\n  class +probability.*\n  seven .*\n  \w+ .*\n  entropy ")


class Settings(cli.CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.plain = cls.json_of("predict", "model.mu8", FIRST)["predictions"]

    def predict(self, *options):
        return self.json_of("predict", "model.mu8", FIRST, *options)

    def test_one_sample_of_the_largest_seed(self):
        found = self.predict("--samples", 1, "--seed", 2 ** 64 - 1)
        self.assertEqual(found["seed"], 2 ** 64 - 1)
        # No two passes can disagree; what is left is the rounding of two entropies in float.
        self.assertLess(found["predictions"][0]["mutual_information"], 1e-8)

    def test_threads_give_the_same_prediction(self):
        self.assertEqual(self.predict("--threads", 3)["predictions"], self.plain)

    def test_antithetic_noise_gives_another_prediction(self):
        self.assertNotEqual(self.predict("--antithetic")["predictions"], self.plain)

    def test_by_default_every_pass_is_made(self):
        self.assertEqual(self.plain[0]["ended"], "all_samples")

    def test_passes_end_when_the_label_is_decided(self):
        p = self.predict(*STOP)["predictions"][0]
        self.assertEqual(p["ended"], "label")
        self.assertGreater(p["samples_used"], 2)
        self.assertLess(p["samples_used"], 50)
        self.assertIn("the label was decided", self.text_of("predict", "model.mu8", FIRST, *STOP))

    def test_passes_end_when_a_class_is_below_the_threshold(self):
        p = self.predict(*STOP, "--stop-class", 3, "--stop-threshold", 0.5)["predictions"][0]
        self.assertEqual(p["ended"], "below")
        self.assertLess(p["samples_used"], 50)

    def test_passes_end_when_time_is_up(self):
        p = self.predict("--deadline-ms", 0)["predictions"][0]
        self.assertEqual(p["ended"], "deadline")
        self.assertEqual(p["samples_used"], 1)
        self.assertIn("1 samples, then time was up",
                      self.text_of("predict", "model.mu8", FIRST, "--deadline-ms", 0))


class BadImages(cli.CommandTest):
    def test_another_size(self):
        self.fails("predict", "model.mu8", "small.png",
                   says="small.png: the image is 20 x 20, the model expects 28 x 28")

    def test_every_bad_image_is_named_at_once(self):
        images = (cli.PICTURES[0], "missing.png", "large.png")
        for says in ("missing.png: no such file",
                     "large.png: the image is 32 x 32, the model expects 28 x 28"):
            stderr = self.fails("predict", "model.mu8", *images, "--json", says=says)
            self.assertEqual(stderr.count("\n"), 2)

    def test_an_entry_that_is_not_there(self):
        self.fails("predict", "model.mu8", f"{cli.DIGITS}#200",
                   says=f"{cli.DIGITS}: has no entry 200, expected 0 to 199")

    def test_an_entry_that_is_no_number(self):
        self.fails("predict", "model.mu8", f"{cli.DIGITS}#x",
                   says=f'{cli.DIGITS}#x: entry is "x", expected a number')

    def test_an_array_of_another_layout(self):
        # With one channel the layouts are the same numbers in the same order.
        self.assertEqual(self.json_of("predict", "model.mu8", "hwc.npy")["predictions"][0]["mean"],
                         self.json_of("predict", "model.mu8", "chw.npy")["predictions"][0]["mean"])
        self.fails("predict", "model.mu8", "hwc.npy", "--input-layout", "nchw",
                   says="hwc.npy: an input of the array is (28, 28, 1), the model expects "
                        "(1, 28, 28), layout nchw")

    def test_an_array_that_holds_a_nan(self):
        self.fails("predict", "model.mu8", "nan.npy",
                   says="nan.npy: number 0 of entry 0 is not finite")

    def test_a_text_file(self):
        self.fails("predict", "model.mu8", "labels.txt",
                   says="labels.txt: not a PNG or JPEG image")

    def test_a_damaged_model(self):
        flip_a_bit(self.folder / "model.mu8", self.folder / "flipped.mu8")
        self.fails("predict", "flipped.mu8", cli.PICTURES[0], "--json",
                   says="flipped.mu8: mu8 error 15: section is damaged")


class WrongOptions(cli.CommandTest):
    def refuses(self, *options, says):
        self.wrong_command("predict", "model.mu8", FIRST, *options, says=says)

    def test_no_image(self):
        self.wrong_command("predict", "model.mu8", says="IMAGE is required")

    def test_samples_out_of_range(self):
        for samples in (0, -1, 65537, "many", 1.5):
            with self.subTest(samples):
                self.refuses("--samples", samples,
                             says=f'--samples: is "{samples}", expected a whole number, 1 to 65536')

    def test_a_seed_out_of_range(self):
        self.refuses("--seed", 2 ** 64,
                     says=f'--seed: is "{2 ** 64}", expected a whole number, from 0')

    def test_no_threads(self):
        self.refuses("--threads", 0, says='--threads: is "0", expected a whole number, 1 to 1024')

    def test_kernels_that_do_not_exist(self):
        self.refuses("--kernels", "sse2",
                     says=f"--kernels: sse2 not in {{auto,{','.join(cli.KERNELS)}}}")

    def test_stop_errors_out_of_range(self):
        for error in (0.7, "nan"):
            with self.subTest(error):
                self.refuses("--stop-error", error, says=f'--stop-error: is "{error}", expected a '
                             "number from 0.000001 to 0.500000")

    def test_a_class_without_a_threshold(self):
        self.refuses(*STOP, "--stop-class", 3,
                     says="--stop-class and --stop-threshold (or --stop-within): expected both or")

    def test_a_threshold_without_an_error(self):
        self.refuses("--stop-class", 3, "--stop-threshold", 0.5,
                     says="--stop-class: expected --stop-error with it")

    def test_a_class_that_the_model_lacks(self):
        self.refuses("--stop-error", 0.1, "--stop-class", 10, "--stop-threshold", 0.5,
                     says='--stop-class: is "10", expected all, or names or indices')


if __name__ == "__main__":
    cli.main()
