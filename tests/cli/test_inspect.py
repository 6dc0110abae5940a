"""`mu8 inspect`: what it shows of a file, and what it says of files that are no models.

    /usr/bin/python3 tests/cli/test_inspect.py build/release/mu8
"""

import cli
from heads import HeadTest, network
from inputs import flip_a_bit

EVERY_OPERATOR = cli.GOLDEN / "every_operator.mu8"


class LeNet5(cli.CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.text_of("convert", *cli.LENET5, *cli.QUICK, "-o", "model.mu8")
        cls.found = cls.json_of("inspect", "model.mu8")

    def test_text_counts_weights_and_biases(self):
        self.assertRegex(self.text_of("inspect", "model.mu8"),
                         r"\nweights +61706 \(61470 weights, 236 biases\)\n")

    def test_text_gives_the_input_shape(self):
        self.assertRegex(self.text_of("inspect", "model.mu8"), r"\ninput +28 x 28 x 1 \(height x")

    def test_counts(self):
        self.assertEqual(self.found["weights"], 61706)
        self.assertEqual(self.found["weight_count"], 61470)
        self.assertEqual(self.found["bias_count"], 236)
        self.assertEqual(sum(layer["weights"] for layer in self.found["layers"]), 61706)

    def test_sizes(self):
        self.assertEqual(self.found["file_bytes"], len(self.bytes_of("model.mu8")))
        self.assertGreater(self.found["arena_bytes"], 0)

    def test_widths_and_format(self):
        self.assertEqual(self.found["sigma_bits"], 8)
        self.assertEqual(self.found["mu_bits"], 8)
        self.assertEqual(self.found["format"], "1.0")

    def test_input_and_classes(self):
        self.assertEqual(self.found["input_shape"], [28, 28, 1])
        self.assertEqual(self.found["classes"], 10)
        self.assertEqual(len(self.found["labels"]), 10)

    def test_layers_are_numbered(self):
        self.assertEqual([layer["index"] for layer in self.found["layers"]], list(range(7)))

    def test_every_layer_is_described(self):
        for layer in self.found["layers"]:
            self.assertLessEqual({"name", "op", "input_shape", "output_shape", "parameter_bytes"},
                                 set(layer))

    def test_the_last_layer_gives_floats(self):
        self.assertEqual(self.found["layers"][-1]["output_shape"], [1, 1, 10])
        self.assertIsNone(self.found["layers"][-1]["output_scale"])

    def test_metadata(self):
        self.assertEqual(self.found["metadata"]["name"], "lenet5_mnist")

    def test_sigma_of_fewer_bits(self):
        self.text_of("convert", *cli.LENET5, *cli.QUICK, "--sigma-bits", 2,
                     "--sigma-quantizer", "affine", "-o", "sigma2.mu8")
        found = self.json_of("inspect", "sigma2.mu8")
        self.assertEqual(found["sigma_bits"], 2)
        self.assertEqual([layer["sigma_bits"] for layer in found["layers"]
                          if layer.get("bayesian")], [2] * 5)


class EveryOperator(cli.CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.text = cls.text_of("inspect", EVERY_OPERATOR)
        cls.layers = cls.json_of("inspect", EVERY_OPERATOR)["layers"]

    def test_operators_by_name(self):
        self.assertEqual([layer["op"] for layer in self.layers],
                         ["conv2d", "max_pool", "conv2d", "average_pool", "lookup", "conv2d",
                          "slice", "add", "average_pool", "multiply", "concat", "dense"])

    def test_a_residual_is_shown_with_its_source(self):
        self.assertIn("2 x 2 x 18 + residual 2 x 2 x 18 of #3 -> 2 x 2 x 18", self.text)
        self.assertEqual([layer["index"] for layer in self.layers if layer.get("residual")], [5])

    def test_a_slice_is_shown_with_steps_and_offset(self):
        self.assertIn("/2,2 from 1,-1,-6", self.text)
        self.assertEqual(self.layers[6]["offset"], [1, -1, -6])

    def test_both_inputs_of_a_sum(self):
        self.assertEqual(self.layers[7]["input"], 6)
        self.assertEqual(self.layers[7]["input2"], 7)


class Ranges(HeadTest):
    def inspected(self, *options, outputs=3):
        self.converted(network(outputs), *options)
        return self.json_of("inspect", "m.mu8"), self.text_of("inspect", "m.mu8")

    def test_ranges_of_outputs(self):
        found, text = self.inspected("--head", "values", "--output-range", "-2,2,-1.5,2.5,0.1,3")
        self.assertEqual(found["output_ranges"], [[-2, 2], [-1.5, 2.5], [0.1, 3]])
        self.assertRegex(text, r"\noutput ranges +-2 to 2, -1.5 to 2.5, 0.1 to 3\n")
        found, text = self.inspected("--head", "values", "--output-range", "-2,2")
        self.assertEqual(found["output_ranges"], [[-2, 2]] * 3)
        self.assertRegex(text, r"\noutput ranges +all -2 to 2\n")
        found, text = self.inspected("--head", "values", "--output-range", "0,2", outputs=1)
        self.assertRegex(text, r"\noutput ranges +0 to 2\n")
        found, text = self.inspected("--head", "values")
        self.assertNotIn("output_ranges", found)
        self.assertNotIn("output ranges", text)

    def test_the_stop_rules_that_hold(self):
        for head, options, rules, text in (
                ("softmax", (), ["label", "threshold", "thresholds"],
                 "--stop-error alone, --stop-threshold, --stop-threshold of several"),
                ("sigmoid", (), ["threshold", "thresholds"],
                 "--stop-threshold, --stop-threshold of several"),
                ("values", ("--output-range", "-2,2"), ["threshold", "within"],
                 "--stop-threshold, --stop-within"),
                ("values", (), [], "none")):
            found, shown = self.inspected("--head", head, *options)
            self.assertEqual(found["stop_rules"], rules)
            self.assertRegex(shown, rf"\nstop rules +{text}\n")

    def test_what_inspect_says_is_what_predict_takes(self):
        options = {"label": (), "threshold": ("--stop-class", 0, "--stop-threshold", "0.5"),
                   "thresholds": ("--stop-class", "all", "--stop-threshold", "0.5"),
                   "within": ("--stop-class", 0, "--stop-within", "0.5")}
        for head, more in (("softmax", ()), ("sigmoid", ()), ("values", ()),
                           ("values", ("--output-range", "-2,2"))):
            found, _ = self.inspected("--head", head, *more)
            for rule, how in options.items():
                outcome = self.run_mu8("predict", "m.mu8", "x.npy", "--stop-error", "0.05", *how)
                self.assertEqual(outcome.code == 0, rule in found["stop_rules"], (head, more, rule))


class Maps(cli.CommandTest):
    def test_the_answer_has_its_positions(self):
        model = cli.GOLDEN / "dense_sigmoid.mu8"
        found = self.json_of("inspect", model)
        self.assertEqual(found["layers"][-1]["output_shape"], [5, 3, 2])
        self.assertEqual(found["stop_rules"], [])
        self.assertIn("6 x 5 x 4 -> 5 x 3 x 2", self.text_of("inspect", model))


class Moments(cli.CommandTest):
    def test_steps_and_factors_by_layer(self):
        model = cli.GOLDEN / "tiny_moments.mu8"
        found = self.json_of("inspect", model)
        self.assertEqual(found["format"], "1.6")
        self.assertEqual([layer["moments"] for layer in found["layers"]],
                         [{"step": 0.05, "factor": 1.5}, {"step": 1, "factor": 0.8}])
        text = self.text_of("inspect", model)
        self.assertRegex(text, r" bytes +variance step +factor\n")
        self.assertRegex(text, r"\n0 .* 0\.05 +1\.5\n")

    def test_nothing_of_a_file_without_them(self):
        self.assertNotIn("variance step", self.text_of("inspect", EVERY_OPERATOR))
        for layer in self.json_of("inspect", EVERY_OPERATOR)["layers"]:
            self.assertNotIn("moments", layer)


class NoModels(cli.CommandTest):
    def test_no_file_named(self):
        self.wrong_command("inspect", says="MODEL is required")

    def test_missing_file(self):
        self.fails("inspect", "missing.mu8",
                   says="missing.mu8: no such file, expected a .mu8 model")

    def test_a_folder(self):
        self.fails("inspect", "folders",
                   says="folders: is a folder, expected a .mu8 model")

    def test_an_empty_file(self):
        self.fails("inspect", "empty.mu8",
                   says="empty.mu8: the file is empty, expected a .mu8 model")

    def test_a_git_lfs_pointer(self):
        self.fails("inspect", "pointer.mu8", says="pointer.mu8: is a Git LFS pointer, not the file")

    def test_a_picture(self):
        self.fails("inspect", cli.PICTURES[0],
                   says=f"{cli.PICTURES[0]}: mu8 error 2: not a .mu8 file")

    def test_a_file_cut_anywhere(self):
        whole = (cli.GOLDEN / "tiny_sigma4.mu8").read_bytes()
        size = len(whole)
        for kept in (1, 63, 64, 200, size // 2, size - 1):
            with self.subTest(kept):
                (self.folder / "cut.mu8").write_bytes(whole[:kept])
                stderr = self.fails("inspect", "cut.mu8",
                                    says="cut.mu8: mu8 error 1: file is truncated")
                self.assertIn(f"found {kept}, expected {64 if kept < 64 else size}\n", stderr)

    def test_a_damaged_file(self):
        flip_a_bit(cli.GOLDEN / "tiny_sigma4.mu8", self.folder / "flipped.mu8")
        self.fails("inspect", "flipped.mu8",
                   says="flipped.mu8: mu8 error 15: section is damaged")


if __name__ == "__main__":
    cli.main()
