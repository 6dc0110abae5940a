"""`mu8 bench`: what it times and says. No times are expected.

    /usr/bin/python3 tests/cli/test_bench.py build/release/mu8
"""

import cli
from inputs import flip_a_bit


def setUpModule():
    cli.CommandTest.text_of("convert", *cli.LENET5, *cli.QUICK, "-o", "model.mu8")


class Report(cli.CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.found = cls.json_of("bench", "model.mu8")

    def test_settings(self):
        self.assertEqual(self.found["samples"], 50)
        self.assertEqual(self.found["batch"], 1)
        self.assertEqual(self.found["threads"], 1)
        self.assertIn(self.found["kernels"], cli.KERNELS)

    def test_half_of_the_predictions_are_faster_than_nearly_all(self):
        self.assertGreater(self.found["us_per_prediction_p50"], 0)
        self.assertLessEqual(self.found["us_per_prediction_p50"],
                             self.found["us_per_prediction_p99"])

    def test_a_pass_is_a_prediction_by_the_samples(self):
        self.assert_near(self.found["us_per_pass_p50"], self.found["us_per_prediction_p50"] / 50)

    def test_memory_is_what_inspect_says(self):
        self.assertEqual(self.found["arena_bytes"],
                         self.json_of("inspect", "model.mu8")["arena_bytes"])


class Text(cli.CommandTest):
    def test_a_batch_with_scalar_kernels(self):
        text = self.text_of("bench", "model.mu8", "--samples", 2, "--batch", 4,
                            "--kernels", "scalar")
        self.assertIn("per pass", text)
        self.assertIn("scalar", text)

    def test_a_model_of_numbers(self):
        found = self.json_of("bench", cli.GOLDEN / "tiny_numbers.mu8", "--samples", 2)
        self.assertGreater(found["us_per_pass_p50"], 0)

    def test_two_threads(self):
        self.assertIn("2 threads", self.text_of("bench", "model.mu8", "--samples", 2,
                                                "--threads", 2))


class Refusals(cli.CommandTest):
    def test_no_model(self):
        self.wrong_command("bench", says="MODEL is required")

    def test_passes_that_may_end_early(self):
        self.wrong_command("bench", "model.mu8", "--stop-error", 0.05,
                           says="--stop-error: mu8 bench times a fixed number of passes")

    def test_a_damaged_model(self):
        flip_a_bit(self.folder / "model.mu8", self.folder / "flipped.mu8")
        self.fails("bench", "flipped.mu8", "--json",
                   says="flipped.mu8: mu8 error 15: section is damaged")


if __name__ == "__main__":
    cli.main()
