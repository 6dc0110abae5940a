"""The kernels of an emulated processor without an operating system beside the scalar ones, each array
before a guard of its memory protection unit; of WebAssembly's, in turn at the end of its memory.

    /usr/bin/python3 tests/end_to_end/test_bare_metal_kernels.py BOARD TABLE

Prints each failure and "N passed, N failed"; exits 1 if anything failed, 77 where the compiler or
the emulator is not installed (tools/setup devices).
"""

import pathlib
import sys
import tempfile

from bare_metal import BOARDS, build_library, build_program, run
from mu8_command import Checks

SKIPPED = 77
CASES = 400
KERNELS = ("sample", "convolve", "depthwise", "pool", "moments")
SOURCES = [f"tests/bare_metal/{name}.cpp" for name in ("kernels", "moments", "guards")]


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in BOARDS:
        print(__doc__)
        return 2
    board, table = BOARDS[sys.argv[1]], sys.argv[2]
    tool = board.missing()
    if tool is not None:
        print(f"skipped: {tool} is not installed (tools/setup devices)")
        return SKIPPED
    check = Checks()
    with tempfile.TemporaryDirectory() as holder:
        folder = pathlib.Path(holder)
        for optimize in ("-O3", "-Os", "-O0"):
            library = build_library(board, folder / "library", optimize, f"scalar;{table}")
            program = build_program(board, library, folder / f"kernels{optimize}.elf", SOURCES,
                                    defines=[f"-DCASES={CASES}"])
            code, text = run(board, program)
            print(optimize, text)
            expected = "guarded\n" + "".join(f"{table} {kernel} {CASES}\n" for kernel in KERNELS)
            check(code == 0 and text == expected, f"{optimize}: exit {code}")
        program = build_program(board, library, folder / "touch.elf", SOURCES,
                                defines=["-DCASES=0", "-DTOUCH_GUARD"])
        code, text = run(board, program)
        check(code != 0 and ("FAULT" in text or "memory access out of bounds" in text),
              f"a read behind a slot: exit {code}, {text}")
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
