"""README.md's way to a board, word for word: its toolchain file, its commands, its C++ example. Builds
the library alone in a folder of links to the sources, links the example against what was installed,
and lets qemu classify a committed digit.

    /usr/bin/python3 tests/end_to_end/test_device_build.py build/release/mu8

Prints each failure and "N passed, N failed"; exits 1 if anything failed. Needs Debian's
g++-aarch64-linux-gnu and qemu-user (tools/setup test).
"""

import gzip
import pathlib
import re
import subprocess
import sys
import tempfile

from mu8_command import Checks, Mu8

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
PIXELS = 28 * 28
IDX_HEADER = 16

MAIN = r"""
#include <cstddef>
#include <cstdint>
extern const std::byte kModel[];
extern const std::size_t kModelBytes;
extern const std::uint8_t kDigit[];
int Classify(const std::uint8_t* pixels);
__asm__(".section .rodata\n.balign 64\n.globl kModel\nkModel:\n.incbin \"model.mu8\"\nkModelEnd:\n"
        ".balign 8\n.globl kModelBytes\nkModelBytes: .quad kModelEnd - kModel\n"
        ".globl kDigit\nkDigit: .incbin \"digit.raw\"\n.previous\n");
int main() { return Classify(kDigit); }
"""

PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(user CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(mu8 REQUIRED)
add_executable(user main.cpp example.cpp)
target_compile_options(user PRIVATE -Wa,-I${CMAKE_SOURCE_DIR})
target_link_libraries(user PRIVATE mu8::mu8)
target_link_options(user PRIVATE -static)
"""


README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """README.md's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def run(command, folder):
    """Its output; raises with it if it fails."""
    done = subprocess.run(["bash", "-euc", command], cwd=folder, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def build_library(check, folder):
    """A clone's README, followed. The folder where it installs."""
    for name in ("CMakeLists.txt", "formats", "kernels", "engine"):
        (folder / name).symlink_to(ROOT / name)
    toolchains = blocks("cmake")
    check(len(toolchains) == 1, f"README.md has {len(toolchains)} toolchain files, expected 1")
    (folder / "board.cmake").write_text(toolchains[0], encoding="utf-8")
    commands = [block for block in blocks("sh") if "MU8_BUILD_HOST=OFF" in block]
    check(len(commands) == 1, f"README.md builds the library {len(commands)} times, expected 1")
    run(commands[0], folder)
    installed = folder / "build" / "board" / "install"
    check((installed / "lib" / "libmu8.a").is_file(), "libmu8.a is installed")
    machine = run(f"aarch64-linux-gnu-objdump -f {installed}/lib/libmu8.a", folder)
    check("architecture: aarch64" in machine, f"it is AArch64's:\n{machine[:500]}")
    return installed


def link_example(check, mu8, folder, toolchain, installed):
    """README.md's only C++ block as a user's project. The program."""
    folder.mkdir()
    made = mu8.run("convert", "--model", DATA / "lenet5_mnist.onnx", "--posterior",
                   DATA / "lenet5_mnist.npz", "--calibration",
                   DATA / "mnist" / "calibration-images-idx3-ubyte.gz", "--calibration-limit", 64,
                   "--sigma-bits", 1, "-o", folder / "model.mu8")
    check(f"LeNet-5: {made['arena_bytes']:,} bytes" in README, f"arena of {made['arena_bytes']}")
    digits = gzip.decompress((DATA / "mnist" / "digits-images-idx3-ubyte.gz").read_bytes())
    (folder / "digit.raw").write_bytes(digits[IDX_HEADER:IDX_HEADER + PIXELS])  # a 7
    examples = blocks("cpp")
    check(len(examples) == 1, f"README.md has {len(examples)} C++ blocks, expected 1")
    (folder / "example.cpp").write_text(examples[0], encoding="utf-8")
    (folder / "main.cpp").write_text(MAIN, encoding="utf-8")
    (folder / "CMakeLists.txt").write_text(PROJECT, encoding="utf-8")
    run(f"cmake -S . -B build --toolchain {toolchain} -DCMAKE_PREFIX_PATH={installed}"
        " -DCMAKE_BUILD_TYPE=Release && cmake --build build", folder)
    return folder / "build" / "user"


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    check = Checks()
    mu8 = Mu8(sys.argv[1])
    with tempfile.TemporaryDirectory() as holder:
        clone = pathlib.Path(holder) / "mu8"
        clone.mkdir()
        installed = build_library(check, clone)
        user = link_example(check, mu8, pathlib.Path(holder) / "user", clone / "board.cmake",
                            installed)
        done = subprocess.run(["qemu-aarch64", user], capture_output=True, text=True, check=False)
        check(done.returncode == 7, f"the digit is a 7, the example returned {done.returncode}")
        check(done.stdout.startswith("class 7, p = "), f"it printed {done.stdout!r}")
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
