"""Passes that end once several labels or classes are decided, and by which names they are meant.

    /usr/bin/python3 tests/cli/test_label_stops.py build/release/mu8
"""

import cli
import numpy as np
from heads import BIAS, PIXELS, WEIGHTS, HeadTest, X, network

NAMES = ("cat", "dog", "fish")
RIGHT = 1 / (1 + np.exp(-(X @ WEIGHTS.T + BIAS)[0]))
STOP = ("--stop-error", "0.05")
NOTE = "with --stop-error images have different numbers of samples"


class LabelStops(HeadTest):
    def sampled(self, last="Sigmoid", names=NAMES, sigma=0.3):
        np.savez(self.folder / "p.npz", **{"w.sigma": np.full((3, PIXELS), sigma, np.float32)})
        self.write("names.txt", "".join(name + "\n" for name in names).encode())
        self.json_of(*self.convert(network(3, last), "--posterior", "p.npz", "--labels", "names.txt"))

    def decisions(self, *options, samples=3000):
        found = self.prediction("--samples", samples, *STOP, *options)
        return found, {one["label_name"]: one["decision"] for one in found["decisions"]}

    def test_every_label_has_a_decision(self):
        self.sampled()
        for threshold in (0.3, 0.5, 0.8):
            found, decisions = self.decisions("--stop-class", "all", "--stop-threshold", threshold)
            self.assertEqual(found["ended"], "decided")
            self.assertLess(found["samples_used"], 3000)
            self.assertEqual([one["label"] for one in found["decisions"]], [0, 1, 2])
            self.assertEqual(decisions, {name: "above" if p > threshold else "below"
                                         for name, p in zip(NAMES, RIGHT, strict=True)})
        # One half unless another threshold is given.
        self.assertEqual(self.decisions("--stop-class", "all"),
                         self.decisions("--stop-class", "all", "--stop-threshold", "0.5"))

    def test_the_error_is_shared(self):
        self.sampled()
        alone = [self.prediction("--samples", 3000, "--stop-error", 0.05 / 2, "--stop-class", name)
                 for name in ("cat", "fish")]
        found, decisions = self.decisions("--stop-class", "fish,cat")
        self.assertEqual(found["samples_used"], max(one["samples_used"] for one in alone))
        self.assertEqual(decisions, {"cat": alone[0]["ended"], "fish": alone[1]["ended"]})
        self.assertNotIn("decisions", alone[0])

    def test_labels_that_stay_open(self):
        self.sampled(sigma=1)
        threshold = self.prediction("--samples", 3000)["mean"][1]
        options = ("--stop-class", "all", "--stop-threshold", threshold)
        found, decisions = self.decisions(*options, samples=60)
        self.assertEqual((found["ended"], found["samples_used"]), ("all_samples", 60))
        self.assertEqual(decisions["dog"], "undecided")
        text = self.text_of("predict", "m.mu8", "x.npy", *STOP, "--samples", 60, *options)
        self.assertIn("  60 samples, not all decided\n", text)
        self.assertRegex(text, r"\n  undecided: [a-z, ]*dog")

    def test_the_text_names_all_of_them(self):
        self.sampled()
        text = self.text_of("predict", "m.mu8", "x.npy", "--samples", 3000, *STOP, "--stop-class", "all",
                            "--top", 1, "--stop-threshold", "0.6")
        above = ", ".join(name for name, p in zip(NAMES, RIGHT, strict=True) if p > 0.6)
        below = ", ".join(name for name, p in zip(NAMES, RIGHT, strict=True) if p < 0.6)
        self.assertRegex(text, r"samples, then all were decided\n"
                         f"  above 0.6: {above}\n  below 0.6: {below}\n")

    def test_threads_and_kernels_change_nothing(self):
        self.sampled()
        options = ("predict", "m.mu8", "x.npy", *STOP, "--stop-class", "all")
        first = self.json_of(*options, "--kernels", "scalar")["predictions"]
        self.assertEqual(self.json_of(*options, "--threads", 3)["predictions"], first)
        self.assertEqual(self.json_of(*options)["predictions"], first)

    def test_classes_too(self):
        self.sampled("Softmax")
        found, decisions = self.decisions("--stop-class", "dog,cat", "--stop-threshold", "0.05")
        self.assertEqual(found["ended"], "decided")
        self.assertEqual(decisions, {"cat": "above", "dog": "above"})
        self.assertIn("top", found)

    def test_eval_says_what_was_decided(self):
        self.sampled()
        rule = ("--stop-error", "0.05", "--stop-class", "all", "--samples", 100)
        used = self.json_of("eval", "m.mu8", "--data", "images", *rule, note=NOTE)["samples_used"]
        decisions = used["decisions"]
        self.assertAlmostEqual(sum(decisions.values()), 1)
        self.assertGreater(min(decisions["above"], decisions["below"]), 0)
        # An image is undecided if any of its three labels is.
        self.assertLessEqual(decisions["undecided"], used["undecided"])
        self.assertLessEqual(used["undecided"], 3 * decisions["undecided"])
        self.assertLess(used["mean"], 100)
        text = self.text_of("eval", "m.mu8", "--data", "images", *rule, note=NOTE)
        self.assertRegex(text, r"decisions +\d+\.\d+ % of the labels above, ")
        one = self.json_of("eval", "m.mu8", "--data", "images", "--stop-error", "0.05", "--stop-class",
                           "dog", note=NOTE)
        self.assertNotIn("decisions", one["samples_used"])

    def test_names_and_indices(self):
        self.sampled()
        by_index = self.prediction(*STOP, "--stop-class", "2")
        self.assertIn(by_index["ended"], ("above", "below"))
        for text in ("fish", "index:2", "name:fish"):
            self.assertEqual(self.prediction(*STOP, "--stop-class", text), by_index)
        self.assertEqual(self.decisions("--stop-class", "fish,0"), self.decisions("--stop-class", "0,2"))

    def refused(self, *options, says):
        self.wrong_command("predict", "m.mu8", "x.npy", *STOP, *options, says=says)

    def test_what_is_meant_is_never_guessed(self):
        self.sampled(names=("2", "1", "dog"))
        self.refused("--stop-class", "2", says='--stop-class: "2" may be output 0 ("2") or 2 ("dog"), '
                     "expected index:0 or index:2")
        self.assertEqual(self.prediction(*STOP, "--stop-class", "name:2"),
                         self.prediction(*STOP, "--stop-class", "index:0"))
        self.refused("--stop-class", "horse", says='--stop-class: is "horse", expected all, or names or '
                     'indices with commas; the outputs are 0 ("2"), 1 ("1"), 2 ("dog")')
        self.refused("--stop-class", "dog,2", says='--stop-class: "2" may be output 0')
        self.refused("--stop-class", "dog,1,dog", says='--stop-class: output 2 ("dog") is there twice')

    def test_rules_that_do_not_fit(self):
        self.sampled("Softmax")
        self.refused("--stop-class", "all", says="--stop-class and --stop-threshold (or --stop-within): "
                     "expected both")
        self.converted(network(3), "--head", "values", "--output-range", "-2,2")
        for options in (("all", "--stop-within", "0.1"), ("0,1", "--stop-threshold", "0.1")):
            self.refused("--stop-class", *options, says="--stop-class: several are for labels and classes")
        self.wrong_command("predict", "m.mu8", "x.npy", "--stop-class", "all", "--stop-within", "0.1",
                           says="--stop-class: expected --stop-error with it")


if __name__ == "__main__":
    cli.main()
