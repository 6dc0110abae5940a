"""`mu8 eval` of the FP32 network, and of predictions that something else recorded.

    /usr/bin/python3 tests/cli/test_eval_reference.py build/release/mu8
"""

import cli

REFERENCE = ("eval", *cli.LENET5, "--data", cli.DIGITS)
MEANS = ("eval", *cli.MODEL, *cli.NORMAL, "--mean-weights", "--data", cli.DIGITS)
ENGINE_WEIGHTS = ("eval", *cli.MODEL, *cli.NORMAL, "--engine-weights", "model.mu8",
                  "--data", cli.DIGITS)
RECORDED = ("eval", *cli.MODEL, "--data", cli.DIGITS, "--recorded", "fp32.f32")
SCORES = ("by_entropy", "by_mutual_information", "by_confidence")
ENTROPIES = 3  # entropy, aleatoric, mutual information


class ReferenceTest(cli.CommandTest):
    """What setUpModule leaves: model.mu8; of the FP32 network fp32.f32, u_fp32.f32 and figures."""
    figures = {}

    def without_times(self, figures):
        return {name: value for name, value in figures.items() if "second" not in name}


def setUpModule():
    ReferenceTest.text_of("convert", *cli.LENET5, *cli.CALIBRATION, "-o", "model.mu8")
    ReferenceTest.figures = ReferenceTest.json_of(
        *REFERENCE, "--predictions", "fp32.f32", "--uncertainty", "u_fp32.f32",
        "--ood", cli.FASHION)


class Reference(ReferenceTest):
    def test_settings(self):
        self.assertEqual(self.figures["kernels"], "fp32")
        self.assertEqual(self.figures["images"], 200)
        self.assertEqual(self.figures["samples"], 50)

    def test_nearly_every_digit_is_recognized(self):
        self.assertGreaterEqual(self.figures["accuracy"], 0.97)

    def test_batches_hardly_change_the_predictions(self):
        for batch in (1, 64):
            self.text_of(*REFERENCE, "--batch", batch, "--samples", 3,
                         "--predictions", f"batch{batch}.f32")
        one, other = self.floats_of("batch1.f32"), self.floats_of("batch64.f32")
        self.assertEqual(len(one), 200 * 10)
        self.assertLess(max(abs(a - b) for a, b in zip(one, other, strict=True)), 1e-4)

    def test_entropy_is_aleatoric_plus_mutual_information(self):
        for entropy, aleatoric, information in self.rows_of("u_fp32.f32", ENTROPIES):
            self.assert_near(entropy, aleatoric + information, 1e-5)
            self.assertGreaterEqual(information, 0)

    def test_the_engine_is_as_good(self):
        found = self.json_of("eval", "model.mu8", "--data", cli.DIGITS, "--ood", cli.FASHION,
                             "--against", "fp32.f32")
        self.assertLess(abs(found["nll"] - self.figures["nll"]), 0.02)
        self.assertGreater(found["kl_against"], 0)
        self.assertLess(found["kl_against"], 0.05)
        for score in SCORES:
            self.assertLess(abs(found["ood"][0][score]["auroc"]
                                - self.figures["ood"][0][score]["auroc"]), 0.02, score)


class MeanWeights(ReferenceTest):
    @classmethod
    def setUpClass(cls):
        cls.found = cls.json_of(*REFERENCE, "--mean-weights", "--ood", cli.FASHION,
                                "--uncertainty", "u_mean.f32", "--curves")

    def test_one_pass_has_no_mutual_information(self):
        self.assertEqual(self.found["samples"], 1)
        self.assertEqual(self.found["mean_mutual_information"], 0)
        information = [row[2] for row in self.rows_of("u_mean.f32", ENTROPIES)]
        self.assertEqual(information, [0] * 200)

    def test_all_entropy_is_aleatoric(self):
        self.assert_near(self.found["mean_entropy"], self.found["mean_aleatoric_entropy"], 1e-6)

    def test_entropy_alone_tells_clothes_from_digits(self):
        self.assertEqual(self.found["ood"][0]["by_mutual_information"]["auroc"], 0.5)
        self.assertGreater(self.found["ood"][0]["by_entropy"]["auroc"], 0.95)

    def test_needs_no_posterior(self):
        self.assertEqual(self.json_of(*MEANS, "--limit", 20)["images"], 20)


