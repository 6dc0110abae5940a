"""What the tests of mu8.torch share: where the package is (the first argument of each, the folder
that holds it), and a runner that counts what it skipped."""

import importlib
import pathlib
import subprocess
import sys
import tempfile
import unittest
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, sys.argv.pop(1))

try:
    import numpy as np
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}; tools/setup test installs what it needs")

SKIPPED = 77  # exit status by which ctest knows a test that found nothing to run


def library(name):
    """The module of a library, or a skipped test that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except Exception as error:  # of a library of another PyTorch, too
        raise unittest.SkipTest(f"{name}: {type(error).__name__}: {error}") from error


def run_onnx(program, onnx, x, sigmas=None):
    """What mu8_run_onnx makes of float32 NHWC input x of an ONNX file (bytes): a flat array. With
    sigmas, {initializer: array}, these stand in for the means that they belong to."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / name for name in ("net.onnx", "x", "y")]
        paths[0].write_bytes(onnx)
        np.ascontiguousarray(x, np.float32).tofile(paths[1])
        if sigmas is not None:
            paths.append(pathlib.Path(folder) / "sigmas.npz")
            np.savez(paths[3], **{f"{name}.sigma": sigma for name, sigma in sigmas.items()})
        done = subprocess.run([program, *map(str, paths)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"mu8_run_onnx: {done.stderr}")
        return np.fromfile(paths[2], np.float32)


def main():
    """Runs the tests of __main__, says what was run and what was skipped and why; exit status 77
    where all was."""
    result = unittest.main(exit=False, argv=sys.argv, warnings="ignore").result
    skipped = len(result.skipped)
    print(f"{result.testsRun - skipped} run, {skipped} skipped", file=sys.stderr)
    for reason in sorted({reason for _, reason in result.skipped}):
        print(f"  skipped: {reason}", file=sys.stderr)
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if skipped == result.testsRun else 0)
