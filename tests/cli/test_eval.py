"""`mu8 eval` of a .mu8 file: figures, predictions, images of another kind, and what it refuses.

    /usr/bin/python3 tests/cli/test_eval.py build/release/mu8

test_eval_reference.py has the FP32 network and predictions of something else.
"""

import gzip
import math
import shutil

import cli
import numpy as np
import recompute_metrics
from inputs import flip_a_bit

BATCHES = (1, 7, 1000)  # 64 is what runs without --batch
SCORES = ("by_entropy", "by_mutual_information", "by_confidence")
IMAGES, CLASSES, SAMPLES = 200, 10, 50  # of DIGITS, of LeNet-5, of a run without --samples


class EvalTest(cli.CommandTest):
    """What setUpModule leaves: model.mu8, p.f32 (its predictions of DIGITS) and the figures."""
    figures = {}

    @classmethod
    def evaluate(cls, *options, data=cli.DIGITS):
        return cls.json_of("eval", "model.mu8", "--data", data, *options)

    @classmethod
    def text(cls, *options, data=cli.DIGITS):
        return cls.text_of("eval", "model.mu8", "--data", data, *options)


def setUpModule():
    EvalTest.text_of("convert", *cli.LENET5, *cli.CALIBRATION, "-o", "model.mu8")
    EvalTest.figures = EvalTest.evaluate("--predictions", "p.f32")


class Figures(EvalTest):
    def test_settings(self):
        self.assertEqual(self.figures["images"], IMAGES)
        self.assertEqual(self.figures["samples"], SAMPLES)
        self.assertEqual(self.figures["seed"], 1)

    def test_nearly_every_digit_is_recognized(self):
        self.assertGreaterEqual(self.figures["accuracy"], 0.97)

    def test_images_per_second_follow_from_the_time(self):
        self.assertGreater(self.figures["seconds"], 0)
        self.assert_near(self.figures["images_per_second"], IMAGES / self.figures["seconds"])

    def test_entropies_are_in_order(self):
        self.assertGreater(self.figures["mean_mutual_information"], 0)
        self.assertGreater(self.figures["mean_aleatoric_entropy"],
                           self.figures["mean_mutual_information"])
        self.assertGreater(self.figures["mean_entropy"], self.figures["mean_aleatoric_entropy"])

    def test_predictions_are_a_float_for_each_image_and_class(self):
        self.assertEqual(len(self.bytes_of("p.f32")), IMAGES * CLASSES * 4)

    def test_figures_follow_from_predictions_and_labels(self):
        labels = gzip.decompress((cli.MNIST / "digits-labels-idx1-ubyte.gz").read_bytes())[8:]
        expected = recompute_metrics.figures(self.rows_of("p.f32", CLASSES), labels)
        for name, value in expected.items():
            with self.subTest(name):
                self.assertAlmostEqual(self.figures[name], value, delta=1e-9)

    def test_accuracies_and_errors_are_in_order(self):
        self.assertLessEqual(self.figures["accuracy"], self.figures["top5_accuracy"])
        self.assertLessEqual(self.figures["top5_accuracy"], 1)
        self.assertLessEqual(self.figures["ece"], self.figures["mce"])

    def test_every_metric_is_there(self):
        self.assertLessEqual({"ece_10", "adaptive_ece", "uce", "aurc", "misclassification"},
                             set(self.figures))

    def test_what_was_not_asked_for_is_not_there(self):
        self.assertEqual({"kl_against", "ood", "curves"} & set(self.figures), set())

    def test_selective_accuracy(self):
        self.assertEqual(self.figures["selective_accuracy"]["coverage"], [0.5, 0.8, 0.9, 0.95])

    def test_every_image_has_at_least_the_least_confidence(self):
        found = self.figures["accuracy_at_confidence"]
        self.assertEqual(found["images"][0], IMAGES)
        self.assertEqual(found["accuracy"][0], self.figures["accuracy"])

    def test_conformal_sets_are_calibrated_on_one_half(self):
        self.assertEqual([c["alpha"] for c in self.figures["conformal"]], [0.1, 0.05])
        for c in self.figures["conformal"]:
            self.assertEqual(c["calibration_images"], IMAGES / 2)
            self.assertEqual(c["test_images"], IMAGES / 2)

    def test_text_has_a_line_for_each(self):
        text = self.text("--limit", 20, "--samples", 5)
        for line in (r"accuracy  *[0-9.]* %", r"ECE, 15 bins ", r"adaptive ECE",
                     r"by mutual information "):
            self.assertRegex(text, rf"(?m)^{line}")