class EngineWeights(ReferenceTest):
    """FP32 arithmetic with the file's own draws: what is left is the activations' quantization."""

    def test_the_engine_differs_by_its_activations_alone(self):
        self.text_of(*ENGINE_WEIGHTS, "--predictions", "simulated.f32")
        found = self.json_of("eval", "model.mu8", "--data", cli.DIGITS,
                             "--against", "simulated.f32")
        self.assertGreater(found["kl_against"], 0)
        self.assertLess(found["kl_against"], 0.001)
        self.assertGreaterEqual(found["label_agreement"], 0.99)

    def test_arithmetic_is_fp32(self):
        self.assertEqual(self.json_of(*ENGINE_WEIGHTS, "--samples", 3)["kernels"], "fp32")

    def test_not_with_the_means(self):
        self.wrong_command(*ENGINE_WEIGHTS, "--mean-weights", says="--mean-weights, "
                           "--engine-noise, --engine-weights: expected one of them at most")

    def test_not_for_a_model_file(self):
        self.wrong_command("eval", "model.mu8", "--engine-weights", "model.mu8",
                           "--data", cli.DIGITS, says="--posterior, --mean-weights, "
                           "--engine-noise, --engine-weights, --mean and --std belong to --model")

    def test_a_missing_file(self):
        self.fails("eval", *cli.MODEL, *cli.NORMAL, "--engine-weights", "missing.mu8",
                   "--data", cli.DIGITS, says="missing.mu8: no such file, expected a .mu8 model")

    def test_a_file_of_another_network(self):
        self.fails("eval", "--model", cli.DATA / "resnet20_cifar10.onnx",
                   "--engine-weights", "model.mu8",
                   "--data", cli.DATA / "cifar10" / "test_subset.bin.gz",
                   says="model.mu8: has 7 layers that are not the 23 of the given network, "
                        "expected the file made from it")


class Recorded(ReferenceTest):
    @classmethod
    def setUpClass(cls):
        cls.text_of("eval", *cli.LENET5, "--data", cli.FASHION, "--predictions", "p_fashion.f32",
                    "--uncertainty", "u_fashion.f32")

    def test_figures_are_those_of_the_run_but_for_its_times(self):
        found = self.json_of(*RECORDED, "--recorded-uncertainty", "u_fp32.f32",
                             "--ood", cli.FASHION, "--recorded", "p_fashion.f32",
                             "--recorded-uncertainty", "u_fashion.f32")
        expected = self.without_times(self.figures) | {"kernels": "recorded"}
        expected["ood"] = [self.without_times(data) for data in expected["ood"]]
        self.assertEqual(found, expected)

    def test_text_says_that_nothing_was_run(self):
        text = self.text_of(*RECORDED, "--recorded-uncertainty", "u_fp32.f32")
        self.assertIn("kernels recorded", text)

    def test_without_uncertainty_all_entropy_is_aleatoric(self):
        found = self.json_of(*RECORDED)
        self.assertEqual(found["mean_mutual_information"], 0)
        self.assert_near(found["mean_entropy"], found["mean_aleatoric_entropy"])
        self.assertEqual(found["accuracy"], self.figures["accuracy"])

    def test_samples_and_seed_are_repeated(self):
        found = self.json_of(*RECORDED, "--samples", 7, "--seed", 9)
        self.assertEqual(found["samples"], 7)
        self.assertEqual(found["seed"], 9)

    def test_a_model_file_has_no_recorded_predictions(self):
        self.wrong_command("eval", "model.mu8", "--data", cli.DIGITS, "--recorded", "fp32.f32",
                           says="--recorded: expected --model M.onnx with it")

    def test_options_of_a_run_mean_nothing(self):
        for options in (cli.POSTERIOR, ("--batch", 4), ("--antithetic",)):
            with self.subTest(options):
                self.wrong_command(*RECORDED, *options, says="--recorded: nothing is run, of the "
                                   "sampling options only --samples and --seed mean something")

    def test_predictions_for_one_of_two_data_sets(self):
        self.wrong_command(*RECORDED, "--ood", cli.FASHION, says="--recorded: given 1 times, "
                           "expected 2: for --data, then for each --ood")

    def test_uncertainty_for_one_of_two_data_sets(self):
        self.wrong_command(*RECORDED, "--ood", cli.FASHION, "--recorded", "p_fashion.f32",
                           "--recorded-uncertainty", "u_fp32.f32",
                           says="--recorded-uncertainty: given 1 times, expected 2")

    def test_uncertainty_without_predictions(self):
        self.wrong_command(*REFERENCE, "--recorded-uncertainty", "u_fp32.f32",
                           says="--recorded-uncertainty requires --recorded")

    def test_predictions_of_fewer_images(self):
        self.fails("eval", *cli.MODEL, "--data", cli.DIGITS, "--recorded", "p_fashion.f32",
                   says="p_fashion.f32: has 2000 bytes, expected 8000 = 200 images x 10 classes "
                        "x 4")

    def test_uncertainty_of_fewer_images(self):
        self.fails(*RECORDED, "--recorded-uncertainty", "u_fashion.f32",
                   says="u_fashion.f32: has 600 bytes, expected 2400 = 200 images x 3 entropies "
                        "x 4")

    def test_uncertainty_of_other_predictions(self):
        rows = self.rows_of("u_fp32.f32", ENTROPIES)
        content = self.bytes_of("u_fp32.f32")
        row = 4 * ENTROPIES  # bytes
        (self.folder / "u_other.f32").write_bytes(  # 2 and 3 change places
            content[:2 * row] + content[3 * row:4 * row] + content[2 * row:3 * row]
            + content[4 * row:])
        self.fails(*RECORDED, "--recorded-uncertainty", "u_other.f32",
                   says="u_other.f32: row 2 holds {:f}, {:f}, {:f}, expected entropy = aleatoric "
                        "+ mutual information, the entropy of the prediction ({:f})".format(
                            *rows[3], rows[2][0]))

    def test_missing_predictions(self):
        self.fails("eval", *cli.MODEL, "--data", cli.DIGITS, "--recorded", "missing.f32",
                   says="missing.f32: no such file, expected predictions of another run")


