"""Runs the `mu8` command as a user would call it, for the tests of this folder.

A test file holds classes derived from CommandTest and ends with `cli.main()`. All of its commands
run in one temporary folder, which holds the files of inputs.py; what its tests share, such as a
converted model, is made in setUpModule or setUpClass. Nothing but Python itself is needed.
"""

import collections
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest

import inputs

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
GOLDEN = DATA / "golden"
MNIST = DATA / "mnist"
DIGITS = MNIST / "digits-images-idx3-ubyte.gz"  # 200, with labels
FASHION = MNIST / "fashion-images-idx3-ubyte.gz"  # 50, without
PICTURES = sorted(MNIST.glob("digit_*.png"))  # the first four of DIGITS: 7, 2, 1, 0
KERNELS = ("scalar", "portable", "avx2", "avxvnni", "avx512vnni", "avx512vbmi", "neon", "neondot",
           "neoni8mm", "armdsp", "helium", "wasm128")

MODEL = ("--model", DATA / "lenet5_mnist.onnx")
POSTERIOR = ("--posterior", DATA / "lenet5_mnist.npz")
NORMAL = ("--mean", inputs.MEAN, "--std", inputs.STD)
IMAGES = ("--calibration", MNIST / "calibration-images-idx3-ubyte.gz")
CALIBRATION = (*IMAGES, "--calibration-limit", 64)
QUICK = (*IMAGES, "--calibration-limit", 32, "--calibration-passes", 2)  # a quarter of the time
LENET5 = (*MODEL, *POSTERIOR, *NORMAL)

# What a command says on a machine that is slow enough.
PROGRESS = re.compile(r"^mu8: [^\n]*: [^\n]* left\n", re.MULTILINE)

Outcome = collections.namedtuple("Outcome", "command code stdout stderr")


def describe(outcome):
    """For the message of a failed check."""
    return (f"\n  command: {' '.join(outcome.command)}\n  exit {outcome.code}"
            f"\n  stdout: {outcome.stdout[:500]!r}\n  stderr: {outcome.stderr[:500]!r}")


class CommandTest(unittest.TestCase):
    program = pathlib.Path()  # mu8
    folder = pathlib.Path()  # where commands run

    @classmethod
    def run_mu8(cls, *arguments):
        command = [str(part) for part in arguments]
        done = subprocess.run([cls.program, *command], cwd=cls.folder, capture_output=True,
                              text=True, check=False, timeout=300)
        return Outcome(["mu8", *command], done.returncode, done.stdout, PROGRESS.sub("", done.stderr))

    @classmethod
    def text_of(cls, *arguments, note=None):
        """stdout of a command that must succeed. stderr must hold the note alone, or nothing."""
        outcome = cls.run_mu8(*arguments)
        if outcome.code != 0:
            raise AssertionError("exit code 0 was expected" + describe(outcome))
        if note is None and outcome.stderr:
            raise AssertionError("nothing on stderr was expected" + describe(outcome))
        if note is not None and not (outcome.stderr.startswith(f"mu8: note: {note}")
                                     and outcome.stderr.count("\n") == 1):
            raise AssertionError(f"the note {note!r} was expected on stderr" + describe(outcome))
        return outcome.stdout

    @classmethod
    def json_of(cls, *arguments, note=None):
        """The same with --json: stdout parsed."""
        return json.loads(cls.text_of(*arguments, "--json", note=note))

    def fails(self, *arguments, says, code=1):
        """The input is bad: a line of stderr begins with "mu8: " and `says`, no line is without
        "mu8: ", stdout is empty, and no file is made, changed or removed. Returns stderr."""
        self.assertGreater(len(says.split()), 2, "any message might say so")
        before = self.files()
        outcome = self.run_mu8(*arguments)
        after = self.files()
        self.assertEqual(outcome.code, code, describe(outcome))
        self.assertEqual(outcome.stdout, "", describe(outcome))
        lines = outcome.stderr.splitlines()
        self.assertEqual([line for line in lines if not line.startswith("mu8: ")], [])
        self.assertTrue(any(line.startswith("mu8: " + says) for line in lines),
                        f"{says!r} was expected on stderr" + describe(outcome))
        changed = [name for name in before | after if before.get(name) != after.get(name)]
        self.assertEqual(changed, [], describe(outcome))
        return outcome.stderr

    def wrong_command(self, *arguments, says, hint=None):
        """The same for a wrong command line: exit code 2, and where to read about the options."""
        if hint is None:
            hint = f'mu8: run "mu8 {arguments[0]} --help" for the options'
        stderr = self.fails(*arguments, says=says, code=2)
        self.assertEqual(stderr.splitlines()[-1], hint)

    @classmethod
    def files(cls):
        """{path: bytes; None for a folder} of all that is in the folder."""
        return {str(path.relative_to(cls.folder)): path.read_bytes() if path.is_file() else None
                for path in cls.folder.rglob("*")}

    @classmethod
    def bytes_of(cls, name):
        return (cls.folder / name).read_bytes()

    @classmethod
    def floats_of(cls, name):
        """A file of float32."""
        content = cls.bytes_of(name)
        return struct.unpack(f"<{len(content) // 4}f", content)

    @classmethod
    def rows_of(cls, name, columns):
        """The same, as a list of rows."""
        values = cls.floats_of(name)
        return [values[at:at + columns] for at in range(0, len(values), columns)]

    @classmethod
    def json_in(cls, name):
        return json.loads(cls.bytes_of(name))

    @classmethod
    def write(cls, name, text):
        (cls.folder / name).write_text(text, encoding="utf-8")

    def assert_same_bytes(self, one, other):
        """assertEqual would print both files."""
        self.assertTrue(self.bytes_of(one) == self.bytes_of(other), f"{one} is not {other}")

    def assert_near(self, a, b, tolerance=1e-9):
        """Relative to the larger of them, absolute below 1."""
        self.assertLessEqual(abs(a - b), tolerance * max(1, abs(a), abs(b)), f"{a} and {b}")


class CountingResult(unittest.TextTestResult):
    """Counts each test once, however many of its parts fail."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.passed = 0
        self.bad = set()

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.bad.add(test.id())

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.bad.add(test.id())

    def addError(self, test, err):  # also of setUpModule and setUpClass
        super().addError(test, err)
        self.bad.add(test.id())

    def addSuccess(self, test):  # not called if a part failed
        super().addSuccess(test)
        self.passed += 1


def main():
    """Runs the tests of the calling script: MU8 [unittest options]."""
    if len(sys.argv) < 2 or not pathlib.Path(sys.argv[1]).is_file():
        print(f"usage: {sys.argv[0]} MU8 [unittest options]", file=sys.stderr)
        sys.exit(2)
    CommandTest.program = pathlib.Path(sys.argv.pop(1)).resolve()
    with tempfile.TemporaryDirectory() as folder:
        CommandTest.folder = pathlib.Path(folder)
        inputs.write_all(CommandTest.folder, DATA)
        runner = unittest.TextTestRunner(resultclass=CountingResult)
        result = unittest.main(testRunner=runner, exit=False).result
    print(f"{result.passed} passed, {len(result.bad)} failed")
    sys.exit(1 if result.bad or result.passed == 0 else 0)