class Settings(EvalTest):
    def test_batches_give_the_same_predictions(self):
        for batch in BATCHES:
            with self.subTest(batch):
                self.text("--predictions", "batch.f32", "--batch", batch)
                self.assert_same_bytes("batch.f32", "p.f32")

    def test_scalar_kernels_give_the_same_predictions(self):
        found = self.evaluate("--kernels", "scalar", "--predictions", "scalar.f32")
        self.assertEqual(found["kernels"], "scalar")
        self.assert_same_bytes("scalar.f32", "p.f32")

    def test_nothing_lies_between_a_run_and_itself(self):
        self.assertEqual(self.evaluate("--against", "p.f32")["kl_against"], 0)

    def test_a_little_lies_between_two_seeds(self):
        found = self.evaluate("--against", "p.f32", "--seed", 2)
        self.assertEqual(found["seed"], 2)
        self.assertGreater(found["kl_against"], 0)
        self.assertLess(found["kl_against"], 0.05)

    def test_a_limit_and_fewer_samples(self):
        found = self.evaluate("--limit", 10, "--samples", 5)
        self.assertEqual(found["images"], 10)
        self.assertEqual(found["samples"], 5)

    def test_one_image_has_curves_but_no_conformal_sets(self):
        found = self.evaluate("--limit", 1, "--samples", 5, "--curves")
        self.assertEqual(found["images"], 1)
        self.assertNotIn("conformal", found)
        self.assertEqual(sum(found["curves"]["reliability"]["count"]), 1)


class Stopping(EvalTest):
    """Passes that end once the label is decided."""
    options = ("--stop-error", 0.05, "--against", "p.f32")
    note = ("with --stop-error images have different numbers of samples; mutual information grows "
            "with them")

    def test_few_samples_settle_most_labels_as_all_would(self):
        found = self.json_of("eval", "model.mu8", "--data", cli.DIGITS, *self.options,
                             note=self.note)
        self.assertLess(found["samples_used"]["mean"], 15)
        self.assertGreaterEqual(found["samples_used"]["undecided"], 0)
        self.assertLess(found["samples_used"]["undecided"], 0.2)
        self.assertGreater(found["label_agreement"], 0.97)

    def test_text_says_how_many_samples_were_used(self):
        text = self.text_of("eval", "model.mu8", "--data", cli.DIGITS, *self.options,
                            note=self.note)
        self.assertRegex(text, r"(?m)^samples used ")
        self.assertRegex(text, r"(?m)^same label as the other ")


