"""Abstaining from a threshold in the file, and predictions computed again from their records.

    /usr/bin/python3 tests/cli/test_abstain.py build/release/mu8
"""

import json

import cli

FRACTION = ("--abstain-fraction", "mutual_information=0.25", "--abstain-samples", 20)


def setUpModule():
    for name, options in (("plain", ()), ("fixed", ("--abstain", "predictive_entropy=0.4")),
                          ("share", FRACTION)):
        report = cli.CommandTest.json_of("convert", *cli.LENET5, *cli.CALIBRATION, *options,
                                         "-o", f"{name}.mu8")
        Abstain.reports[name] = report


class Abstain(cli.CommandTest):
    reports = {}

    def predictions(self, model, *options):
        return self.json_of("predict", model, *(f"{cli.DIGITS}#{i}" for i in range(60)),
                            *options)["predictions"]

    def test_what_the_file_says(self):
        self.assertNotIn("abstain", self.reports["plain"])
        self.assertNotIn("abstain", self.json_of("inspect", "plain.mu8"))
        self.assertEqual(self.reports["fixed"]["abstain"],
                         {"measure": "predictive_entropy", "thresholds": [0.4], "samples": 0})
        for name in ("fixed", "share"):
            found = self.json_of("inspect", f"{name}.mu8")["abstain"]
            stated = dict(self.reports[name]["abstain"])
            stated.pop("share", None)
            self.assertEqual(found, stated)
        self.assertIn("predictive_entropy above 0.4", self.text_of("inspect", "fixed.mu8"))

    def test_a_share_of_the_calibration_inputs_is_refused(self):
        report = self.reports["share"]["abstain"]
        self.assertEqual(report["samples"], 20)
        self.assertEqual(report["share"], 0.25)  # 16 of 64, no two alike
        # The same inputs, passes and seed.
        judged = self.json_of("eval", "share.mu8", "--data", cli.IMAGES[1], "--limit", 64,
                              "--samples", 20)
        self.assertEqual(judged["abstain"]["share"], 0.25)
        self.assertEqual(judged["abstain"]["answered"], 48)

    def test_predictions_abstain_above_the_threshold_and_else_are_the_same(self):
        plain, found = self.predictions("plain.mu8"), self.predictions("fixed.mu8")
        self.assertNotIn("abstains", plain[0])
        for before, after in zip(plain, found):
            self.assertEqual(after["abstains"], after["predictive_entropy"] > 0.4)
            self.assertEqual(after["mean"], before["mean"])
            self.assertEqual(after["replay"]["prediction_crc"], before["replay"]["prediction_crc"])
        self.assertEqual({p["abstains"] for p in found}, {True, False})
        one = next(i for i, p in enumerate(found) if p["abstains"])
        self.assertIn("abstains:", self.text_of("predict", "fixed.mu8", f"{cli.DIGITS}#{one}"))

    def test_eval_counts_them_and_judges_the_others(self):
        data = ("eval", "fixed.mu8", "--data", cli.DIGITS)
        report = self.json_of(*data)
        found = self.json_of("predict", "fixed.mu8",
                             *(f"{cli.DIGITS}#{i}" for i in range(200)))["predictions"]
        abstained = sum(p["abstains"] for p in found)
        self.assertEqual(report["abstain"]["answered"], 200 - abstained)
        self.assert_near(report["abstain"]["share"], abstained / 200, 1e-12)
        self.assertGreaterEqual(report["abstain"]["accuracy"], report["accuracy"])
        self.assertIn("accuracy of the others", self.text_of(*data))
        self.assertNotIn("abstain", self.json_of("eval", "plain.mu8", "--data", cli.DIGITS))

    def test_what_is_refused(self):
        convert = ("convert", *cli.LENET5, *cli.CALIBRATION, "-o", "no.mu8")
        for code, message, options in (
                (2, "exclude each other", ("--abstain", "variance=1", *FRACTION)),
                (2, "expected MEASURE=NUMBER", ("--abstain", "0.4")),
                (2, "expected MEASURE=NUMBER", ("--abstain", "doubt=0.4")),
                (2, "not below zero", ("--abstain", "mutual_information=-1")),
                (2, "one share from 0 to 1", ("--abstain-fraction", "mutual_information=1.5")),
                (1, "have no variance, expected one of predictive_entropy, mutual_information",
                 ("--abstain", "variance=1")),
                (1, "has 2 thresholds", ("--abstain", "predictive_entropy=1,2"))):
            outcome = self.run_mu8(*convert, *options)
            self.assertEqual(outcome.code, code, cli.describe(outcome))
            self.assertIn(message, outcome.stderr)
            self.assertFalse((self.folder / "no.mu8").exists())


