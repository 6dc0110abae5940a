"""What tools/wheel makes, in an environment with nothing else: the package as users install it.

usage: test_wheel.py          (minutes; skipped where PyPI is out of reach)
"""

import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest
import venv
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED, NO_TOOLS = 77, 3
MOST_BYTES, MOST_SOURCE_BYTES = 10 << 20, 4 << 20


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


class Wheel(unittest.TestCase):
    def test_sdist(self):
        (sdist,) = (self.folder / "dist").glob("mu8-*.tar.gz")
        self.assertLess(sdist.stat().st_size, MOST_SOURCE_BYTES)
        with tarfile.open(sdist) as archive:
            folders = {name.split("/")[1] for name in archive.getnames() if "/" in name}
        self.assertTrue({"engine", "kernels", "formats", "converters", "tools", "LICENSE"} <= folders, folders)
        self.assertFalse({"tests", "bench"} & folders)

    def test_wheel_predicts(self):
        (wheel,) = (self.folder / "dist").glob("mu8-*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size:,} bytes", file=sys.stderr)
        self.assertRegex(wheel.name, r"^mu8-[0-9.]+-py3-none-manylinux_2_\d+_\w+\.whl$")
        self.assertLess(wheel.stat().st_size, MOST_BYTES)
        with zipfile.ZipFile(wheel) as archive:
            names = {name for name in archive.namelist() if ".dist-info/" not in name}
        self.assertTrue({"mu8/__init__.py", "mu8/_mu8.so", "mu8/bin/mu8", "mu8/py.typed", "mu8/torch/__init__.py"}
                        <= names, names)
        self.assertLessEqual({name.split("/")[0] for name in names}, {"mu8", "mu8.libs"})

        venv.EnvBuilder(with_pip=True, system_site_packages=True).create(self.folder / "fresh")  # Debian's numpy
        python = self.folder / "fresh" / "bin" / "python"
        run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel)
        self.assertRegex(run(python.with_name("mu8"), "--version"), r"\d+\.\d+\.\d+")
        packages = run(python, "-c", "import mu8, pathlib; print(pathlib.Path(mu8.__file__).parents[1])").strip()
        self.assertTrue(packages.startswith(str(self.folder / "fresh")), packages)
        run(python, ROOT / "tests" / "python" / "test_package.py", packages, python.with_name("mu8"), cwd=ROOT)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        Wheel.folder = pathlib.Path(temporary)
        done = subprocess.run([ROOT / "tools" / "wheel", "-o", Wheel.folder / "dist"], capture_output=True, text=True,
                              check=False)
        if done.returncode == NO_TOOLS:
            print(f"skipped: {done.stderr}")
            sys.exit(SKIPPED)
        if done.returncode != 0:
            sys.exit(done.stderr)
        unittest.main()