class OtherData(EvalTest):
    def test_images_without_labels_have_uncertainty_alone(self):
        found = self.evaluate(data=cli.FASHION)
        self.assertEqual(found["images"], 50)
        self.assertEqual({"accuracy", "nll", "brier", "ece", "misclassification"} & set(found),
                         set())
        self.assertGreater(found["mean_entropy"], self.figures["mean_entropy"])

    def test_text_says_that_labels_are_missing(self):
        self.assertIn("without labels", self.text(data=cli.FASHION))

    def test_class_folders_that_the_model_knows(self):
        self.text_of("convert", *cli.LENET5, *cli.QUICK, "--labels", "labels.txt",
                     "-o", "named.mu8")
        found = self.json_of("eval", "named.mu8", "--data", "folders")
        self.assertEqual(found["images"], 4)
        self.assertEqual(found["accuracy"], 1)

    def test_class_folders_that_the_model_does_not_know(self):
        says = ('folders: class folder "one" is neither one of the model\'s labels nor a class '
                "index from 0 to 9")
        self.fails("eval", "model.mu8", "--data", "folders", says=says)
        self.text_of("convert", *cli.LENET5, *cli.QUICK, "--labels", "labels.txt", "-o", "named.mu8")
        shutil.copytree(self.folder / "folders", self.folder / "more", dirs_exist_ok=True)
        (self.folder / "more" / "empty").mkdir(exist_ok=True)
        self.fails("eval", "named.mu8", "--data", "more",
                   says='more: class folder "empty" is none of the model\'s labels, as ')
        # In sorted order they must be all of the classes, or a missing one shifts the others.
        self.fails("eval", "model.mu8", "--data", "folders", "--sorted-folders",
                   says="folders: has 4 class folders, expected 10, one for each class")


class Foreign(EvalTest):
    """Uncertainty of each image, images of another kind, and curves."""

    @classmethod
    def setUpClass(cls):
        cls.found = cls.evaluate("--predictions", "p_again.f32", "--uncertainty", "u.f32",
                                 "--ood", cli.FASHION, "--ood", "bad_label-images-idx3-ubyte",
                                 "--curves")
        cls.uncertainty = cls.rows_of("u.f32", 3)  # entropy, aleatoric, mutual information

    def test_figures_and_predictions_stay_the_same(self):
        self.assert_same_bytes("p_again.f32", "p.f32")
        kept = {name: value for name, value in self.figures.items() if "second" not in name}
        self.assertEqual({name: self.found[name] for name in kept}, kept)

    def test_uncertainty_has_three_floats_for_each_image(self):
        self.assertEqual(len(self.bytes_of("u.f32")), IMAGES * 3 * 4)

    def test_entropy_is_aleatoric_plus_mutual_information(self):
        for entropy, aleatoric, information in self.uncertainty:
            self.assert_near(entropy, aleatoric + information, 1e-5)
            self.assertGreaterEqual(information, 0)

    def test_entropy_is_that_of_the_prediction(self):
        rows = self.rows_of("p.f32", CLASSES)
        for (entropy, _, _), row in zip(self.uncertainty, rows, strict=True):
            self.assert_near(entropy, -sum(p * math.log(p) for p in row if p), 1e-6)

    def test_means_are_those_of_the_file(self):
        for name, column in (("mean_entropy", 0), ("mean_aleatoric_entropy", 1),
                             ("mean_mutual_information", 2)):
            with self.subTest(name):
                mean = sum(row[column] for row in self.uncertainty) / IMAGES
                self.assert_near(self.found[name], mean)

    def test_each_data_set_is_named(self):
        self.assertEqual([(o["data"], o["images"]) for o in self.found["ood"]],
                         [(str(cli.FASHION), 50), ("bad_label-images-idx3-ubyte", 3)])

    def test_clothes_are_told_from_digits(self):
        for score in SCORES:
            with self.subTest(score):
                found = self.found["ood"][0][score]
                self.assertGreater(found["auroc"], 0.95)
                self.assertLess(found["auroc"], 1)
                self.assertLess(found["fpr95"], 0.2)

    def test_auroc_follows_from_the_files_of_two_runs(self):
        self.text("--uncertainty", "u_fashion.f32", data=cli.FASHION)
        inside = [row[0] for row in self.uncertainty]
        outside = [row[0] for row in self.rows_of("u_fashion.f32", 3)]
        self.assertAlmostEqual(self.found["ood"][0]["by_entropy"]["auroc"],
                               recompute_metrics.auroc(inside, outside), delta=1e-12)

    def test_histograms_count_every_image(self):
        histograms = self.found["curves"]["histograms"]
        for score in ("entropy", "mutual_information"):
            self.assertEqual(sum(histograms["in_distribution"][score]), IMAGES)
            self.assertEqual([sum(h[score]) for h in histograms["ood"]], [50, 3])

    def test_risk_at_full_coverage_is_the_error(self):
        risk = self.found["curves"]["risk_coverage"]["risk"]
        self.assertEqual(len(risk), 100)
        self.assert_near(risk[-1], 1 - self.found["accuracy"])

    def test_a_limit_of_foreign_images(self):
        found = self.evaluate("--limit", 20, "--ood", cli.FASHION, "--ood-limit", 5)
        self.assertEqual(found["images"], 20)
        self.assertEqual(found["ood"][0]["images"], 5)

    def test_without_labels_there_are_histograms_alone(self):
        found = self.evaluate("--ood", cli.DIGITS, "--curves", data=cli.FASHION)
        self.assertNotIn("accuracy", found)
        self.assertEqual(list(found["curves"]), ["histograms"])
        self.assertEqual(len(found["ood"]), 1)

    def test_text_names_the_data_set(self):
        self.assertRegex(self.text("--limit", 20, "--ood", cli.FASHION),
                         r"(?m)^Out of distribution: .*fashion.*, 50 images$")


