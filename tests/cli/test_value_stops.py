"""Passes that end once a number is known: ranges in the file, what is promised, what is refused.

    /usr/bin/python3 tests/cli/test_value_stops.py build/release/mu8
"""

import cli
import numpy as np
from heads import BIAS, PIXELS, WEIGHTS, HeadTest, X, network


class ValueStops(HeadTest):
    def sampled(self, *options):
        """Three values, each with a deviation of about 0.12."""
        np.savez(self.folder / "p.npz", **{"w.sigma": np.full((3, PIXELS), 0.1, np.float32)})
        return self.json_of(*self.convert(network(3, head="values"), "--posterior", "p.npz"), *options)

    def stop(self, output, *rule):
        return self.prediction("--samples", 3000, "--stop-error", "0.05", "--stop-class", output, *rule)

    def test_passes_end_once_a_mean_is_known(self):
        report = self.sampled("--output-range", "-2,2,-1.5,2.5,-3,3")
        self.assertEqual(report["output_ranges"], [[-2, 2], [-1.5, 2.5], [-3, 3]])
        right = (X @ WEIGHTS.T + BIAS)[0]
        for output in range(3):
            found = self.stop(output, "--stop-within", "0.2")
            self.assertEqual(found["ended"], "within")
            self.assertLess(found["samples_used"], 600)
            self.assertAlmostEqual(found["mean"][output], right[output], delta=0.2)
            self.assertNotIn("clipped_passes", found)
        for threshold, ended in ((right[1] - 0.3, "above"), (right[1] + 0.3, "below")):
            self.assertEqual(self.stop(1, "--stop-threshold", threshold)["ended"], ended)
        text = self.text_of("predict", "m.mu8", "x.npy", "--samples", 3000, "--stop-error", "0.05",
                            "--stop-class", 0, "--stop-within", "0.5")
        self.assertIn("samples, then the mean was known well enough", text)

    def test_what_the_range_clips_is_counted(self):
        middle = float((X @ WEIGHTS.T + BIAS)[0][0])
        self.sampled("--output-range", f"{middle - 4},{middle}")
        found = self.stop(0, "--stop-within", "0.3")
        self.assertGreater(found["clipped_passes"], found["samples_used"] / 4)
        self.assertLess(found["clipped_passes"], found["samples_used"])
        text = self.text_of("predict", "m.mu8", "x.npy", "--stop-error", "0.05", "--stop-class", 0,
                            "--stop-within", "0.3")
        self.assertIn("of the samples lay outside the output's range in the file", text)
        rule = ("--stop-error", "0.05", "--stop-class", 0, "--stop-within", "0.3")
        report = self.json_of("eval", "m.mu8", "--data", "images", "--limit", 2, *rule,
                              note="with --stop-error images have different numbers of samples")
        self.assertGreater(report["samples_used"]["clipped"], 0)

    def test_a_calibrated_range_holds_the_values(self):
        report = self.sampled("--output-range", "calibrated")
        self.assertEqual(len(report["output_ranges"]), 3)
        for low, high in report["output_ranges"]:
            self.assertLess(low, -0.5)
            self.assertGreater(high, 0.5)
        self.assertNotIn("clipped_passes", self.stop(2, "--stop-within", "0.5"))

    def test_ranges_that_are_none(self):
        def refused(text, says, *options, head="values"):
            self.fails(*self.convert(network(3), "--deterministic", "--head", head,
                                     "--output-range", text), says=says)
        refused("1", "--output-range: has 1 numbers, expected LOW,HIGH")
        refused("1,2,3,4", "--output-range: has 4 numbers, expected LOW,HIGH, or these of each of the 3")
        refused("2,1", "--output-range: output 0 has 2 to 1, expected a low end below")
        refused("0,1e-39", "--output-range: output 0 has 0 to 1e-39, expected a low end below")
        refused("-3e38,3e38", "--output-range: output 0 has -3e+38 to 3e+38, expected a low end below")
        refused("0,1", "--output-range: belongs to values and gaussian, the head is softmax",
                head="softmax")
        self.fails(*self.convert(network(3), "--deterministic", "--head", "values", "--output-range",
                                 "wide"), code=2, says='--output-range: is "wide", expected')

    def test_rules_that_do_not_fit_are_refused(self):
        def refused(*options, says):
            self.wrong_command("predict", "m.mu8", "x.npy", "--stop-error", "0.05", *options, says=says)
        self.sampled("--output-range", "-2,2")
        refused(says="--stop-error: the model's outputs are numbers, none of which")
        refused("--stop-class", 0, "--stop-within", 3,
                says="--stop-within: is 3, expected a number from 4e-06 to 2")
        refused("--stop-class", 0, "--stop-threshold", 2.5,
                says="--stop-threshold: is 2.5, expected a number from -1.999996 to 1.999996")
        refused("--stop-class", 0, "--stop-threshold", 1, "--stop-within", 1,
                says="--stop-within and --stop-threshold: expected one of them")
        refused("--stop-class", 0, "--stop-within", "nan", says="--stop-within: is nan")
        self.sampled()
        refused("--stop-class", 0, "--stop-within", 1,
                says="--stop-error: the file has no range for its outputs")
        self.converted(network(3), "--head", "softmax")
        refused("--stop-class", 0, "--stop-within", "0.1",
                says="--stop-within: is for numbers, the model's outputs are probabilities")
        refused("--stop-class", 0, "--stop-threshold", "1.5",
                says="--stop-threshold: is 1.5, expected a number from 1e-06 to 0.999999")


if __name__ == "__main__":
    cli.main()
