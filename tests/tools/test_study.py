#!/usr/bin/env python3
"""Tests of tools/study: interruption, changed inputs, MPI, and what the report says.

    /usr/bin/python3 tests/tools/test_study.py build/release/mu8

Needs what `tools/setup test` installs, mpirun included; where that is missing the run fails.
"""

import csv
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "tools")]

import numpy as np  # noqa: E402

from studies import aggregate, divergence, items, paper  # noqa: E402
from study_inputs import make_world, write_network  # noqa: E402

MU8 = pathlib.Path()  # the program under test
SECTIONS = ("summary", "table1", "targets", "shift", "shift_dnn", "confidence", "differences",
            "reliability", "risk", "ood", "convergence", "times", "missing", "provenance")
FORMATS = ["fp32", "sigma8", "sigma1", "affine1", "moments4", "det_fp32"]
SMALL = ["--network", "resnet20", "--samples", "2", "--seeds", "2", "--kl-seeds", "2", "--types",
         "gaussian_blur,fog", "--severities", "1,3", "--images", "16", "--shift-samples", "2",
         "--convergence-samples", "1,2", "--convergence-images", "8", "--convergence-seeds", "2",
         "--timing-images", "4"]


def mpirun(ranks):
    root = ["--allow-run-as-root"] if os.getuid() == 0 else []
    return ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none", *root]