class BadInputs(EvalTest):
    def refuses(self, *options, data=cli.DIGITS, says):
        """Neither predictions nor uncertainty are left, as fails() sees."""
        self.fails("eval", "model.mu8", "--data", data, "--predictions", "none.f32",
                   "--uncertainty", "none_u.f32", *options, says=says)

    def test_missing_images(self):
        self.refuses(data="missing.idx", says="missing.idx: no such file")

    def test_images_of_another_size(self):
        self.refuses(data="cifar.bin",
                     says="cifar.bin: images are 32x32x3, the model expects 28x28x1")

    def test_a_label_that_the_model_lacks(self):
        self.refuses(data="bad_label-images-idx3-ubyte",
                     says="bad_label-images-idx3-ubyte: label of image 2 is 10, the model has "
                          "classes 0 to 9")

    def test_missing_foreign_images(self):
        self.refuses("--ood", "missing.idx", says="missing.idx: no such file")

    def test_foreign_images_of_another_size(self):
        self.refuses("--ood", cli.FASHION, "--ood", "cifar.bin",
                     says="cifar.bin: images are 32x32x3, the model expects 28x28x1")

    def test_missing_predictions_to_compare_with(self):
        self.refuses("--against", "missing.f32",
                     says="missing.f32: no such file, expected predictions of another run")

    def test_predictions_of_more_images_to_compare_with(self):
        self.refuses("--limit", 10, "--against", "p.f32",
                     says="p.f32: has 8000 bytes, expected 400 = 10 images x 10 classes x 4")

    def test_no_probabilities_to_compare_with(self):
        self.refuses("--limit", 10, "--against", "noise.f32",
                     says="noise.f32: row 0 holds no probabilities that sum to one")

    def test_output_folders_that_are_not_there(self):
        for option in ("--predictions", "--uncertainty"):
            with self.subTest(option):
                self.fails("eval", "model.mu8", "--data", cli.DIGITS, option, "nowhere/x.f32",
                           says="nowhere/x.f32: cannot be written: there is no folder nowhere")

    def test_a_damaged_model(self):
        flip_a_bit(self.folder / "model.mu8", self.folder / "flipped.mu8")
        self.fails("eval", "flipped.mu8", "--data", cli.DIGITS, "--json",
                   says="flipped.mu8: mu8 error 15: section is damaged")


class WrongOptions(EvalTest):
    def refuses(self, *options, says):
        self.wrong_command("eval", "model.mu8", "--data", cli.DIGITS, *options, says=says)

    def test_no_data(self):
        self.wrong_command("eval", "model.mu8", says="--data is required")

    def test_no_model(self):
        self.wrong_command("eval", "--data", cli.DIGITS, says="expected either MODEL.mu8 or "
                           "--model M.onnx (the FP32 reference)")

    def test_no_images(self):
        self.refuses("--limit", 0, says='--limit: is "0", expected a whole number, from 1')

    def test_no_batch(self):
        self.refuses("--batch", 0, says='--batch: is "0", expected a whole number, 1 to 65536')

    def test_a_limit_of_foreign_images_without_any(self):
        self.refuses("--ood-limit", 5, says="--ood-limit requires --ood")

    def test_no_foreign_images(self):
        self.refuses("--ood", cli.FASHION, "--ood-limit", 0,
                     says='--ood-limit: is "0", expected a whole number, from 1')

    def test_curves_are_no_text(self):
        self.refuses("--curves", says="--curves: expected --json with it")


