"""The golden models on an emulated processor without an operating system: each predicts its committed
hash.

    /usr/bin/python3 tests/end_to_end/test_bare_metal.py BOARD

Prints each failure and "N passed, N failed"; exits 1 if anything failed, 77 where the compiler or
the emulator is not installed (tools/setup devices).
"""

import pathlib
import re
import sys
import tempfile

from bare_metal import BOARDS, ROOT, build_library, build_program, run
from mu8_command import Checks

SKIPPED = 77
GOLDEN = ROOT / "tests" / "data" / "golden"
ARENA_BYTES = 0x1800  # the largest of the golden models takes 5.1 KB


def committed_hashes():
    """{name: hash} of predictions.txt."""
    lines = (GOLDEN / "predictions.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


def check_hashes(check, target, text):
    """Whether golden.cpp has printed every committed hash."""
    for name, expected in committed_hashes().items():
        match = re.search(rf"^{name} (.*)$", text, re.MULTILINE)
        found = match.group(1) if match else "nothing"
        check(found == expected, f"{target}: {name}: {found}, expected {expected}")


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in BOARDS:
        print(__doc__)
        return 2
    board = BOARDS[sys.argv[1]]
    tool = board.missing()
    if tool is not None:
        print(f"skipped: {tool} is not installed (tools/setup devices)")
        return SKIPPED
    hashes = committed_hashes()
    check = Checks()
    with tempfile.TemporaryDirectory() as holder:
        folder = pathlib.Path(holder)
        library = build_library(board, folder / "library")
        program = build_program(board, library, folder / "golden.elf",
                                ["tests/bare_metal/golden.cpp"],
                                defines=[f"-DARENA_BYTES={ARENA_BYTES}"],
                                files={name: GOLDEN / f"{name}.mu8" for name in hashes})
        code, text = run(board, program)
    print(text)
    check(code == 0, f"exit {code}")
    check_hashes(check, sys.argv[1], text)
    stack = re.search(r"^stack (\d+)$", text, re.MULTILINE)
    check(stack is not None and int(stack.group(1)) < board.stack,
          f"all {board.stack} bytes of the stack were in use")
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
