"""Builds the device tests once, and then, for each mutant, no more than the sources that it changes.

A mutant is a copy of its source in a folder that comes first among the include folders, so the
sources themselves stay as they are. Its objects are linked before all others, in place of the
library's own.
"""

import functools
import json
import os
import re
import resource
import shlex
import subprocess
from pathlib import Path

from mutation.mutants import Mutant
from mutation.strata import LEFT_OUT, Stratum

ROOT = Path(__file__).resolve().parents[2]
# Of the converter, what the planner's tests need.
CONVERTER = ("converters/lower/placement.cpp", "tests/converters/lower/test_placement.cpp")
CPU_SECONDS = (5, 10)  # several times what a part's own tests take, and all others
MEMORY = 4 << 30
FAILED_TEST = re.compile(r"^TEST CASE:\s*(.+)$", re.MULTILINE)


class Failed(RuntimeError):
    """A command ended with an error."""


def _limit(cpu_seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _execute(command: list, folder: Path = ROOT) -> None:
    done = subprocess.run([str(word) for word in command], cwd=folder, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise Failed(f"{shlex.join(map(str, command))}\n{done.stdout[-4000:]}")


class Tree:
    """A build folder, and in it a place for one mutant at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mutant = folder / "mutant"
        options = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
                   "-DMU8_BUILD_HOST=OFF", "-DMU8_BUILD_TESTS=ON", "-DMU8_KERNELS=scalar;portable",
                   "-DMU8_TEST_LIGHT=ON"]
        _execute(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *options])
        _execute(["ninja", "-C", folder, "mu8_device_tests"])
        entries = json.loads((folder / "compile_commands.json").read_text())
        self.entries = {str(Path(entry["file"]).relative_to(ROOT)): entry for entry in entries
                        if "mu8_no_heap.dir" not in entry["command"]}
        for path in CONVERTER:  # as any other test
            like = self.entries["tests/main.cpp"]
            self.entries[path] = like
        self.objects = {path: folder / self._words(path)[self._output(path)] for path in self.entries}
        for path in CONVERTER:
            self.objects[path] = folder / (path.replace("/", "_") + ".o")
            self._compile(path, self.objects[path], [])

    def _words(self, path: str) -> list[str]:
        return shlex.split(self.entries[path]["command"])

    def _output(self, path: str) -> int:
        return self._words(path).index("-o") + 1

    def _compile(self, path: str, target: Path, first: list[str]) -> None:
        """`first`: options that come before all others."""
        words = self._words(path)
        words[self._output(path)] = str(target)
        shadow = self.mutant / path
        words[-1] = str(shadow if first and shadow.exists() else ROOT / path)
        _execute([words[0], *first, "-w", *words[1:]], self.folder)

    def build(self, mutant: Mutant | None, users: tuple[str, ...]) -> Path | None:
        """The test program of a mutant (or of none), or None if it does not compile."""
        program = self.mutant / "tests"
        own = {path: self.mutant / (path.replace("/", "_") + ".o") for path in users}
        shadow = self.mutant / mutant.path if mutant else None
        if shadow:
            shadow.parent.mkdir(parents=True, exist_ok=True)
            shadow.write_text(mutant.apply((ROOT / mutant.path).read_text()))
        self.mutant.mkdir(exist_ok=True)
        try:
            for path, target in own.items():
                self._compile(path, target, ["-I", str(self.mutant)])
        except Failed:
            return None
        finally:
            if shadow:
                shadow.unlink()
        others = [obj for path, obj in self.objects.items()
                  if path not in own and (path.startswith("tests/") or path in CONVERTER)]
        _execute(["c++", "-fuse-ld=gold", *own.values(), *others,
                  self.folder / "engine" / "libmu8.a", self.folder / "formats" / "libmu8_writer.a",
                  "-o", program])
        return program


def failure(program: Path, stratum: Stratum) -> str | None:
    """The name of the first test that fails, "crash" or "time"; None: all pass."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MU8_")}
    for files, seconds in zip(("-sf=", "-sfe="), CPU_SECONDS):
        done = subprocess.run([program, files + stratum.first, f"-tce={LEFT_OUT}", "-aa=1", "-nc"],
                              cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              preexec_fn=functools.partial(_limit, seconds), env=environment)
        if done.returncode == 0:
            continue
        output = done.stdout.decode(errors="replace")
        failed = FAILED_TEST.findall(output)
        if failed:
            return failed[-1].strip()
        return "time" if done.returncode in (-24, -9) else "crash"
    return None
