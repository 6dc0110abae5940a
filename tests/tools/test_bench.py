#!/usr/bin/env python3
"""Tests of tools/bench: a quick run's rows and checks, and what it refuses. No times are asserted.

    /usr/bin/python3 tests/tools/test_bench.py BUILD_FOLDER
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))

from suite import machine  # noqa: E402

BUILD = pathlib.Path()  # the programs under test
LAYERS = ("1x6x5x5@28", "64x64x3x3@8", "64x10x1x1@1")
PARTS = ("compute", "weights", "both")
WITHOUT_PEAK = ("scalar", "portable")  # of no instruction set


def bench(*arguments):
    return subprocess.run([sys.executable, ROOT / "tools" / "bench", "--quick", "--build-folder",
                           BUILD, *arguments], capture_output=True, text=True, check=False)


class NoiseVariance(unittest.TestCase):
    DATA = ROOT / "tests" / "data"

    def run_script(self, *arguments):
        return subprocess.run(["/usr/bin/python3", ROOT / "bench" / "noise_variance.py", "--net",
                               "lenet5", "--posterior", self.DATA / "lenet5_mnist", "--count", "2",
                               "--singles", "2", "--ensembles", "2", *arguments],
                              capture_output=True, text=True, check=False)

    def test_prints_a_row_for_every_count_of_passes(self):
        done = self.run_script("--images", self.DATA / "mnist/calibration-images-idx3-ubyte.gz")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [line for line in done.stdout.splitlines() if line[:3] in ("| 2", "| 8", "| 1", "| 5")]
        self.assertEqual(len(rows), 4)
        for row in rows:
            self.assertEqual(row.count("("), 3, row)

    def test_refuses_images_of_something_else(self):
        done = self.run_script("--images", self.DATA / "cifar10/train_subset.bin.gz")
        self.assertEqual(done.returncode, 1)
        self.assertIn("train_subset.bin.gz", done.stderr)
        self.assertEqual(done.stdout, "")


class BesideFp32(unittest.TestCase):
    """The studies that run mu8 beside FP32 print a row for FP32 and each width of sigma."""

    def run_script(self, script, *arguments):
        done = subprocess.run(["/usr/bin/python3", ROOT / "bench" / script, "--quick", "--mu8",
                               BUILD / "mu8", *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def check(self, script, row, rows, widths=(8, 4, 1)):
        page = self.run_script(script)
        for width in widths:
            self.assertEqual(page.count(row.format(width)), rows, page)

    def test_regression(self):
        self.check("regression.py", "| sigma {} |", 4)  # three sets, one of two outputs

    def test_maps(self):
        self.check("pictures.py", "| sigma {} |", 2)  # without and with upsampling

    def test_mlperf_tiny(self):
        self.check("mlperf_tiny.py", "| {} bits |", 3)  # of four, those of made data

    def test_verdicts(self):
        page = self.run_script("verdicts.py")
        self.assertRegex(page, r"\| 8 \| 4 \| .* \| kept \|\n.*\| 1 \| 4 \| .* \| lost \|")

    def test_uncertainty(self):
        self.check("uncertainty.py", "| LeNet-5 | {} | ", 1, (8, 4, 2, 1))

    def test_uncertainty_goes_on_from_what_is_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            page = self.run_script("uncertainty.py", "--work", folder)
            path = pathlib.Path(folder) / "results.json"
            kept = json.loads(path.read_text())
            self.assertEqual(self.run_script("uncertainty.py", "--work", folder), page)
            means = [key for key, value in kept.items() if isinstance(value, list)]
            changed = {**kept, means[0]: [3 * figure for figure in kept[means[0]]]}
            del changed[means[1]]  # is run again
            path.write_text(json.dumps(changed))
            self.assertNotEqual(self.run_script("uncertainty.py", "--work", folder), page)
            self.assertEqual(json.loads(path.read_text()), {**kept, means[0]: changed[means[0]]})

    def test_moments_goes_on_from_what_is_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            page = self.run_script("moments.py", "--work", folder)
            rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
            names = [row[1] for row in rows]
            for name in ("limit, T = 20", "T = 5", "T = 10", "T = 20", "T = 50", "T = 200", "moments"):
                self.assertEqual(names.count(name), 1, page)
            limit, moments = rows[names.index("limit, T = 20")], rows[names.index("moments")]
            self.assertEqual(limit[2], "0.00000")
            self.assertGreater(float(moments[2]), 0)
            self.assertRegex(page, r"\| LeNet-5 \| 0\.[0-9]+ \(0\.[0-9]+\) \|")  # targets
            self.assertRegex(page, r"\| LeNet-5 \| scalar \|( [0-9.,*]+ \|){8}\n")
            path = pathlib.Path(folder) / "lenet5_mnist_by_moments.json"
            kept = json.loads(path.read_text())
            self.assertEqual(self.run_script("moments.py", "--work", folder), page)
            kept["result"]["kl_against"] = 5.5
            path.write_text(json.dumps(kept))
            changed = self.run_script("moments.py", "--work", folder)
            self.assertIn("| moments | 5.50000 |", changed)
            self.assertIn("| LeNet-5 | **5.50000 (", changed)
            kept["key"] = []  # made of something else, so it is run again
            path.write_text(json.dumps(kept))
            self.assertEqual(self.run_script("moments.py", "--work", folder), page)

    def test_moments_cost_has_every_method(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "page.md"
            page = self.run_script("moments_cost.py", "--work", folder, "-o", out)
            self.assertEqual(page, out.read_text(encoding="utf-8"))
            self.assertIn("<svg", out.with_suffix(".svg").read_text(encoding="utf-8"))
            rows = {row[1]: row for row in (line.split(" | ") for line in page.splitlines()
                                            if line.startswith("| LeNet-5 |"))}
            self.assertEqual(len(rows), 5 + 3 + 2 + 1, page)
            self.assertEqual(rows["T = 50"][2], "50.0")
            self.assertLess(float(rows["T at most 50, error 0.05"][2]), 50)
            self.assertEqual(rows["moments"][2], "")
            again = self.run_script("moments_cost.py", "--work", folder, "-o", out)
            self.assertEqual(again, page)

    def test_a_file_gives_back_its_posterior(self):
        with tempfile.TemporaryDirectory() as folder:
            given, found = ROOT / "tests" / "data" / "lenet5_mnist", pathlib.Path(folder) / "found"
            file = pathlib.Path(folder) / "net.mu8"
            digits = ROOT / "tests" / "data" / "mnist" / "calibration-images-idx3-ubyte.gz"
            subprocess.run([BUILD / "mu8", "convert", "--model", f"{given}.onnx", "--posterior",
                            f"{given}.npz", "--calibration", digits, "--sigma-bits", "8", "-o", file],
                           check=True, capture_output=True)
            subprocess.run(["/usr/bin/python3", ROOT / "bench" / "posterior_of.py", file, "--output-prefix",
                            found], check=True)
            read, had = np.load(f"{found}.npz"), np.load(f"{given}.npz")
            names = [f"{layer}.{part}.sigma" for layer in ("conv1", "conv2", "fc1", "fc2", "fc3")
                     for part in ("weight", "bias")]
            self.assertEqual(len(read.files), len(names))
            for mine, name in zip(read.files, names):
                self.assertEqual(read[mine].shape, had[name].shape)
                if name.endswith("weight.sigma"):
                    ratio = np.sqrt((read[mine] ** 2).mean() / (had[name] ** 2).mean())
                    self.assertAlmostEqual(float(ratio), 1, delta=0.1)
                    self.assertGreater(np.corrcoef(read[mine].ravel(), had[name].ravel())[0, 1], 0.9)


class Libraries(unittest.TestCase):
    """What bench/bayesian/libraries.py takes for a library."""

    def test_a_script_of_the_same_name_is_none(self):
        code = ("import sys; sys.path.insert(0, sys.argv[1])\n"
                "from bayesian import libraries\n"
                "try: print(hasattr(libraries.library('bayesian_torch'), 'seconds_per_image'))\n"
                "except ModuleNotFoundError as missing: print(missing.name)\n")
        done = subprocess.run(["/usr/bin/python3", "-c", code, ROOT / "bench"], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(done.stdout.strip(), ("False", "bayesian_torch"))


class QuickRun(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.cpu = min(os.sched_getaffinity(0))
        done = bench("--cpu", str(cls.cpu), "-o", cls.folder.name)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.results = json.loads((pathlib.Path(cls.folder.name) / "results.json").read_text())
        cls.markdown = (pathlib.Path(cls.folder.name) / "results.md").read_text()

    def names(self, part):
        return {row["name"] for row in self.results[part]["rows"]}

    def test_says_what_it_ran_on(self):
        found = self.results["machine"]
        self.assertEqual(found["pinned_cpu"], self.cpu)
        for key in ("cpu", "system", "compiler", "load_before", "load_after"):
            self.assertTrue(found[key], key)

    def test_has_a_row_for_every_kernel(self):
        names = self.names("kernels")
        tables = {name.split("/")[1] for name in names if name.startswith("conv/")}
        self.assertIn("scalar", tables)
        for table in tables:
            self.assertIn(f"sample/{table}/sigma4", names)
            for layer in LAYERS:
                self.assertIn(f"conv/{table}/{layer}", names)
            self.assertEqual(f"peak/{table}" in names, table not in WITHOUT_PEAK, table)

    def test_shares_of_the_peak_are_given_where_there_is_a_peak(self):
        for row in self.results["kernels"]["rows"]:
            if row["name"].startswith("conv/"):
                self.assertGreater(row["GMAC/s"], 0, row)
                table = row["name"].split("/")[1]
                self.assertEqual("of_peak" in row, table not in WITHOUT_PEAK, row)

    def test_counts_what_was_compared_before_timing(self):
        # Every table draws; one that convolves as another does is checked, but timed once.
        tables = {name.split("/")[1] for name in self.names("kernels") if name.startswith("sample/")}
        self.assertEqual(self.results["kernels"]["checked"], 22 * len(tables))
        self.assertEqual(self.results["models"]["checked"], 2)
        peers = len(self.results["peers"]["peers"])
        for row in self.results["peers"]["rows"]:
            self.assertEqual(row["checked"], 2 + peers, row["name"])  # mu8 in two ways

    def test_models_and_memory(self):
        rows = {row["name"].split("/")[0]: row for row in self.results["models"]["rows"]}
        self.assertEqual(set(rows), {"model", "pass"})
        self.assertGreater(rows["model"]["us_per_pass_p50"], 0)
        self.assertGreater(rows["pass"]["ratio_p50"], 0)
        self.assertEqual([row["batch"] for row in self.results["memory"]], [1, 64])
        for row in self.results["memory"]:
            self.assertGreater(row["process_bytes_peak"], row["arena_bytes"])

    def test_peers_have_every_part_and_a_ratio(self):
        rows = self.results["peers"]["rows"]
        self.assertEqual([row["name"] for row in rows], ["lenet5", *LAYERS])
        for row in rows:
            for side in ("mu8", *self.results["peers"]["peers"]):
                self.assertLessEqual(row["sides"][side]["largest_difference"],
                                     3 if row["name"] == "lenet5" else 1)
                for part in PARTS:
                    self.assertGreater(row["sides"][side][part]["us_min"], 0, (row["name"], side))
                    if side != "mu8":
                        self.assertGreater(row["ratios"][side][part]["median"], 0)

    def test_results_name_no_paths_of_this_machine(self):
        whole = json.dumps(self.results) + self.markdown
        for path in (ROOT, BUILD, pathlib.Path.home(), pathlib.Path(self.folder.name)):
            self.assertNotIn(str(path) + "/", whole)

    def test_markdown_has_every_layer(self):
        for layer in LAYERS:
            self.assertIn(layer, self.markdown)


class Refusals(unittest.TestCase):
    def test_a_core_that_is_not_there(self):
        done = bench("--cpu", "4095")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--cpu 4095: this core is not available, expected one of", done.stderr)

    def test_a_core_that_this_process_may_not_use(self):
        allowed = os.sched_getaffinity(0)
        if len(allowed) < 2:
            self.skipTest("one core only")
        os.sched_setaffinity(0, {min(allowed)})
        try:
            done = bench("--cpu", str(max(allowed)))
        finally:
            os.sched_setaffinity(0, allowed)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not available", done.stderr)

    def test_a_clock_that_is_too_coarse(self):
        ticks = iter(range(0, 10**12, 10**3))
        with self.assertRaisesRegex(machine.Refused, "too coarse"):
            machine.check_clock(lambda: next(ticks) // 10**6 * 10**7, reads=5000)

    def test_a_clock_that_stands_still(self):
        with self.assertRaisesRegex(machine.Refused, "stands still"):
            machine.check_clock(lambda: 7, reads=100)

    def test_a_clock_that_runs_backwards(self):
        values = iter([5, 6, 4])
        with self.assertRaisesRegex(machine.Refused, "backwards"):
            machine.check_clock(lambda: next(values), reads=2)

    def test_a_folder_without_programs(self):
        with tempfile.TemporaryDirectory() as empty:
            done = bench("--build-folder", empty, "-o", empty)
            self.assertEqual(done.returncode, 1)
            self.assertIn("mu8 is not built", done.stderr)


class WithoutPyTorch(unittest.TestCase):
    def test_says_what_is_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "torch.py").write_text("raise ImportError\n")
            done = subprocess.run(
                [sys.executable, ROOT / "bench" / "bayesian_torch.py", "--model", "none.mu8"],
                env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True,
                check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("python3-torch", done.stderr)


if __name__ == "__main__":
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
