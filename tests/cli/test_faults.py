"""Faults around the command: calls that fail, signals at any time, files that are none, thousands of rounds.

    /usr/bin/python3 tests/cli/test_faults.py build/release/mu8 LIBRARY

LIBRARY (fail_calls.cpp) is preloaded. After a fault the output is what it was before or the whole new one, and nothing
else is left in its folder. fail_allocation.cpp has requests for memory, test_hostile.py full devices and writers
at once, tests/converters/host/test_output_file.cpp links and permissions.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import cli

QUICK = (*cli.LENET5, *cli.IMAGES, "--calibration-limit", 4, "--calibration-passes", 1)
OLD = b"what was there before"
GIGABYTE = 1 << 30
MOST_SECONDS = 30  # of the processor


def available_memory():
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))


class FaultTest(cli.CommandTest):
    library = ""

    @classmethod
    def setUpClass(cls):
        cls.text_of("convert", *QUICK, "-o", "model.mu8")
        cls.model = cls.bytes_of("model.mu8")

    def place(self, name):
        """An empty folder for one fault."""
        folder = self.folder / name
        folder.mkdir()
        return folder


class FailingCalls(FaultTest):
    """Each call in turn that writes a file fails."""

    def check(self, arguments, output, old, is_whole=None):
        folder = self.place(f"{self.id().rsplit('.', 1)[1]}_{'new' if old is None else 'old'}")
        count, point, failed, whole = self.folder / "count", 0, 0, None
        while True:
            target = folder / output
            if old is None:
                target.unlink(missing_ok=True)
            else:
                target.write_bytes(old)
            environment = {**os.environ, "LD_PRELOAD": self.library, "MU8_COUNT_TO": str(count),
                           "MU8_FAIL_AT": str(point)}
            done = subprocess.run([self.program, *map(str, arguments), target], env=environment, cwd=self.folder,
                                  capture_output=True, text=True, check=False, timeout=300)
            where = f"call {point}: exit {done.returncode}\n{done.stderr}"
            if point == 0:
                self.assertEqual(done.returncode, 0, where)
                whole, total = target.read_bytes(), int(count.read_text())
                self.assertGreater(len(whole), 100)
            elif done.returncode == 0:  # a file without a name at first, or the folder's fsync: not needed
                self.assertTrue(is_whole(target.read_bytes()) if is_whole else target.read_bytes() == whole, where)
            else:
                failed += 1
                self.assertEqual(done.returncode, 1, where)
                self.assertRegex(done.stderr, r"(?m)^mu8: .*(cannot|finished file)", where)
                self.assertEqual(target.read_bytes() if target.exists() else None, old, where)
            self.assertEqual([name for name in os.listdir(folder) if name != output], [], where)
            point += 1
            if point > total:
                break
        print(f"{arguments[0]}: {total} calls, {failed} of their failures end it", flush=True)
        self.assertGreaterEqual(total, 6)
        self.assertGreaterEqual(failed, total - 2)

    def test_convert(self):
        for old in (None, OLD):
            self.check(["convert", *QUICK, "-o"], "out.mu8", old)

    def test_report(self):
        for old in (None, OLD):
            self.check(["eval", "model.mu8", "--data", cli.DIGITS, "--limit", 4, "--samples", 2, "--report"],
                       "out.html", old, lambda text: text.startswith(b"<!DOCTYPE") and text.endswith(b"</html>\n"))

    def test_predictions(self):
        for old in (None, OLD):
            self.check(["eval", "model.mu8", "--data", cli.DIGITS, "--limit", 16, "--samples", 2, "--predictions"],
                       "out.predictions", old)


class Signals(FaultTest):
    """A conversion that is ended at any time."""

    def test_any_time(self):
        folder = self.place("signals")
        target = folder / "out.mu8"
        command = [self.program, *map(str, ("convert", *QUICK, "-o", target))]
        start = time.monotonic()
        subprocess.run(command, cwd=self.folder, capture_output=True, check=True, timeout=300)
        took = time.monotonic() - start
        generator, ends = random.Random(1), {"ended": 0, "finished": 0}
        for number in range(60):
            target.write_bytes(OLD)
            with subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
                # Half of them near the end, where the file is written.
                time.sleep(took * (generator.random() if number % 2 else 0.85 + 0.3 * generator.random()))
                process.send_signal((signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[number % 4])
                code = process.wait(timeout=300)
                process.stderr.read()
            ends["ended" if code < 0 else "finished"] += 1
            self.assertIn(target.read_bytes(), (OLD, self.model), f"signal {number}: exit {code}")
            # The name that a finished file has for an instant before it replaces the old one.
            left = [name for name in os.listdir(folder) if name != "out.mu8"]
            for name in left:
                self.assertRegex(name, r"^\.mu8-\w+\.partial$")
                self.assertEqual((folder / name).read_bytes(), self.model)
                (folder / name).unlink()
        print(f"signals: {ends}", flush=True)
        self.assertGreater(ends["ended"], 5)  # a slow first run makes the others wait too long

    def test_a_reader_that_goes_away(self):
        with subprocess.Popen([self.program, "eval", "model.mu8", "--data", cli.DIGITS, "--samples", "2", "--predictions",
                               "/dev/stdout"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.close()
            stderr = process.stderr.read().decode()
            code = process.wait(timeout=300)
        self.assertIn(code, (1, -signal.SIGPIPE), stderr)


class Files(FaultTest):
    """What is no file, or none of a reasonable size, in the place of each input."""

    def inputs(self, path):
        digits = ("--data", cli.DIGITS, "--limit", 2, "--samples", 2)
        return {
            "onnx": ("convert", "--model", path, *cli.POSTERIOR, *cli.IMAGES, "-o", "out.mu8"),
            "npz": ("convert", *cli.MODEL, "--posterior", path, *cli.IMAGES, "-o", "out.mu8"),
            "calibration": ("convert", *cli.MODEL, *cli.POSTERIOR, "--calibration", path, "-o", "out.mu8"),
            "labels": ("convert", *QUICK, "--labels", path, "-o", "out.mu8"),
            "bits": ("convert", *QUICK, "--bits", path, "-o", "out.mu8"),
            "model": ("eval", path, *digits),
            "inspect": ("inspect", path),
            "data": ("eval", "model.mu8", "--data", path, "--samples", 2),
            "ood": ("eval", "model.mu8", *digits, "--ood", path),
            "image": ("predict", "model.mu8", path),
            "diff": ("diff", "model.mu8", *cli.LENET5, "--data", path),
        }

    def refuse_all(self, path, most_bytes=GIGABYTE):
        tried = 0
        for name, arguments in self.inputs(path).items():
            with subprocess.Popen([self.program, *map(str, arguments)], cwd=self.folder, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True) as process:
                stderr = process.stderr.read()
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            where = f"{name}: exit {process.returncode}, {usage.ru_maxrss >> 10} MiB, {stderr}"
            self.assertEqual(process.returncode, 1, where)
            self.assertTrue(stderr.startswith("mu8: "), where)
            self.assertLess(usage.ru_utime + usage.ru_stime, MOST_SECONDS, where)
            self.assertLess(usage.ru_maxrss * 1024, most_bytes, where)
            self.assertFalse((self.folder / "out.mu8").exists(), where)
            tried += 1
        self.assertEqual(tried, 11)

    def test_nothing_there(self):
        self.refuse_all("missing/file")

    def test_empty(self):
        (self.folder / "empty").write_bytes(b"")
        self.refuse_all("empty")

    def test_a_read_error(self):
        self.refuse_all("/proc/self/mem")

    def test_a_link_in_a_circle(self):
        (self.folder / "circle").symlink_to("circle")
        self.refuse_all("circle")

    def test_a_pipe(self):
        os.mkfifo(self.folder / "pipe")
        self.refuse_all("pipe")
        (self.folder / "pipe").unlink()

    def test_gigabytes_of_zeros(self):
        """Files with holes, past what 31 bits count, and what 32 do: no more memory than they are long."""
        for size in (2 * GIGABYTE + 4, 4 * GIGABYTE + 4):
            if available_memory() < size + 2 * GIGABYTE:
                self.skipTest(f"{size} bytes need more memory than there is")
            with open(self.folder / "huge", "wb") as stream:
                stream.truncate(size)
            self.refuse_all("huge", most_bytes=size + GIGABYTE)
        (self.folder / "huge").unlink()


if __name__ == "__main__":
    FaultTest.library = str(pathlib.Path(sys.argv.pop(2)).resolve())
    cli.main()
