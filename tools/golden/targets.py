"""The targets of the golden table: their compilers, and what runs their programs."""

import shutil
import sys

from golden.build import FREESTANDING, ROOT

sys.path.insert(0, str(ROOT / "tests" / "end_to_end"))
import bare_metal  # noqa: E402  (the boards of tests/end_to_end)

FREE = f"-nostdlibinc -idirafter {FREESTANDING}"


class Target:
    """One processor.

    compilers: {"g++" or "clang++": command}. cmake: toolchain file and options, for the list of
    sources. run: a command before the program's name. board: of bare_metal, or None; without one
    board_source is the program's. link: the compiler that links, with its flags.
    """

    def __init__(self, compilers, run=(), toolchain=None, options=(), board=None, link=None,
                 board_source="board_linux.c", threads=True, suffix=""):
        self.compilers = {name: command.split() for name, command in compilers.items()}
        self.run, self.toolchain, self.options = list(run), toolchain, list(options)
        self.board, self.suffix = board, suffix
        self.board_source = ROOT / "tests" / "bare_metal" / board_source
        self.threads = threads
        self.levels = None  # all
        first = next(iter(self.compilers.values()))
        self.link = first + ["-static", "-pthread"] if link is None else link.split()

    def only(self, compiler, *levels):
        """Itself, with what fits into the board's memory: one compiler, and not every level."""
        self.compilers = {compiler: self.compilers[compiler]}
        self.levels = levels
        return self

    def missing(self):
        """The first tool that is not installed (tools/setup devices), or None."""
        tools = [next(iter(self.compilers.values()))[0], *self.run[:1]]
        if self.board is not None:
            tools.append(self.board.emulator)
        return next((tool for tool in tools if shutil.which(tool) is None), None)

    def installed(self):
        """The compilers that are."""
        return {name: command for name, command in self.compilers.items()
                if shutil.which(command[0]) is not None}


def tables(*kernels):
    """CMake's option for what would have one table: with the two that every processor runs."""
    return "-DMU8_KERNELS=" + ";".join(["scalar", "portable", *kernels])


def linux(triple, emulator, flags="", clang_flags="", toolchain=None, options=()):
    return Target({"g++": f"{triple}-g++ {flags}",
                   "clang++": f"clang++ --target={triple} {flags} {clang_flags}"},
                  emulator.split(), toolchain, options)


def bare(name, triple, *kernels, clang_flags="", more=()):
    """Of bare_metal's boards, with these kernel tables beside the two that all have; clang++ without
    any header of the toolchain's."""
    board = bare_metal.BOARDS[name]
    flags = " ".join(board.flags)
    machine = " ".join(flag for flag in board.flags if flag.startswith("-m"))
    return Target({"g++": f"{board.prefix}g++ {flags}",
                   "clang++": f"clang++ --target={triple} {machine} {clang_flags} {FREE}"},
                  toolchain=board.toolchain, board=board, threads=False,
                  options=[*board.options, tables(*kernels), *more])


def wasm_options(simd):
    return [tables("wasm128"), "-DMU8_WASM_SIMD=ON"] if simd else [tables()]


def wasm(simd):
    flags = "-msimd128" if simd else ""
    options = wasm_options(simd)
    return Target({"em++": f"em++ {flags}"}, ["node"], "wasm", options, suffix=".js",
                  link="em++ -sENVIRONMENT=node -sEXIT_RUNTIME=1 -sSINGLE_FILE=1",
                  threads=False)


def wasm_none(simd):
    flags = "-msimd128" if simd else ""
    options = wasm_options(simd)
    return Target({"clang++": f"clang++ --target=wasm32 {flags} {FREE}"},
                  ["node", str(ROOT / "tests" / "bare_metal" / "wasm.js")], "wasm-none", options,
                  link="clang++ --target=wasm32 -nostdlib -Wl,--no-entry -Wl,-z,stack-size=65536",
                  board_source="wasm.c", threads=False, suffix=".wasm")


TARGETS = {
    "x86-64": Target({"g++": "g++", "clang++": "clang++"}),
    # With fused operations, which the first has not.
    "x86-64-v3": Target({"g++": "g++ -march=x86-64-v3", "clang++": "clang++ -march=x86-64-v3"}),
    "i686": linux("i686-linux-gnu", "qemu-i386", "-msse2 -mfpmath=sse", toolchain="i686"),
    "aarch64": linux("aarch64-linux-gnu", "qemu-aarch64 -cpu max", toolchain="aarch64"),
    "armv7": linux("arm-linux-gnueabihf", "qemu-arm -cpu cortex-a7", "-mfpu=neon-vfpv4 -Wno-psabi",
                   toolchain="armv7"),
    # All but NEON's own units without NEON; the emulator has it, so its table runs.
    "armv7-vfp3": linux("arm-linux-gnueabihf", "qemu-arm -cpu cortex-a7",
                        "-mfpu=vfpv3-d16 -Wno-psabi", toolchain="armv7",
                        options=["-DCMAKE_CXX_FLAGS=-mfpu=vfpv3-d16"]),
    # clang++ 14 does not find the headers of this g++.
    "riscv64": linux("riscv64-linux-gnu", "qemu-riscv64", "-march=rv64gc", FREE, "riscv64"),
    # Its flash is full without moments; cortex-m0-code has them.
    "cortex-m0": bare("m0", "arm-none-eabi", more=["-DCMAKE_CXX_FLAGS=-DMU8_WITH_MOMENTS=0"]).only(
        "g++", "-Os", "-O2"),
    "cortex-m0-code": bare("m0_code", "arm-none-eabi"),
    "cortex-m3": bare("m3", "arm-none-eabi"),
    "cortex-m4": bare("m4", "arm-none-eabi", "armdsp"),
    "cortex-m7": bare("m7", "arm-none-eabi", "armdsp"),
    "cortex-m55": bare("m55", "arm-none-eabi", "armdsp", "helium"),
    "rv32imc": bare("rv32imc", "riscv32"),
    "rv32imac": bare("rv32imac", "riscv32"),
    "rv32gc": bare("rv32gc", "riscv32"),
    "rv64imac": bare("rv64imac", "riscv64"),
    "wasm": wasm(simd=False),
    "wasm-simd": wasm(simd=True),
    "wasm-none": wasm_none(simd=False),
    "wasm-none-simd": wasm_none(simd=True),
}
# Big endian: the sources refuse it.
REFUSED = {"s390x": ("s390x-linux-gnu-g++", "mu8 runs on little-endian processors")}
