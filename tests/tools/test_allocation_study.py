#!/usr/bin/env python3
"""A small run of tools/study_allocation: its rows, and that it goes on where it stopped.

    /usr/bin/python3 tests/tools/test_allocation_study.py build/release/mu8
"""

import csv
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "tests" / "data"
MU8 = pathlib.Path()  # the program under test


class AllocationStudy(unittest.TestCase):
    def run_study(self, out, *more):
        return subprocess.run(
            [ROOT / "tools" / "study_allocation", "--model", DATA / "lenet5_mnist.onnx",
             "--posterior", DATA / "lenet5_mnist.npz", "--calibration",
             DATA / "mnist" / "calibration-images-idx3-ubyte.gz", "--calibration-limit", "16",
             "--data", DATA / "mnist" / "digits-images-idx3-ubyte.gz", "--limit", "60",
             "--samples", "3", "--mean", ".1307", "--std", ".3081", "--mu8", MU8, "-o", out,
             *more], capture_output=True, text=True, check=False, cwd=ROOT)

    def test_a_small_run(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            foreign = DATA / "mnist" / "fashion-images-idx3-ubyte.gz"
            arguments = ("--methods", "uniform,greedy", "--bits", "2.5,8", "--ood", foreign,
                         "--simulated")
            done = self.run_study(out, *arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(out / "allocation.csv", newline="", encoding="utf-8") as file:
                rows = {(r["method"], r["bits"]): r for r in csv.DictReader(file)}
            self.assertEqual(sorted(rows), [("greedy", "2.5"), ("greedy", "8.0"), ("int8", "8.0"),
                                            ("uniform", "8.0")])
            for key in ("accuracy", "auroc_ood", "kl_simulated", "plan"):  # one plan, judged once
                self.assertEqual(rows["int8", "8.0"][key], rows["uniform", "8.0"][key])
            for row in rows.values():  # what is simulated is the engine, but for activations
                self.assertLess(0, float(row["kl_simulated"]))
                self.assertLess(float(row["kl_simulated"]), float(row["kl_seeds"]) / 5)
                self.assertGreater(float(row["auroc_ood"]), 0.9)
            self.assertGreater(float(rows["greedy", "2.5"]["average_bits"]), 2.3)
            self.assertEqual(rows["int8", "8.0"]["plan"], "8 8 8 8 8")
            for (_, bits), row in rows.items():
                self.assertLessEqual(float(row["average_bits"]), float(bits))
                self.assertGreater(float(row["accuracy"]), 0.9)
            self.assertLess(int(rows["greedy", "2.5"]["file_bytes"]),
                            int(rows["int8", "8.0"]["file_bytes"]) - 35000)
            self.assertTrue((out / "allocation.png").is_file() and (out / "bits.png").is_file())
            kept = {p.name: p.stat().st_mtime_ns for p in (out / "runs").glob("*.json")}
            table = (out / "allocation.md").read_text(encoding="utf-8")
            self.assertEqual(table.count("\n"), 2 + len(rows))
            done = self.run_study(out, *arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(kept, {p.name: p.stat().st_mtime_ns
                                    for p in (out / "runs").glob("*.json")})
            self.assertEqual(table, (out / "allocation.md").read_text(encoding="utf-8"))
            done = self.run_study(out, *arguments, "--samples", "2")  # other settings: made again
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotEqual(table, (out / "allocation.md").read_text(encoding="utf-8"))

    def test_panels(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            done = self.run_study(out, "--methods", "greedy", "--bits", "2", "--unit", "panel")
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(out / "allocation.csv", newline="", encoding="utf-8") as file:
                row = next(r for r in csv.DictReader(file) if r["method"] == "greedy")
            self.assertRegex(row["plan"], r"^\d \d (\d,){7}\d (\d,){5}\d \d$")
            self.assertLessEqual(float(row["average_bits"]), 2)
            self.assertGreater(float(row["accuracy"]), 0.9)
            self.assertTrue((out / "bits.png").is_file())

    def test_bad_input(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            for arguments, text in ((["--methods", "best"], "'best' is none of"),
                                    (["--bits", "two"], "expected numbers"),
                                    (["--methods", "greedy", "--bits", "2", "--data", "none.idx"],
                                     "none.idx")):
                done = self.run_study(out, *arguments)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(text, done.stderr)
            self.assertFalse((out / "allocation.csv").exists())


if __name__ == "__main__":
    if len(sys.argv) < 2 or not pathlib.Path(sys.argv[1]).is_file():
        sys.exit(f"usage: {sys.argv[0]} MU8 [unittest options]")
    MU8 = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
