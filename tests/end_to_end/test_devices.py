"""The device library for another processor: built by its toolchain file with our warnings as
errors, then by one bare line of g++, and of clang++ where that is installed and there is a Linux,
as those compile it who have a build system of their own. That must hold no fused multiplication
and addition. (What it predicts is the golden table's: tools/golden_table.)

    /usr/bin/python3 tests/end_to_end/test_devices.py TARGET

Prints each failure and "N passed, N failed"; exits 1 if anything failed, 77 where the compiler is
not installed (tools/setup devices).
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from mu8_command import Checks

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from golden.build import ROOT, compile_all  # noqa: E402

SKIPPED = 77
# ARM; AArch64, in vectors and alone, and RISC-V; x86.
FUSED = re.compile(r"\t(vfn?m[as]|fml[as]|fn?m(add|sub)|vfn?m(add|sub)\d+[ps][sd])(\.\w+)*\s")
# Fused where nothing forbids it.
CONTROL = "float Control(float a, float b, float c) { return a * b + c; }\n"


class Target:
    """A compiler's prefix and flags, whether there is a Linux, and what its build is told.

    tables: the folders of kernels/ that its flags choose (built_tables.h).
    """

    def __init__(self, prefix, flags="", linux=True, fuses=True, toolchain=None, options=(),
                 tables=()):
        self.tables = tables
        self.prefix, self.flags, self.linux = prefix, flags.split(), linux
        self.fuses, self.toolchain, self.options = fuses, toolchain, list(options)


def cortex(name, flags, fuses=True, tables=()):
    """A processor without an operating system."""
    return Target("arm-none-eabi-", f"-mthumb -mcpu=cortex-{name} {flags}", False, fuses, "cortex-m",
                  [f"-DMU8_CORTEX={name}"], tables)


TARGETS = {
    "aarch64": Target("aarch64-linux-gnu-", tables=("neon",)),
    "armv7": Target("arm-linux-gnueabihf-", "-mfpu=neon-vfpv4", tables=("neon",)),
    "i686": Target("i686-linux-gnu-", "-msse2 -mfpmath=sse", fuses=False),
    "riscv64": Target("riscv64-linux-gnu-"),
    "cortex-m0": cortex("m0", "", fuses=False),
    "cortex-m3": cortex("m3", "", fuses=False),
    "cortex-m4": cortex("m4", "-mfloat-abi=hard -mfpu=fpv4-sp-d16", tables=("armdsp",)),
    "cortex-m7": cortex("m7", "-mfloat-abi=hard -mfpu=fpv5-d16", tables=("armdsp",)),
    "cortex-m55": cortex("m55", "-mfloat-abi=hard", tables=("helium",)),
}


def run(command, folder):
    """Its output; raises with it if it fails."""
    done = subprocess.run([str(word) for word in command], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def device_sources(folders):
    """What libmu8.a is made of; folders: below kernels/, beside scalar/ and portable/."""
    files = [*(ROOT / "formats").glob("*.cpp"), *(ROOT / "kernels").glob("*.cpp"),
             *(ROOT / "engine" / "src").glob("*.cpp")]
    for folder in ("scalar", "portable", *folders):
        files += (ROOT / "kernels" / folder).glob("*.cpp")
    return sorted(file for file in files if file.name != "writer.cpp")


def build_by_toolchain(check, name, target, folder):
    """CMake's way, warnings as errors, and what the library then needs of its surroundings."""
    toolchain = ROOT / "tools" / "toolchains" / f"{target.toolchain or name}.cmake"
    run(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "--toolchain", toolchain,
         "-DCMAKE_BUILD_TYPE=Release", "-DMU8_BUILD_HOST=OFF", "-DMU8_BUILD_TESTS=OFF",
         "-DMU8_WERROR=ON", *target.options], ROOT)
    run(["cmake", "--build", folder, "--target", "mu8"], ROOT)
    library = folder / "engine" / "libmu8.a"
    needs = run([ROOT / "tests" / "engine" / "check_symbols.sh", library, f"{target.prefix}nm"],
                ROOT)
    check("needs only:" in needs, f"symbols of {library}:\n{needs}")


def compile_bare(compiler, sources, folder):
    """The objects of one compiler line without any option that mu8 would ask for."""
    return list(compile_all(compiler, dict.fromkeys(sources, []), folder, ["-O3"]).values())


def fused(target, objects):
    """The fused operations in them."""
    code = run([f"{target.prefix}objdump", "-d", *objects], ROOT)
    return [line for line in code.splitlines() if FUSED.search(line)]


def check_bare(check, target, compiler, folder):
    """The library's objects, in which nothing is fused."""
    found = fused(target, compile_bare(compiler, device_sources(target.tables), folder / "library"))
    check(not found, f"{compiler}: {len(found)} fused operations, the first {found[:1]}")
    control = folder / "control.cpp"
    control.write_text(CONTROL, encoding="utf-8")
    found = fused(target, compile_bare(compiler, [control], folder / "control"))
    check(bool(found) == target.fuses, f"{compiler}: of a * b + c it fuses {found}")


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in TARGETS:
        print(__doc__)
        return 2
    name = sys.argv[1]
    target = TARGETS[name]
    if shutil.which(f"{target.prefix}g++") is None:
        print(f"skipped: {target.prefix}g++ is not installed (tools/setup devices)")
        return SKIPPED
    check = Checks()
    with tempfile.TemporaryDirectory() as holder:
        folder = pathlib.Path(holder)
        build_by_toolchain(check, name, target, folder / "build")
        check_bare(check, target, [f"{target.prefix}g++", *target.flags], folder / "gcc")
        if target.linux and shutil.which("clang++") is not None and name != "riscv64":
            # clang++ 14 does not find the headers of the other g++ for RISC-V.
            clang = ["clang++", f"--target={target.prefix[:-1]}", *target.flags]
            check_bare(check, target, clang, folder / "clang")
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
