"""Programs for processors without an operating system: built with the device library and
tools/firmware/board, run under an emulator with semihosting.

    board = BOARDS["m4"]
    library = build_library(board, folder, optimize="-Os")
    program = build_program(board, library, folder / "p.elf", ["main.cpp"], files={"model": path})
    code, text = run(board, program)

The first call of build_library configures CMake (seconds); later ones in the same folder build what
has changed. An emulator counts instructions at most, and says nothing about time.
"""

import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "tools" / "firmware"


class Board:
    """A processor's compiler and flags, its toolchain file, the emulated machine and its memory.

    flash and ram are (origin, bytes); machine is QEMU's name for it.
    """

    def __init__(self, machine, prefix, flags, toolchain, options, flash, ram, stack=0x2000):
        self.machine, self.prefix, self.flags = machine, prefix, flags.split()
        self.toolchain, self.options = toolchain, list(options)
        self.flash, self.ram, self.stack = flash, ram, stack

    # Of the compilers and the start-up code.
    c, cxx = "gcc", "g++"

    @property
    def riscv(self):
        return self.prefix.startswith("riscv")

    @property
    def source(self):
        return FIRMWARE / "board" / f"{'riscv' if self.riscv else 'cortex_m'}.c"

    @property
    def emulator(self):
        if not self.riscv:
            return "qemu-system-arm"
        return "qemu-system-riscv64" if "rv64" in " ".join(self.flags) else "qemu-system-riscv32"

    def missing(self):
        """The first tool that is not installed (tools/setup devices), or None."""
        for tool in (f"{self.prefix}{self.cxx}", self.emulator, "cmake", "ninja"):
            if shutil.which(tool) is None:
                return tool
        return None


class Module(Board):
    """WebAssembly with 128-bit vectors and without a C library, under node."""

    c, cxx, emulator = "clang", "clang++", "node"
    source = ROOT / "tests" / "bare_metal" / "wasm.c"

    def __init__(self):
        free = f"-nostdlibinc -idirafter {ROOT}/tools/toolchains/freestanding"
        super().__init__(None, "", f"--target=wasm32 -msimd128 {free}", "wasm-none",
                         ["-DMU8_WASM_SIMD=ON"], None, None, stack=0x10000)


def cortex(processor, machine, flags="", flash=(0, 0x400000), ram=(0x20000000, 0x400000),
           stack=0x2000):
    return Board(machine, "arm-none-eabi-", f"-mthumb -mcpu=cortex-{processor} {flags}", "cortex-m",
                 [f"-DMU8_CORTEX={processor}"], flash, ram, stack)


def riscv(architecture, abi):
    return Board("virt", "riscv64-unknown-elf-",
                 f"-march={architecture} -mabi={abi} -mcmodel=medany --specs=picolibc.specs "
                 f"-idirafter {ROOT}/tools/toolchains/freestanding",
                 "riscv-none", [f"-DMU8_RISCV={architecture}"],
                 (0x80000000, 0x400000), (0x80400000, 0x400000))


BOARDS = {
    # 256 KB of flash and 16 KB of RAM; QEMU has no larger M0.
    "m0": cortex("m0", "microbit", flash=(0, 0x40000), ram=(0x20000000, 0x4000), stack=0x1400),
    "m0_code": cortex("m0", "mps2-an385"),  # on a Cortex-M3, with more memory
    "m3": cortex("m3", "mps2-an385"),
    "m4": cortex("m4", "mps2-an386", "-mfloat-abi=hard -mfpu=fpv4-sp-d16"),
    "m7": cortex("m7", "mps2-an500", "-mfloat-abi=hard -mfpu=fpv5-d16"),
    "m33": cortex("m33", "mps2-an505", "-mfloat-abi=hard -mfpu=fpv5-sp-d16",
                  flash=(0x10000000, 0x400000), ram=(0x38000000, 0x400000)),
    "m55": cortex("m55", "mps3-an547", "-mfloat-abi=hard", flash=(0, 0x80000),
                  ram=(0x21000000, 0x400000)),
    "rv32imc": riscv("rv32imc", "ilp32"),
    "rv32imac": riscv("rv32imac", "ilp32"),
    "rv32gc": riscv("rv32gc", "ilp32d"),
    "rv64imac": riscv("rv64imac", "lp64"),
    "wasm": Module(),
}
SECTIONS = ["-ffunction-sections", "-fdata-sections", "-fno-exceptions", "-fno-rtti",
            "-fno-threadsafe-statics"]


