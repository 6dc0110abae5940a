"""`mu8 allocate`: plans that spend bits where the posterior is unsure, and what it refuses.

    /usr/bin/python3 tests/cli/test_allocate.py build/release/mu8
"""

import cli

ANY_LAYERS = ("allocate", *cli.MODEL, *cli.NORMAL, *cli.QUICK, "--sigma-bits", 4)
ALLOCATE = (*ANY_LAYERS, *cli.POSTERIOR, "--layer-bits", "2..5")
CONVERT = ("convert", *cli.LENET5, *cli.QUICK, "--sigma-bits", 4)
LAYERS = ["/conv1/Conv", "/conv2/Conv", "/fc1/Gemm", "/fc2/Gemm", "/fc3/Gemm"]
SEVERAL = (*ALLOCATE, "--average-bits", "2.2,2.7", "--evaluations", 4, "--training-images", 1e9,
           "--method", "uniform,snr,posterior-variance,greedy,sensitivity,random-search",
           "--seed", "1,2")


def widths(layers):
    return [layer["mu_bits"] for layer in layers if "mu_bits" in layer]


def stored(bits):
    """A layer whose panels all have one width is stored as one of that width."""
    return bits[0] if isinstance(bits, list) and len(set(bits)) == 1 else bits


class PlanTest(cli.CommandTest):
    def check_conversion(self, plan, file):
        """The plan converts to a file of its widths that still recognizes digits."""
        expected = self.json_in(plan)
        report = self.json_of(*CONVERT, "--bits", plan, "-o", file)
        inspected = self.json_of("inspect", file)
        for found in (report, inspected):
            self.assert_near(found["average_mu_bits"], expected["average_bits"])
            self.assertEqual(widths(found["layers"]),
                             [stored(bits) for bits in widths(expected["layers"])])
        self.assertGreaterEqual(self.json_of("eval", file, "--data", cli.DIGITS)["accuracy"], 0.97)


class OnePlan(PlanTest):
    """Three bits on average, by the method that runs without --method."""

    @classmethod
    def setUpClass(cls):
        cls.plan = cls.json_of(*ALLOCATE, "--average-bits", 3, "-o", "plan.json")

    def test_stdout_is_what_the_file_holds(self):
        self.assertEqual(self.plan, self.json_in("plan.json"))

    def test_method(self):
        self.assertEqual(self.plan["method"], "quantile-inform")

    def test_every_layer_with_weights_is_in_the_plan(self):
        self.assertEqual([layer["name"] for layer in self.plan["layers"]], LAYERS)

    def test_widths_keep_their_range(self):
        for layer in self.plan["layers"]:
            self.assertIn(layer["mu_bits"], (2, 3, 4, 5), layer["name"])

    def test_no_layer_could_have_a_bit_more(self):
        self.assertLessEqual(self.plan["average_bits"], 3)
        weights = sum(layer["weights"] for layer in self.plan["layers"])
        for layer in self.plan["layers"]:
            if layer["mu_bits"] < 5:
                more = self.plan["average_bits"] + layer["weights"] / weights
                self.assertGreater(more, 3, layer["name"])

    def test_average_is_over_the_weights(self):
        weights = sum(layer["weights"] for layer in self.plan["layers"])
        bits = sum(layer["weights"] * layer["mu_bits"] for layer in self.plan["layers"])
        self.assert_near(self.plan["average_bits"], bits / weights)

    def test_plan_is_judged_once(self):
        self.assertGreater(self.plan["divergence"], 0)
        self.assertLess(self.plan["divergence"], 0.5)
        self.assertGreater(self.plan["posterior_error"], 0)
        self.assertEqual(self.plan["evaluations"], 1)

    def test_conversion_follows_the_plan(self):
        self.check_conversion("plan.json", "plan.mu8")

    def test_moments_judge_it_alike(self):
        by_moments = self.json_of(*ALLOCATE, "--average-bits", 3, "--judge", "moments", "-o", "moments.json")
        self.assertEqual((self.plan["judge"], by_moments["judge"]), ("sampling", "moments"))
        self.assertEqual(by_moments["layers"], self.plan["layers"])  # found without a judge
        self.assertNotEqual(by_moments["divergence"], self.plan["divergence"])
        self.assertLess(by_moments["divergence"], 1.5 * self.plan["divergence"])
        self.assertGreater(by_moments["divergence"], self.plan["divergence"] / 4)


