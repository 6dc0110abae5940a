"""The wheel for AArch64, built here for it (tools/wheel --processor) and run under qemu-user: test_package.py with the
package and Python of that processor.

usage: test_wheel_aarch64.py [WHEEL]          (minutes; skipped where PyPI or the compiler is missing)
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSROOT = ROOT / "build" / "sysroot-aarch64"
EMULATOR = f"qemu-aarch64 -L {SYSROOT}"
# Where Debian's alternatives would link numpy's BLAS from.
NUMPY = "LD_LIBRARY_PATH=/usr/lib/aarch64-linux-gnu/blas:/usr/lib/aarch64-linux-gnu/lapack"
SKIPPED, NO_TOOLS = 77, 3
MOST_BYTES = 10 << 20


def script(path, command):
    """A program of this machine that runs one of the other's."""
    path.write_text(f'#!/bin/sh\nexec {EMULATOR} {command} "$@"\n')
    path.chmod(0o755)


def main(folder):
    for program in ("qemu-aarch64", "aarch64-linux-gnu-g++"):
        if shutil.which(program) is None:
            print(f"skipped: {program} is missing (tools/setup devices)")
            return SKIPPED
    if len(sys.argv) > 1:
        wheel = pathlib.Path(sys.argv[1])
    else:
        done = subprocess.run([ROOT / "tools" / "wheel", "-o", folder / "dist", "--processor", "aarch64"],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(done.stderr)
            return SKIPPED if done.returncode == NO_TOOLS else 1
        (wheel,) = (folder / "dist").glob("mu8-*.whl")
    print(f"{wheel.name}: {wheel.stat().st_size:,} bytes")
    assert wheel.name.endswith("_aarch64.whl") and "-py3-none-manylinux_2_" in wheel.name, wheel.name
    assert wheel.stat().st_size < MOST_BYTES

    package = folder / "package"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(package)
    command = package / "mu8" / "bin" / "mu8"
    command.rename(command.with_name("mu8.elf"))
    (command.with_name("mu8.elf")).chmod(0o755)
    script(command, command.with_name("mu8.elf"))
    script(folder / "python", f"-E {NUMPY} {SYSROOT}/usr/bin/python3.11")
    done = subprocess.run([folder / "python", "tests/python/test_package.py", package, command], cwd=ROOT, check=False,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    return done.returncode


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(pathlib.Path(temporary)))