def execute(command, folder=ROOT):
    """Its output; raises with it if it fails."""
    done = subprocess.run([str(word) for word in command], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def build_library(board, folder, optimize="-O3", kernels=None, options=()):
    """libmu8.a in `folder`, by the toolchain file.

    kernels: MU8_KERNELS; None leaves the choice to the build. options: more -D... of CMake.
    """
    folder = pathlib.Path(folder)
    chosen = [] if kernels is None else [f"-DMU8_KERNELS={kernels}"]
    execute(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "--toolchain",
             ROOT / "tools" / "toolchains" / f"{board.toolchain}.cmake",
             "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_CXX_FLAGS_RELEASE={optimize} -DNDEBUG",
             "-DMU8_BUILD_HOST=OFF", "-DMU8_BUILD_TESTS=OFF", *board.options, *chosen, *options])
    execute(["cmake", "--build", folder, "--target", "mu8"])
    return folder / "engine" / "libmu8.a"


def embed(files, assembly):
    """Writes an assembler source with the files, at multiples of 64, and the list that
    tests/bare_metal/golden.cpp declares: embedded_files and embedded_file_count. Each file's
    symbols are NAME and NAME_end."""
    lines, entries = [], []
    for i, (name, path) in enumerate(files.items()):
        lines += [".balign 64", f".global {name}, {name}_end", f"{name}:",
                  f'.incbin "{pathlib.Path(path).resolve()}"', f"{name}_end:",
                  f"name_{i}: .asciz \"{name}\""]
        entries.append(f"POINTER name_{i}, {name}, {name}_end")
    assembly.write_text("\n".join([
        "#if __SIZEOF_POINTER__ == 8", "#define POINTER .8byte", "#else", "#define POINTER .4byte",
        "#endif", '.section .rodata.embedded, "a"', *lines, ".balign 8",
        ".global embedded_files, embedded_file_count", "embedded_files:", *entries,
        "embedded_file_count: .4byte " + str(len(files)), "#ifdef __ELF__",
        '.section .note.GNU-stack, "", %progbits', "#endif", ""]), encoding="utf-8")


def build_program(board, library, elf, sources, optimize="-O2", defines=(), files=None):
    """Compiles `sources` and the board's start-up code, links them with the library to `elf`.

    files: {symbol: path} to put into flash. The linker's map is beside it, with the suffix .map.
    """
    elf = pathlib.Path(elf)
    work = elf.parent / f"{elf.stem}.objects"
    work.mkdir(parents=True, exist_ok=True)
    sources = [ROOT / source for source in sources] + [board.source]
    if files is not None:
        embed(files, work / "embedded_files.S")
        sources.append(work / "embedded_files.S")
    objects = []
    for source in sources:
        compiler, language = (board.cxx, ["-std=c++20", *SECTIONS]) if source.suffix == ".cpp" else (
            board.c, SECTIONS[:2])
        objects.append(work / f"{source.stem}.o")
        execute([f"{board.prefix}{compiler}", *board.flags, *language, optimize, *defines,
                 "-I", ROOT, "-I", ROOT / "engine" / "include", "-c", source, "-o", objects[-1]])
    return link(board, [*objects, library], elf)


def link_options(board):
    """The board's memory and linker script, for the compiler that links."""
    kind = "riscv" if board.riscv else "cortex_m"
    memory = {"FLASH_ORIGIN": board.flash[0], "FLASH_SIZE": board.flash[1],
              "RAM_ORIGIN": board.ram[0], "RAM_SIZE": board.ram[1], "STACK_SIZE": board.stack}
    libraries = ["-nostartfiles"] if board.riscv else [
        "-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs"]
    return [*libraries, "-Wl,--gc-sections", "-T", FIRMWARE / "board" / f"{kind}.ld",
            "-Wl,--no-warn-rwx-segments",
            *(f"-Wl,--defsym={name}={value:#x}" for name, value in memory.items())]


def link(board, objects, elf):
    """Objects, the board's start-up code among them, and libraries to `elf`, with a map beside it."""
    if isinstance(board, Module):
        execute([board.cxx, *board.flags, "-nostdlib", "-Wl,--no-entry",
                 f"-Wl,-z,stack-size={board.stack}", *objects, "-o", elf])
        return elf
    execute([f"{board.prefix}gcc", *board.flags, *objects, *link_options(board),
             f"-Wl,-Map={elf.with_suffix('.map')}", "-o", elf])
    return elf


def run(board, elf, timeout=600, plugin=None):
    """(exit code, output) of a program; plugin: QEMU's -plugin argument, or None."""
    if isinstance(board, Module):
        command = [board.emulator, str(board.source.with_suffix(".js")), str(elf)]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=timeout, check=False)
        return done.returncode, done.stdout
    command = [board.emulator, "-M", board.machine, "-nographic", "-monitor", "none", "-serial",
               "none", "-semihosting-config", "enable=on,target=native", "-kernel", str(elf)]
    if board.riscv:
        command += ["-bios", "none"]
    if plugin is not None:
        command += ["-plugin", plugin]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=timeout, check=False)
    return done.returncode, done.stdout
