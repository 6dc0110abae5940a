#!/usr/bin/python3
"""One request for memory after the other fails, alone or with all that follow: each time a message, exit code 1, and no file.

    test_allocation_failure.py MU8 LIBRARY

LIBRARY (fail_allocation.cpp) is preloaded. A spread of the thousands of requests of a command is
tried, those of the libraries' initializers before main too, and how they ended is printed.
"""

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
MODEL = ("--model", DATA / "lenet5_mnist.onnx", "--posterior", DATA / "lenet5_mnist.npz")
IMAGES = DATA / "mnist" / "calibration-images-idx3-ubyte.gz"
POINTS = 60  # a command


class AllocationFailure(unittest.TestCase):
    program = library = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def run_mu8(self, arguments, fail_at=None, then_all=False):
        environment = {**os.environ, "LD_PRELOAD": self.library, "MU8_COUNT_TO": "count",
                       "MU8_FAIL_AT": str(fail_at or 0), **({"MU8_FAIL_ALL": "1"} if then_all else {})}
        return subprocess.run([self.program, *map(str, arguments)], env=environment,
                              cwd=self.folder.name, capture_output=True, text=True, check=False)

    def requests(self, arguments):
        self.assertEqual(self.run_mu8(arguments).returncode, 0)
        return int((Path(self.folder.name) / "count").read_text())

    def check(self, arguments):
        before = self.requests(["--version"])
        total = self.requests(arguments)
        out = Path(self.folder.name) / "out"
        whole = out.read_bytes() if out.exists() else b""
        out.unlink(missing_ok=True)
        ends = {"works": 0, "out of memory": 0, "aborted before main": 0}
        points = [*range(1, before, before // 10),
                  *range(before + 1, total, max(1, (total - before) // POINTS))]
        for point, then_all in itertools.product(points, (False, True)):
            done = self.run_mu8(arguments, point, then_all)
            where = f"request {point} of {total}{' and all others' * then_all}: exit {done.returncode}\n{done.stderr}"
            left = sorted(os.listdir(self.folder.name))
            if done.returncode == 0:  # a buffer that the program can do without
                ends["works"] += 1
                out.unlink(missing_ok=True)
                continue
            if "out" in left:  # written; it was the report that could not be printed
                self.assertEqual(out.read_bytes(), whole, where)
                out.unlink()
                left.remove("out")
            self.assertEqual([name for name in left if name != "count"], [], where)
            if then_all and point < before and done.returncode == -signal.SIGABRT:
                ends["aborted before main"] += 1  # no memory even for an exception
                continue
            self.assertEqual(done.returncode, 1, where)
            self.assertRegex(done.stderr, "[Oo]ut of memory|Cannot allocate memory", where)
            ends["out of memory"] += 1
        print(f"{arguments[0]}: {total} requests, {before} before; {ends}", flush=True)
        self.assertGreater(ends["out of memory"], min(POINTS, total - before) // 2)

    def test_inspect(self):
        self.check(["inspect", DATA / "golden" / "tiny_sigma4.mu8"])

    def test_predict(self):
        model = Path(self.folder.name).parent / f"mu8_{os.getpid()}.mu8"
        self.addCleanup(model.unlink)
        self.run_mu8(["convert", *MODEL, "--calibration", IMAGES, "--calibration-limit", 4,
                      "--calibration-passes", 1, "-o", model])
        self.check(["predict", model, DATA / "mnist" / "digit_0_label7.png"])

    def test_reference(self):
        self.check(["eval", *MODEL, "--data", IMAGES, "--limit", 2, "--samples", 2])

    def test_convert(self):
        self.check(["convert", *MODEL, "--calibration", IMAGES, "--calibration-limit", 4,
                    "--calibration-passes", 1, "-o", "out"])


if __name__ == "__main__":
    AllocationFailure.library = str(Path(sys.argv.pop()).resolve())
    AllocationFailure.program = str(Path(sys.argv.pop()).resolve())
    unittest.main()
