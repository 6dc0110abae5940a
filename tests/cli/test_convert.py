"""`mu8 convert`: what it writes and reports, each option, plans of bits, and what it refuses.

    /usr/bin/python3 tests/cli/test_convert.py build/release/mu8
"""

import zipfile

import cli
from inputs import CLASS_NAMES, CUT_BYTES

CONVERT = ("convert", *cli.LENET5, *cli.CALIBRATION)
QUICK = ("convert", *cli.LENET5, *cli.QUICK)


class ConvertTest(cli.CommandTest):
    """What setUpModule leaves: model.mu8, made with nothing but what is required."""
    report = {}
    made = set()


def setUpModule():
    before = ConvertTest.files()
    ConvertTest.report = ConvertTest.json_of(*CONVERT, "-o", "model.mu8")
    ConvertTest.made = ConvertTest.files().keys() - before


class Defaults(ConvertTest):
    def test_only_the_output_is_left(self):
        self.assertEqual(self.made, {"model.mu8"})

    def test_names_the_file_and_its_size(self):
        self.assertEqual(self.report["file"], "model.mu8")
        self.assertEqual(self.report["file_bytes"], len(self.bytes_of("model.mu8")))

    def test_settings(self):
        self.assertEqual(self.report["sigma_bits"], 8)
        self.assertEqual(self.report["sigma_quantizer"], "weighted")
        self.assertEqual(self.report["seed"], 1)
        self.assertEqual(self.report["calibration_images"], 64)
        self.assertEqual(self.report["calibration_passes"], 10)

    def test_says_what_memory_the_model_needs(self):
        self.assertGreater(self.report["arena_bytes"], 0)

    def test_notices_are_a_list(self):
        self.assertIsInstance(self.report["notices"], list)

    def test_five_layers_have_weights(self):
        self.assertEqual(sum(layer["weights"] > 0 for layer in self.report["layers"]), 5)

    def test_every_layer_is_described(self):
        for layer in self.report["layers"]:
            self.assertLessEqual({"name", "op", "shape", "weights", "output_saturation"},
                                 set(layer))

    def test_the_noise_keeps_its_variance(self):
        bayesian = [layer for layer in self.report["layers"] if layer.get("bayesian")]
        self.assertEqual(len(bayesian), 5)
        for layer in bayesian:
            self.assertGreater(layer["variance_kept"], 0.5, layer["name"])
            self.assertLess(layer["variance_kept"], 2, layer["name"])

    def test_converting_again_gives_the_same_bytes_and_a_table(self):
        table = self.text_of(*CONVERT, "-o", "again.mu8")
        self.assert_same_bytes("again.mu8", "model.mu8")
        self.assertIn("variance kept", table)
        self.assertRegex(table, r"\nwritten +again\.mu8\n")


class Options(ConvertTest):
    def test_fewer_bits_for_sigma_make_a_smaller_file(self):
        sizes = [self.report["file_bytes"]]
        for bits in (4, 2, 1, 0):
            report = self.json_of(*QUICK, "--sigma-bits", bits, "-o", "narrow.mu8")
            self.assertEqual(report["sigma_bits"], bits)
            sizes.append(report["file_bytes"])
        self.assertEqual(sizes, sorted(set(sizes), reverse=True))

    def test_affine_quantizer_of_sigma(self):
        report = self.json_of(*QUICK, "--sigma-bits", 4, "--sigma-quantizer", "affine",
                              "-o", "affine.mu8")
        self.assertEqual(report["sigma_quantizer"], "affine")

    def test_importance_of_sigma(self):
        report = self.json_of(*QUICK, "--sigma-bits", 1, "--sigma-importance", "power",
                              "-o", "power.mu8")
        self.assertEqual(report["sigma_importance"], "power")

    def test_without_a_posterior_nothing_is_bayesian(self):
        report = self.json_of("convert", *cli.MODEL, "--deterministic", *cli.NORMAL, *cli.QUICK,
                              "-o", "plain.mu8")
        self.assertEqual([layer for layer in report["layers"] if layer.get("bayesian")], [])
        found = self.json_of("eval", "plain.mu8", "--data", cli.DIGITS, "--limit", 20,
                             "--samples", 3)
        self.assertLess(found["mean_mutual_information"], 1e-6)

    def test_name_and_labels_are_in_the_file(self):
        self.text_of(*QUICK, "--labels", "labels.txt", "--name", "digits", "--seed", 5,
                     "-o", "named.mu8")
        found = self.json_of("inspect", "named.mu8")
        self.assertEqual(found["name"], "digits")
        self.assertEqual(found["labels"], CLASS_NAMES)
        self.assertEqual(found["metadata"]["calibration.seed"], "5")