class Replay(cli.CommandTest):
    def record(self, *options):
        found = self.json_of("predict", "plain.mu8", *cli.PICTURES, *options)
        (self.folder / "record.json").write_text(json.dumps(found))
        return found

    def test_predictions_are_computed_again(self):
        stop = ("--stop-error", 0.05)
        for options in ((), ("--antithetic", "--seed", 2**64 - 1, "--samples", 7), stop,
                        (*stop, "--stop-class", 3, "--stop-threshold", 0.4),
                        (*stop, "--stop-class", "1,7", "--stop-threshold", 0.4),
                        ("--deadline-ms", 0)):
            self.record(*options)
            for index in (0, 3):
                report = self.json_of("replay", "record.json", "plain.mu8", cli.PICTURES[index],
                                      "--index", index)
                self.assertTrue(report["equal"], options)
        text = self.text_of("replay", "record.json", "plain.mu8", cli.PICTURES[0])
        self.assertIn("the same bytes", text)

    def test_the_record_alone_is_enough(self):
        replay = self.record()["predictions"][1]["replay"]
        (self.folder / "one.json").write_text(json.dumps(replay))
        self.assertTrue(self.json_of("replay", "one.json", "plain.mu8", cli.PICTURES[1])["equal"])

    def test_what_is_refused(self):
        found = self.record()
        image = cli.PICTURES[0]
        replay = found["predictions"][0]["replay"]
        cases = [("other bytes", ("record.json", "plain.mu8", cli.PICTURES[1])),
                 ("is not the model", ("record.json", "fixed.mu8", image)),
                 ("has no prediction 4", ("record.json", "plain.mu8", image, "--index", 4))]
        for name, content, message in (
                ("text.json", "seed: 1", "is no JSON"), ("list.json", "[1]", "a JSON object"),
                ("empty.json", "{}", "replay record"),
                ("rule.json", json.dumps({**replay, "stop_rule": 9}), "stop_rule is 9"),
                ("hash.json", json.dumps({**replay, "model_hash": "xyz"}), "hexadecimal"),
                ("seed.json", json.dumps({**replay, "seed": -1}), "seed is -1"),
                ("passes.json", json.dumps({**replay, "mc_samples": 0}), "mc_samples"),
                ("twice.json", '{"seed": 1, "seed": 1}', 'names "seed" twice'),
                ("deep.json", '{"replay": ' + "[" * 200000, "has more than 64 lists"),
                ("kind.json", '{"replay": 7}', "replay record: is 7, expected the object")):
            (self.folder / name).write_text(content)
            cases.append((message, (name, "plain.mu8", image)))
        for message, arguments in cases:
            outcome = self.run_mu8("replay", *arguments)
            self.assertEqual(outcome.code, 1, cli.describe(outcome))
            self.assertIn(message, outcome.stderr)

    def refuse_each(self, replay, changes):
        """Each field, with a value that is not the record's, is refused by its name."""
        for field, value in changes:
            with self.subTest(field, value=value):
                self.write("changed.json", json.dumps({**replay, field: value}))
                outcome = self.run_mu8("replay", "changed.json", "plain.mu8", cli.PICTURES[0])
                self.assertEqual(outcome.code, 1, cli.describe(outcome))
                self.assertIn(f"changed.json: replay record: {field} is ", outcome.stderr)
                self.assertNotIn("json.exception", outcome.stderr)

    def test_each_field_is_checked(self):
        replay = self.record("--samples", 3)["predictions"][0]["replay"]
        crc = replay["prediction_crc"]
        self.refuse_each(replay, (
            ("prediction_crc", "ffffffff" + crc), ("prediction_crc", crc[1:] + "g"),
            ("prediction_crc", 7), ("model_hash", "0" * 16 + replay["model_hash"]),
            ("model_hash", "-1"), ("model_hash", None), ("samples_used", 2), ("samples_used", 77),
            ("samples_used", "3"), ("ended", 1), ("ended", 6), ("ended", 7),
            ("ended", 1.5), ("format_major", 9), ("format_minor", 99), ("stop_class", 1),
            ("stop_error", 0.5), ("stop_error", "x"), ("stop_error", 1e300), ("stop_within", 1),
            ("stop_threshold", []), ("stop_chosen_crc", "00000001x"), ("library_version", -1),
            ("stop_chosen", "all"), ("stop_chosen", [2])))
        # Of a damaged record no more passes are made than were.
        self.refuse_each(replay, (("samples_used", 4),))
        self.write("huge.json", json.dumps({**replay, "mc_samples": 2**32 - 1}))
        self.fails("replay", "huge.json", "plain.mu8", cli.PICTURES[0],
                   says="huge.json: replay record: samples_used is 3, expected 4294967295")

    def test_each_field_must_be_there(self):
        replay = self.record("--samples", 3)["predictions"][0]["replay"]
        for field in replay:
            with self.subTest(field):
                self.write("less.json", json.dumps({k: v for k, v in replay.items() if k != field}))
                self.fails("replay", "less.json", "plain.mu8", cli.PICTURES[0],
                           says=f"less.json: replay record: has no {field}; expected all")

    def test_the_chosen_outputs_are_checked(self):
        found = self.record("--stop-error", 0.05, "--stop-class", "1,7", "--stop-threshold", 0.4)
        replay = found["predictions"][0]["replay"]
        self.assertEqual(replay["stop_chosen"], [int(i in (1, 7)) for i in range(10)])
        bad = ([-1] * 10, [1.9] * 10, [257] * 10, [True] * 10, [2] * 10, {}, None)
        self.refuse_each(replay, [("stop_chosen", value) for value in bad])
        for value in ([0] * 10, [1] * 10, replay["stop_chosen"][1:], []):
            self.write("other.json", json.dumps({**replay, "stop_chosen": value}))
            self.fails("replay", "other.json", "plain.mu8", cli.PICTURES[0],
                       says="other.json: replay record: stop_chosen_crc is ")
        self.refuse_each(replay, (("stop_chosen_crc", "00000000"), ("stop_chosen_crc", "12345678")))

    def test_another_version_of_the_library_may_compute_it_again(self):
        replay = self.record("--samples", 3)["predictions"][0]["replay"]
        self.write("older.json", json.dumps({**replay, "library_version": 1}))
        self.assertTrue(self.json_of("replay", "older.json", "plain.mu8", cli.PICTURES[0])["equal"])

    def test_what_differs_is_in_the_json(self):
        replay = self.record("--samples", 3)["predictions"][0]["replay"]
        self.write("major.json", json.dumps({**replay, "format_major": 9}))
        outcome = self.run_mu8("replay", "major.json", "plain.mu8", cli.PICTURES[0], "--json")
        self.assertEqual(outcome.code, 1, cli.describe(outcome))
        self.assertFalse(json.loads(outcome.stdout)["equal"])
        self.assertIn("format_major is 9, computed again it is 1", outcome.stderr)


if __name__ == "__main__":
    cli.main()
