"""mu8.cpp of tools/amalgamate: compiles with one bare line and warnings as errors, and predicts the
committed hashes.

    /usr/bin/python3 tests/end_to_end/test_amalgamation.py TARGET [TARGET...]

TARGET: x86_64, clang, aarch64, or a board of bare_metal.py (m4, m55, rv32imac, ...). Prints each
failure and "N passed, N failed"; exits 1 if anything failed, 77 where a compiler or an emulator is
not installed (tools/setup devices).
"""

import pathlib
import shutil
import sys
import tempfile

from bare_metal import BOARDS, ROOT, build_program, embed, execute, run
from mu8_command import Checks

sys.path.insert(0, str(ROOT / "tools"))
from golden.table import ARENA_BYTES, GOLDEN, compare, model_names  # noqa: E402

SKIPPED = 77
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
# Compiler, the C compiler beside it, emulator.
LINUX = {"x86_64": ("g++", "gcc", []), "clang": ("clang++", "clang", []),
         "aarch64": ("aarch64-linux-gnu-g++", "aarch64-linux-gnu-gcc", ["qemu-aarch64"])}
PROGRAM = "tests/bare_metal/golden.cpp"
DEFINES = [f"-DARENA_BYTES={ARENA_BYTES}"]


def missing(target):
    """The first tool that is not installed, or None."""
    if target in BOARDS:
        return BOARDS[target].missing()
    compiler, _, emulator = LINUX[target]
    return next((tool for tool in [compiler, *emulator] if shutil.which(tool) is None), None)


def models():
    return {name: GOLDEN / f"{name}.mu8" for name in model_names()}


def on_board(board, folder):
    """(exit code, output) of the golden models on an emulated processor."""
    execute([f"{board.prefix}g++", *board.flags, "-std=c++20", "-O2", "-fno-exceptions",
             "-fno-rtti", *WARNINGS, "-c", "mu8.cpp"], folder)
    program = build_program(board, folder / "mu8.o", folder / "golden.elf", [PROGRAM],
                            defines=[*DEFINES, "-I", folder / "include"], files=models())
    return run(board, program)


def under_linux(target, folder):
    """The same for a processor with Linux."""
    compiler, c_compiler, emulator = LINUX[target]
    execute([compiler, "-std=c++20", "-O2", *WARNINGS, "-c", "mu8.cpp"], folder)
    embed(models(), folder / "embedded_files.S")
    execute([compiler, "-std=c++20", "-O1", *DEFINES, "-I", folder / "include", "-I", ROOT, "-c",
             ROOT / PROGRAM], folder)
    execute([c_compiler, "-I", ROOT, "-c", ROOT / "tests" / "bare_metal" / "board_linux.c",
             "embedded_files.S"], folder)
    execute([compiler, "-static", "golden.o", "board_linux.o", "embedded_files.o", "mu8.o", "-o",
             "golden"], folder)
    return 0, execute([*emulator, "./golden"], folder)


def main():
    targets = sys.argv[1:]
    if not targets or not all(target in LINUX or target in BOARDS for target in targets):
        print(__doc__)
        return 2
    check = Checks()
    for target in targets:
        tool = missing(target)
        if tool is not None:
            print(f"skipped: {tool} is not installed (tools/setup devices)")
            return SKIPPED
        with tempfile.TemporaryDirectory() as holder:
            folder = pathlib.Path(holder)
            execute([ROOT / "tools" / "amalgamate", folder])
            # Where the program looks for the API: no other header of ours is there.
            (folder / "include" / "mu8").mkdir(parents=True)
            (folder / "include" / "mu8" / "mu8.h").write_text('#include "../../mu8.h"\n',
                                                              encoding="utf-8")
            code, text = (on_board(BOARDS[target], folder) if target in BOARDS
                          else under_linux(target, folder))
        check(code == 0, f"{target}: exit {code}")
        for row in compare(target, "-", "-O2", text):
            check(row.good, f"{target}: {row.cells()}")
            check(row.workers != "1" or row.compared >= len(model_names()),
                  f"{target}: {row.compared} models compared")
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