class SeveralPlans(PlanTest):
    """Every method for two averages; random search with two seeds."""

    @classmethod
    def setUpClass(cls):
        (cls.folder / "plans").mkdir()
        cls.plans = cls.json_of(*SEVERAL, "-o", "plans")

    def of(self, *methods):
        return [plan for plan in self.plans if plan["method"] in methods]

    def test_none_takes_more_than_it_may(self):
        self.assertEqual(len(self.plans), 14)
        for plan in self.plans:
            self.assertLessEqual(plan["average_bits"], plan["average_bits_allowed"])

    def test_each_has_a_file_named_for_it(self):
        for plan in self.plans:
            name = "plans/{method}.{average_bits_allowed:g}.seed{seed}.json".format(**plan)
            self.assertEqual(plan, self.json_in(name), name)
        self.assertEqual(len(list((self.folder / "plans").iterdir())), 14)

    def test_seeds_are_for_the_method_that_draws(self):
        self.assertEqual(sorted(plan["seed"] for plan in self.of("random-search")), [1, 1, 2, 2])
        others = {plan["seed"] for plan in self.plans if plan["method"] != "random-search"}
        self.assertEqual(others, {1})

    def test_evaluations_are_counted(self):
        self.assertEqual([plan["evaluations"] for plan in self.of("uniform", "sensitivity")],
                         [1, 1, 17, 17])

    def test_a_method_alone_gives_the_same_plan(self):
        alone = (*ALLOCATE, "--average-bits", 2.7, "--method", "sensitivity", "-o", "alone.json")
        self.assertIn("of 2.700", self.text_of(*alone))
        self.assertEqual(self.json_in("alone.json")["layers"],
                         self.json_in("plans/sensitivity.2.7.seed1.json")["layers"])

    def test_a_file_cannot_hold_several(self):
        self.write("one.json", "{}")
        self.fails(*SEVERAL, "-o", "one.json",
                   says="one.json: is no folder, expected one for 14 plans")


class Panels(PlanTest):
    @classmethod
    def setUpClass(cls):
        cls.plan = cls.json_of(*ALLOCATE, "--average-bits", 2.3, "--unit", "panel",
                               "-o", "panels.json")

    def test_large_layers_have_a_width_for_each_panel(self):
        self.assertEqual(self.plan["unit"], "panel")
        by_panel = [bits for bits in widths(self.plan["layers"]) if isinstance(bits, list)]
        self.assertEqual([len(bits) for bits in by_panel], [8, 6])
        self.assertTrue(any(len(set(bits)) > 1 for bits in by_panel), by_panel)

    def test_average_keeps_its_limit(self):
        self.assertGreater(self.plan["average_bits"], 2.25)
        self.assertLessEqual(self.plan["average_bits"], 2.3)

    def test_conversion_follows_the_plan(self):
        self.check_conversion("panels.json", "panels.mu8")
        self.assertRegex(self.text_of("inspect", "panels.mu8"),
                         r"\Afile +panels\.mu8, format 1\.2\n")
        self.assertEqual(self.json_of("inspect", "panels.mu8")["format"], "1.2")

    def test_a_search_judges_as_many_plans_as_it_may_and_is_not_worse(self):
        found = self.json_of(*ALLOCATE, "--average-bits", 2.3, "--unit", "panel", "--method",
                             "random-bits", "--evaluations", 12, "-o", "searched.json")
        self.assertGreaterEqual(found["evaluations"], 12)
        # It ends after the step of eight in which they are spent; the plan found counts once more.
        self.assertLessEqual(found["evaluations"], 11 + 8 + 1)
        self.assertLessEqual(found["average_bits"], 2.3)
        self.assertLessEqual(found["divergence"], 1.0001 * self.plan["divergence"])


class Refusals(cli.CommandTest):
    """fails() sees to it that kept.json stays what it was."""

    @classmethod
    def setUpClass(cls):
        cls.write("kept.json", '{"layers": []}')

    def refuses(self, *arguments, says):
        self.fails(*arguments, "-o", "kept.json", says=says)

    def refuses_command(self, *arguments, says):
        self.wrong_command(*arguments, "-o", "kept.json", says=says)

    def test_no_average(self):
        self.refuses_command(*ALLOCATE, says="--average-bits is required")

    def test_an_average_out_of_range(self):
        self.refuses_command(*ALLOCATE, "--average-bits", 9,
                             says='--average-bits: is "9", expected a number from 1.000000 to 8.000000')

    def test_an_average_below_the_least_width(self):
        self.refuses(*ALLOCATE, "--average-bits", 1.5,
                     says="average bits are 1.500000, each unit has at least 2")

    def test_a_method_that_does_not_exist(self):
        self.refuses_command(*ALLOCATE, "--average-bits", 3, "--method", "best",
                             says="--method: best not in {quantile-inform,random-bits,uniform,snr,"
                                  "posterior-variance,greedy,sensitivity,random-search}")

    def test_a_unit_that_does_not_exist(self):
        self.refuses_command(*ALLOCATE, "--average-bits", 3, "--unit", "channel",
                             says="--unit: channel not in {layer,panel}")

    def test_a_range_of_widths_written_otherwise(self):
        self.refuses_command(*ANY_LAYERS, *cli.POSTERIOR, "--average-bits", 3,
                             "--layer-bits", "2-5",
                             says='--layer-bits: is "2-5", expected LEAST..MOST, such as 1..8')

    def test_a_range_of_widths_that_is_empty(self):
        self.refuses(*ANY_LAYERS, *cli.POSTERIOR, "--average-bits", 3, "--layer-bits", "5..2",
                     says="layer bits are 5 to 2, expected a range within 1 to 8")

    def test_truncated_posterior(self):
        self.refuses(*ANY_LAYERS, "--average-bits", 3, "--posterior", "cut.npz",
                     says="cut.npz: the ZIP archive of 100000 bytes has no "
                          "end-of-central-directory record; the file is truncated")


if __name__ == "__main__":
    cli.main()