class Ensembles(EvalTest):
    """Several models are one mixture of networks."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text_of("convert", *cli.LENET5, *cli.QUICK, "--sigma-bits", 2, "-o", "other.mu8")

    def test_two_members(self):
        files = {}
        for name, models in (("one", ["model.mu8"]), ("two", ["other.mu8"]), ("both", ["model.mu8", "other.mu8"])):
            files[name] = self.json_of("eval", *models, "--data", cli.DIGITS, "--limit", 50, "--samples", 6,
                                       "--predictions", f"{name}.f32", "--uncertainty", f"{name}.u.f32")
        self.assertEqual(files["both"]["members"], ["model.mu8", "other.mu8"])
        self.assertNotIn("members", files["one"])
        self.assertEqual(files["both"]["samples"], 12)
        means = [self.rows_of(f"{name}.f32", 10) for name in ("one", "two", "both")]
        parts = [self.rows_of(f"{name}.u.f32", 3) for name in ("one", "two", "both")]
        for image in range(50):
            for a, b, both in zip(*(rows[image] for rows in means)):
                self.assert_near((a + b) / 2, both, 1e-7)
            entropy = -sum(p * math.log(p) for p in means[2][image] if p > 0)
            self.assert_near(parts[2][image][0], entropy, 1e-5)
            self.assert_near(parts[2][image][1], (parts[0][image][1] + parts[1][image][1]) / 2, 1e-6)
            self.assert_near(parts[2][image][2], max(entropy - parts[2][image][1], 0), 1e-5)

    def test_noise_that_one_member_alone_says(self):
        """It was read beyond the end of the other's."""
        np.save(self.folder / "pixels.npy", np.arange(4 * 36, dtype=np.uint8).reshape(4, 6, 6, 1))
        for models, known in ((["tiny_values_noise"], True), (["tiny_values_noise", "tiny_values"], False)):
            found = self.json_of("eval", *(cli.GOLDEN / f"{name}.mu8" for name in models), "--data", "pixels.npy",
                                 note="pixels.npy: its elements are uint8")
            self.assertEqual(["mean_noise_variance" in each for each in found["values"]], [known] * 3)

    def test_text_names_them(self):
        text = self.text_of("eval", "model.mu8", "other.mu8", "--data", cli.DIGITS, "--limit", 5)
        self.assertRegex(text, r"model +model.mu8\n +other.mu8\n")

    def test_refused(self):
        few = ("--data", cli.DIGITS, "--limit", 5)
        self.fails("eval", "model.mu8", "other.mu8", "model.mu8", *few,
                   says="model.mu8: is the same model as model.mu8")
        self.fails("eval", "model.mu8", cli.GOLDEN / "tiny_sigma4.mu8", *few,
                   says=f"{cli.GOLDEN / 'tiny_sigma4.mu8'}: differs from model.mu8 in its input")
        self.write("names.txt", "\n".join("abcdefghij"))
        self.text_of("convert", *cli.LENET5, *cli.QUICK, "--labels", "names.txt", "-o", "named.mu8")
        self.fails("eval", "model.mu8", "named.mu8", *few,
                   says="named.mu8: differs from model.mu8 in its names of the outputs")
        self.wrong_command("eval", "model.mu8", "other.mu8", *few, "--stop-error", 0.05,
                           says="--stop-error, --method auto: decide about the networks of one MODEL")


if __name__ == "__main__":
    cli.main()
