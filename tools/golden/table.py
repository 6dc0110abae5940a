"""Rows of the golden table: builds and runs the golden program, compares with the committed hashes."""

import collections
import dataclasses
import re

from golden.build import POOL, ROOT, Failed, compile_all, compile_later, device_sources, execute, includes
from golden.targets import REFUSED, TARGETS, bare_metal

PROGRAM = ROOT / "tests" / "bare_metal" / "golden.cpp"
GOLDEN = ROOT / "tests" / "data" / "golden"
LEVELS = ("-O0", "-Os", "-O2", "-O3")
ARENA_BYTES = 0x1800  # the largest of the golden models takes 5.1 KB by one worker
SEVERAL = 0x4000  # and this by several; the smallest board has not as much
SMALL_FLASH = 0x40000  # bytes: without the models for moments
LINE = re.compile(r"^([\w/]+) (\w+) (\d+) ([0-9a-f]{8}|too large: .*)$", re.MULTILINE)


@dataclasses.dataclass
class Row:
    """What one program printed; `differ` names the models, or says why there is nothing."""

    target: str
    compiler: str
    level: str
    kernels: str
    workers: str
    compared: int
    differ: list

    @property
    def good(self):
        return not self.differ and self.compared > 0

    def cells(self):
        verdict = "ok" if self.good else "differs: " + ", ".join(self.differ or ["nothing compared"])
        return [self.target, self.compiler, self.level, self.kernels, self.workers,
                str(self.compared), verdict]


def committed_hashes():
    """{name: hash} of predictions.txt, {name/moments: hash} of what else it has in moments.txt."""
    by_sampling, by_moments = (
        dict(line.split() for line in (GOLDEN / name).read_text(encoding="utf-8").splitlines()
             if line and not line.startswith("#")) for name in ("predictions.txt", "moments.txt"))
    return by_sampling | {f"{name}/moments": value for name, value in by_moments.items()
                          if name in by_sampling}


def model_names():
    return [name for name in committed_hashes() if "/" not in name]


def write_models(names, path):
    """A C source with the models' bytes and the list that golden.cpp declares."""
    lines = ["#include <stdint.h>"]
    entries = []
    for name in names:
        data = (GOLDEN / f"{name}.mu8").read_bytes()
        lines.append(f"static const uint8_t {name}[{len(data)}] __attribute__((aligned(64))) = {{"
                     + ",".join(map(str, data)) + "};")
        entries.append(f'{{"{name}", {name}, {name} + {len(data)}}}')
    lines += ["struct EmbeddedFile { const char* name; const uint8_t *begin, *end; };",
              "const struct EmbeddedFile embedded_files[] = {" + ",\n".join(entries) + "};",
              f"const uint32_t embedded_file_count = {len(entries)};", ""]
    path.write_text("\n".join(lines), encoding="utf-8")


class Programs:
    """The golden programs of one target, in a folder of its own."""

    def __init__(self, name, folder):
        self.name, self.target, self.folder = name, TARGETS[name], folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configured = POOL.submit(device_sources, self.folder / "cmake", self.target.toolchain,
                                      self.target.options)
        self.support = POOL.submit(self.compile_support)

    def compile_support(self):
        """The objects beside the library, by the first compiler."""
        target = self.target
        compiler = next(iter(target.compilers.values()))
        models = self.folder / "models.c"
        board = target.board
        names = model_names()
        if board is not None and board.flash[1] <= SMALL_FLASH:
            names = [name for name in names if not name.endswith("_moments")]
        write_models(names, models)
        kind = "riscv" if target.board is not None and target.board.riscv else "cortex_m"
        board = target.board_source if target.board is None else (
            ROOT / "tools" / "firmware" / "board" / f"{kind}.c")
        sources = [models, PROGRAM, board]
        small = target.board is not None and target.board.ram[1] < 2 * SEVERAL
        flags = [f"-DARENA_BYTES={ARENA_BYTES if small else SEVERAL}", "-O1", "-ffp-contract=off",
                 *(["-DGOLDEN_THREADS"] if target.threads else [])]
        objects = []
        for source in sources:
            language = ["-std=c++20"] if source.suffix == ".cpp" else ["-x", "c"]
            if target.board is not None and source.suffix == ".cpp":
                language += bare_metal.SECTIONS
            output = self.folder / f"{source.stem}.o"
            execute([*compiler, *flags, *language, *includes(), "-c", source, "-o", output])
            objects.append(output)
        return objects

    def build(self, compiler, level):
        """The program of one compiler and level of optimization."""
        target = self.target
        folder = self.folder / f"{compiler}{level}"
        bare = bare_metal.SECTIONS if target.board is not None else []
        objects = compile_all(target.compilers[compiler], self.own_flags(), folder,
                              [level, *bare])
        everything = [*objects.values(), *self.support.result()]
        program = folder / f"golden{target.suffix}"
        if target.board is not None:
            return bare_metal.link(target.board, everything, program.with_suffix(".elf"))
        execute([*target.link, *everything, "-o", program])
        return program

    def own_flags(self):
        """Of each source: CMake's but those of every source, which the compilers' commands have."""
        sources = self.configured.result()
        common = set.intersection(*(set(flags) for flags in sources.values()))
        common -= {flag for flag in common if flag.startswith("-D")}
        return {source: [flag for flag in flags if flag not in common]
                for source, flags in sources.items()}

    def run(self, program):
        """What it prints; raises Failed."""
        if self.target.board is not None:
            code, text = bare_metal.run(self.target.board, program)
            if code != 0:
                raise Failed(f"{program}: exit {code}\n{text}")
            return text
        return execute([*self.target.run, program])

    def rows(self, compiler, level):
        """One for each kernel set and number of workers; a row of failure if there is none."""
        try:
            text = self.run(self.build(compiler, level))
        except RuntimeError as error:
            return [Row(self.name, compiler, level, "-", "-", 0, [str(error)])]
        return compare(self.name, compiler, level, text)


def compare(name, compiler, level, text):
    """Rows of what a program printed."""
    hashes = committed_hashes()
    found = collections.defaultdict(dict)
    for model, kernels, workers, value in LINE.findall(text):
        if not value.startswith("too large"):
            found[kernels, workers][model] = value
    if not found:
        return [Row(name, compiler, level, "-", "-", 0, [f"printed {text[-500:]!r}"])]
    return [Row(name, compiler, level, kernels, workers, len(values),
                [model for model, value in values.items() if hashes.get(model) != value])
            for (kernels, workers), values in found.items()]


def refused_row(name, folder):
    """Of a target that the sources refuse: a row whose verdict is the message."""
    compiler, message = REFUSED[name]
    source = ROOT / "formats" / "reader.cpp"
    try:
        compile_later([compiler], source, folder / name / "reader.o",
                      ["-std=c++20", *includes()]).result()
        differ = ["compiled, and should be refused"]
    except Failed as error:
        differ = [] if message in str(error) else [str(error)]
    return Row(name, "g++", "-", "refused", "-", 1, differ)