class BadInputs(ReferenceTest):
    def test_truncated_posterior(self):
        self.fails("eval", *cli.MODEL, "--posterior", "cut.npz", "--data", cli.DIGITS,
                   says="cut.npz: the ZIP archive of 100000 bytes has no "
                        "end-of-central-directory record; the file is truncated")

    def test_a_mean_for_each_of_two_channels(self):
        self.fails("eval", *cli.MODEL, *cli.POSTERIOR, "--data", cli.DIGITS, "--mean", "1,2",
                   "--std", "1,2", says=f"{cli.MODEL[1]}: mean and std have 2 and 2 values, expected "
                   "one, or one for each of the 1 input channels")

    def test_images_of_another_size(self):
        self.fails("eval", *cli.LENET5, "--data", "cifar.bin",
                   says="cifar.bin: images are 32x32x3, the model expects 28x28x1")


class WrongOptions(ReferenceTest):
    def test_both_a_model_file_and_a_network(self):
        self.wrong_command("eval", "model.mu8", *cli.MODEL, *cli.POSTERIOR, "--data", cli.DIGITS,
                           says="expected either MODEL.mu8 or --model M.onnx")

    def test_no_weights(self):
        self.wrong_command("eval", *cli.MODEL, "--data", cli.DIGITS,
                           says="--model: expected --posterior P.npz with it, or --mean-weights, "
                                "or --engine-weights FILE.mu8")

    def test_a_model_file_has_its_own_normalization(self):
        self.wrong_command("eval", "model.mu8", "--data", cli.DIGITS, "--mean", 0.1, "--std", 0.3,
                           says="--posterior, --mean-weights, --engine-noise, --engine-weights, "
                                "--mean and --std belong to --model M.onnx")

    def test_options_of_the_engine(self):
        for options in (("--kernels", "scalar"), ("--antithetic",)):
            with self.subTest(options):
                self.wrong_command(*MEANS, *options, says=f"{options[0]}: belongs to a .mu8 file, "
                                   "not to the FP32 reference")


if __name__ == "__main__":
    cli.main()