class Labels(ConvertTest):
    def test_those_of_the_model_stay_whatever_calibration_folders_are_called(self):
        self.text_of("convert", *cli.LENET5, "--calibration", "folders", "--calibration-passes", 2,
                     "-o", "foldered.mu8")
        self.assertEqual(self.json_of("inspect", "foldered.mu8")["labels"],
                         self.json_of("inspect", "model.mu8")["labels"])

    def test_two_classes_of_one_name_are_told(self):
        self.write("cranes.txt", "\r\n".join(["crane"] * 2 + CLASS_NAMES[2:]) + "\r\n\r\n")
        self.text_of(*QUICK, "--labels", "cranes.txt", "-o", "cranes.mu8",
                     note="classes 0 and 1 are both named 'crane'")
        self.assertEqual(self.json_of("inspect", "cranes.mu8")["labels"],
                         ["crane"] * 2 + CLASS_NAMES[2:])

    def test_wrong_labels_are_refused_before_images_are_read(self):
        self.fails("convert", *cli.LENET5, "--calibration", "missing.idx", "--labels",
                   "few_labels.txt", "-o", "new.mu8", says="there are 2 labels for 10 classes")


class BadInputs(ConvertTest):
    """fails() sees to it that no file is left, and that model.mu8 stays what it was."""

    def refuses(self, *arguments, says):
        for name in ("model.mu8", "new.mu8"):
            self.fails("convert", *arguments, "-o", name, says=says)

    def test_missing_model(self):
        self.refuses("--model", "missing.onnx", *cli.POSTERIOR, *cli.CALIBRATION,
                     says="missing.onnx: no such file, expected an ONNX model")

    def test_a_posterior_without_arrays(self):
        (self.folder / "empty.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
        with zipfile.ZipFile(self.folder / "empty.npz", "w"):
            pass
        for name in ("empty.safetensors", "empty.npz"):
            with self.subTest(name):
                self.refuses(*cli.MODEL, "--posterior", name, *cli.CALIBRATION, says=f"{name}: holds no array")

    def test_missing_posterior(self):
        self.refuses(*cli.MODEL, "--posterior", "missing.npz", *cli.CALIBRATION,
                     says="missing.npz: no such file, expected a .npz or .safetensors file")

    def test_missing_calibration_images(self):
        self.refuses(*cli.MODEL, *cli.POSTERIOR, "--calibration", "missing.idx",
                     says="missing.idx: no such file")

    def test_truncated_model(self):
        self.refuses("--model", "cut.onnx", *cli.POSTERIOR, *cli.CALIBRATION,
                     says=f"cut.onnx: not a complete ONNX model ({CUT_BYTES} bytes): at offset 19 "
                          "field 7 (graph) needs 248433 bytes, 99977 are left: truncated")

    def test_truncated_posterior(self):
        self.refuses(*cli.MODEL, "--posterior", "cut.npz", *cli.CALIBRATION,
                     says=f"cut.npz: the ZIP archive of {CUT_BYTES} bytes has no "
                          "end-of-central-directory record; the file is truncated")

    def test_no_calibration_images(self):
        self.refuses(*cli.LENET5, "--calibration", "empty-images-idx3-ubyte",
                     says="empty-images-idx3-ubyte: holds no images")

    def test_calibration_images_of_another_size(self):
        self.refuses(*cli.LENET5, "--calibration", "cifar.bin",
                     says="cifar.bin: images are 32x32x3, the model expects 28x28x1")

    def test_a_mean_for_each_of_two_channels(self):
        self.refuses(*cli.MODEL, *cli.POSTERIOR, *cli.CALIBRATION, "--mean", "0.1,0.2",
                     "--std", "0.3,0.4",
                     says="mean and std have 2 and 2 values, expected one, or one for each of the 1 input "
                          "channels")

    def test_too_few_labels(self):
        self.refuses(*cli.LENET5, *cli.QUICK, "--labels", "few_labels.txt",
                     says="there are 2 labels for 10 classes")

    def test_an_empty_label(self):
        self.refuses(*cli.LENET5, *cli.QUICK, "--labels", "gap_labels.txt",
                     says="gap_labels.txt: line 2 is empty, expected a class name")

    def test_missing_labels(self):
        self.refuses(*cli.LENET5, *cli.QUICK, "--labels", "missing.txt",
                     says="missing.txt: no such file, expected class names, one per line")

    def test_an_output_folder_that_is_not_there(self):
        self.fails(*QUICK, "-o", "nowhere/new.mu8",
                   says="nowhere/new.mu8: cannot be written: there is no folder nowhere")

    def test_an_output_that_is_a_folder(self):
        self.fails(*QUICK, "-o", "folders",
                   says="folders: cannot be written: is a folder, expected a file name")


class WrongOptions(cli.CommandTest):
    def refuses(self, *arguments, says):
        self.wrong_command("convert", *arguments, "-o", "new.mu8", says=says)

    def test_a_spread_of_zero(self):
        self.refuses(*cli.MODEL, *cli.POSTERIOR, *cli.CALIBRATION, "--std", 0,
                     says='--std: is "0", expected numbers above zero')

    def test_a_mean_that_is_no_number(self):
        self.refuses(*cli.MODEL, *cli.POSTERIOR, *cli.CALIBRATION, "--mean", "a,b",
                     says='--mean: is "a,b", expected comma-separated numbers')
        self.refuses(*cli.MODEL, *cli.POSTERIOR, *cli.CALIBRATION, "--mean", "1e39",
                     says='--mean: is "1e39", expected comma-separated numbers of a size that a float holds')

    def test_a_width_of_sigma_that_does_not_exist(self):
        self.refuses(*cli.LENET5, *cli.QUICK, "--sigma-bits", 3,
                     says="--sigma-bits: 3 not in {8,4,2,1,0}")

    def test_a_quantizer_that_does_not_exist(self):
        self.refuses(*cli.LENET5, *cli.QUICK, "--sigma-quantizer", "best",
                     says="--sigma-quantizer: best not in {weighted,affine}")

    def test_an_importance_that_does_not_exist(self):
        self.refuses(*cli.LENET5, *cli.QUICK, "--sigma-importance", "best",
                     says="--sigma-importance: best not in {measured,power,fisher}")

    def test_a_limit_of_no_calibration_images(self):
        self.refuses(*cli.LENET5, *cli.IMAGES, "--calibration-limit", 0,
                     says='--calibration-limit: is "0", expected a whole number, 1 to 1000000000')

    def test_widths_of_the_means_out_of_range(self):
        for bits in (0, 9):
            with self.subTest(bits):
                self.refuses(*cli.LENET5, *cli.QUICK, "--mu-bits", bits,
                             says=f'--mu-bits: is "{bits}", expected a whole number, 1 to 8')

    def test_neither_a_posterior_nor_deterministic(self):
        self.refuses(*cli.MODEL, *cli.CALIBRATION,
                     says="expected either --posterior P.npz or --deterministic")

    def test_both_a_posterior_and_deterministic(self):
        self.refuses(*cli.LENET5, *cli.QUICK, "--deterministic",
                     says="expected either --posterior P.npz or --deterministic")

    def test_no_output(self):
        self.wrong_command(*QUICK, says="--output is required")


class PackedMeans(ConvertTest):
    """Means of fewer bits than 8: the same for all layers, or by a plan."""

    @classmethod
    def setUpClass(cls):
        cls.packed = cls.json_of(*QUICK, "--mu-bits", 3, "-o", "mu3.mu8")
        cls.write("plan.json", '{"method": "by hand", "layers": ['
                  '{"name": "/conv1/Conv", "mu_bits": 5}, {"name": "/fc1/Gemm", "mu_bits": 2}]}')
        cls.planned = cls.json_of(*QUICK, "--bits", "plan.json", "--mu-bits", 4, "-o", "plan.mu8")

    def test_every_layer_has_the_width(self):
        self.assertEqual(self.packed["average_mu_bits"], 3)
        self.assertEqual({layer["mu_bits"] for layer in self.packed["layers"] if layer["weights"]},
                         {3})

    def test_the_file_is_smaller(self):
        self.assertLess(self.packed["file_bytes"], self.report["file_bytes"] - 35000)

    def test_predictions_are_still_right(self):
        found = self.json_of("eval", "mu3.mu8", "--data", cli.DIGITS)
        self.assertGreaterEqual(found["accuracy"], 0.97)

    def test_the_table_says_so(self):
        self.assertRegex(self.text_of(*QUICK, "--mu-bits", 3, "-o", "again.mu8"),
                         r"\nmu +3\.000 bits on average of the weights\n")

    def test_a_plan_gives_layers_their_widths_and_the_others_keep_theirs(self):
        widths = [layer["mu_bits"] for layer in self.planned["layers"] if layer["weights"]]
        self.assertEqual(widths, [5, 4, 2, 4, 4])
        self.assertGreater(self.planned["average_mu_bits"], 2.4)
        self.assertLess(self.planned["average_mu_bits"], 2.5)

    def test_inspect_says_so(self):
        text = self.text_of("inspect", "plan.mu8")
        self.assertIn("mu 5 at most, 2.44 on average; sigma 8", text)
        self.assertRegex(text, r"\Afile +plan\.mu8, format 1\.1\n")


class BadPlans(cli.CommandTest):
    def refuses(self, plan, says):
        self.write("bad.json", plan)
        self.fails(*QUICK, "--bits", "bad.json", "-o", "new.mu8", says=says)

    def test_a_missing_plan(self):
        self.fails(*QUICK, "--bits", "missing.json", "-o", "new.mu8",
                   says="missing.json: no such file, expected a bit plan (JSON)")

    def test_a_layer_that_is_not_there(self):
        self.refuses('{"layers": [{"name": "nowhere", "mu_bits": 4}]}',
                     "bits are given for 'nowhere', which is no layer with weights")

    def test_widths_that_do_not_exist(self):
        for bits, shown in (("9", "9"), ("0", "0"), ("[3, 2.5]", "2.5"), ("[]", "[]")):
            with self.subTest(bits):
                self.refuses('{"layers": [{"name": "/fc1/Gemm", "mu_bits": %s}]}' % bits,
                             f'bad.json: layer 0 has {shown} bits, expected {{"layers": [{{"name": '
                             '..., "mu_bits": 1 to 8, or a list of these by panel}, ...]}')

    def test_a_layer_without_a_width(self):
        self.refuses('{"layers": [{"name": "fc1"}]}',
                     'bad.json: layer 0 lacks name or mu_bits, expected {"layers": [{"name"')

    def test_what_is_no_json(self):
        self.refuses("{", 'bad.json: is no JSON (line 1, column 2: it ends there), expected {"layers": '
                          '[{"name"')

    def test_widths_for_too_few_panels(self):
        self.refuses('{"layers": [{"name": "/fc1/Gemm", "mu_bits": [3, 2, 2]}]}',
                     "layer '/fc1/Gemm' has 8 panels of up to 16 output channels, the plan has 3 "
                     "widths")


if __name__ == "__main__":
    cli.main()