def deterministic_files(out):
    """Name -> bytes of everything that must not depend on how a study was run."""
    found = [*out.glob("*.csv"), out / "results.json", *out.glob("items/*"),
             *out.glob("predictions/*"), *out.glob("models/*"), *out.glob("cells/*/*")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class StudyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.world = pathlib.Path(cls.folder.name)
        make_world(cls.world, ROOT / "tests" / "data")
        help_text = subprocess.run([MU8, "convert", "--help"], capture_output=True, text=True,
                                   check=True).stdout
        cls.formats = FORMATS + (["det_int8"] if "--deterministic" in help_text else [])
        print(f"formats: {', '.join(cls.formats)}")
        cls.plain = cls.world / "plain"
        done = cls.run_study(cls.plain, "--jobs", "2", report=True)
        assert done.returncode == 0, done.stderr
        cls.expected = deterministic_files(cls.plain)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def command(cls, out, *more, report=False):
        return [ROOT / "tools" / "study", "--data", cls.world / "data", "--models",
                cls.world / "models", "--mu8", MU8, "--corrupt", cls.world / "corrupt", "-o", out,
                *SMALL, "--formats", ",".join(cls.formats), *more,
                *([] if report else ["--no-report"])]

    @classmethod
    def run_study(cls, out, *more, launcher=(), report=False):
        command = [str(part) for part in [*launcher, *cls.command(out, *more, report=report)]]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    def copy(self, name):
        """A folder of its own with the finished study in it."""
        out = self.world / name
        shutil.copytree(self.plain, out)
        return out

    def assert_same(self, out):
        found = deterministic_files(out)
        self.assertEqual(sorted(found), sorted(self.expected))
        self.assertEqual([n for n in found if found[n] != self.expected[n]], [])

    def has(self, part, text):
        """assertIn prints all of a long text."""
        self.assertTrue(part in text, f"not there: {part}")

    def item_count(self, out):
        return len(list(out.glob("items/*.json")))

    def interrupt(self, launcher, victim):
        """Starts a study, ends process victim(pid) after five items; returns the folder."""
        out = self.world / f"interrupted{len(launcher)}"
        command = [str(part) for part in [*launcher, *self.command(out)]]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            while self.item_count(out) < 5:
                self.assertIsNone(process.poll(), "the study ended before it was interrupted")
                time.sleep(0.002)
            os.kill(victim(process.pid), signal.SIGKILL)
            self.assertNotEqual(process.wait(timeout=60), 0)
        self.assertFalse((out / "results.json").exists(), "the study ended before it was killed")
        return out

    def test_an_interrupted_study_goes_on(self):
        out = self.interrupt([], lambda pid: pid)
        kept = {p.name: p.stat().st_mtime_ns for p in out.glob("items/*.json")}
        done = self.run_study(out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"items: {len(kept)} of {self.item_count(out)} done before", done.stderr)
        self.assertEqual({n: (out / "items" / n).stat().st_mtime_ns for n in kept}, kept)
        self.assert_same(out)

    def test_a_killed_rank_loses_nothing(self):
        def a_rank(pid):
            """The last child of mpirun that is Python."""
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return int([c for c in children if b"python3" in
                        pathlib.Path(f"/proc/{c}/cmdline").read_bytes()][-1])
        out = self.interrupt(mpirun(2), a_rank)
        kept = self.item_count(out)
        self.assertGreaterEqual(kept, 5)
        done = self.run_study(out, launcher=mpirun(2))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("items: 0 of", done.stderr)
        self.assert_same(out)

    def test_one_and_two_ranks_give_the_same_bytes(self):
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                out = self.world / f"ranks{ranks}"
                done = self.run_study(out, launcher=mpirun(ranks))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assert_same(out)

    def test_bad_input_under_mpi_ends_every_rank(self):
        done = self.run_study(self.world / "bad", "--data", self.world / "nowhere",
                              launcher=mpirun(2))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stderr.count("holds no cifar10/test_batch.bin"), 1)

    def test_a_changed_network_makes_its_items_again(self):
        out, models = self.copy("changed"), self.world / "other_models"
        shutil.copytree(self.world / "models", models, symlinks=True)
        write_network(models / "resnet20_cifar10_det", 3)
        twins = {name for name in self.expected if ".det_" in name and name.startswith("items/")}
        before = {name: (out / name).stat().st_mtime_ns for name in self.expected}
        done = self.run_study(out, "--models", models)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{len(twins)} made from other inputs are made again", done.stderr)
        changed = {name for name in before if name.startswith("items/")
                   and (out / name).stat().st_mtime_ns != before[name]}
        self.assertEqual(changed, twins)
        self.assertTrue(all((out / name).read_bytes() != self.expected[name] for name in twins))

    def test_damaged_files_are_made_again(self):
        out = self.copy("damaged")
        some = sorted(out.glob("predictions/*sigma1*"))[0]
        some.write_bytes(some.read_bytes()[:-4] + b"\0\0\0\0")
        sorted(out.glob("items/*fog_1*"))[0].write_text("{")
        sorted(out.glob("cells/*/fog_3.bin"))[0].unlink()
        sorted(out.glob("models/*affine1.mu8"))[0].write_bytes(b"no model")
        done = self.run_study(out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_same(out)

    def test_the_report_has_every_section_and_stands_alone(self):
        text = (self.plain / "report.html").read_text(encoding="utf-8")
        for name in SECTIONS:
            self.has(f'<section id="{name}">', text)
        self.has("Complete: all", text)
        self.assertFalse("partial" in text, "a complete report calls itself partial")
        figures = sorted(p.name for p in self.plain.glob("figures/*.png"))
        self.assertEqual(text.count('src="data:image/png;base64,'), len(figures))
        self.assertEqual(figures, [f"resnet20_{name}.png" for name in sorted(
            ["convergence_affine", "convergence_weighted", "figure5", "map_accuracy", "map_ece",
             "reliability", "uncertainty", *(f"{name}_{group}" for name in
             ("figure2", "figure3", "figure4", "risk") for group in ("affine", "moments", "weighted"))])])
        self.assertEqual(re.findall(r'(?:src|href)="(?!data:|#)[^"]{,80}', text), [])
        self.assertLess(len(text), 5_000_000)
        for form in ("fp32", "sigma8", "sigma1"):
            self.has(f"<td>{paper.TABLE1['resnet20'][form][1]:.2f} MB</td>", text)

    def test_missing_items_are_shown(self):
        out = self.copy("partial")
        gone = sorted(out.glob("items/resnet20.sigma8.fog_3.*"))[0]
        gone.unlink()
        done = self.run_study(out, "--report-only", "--formats", "fp32,sigma8,sigma4",
                              report=True)
        self.assertEqual(done.returncode, 1, done.stderr)
        results = json.loads((out / "results.json").read_text())
        self.assertIn(gone.stem, results["missing"])
        text = (out / "report.html").read_text(encoding="utf-8")
        self.has("This report is partial", text)
        self.assertTrue(all(f"<td>{name}</td>" in text for name in results["missing"]))
        table = {row["format"]: row for row in rows_of(out / "table1.csv")}
        self.assertEqual(table["sigma4"]["accuracy"], "")
        self.assertEqual(table["sigma4"]["seeds"], "0")
        shift = [r for r in rows_of(out / "shift.csv") if r["accuracy"] == ""]
        self.assertEqual({(r["format"], r["type"], r["severity"]) for r in shift},
                         {("sigma8", "fog", "3"), *(("sigma4", t, s) for t in
                          ("gaussian_blur", "fog") for s in ("1", "3"))})
        worst = [w for w in results["worst_cells"] if w["format"] == "sigma8"]
        self.assertEqual([w["cells_missing"] for w in worst], [1, 1])
        unknown = [t for t in results["targets"] if t["format"] == "sigma4"]
        self.assertTrue(unknown and all(t["met"] is None for t in unknown))

    def test_two_studies_do_not_share_a_folder(self):
        with open(self.plain / ".lock", "w", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            done = self.run_study(self.plain)
        self.assertEqual(done.returncode, 2)
        self.assertIn("another study is running", done.stderr)

    def test_items_hold_what_mu8_says(self):
        name = "resnet20.sigma1.clean.all.T2.seed2"
        item = json.loads((self.plain / "items" / f"{name}.json").read_text())
        reference = self.plain / "predictions" / "resnet20.fp32.clean.all.T2.seed1.f32"
        said = json.loads(subprocess.run(
            [MU8, "eval", self.plain / "models" / "resnet20.sigma1.mu8", "--data",
             self.world / "data" / "cifar10" / "test_batch.bin.gz", "--samples", "2", "--seed", "2",
             "--against", reference, "--json"], capture_output=True, check=True).stdout)
        for key in ("accuracy", "nll", "ece", "brier", "uce", "images", "seed"):
            self.assertEqual(item["result"][key], said[key])
        p, q = (np.fromfile(path, "<f4").reshape(-1, 10).astype(np.float64) for path in
                (reference, self.plain / "predictions" / f"{name}.f32"))
        self.assertAlmostEqual(divergence.kl_per_image(p, q).mean(), said["kl_against"], 9)
        text = "".join(data.decode("latin1") for data in self.expected.values())
        self.assertFalse(str(self.world) in text, "results hold a path of this machine")

    def test_moments_are_one_pass(self):
        names = [name for name in self.expected if ".moments4." in name]
        self.assertEqual(sorted(n for n in names if n.startswith("items/") and ".clean." in n),
                         ["items/resnet20.moments4.clean.all.T1.seed1.json"])
        self.assertFalse(any("convergence" in name for name in names))
        self.assertEqual(sum(name.startswith("items/") and ("fog" in name or "blur" in name)
                             for name in names), 4)
        result = json.loads(self.expected["items/resnet20.moments4.clean.all.T1.seed1.json"])["result"]
        self.assertEqual(result["method"], "moments")
        row = next(r for r in rows_of(self.plain / "table1.csv") if r["format"] == "moments4")
        self.assertEqual((row["seeds"], row["accuracy_sd"]), ("1", ""))
        self.assertLess(float(row["kl_ratio"]), 2)

    def test_lenet5_end_to_end(self):
        out = self.world / "lenet"
        done = self.run_study(out, "--network", "lenet5", "--formats", "fp32,sigma1",
                              "--clean-images", "40", "--samples", "4", report=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        for row in rows_of(out / "table1.csv"):
            self.assertGreater(float(row["accuracy"]), 0.9)
        sets = {(r["set"], r["score"]) for r in rows_of(out / "ood.csv")}
        self.assertEqual(len(sets), 9)
        self.assertTrue(all(float(r["auroc"]) > 0.7 for r in rows_of(out / "ood.csv")))
        text = (out / "report.html").read_text(encoding="utf-8")
        self.assertTrue(all(f'<section id="{name}">' in text for name in SECTIONS))


    def test_fp32_by_pytorch(self):
        out = self.world / "torch"
        done = self.run_study(out, "--network", "lenet5", "--formats", "fp32,sigma1", "--parts",
                              "table,ood", "--clean-images", "40", "--samples", "8", "--fp32",
                              "torch", report=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {row["format"]: row for row in rows_of(out / "table1.csv")}
        self.assertTrue(all(float(row["accuracy"]) > 0.9 for row in rows.values()))
        self.assertLess(float(rows["sigma1"]["kl_ratio"]), 3)
        items_of = {form: [json.loads(p.read_text()) for p in out.glob(f"items/*.{form}.*")]
                    for form in rows}
        self.assertTrue(all("torch" in i["inputs"] for i in items_of["fp32"]))
        self.assertFalse(any("torch" in i["inputs"] for i in items_of["sigma1"]))
        self.assertEqual(len({json.dumps(i["result"]["nll"]) for i in items_of["fp32"]}), 2)
        self.assertEqual(len(rows_of(out / "ood.csv")), 2 * 9)
        self.has("<td>FP32 predictions by</td><td>PyTorch</td>",
                 (out / "report.html").read_text(encoding="utf-8"))
        done = self.run_study(out, "--network", "lenet5", "--formats", "fp32,sigma1", "--parts",
                              "table,ood", "--clean-images", "40", "--samples", "8")
        self.assertIn("made from other inputs are made again", done.stderr)
        done = self.run_study(self.world / "torchless", "--fp32", "torch")  # of ResNet-20 no .pt
        self.assertEqual(done.returncode, 2)
        self.assertIn("holds no resnet20_cifar10.pt, which --fp32 torch needs", done.stderr)


class DivergenceTest(unittest.TestCase):
    def test_the_ratio_of_fp32_with_itself_and_of_another(self):
        generator = np.random.default_rng(1)
        logits = generator.normal(0, 2, (300, 5))

        def run(shift):
            noisy = np.exp(logits + shift + generator.normal(0, 0.2, logits.shape))
            return noisy / noisy.sum(axis=1, keepdims=True)
        reference = [run(0) for _ in range(5)]
        same = divergence.divergence(reference, [run(0) for _ in range(5)])
        self.assertTrue(same["kl_low"] < same["kl_ratio"] < same["kl_high"])
        self.assertAlmostEqual(same["kl_ratio"], 1, delta=0.1)
        other = divergence.divergence(reference, [run(np.arange(5) / 5) for _ in range(5)])
        self.assertGreater(other["kl_low"], 1.5)

    def test_the_ratio_by_hand(self):
        a, b, c = (np.array([[x, 1 - x]]) for x in (0.5, 0.4, 0.3))

        def kl(p, q):
            return sum(x * np.log(x / y) for x, y in zip(p[0], q[0]))
        found = divergence.divergence([a, b], [c])
        self.assertAlmostEqual(found["kl"], (kl(a, c) + kl(b, c)) / 2, 12)
        self.assertAlmostEqual(found["kl_ratio"], (kl(a, c) + kl(b, c)) / (kl(a, b) + kl(b, a)), 12)


class PlanTest(unittest.TestCase):
    def test_shares_are_balanced_and_complete(self):
        tasks = list(range(1, 40))
        shares = items.deal(tasks, float, str, 4)
        self.assertEqual(sorted(sum(shares, [])), tasks)
        loads = [sum(share) for share in shares]
        self.assertLessEqual(max(loads) - min(loads), 10)
        self.assertEqual(shares, items.deal(tasks[::-1], float, str, 4))

    def test_targets_are_judged(self):
        row = {"network": "lenet5", "format": "sigma8", "accuracy_diff": -0.0011,
               "nll_diff": 0.0029, "ece_diff": None, "kl_ratio": 1.15}
        self.assertEqual([t["met"] for t in aggregate.targets([row], [])],
                         [False, True, None, True])
        self.assertEqual(aggregate.targets([row | {"format": "sigma0"}], []), [])


if __name__ == "__main__":
    if len(sys.argv) < 2 or not pathlib.Path(sys.argv[1]).is_file():
        sys.exit(f"usage: {sys.argv[0]} MU8 [unittest options]")
    MU8 = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
