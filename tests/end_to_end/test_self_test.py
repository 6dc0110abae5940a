"""The self-test: whoever compiles mu8's sources so that they compute something else is told.

    /usr/bin/python3 tests/end_to_end/test_self_test.py

Compiles one device source at a time with flags that change its floats, the guards of
formats/exact_floats.h taken out, the others as they should be. Opening a model or creating a session
must then end with kSelfTest and that source's name. Prints each failure and "N passed, N failed".
"""

import pathlib
import shutil
import sys
import tempfile

from mu8_command import Checks

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from golden.build import ROOT, compile_all, execute  # noqa: E402

GUARDS = ("#error", "#pragma STDC", "#pragma GCC")
# A compiler on whose processor it changes something, what runs its programs, flags that are as they
# should be, and what changes the floats.
LIBERTIES = {
    "x87": ("i686-linux-gnu-g++", "qemu-i386", ["-msse2", "-mfpmath=sse"], ["-mfpmath=387"]),
    "contraction": ("aarch64-linux-gnu-g++", "qemu-aarch64", [], ["-ffp-contract=fast"]),
    "-Ofast": ("aarch64-linux-gnu-g++", "qemu-aarch64", [], ["-Ofast", "-ffp-contract=off"]),
}
UNITS = ("formats/check_parameters.cpp", "formats/check_outputs.cpp", "engine/src/input.cpp",
         "engine/src/operators.cpp", "engine/src/passes.cpp", "engine/src/weighted_layer.cpp",
         "engine/src/statistics.cpp", "engine/src/gaussian.cpp", "engine/src/reconstruction.cpp",
         "engine/src/stopping.cpp", "engine/src/check_options.cpp", "engine/src/session.cpp",
         "engine/src/checked_products.cpp",
         "kernels/scalar/convolve.cpp", "kernels/scalar/pool.cpp")
PROGRAM = """
#include <cstdio>
#include <vector>
#include "mu8/mu8.h"
alignas(64) static std::byte file[1 << 16], arena[1 << 16];
int main(int, char** arguments) {
  std::FILE* in = std::fopen(arguments[1], "rb");
  const std::size_t bytes = std::fread(file, 1, sizeof(file), in);
  mu8::Model model;
  mu8::Session session;
  mu8::Diagnostic why;
  const mu8::SessionOptions options{.kernels = mu8::KernelSet::kScalar};
  if (mu8::Model::Open({file, bytes}, &model, &why) == mu8::Status::kOk) {
    mu8::Session::Create(model, options, arena, &session, &why);
  }
  char text[256];
  mu8::Explain(why, text);
  std::puts(text);
}
"""


def without_guards(folder):
    """A copy of the device sources in which nothing is refused or forbidden."""
    for part in ("formats", "kernels", "engine"):
        shutil.copytree(ROOT / part, folder / part)
    header = folder / "formats" / "exact_floats.h"
    lines = header.read_text(encoding="utf-8").splitlines()
    kept = ["" if line.startswith(GUARDS) else line for line in lines]
    header.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return folder


def name_in_message(unit):
    """As UnitName has it."""
    return "the kernels' convolve.cpp" if unit == "kernels/scalar/convolve.cpp" else unit


def device_sources(tree):
    """Of libmu8.a where there is no kernel set but the scalar one."""
    parts = ("formats", "kernels", "kernels/scalar", "engine/src")
    return [file for part in parts for file in sorted((tree / part).glob("*.cpp"))
            if file.name != "writer.cpp"]


def check_liberty(check, name, tree, folder):
    """Each unit with these flags alone, then none."""
    compiler, emulator, flags, liberty = LIBERTIES[name]
    source = folder / "main.cpp"
    folder.mkdir()
    source.write_text(PROGRAM, encoding="utf-8")
    common = ["-DMU8_TABLES_NAMED", "-DMU8_HAVE_SCALAR=1"]

    def compiled(sources, part, *options):
        return compile_all([compiler, *flags], dict.fromkeys(sources, common), folder / part, options,
                           tree)

    exact = compiled(device_sources(tree), "exact", "-O2", "-ffp-contract=off")
    free = compiled([tree / unit for unit in UNITS], "free", "-O2", *liberty)
    main = compiled([source], "main", "-O1")
    model = ROOT / "tests" / "data" / "golden" / "tiny_sigma4.mu8"
    for unit in (None, *UNITS):
        objects = dict(exact)
        if unit is not None:
            objects[tree / unit] = free[tree / unit]
        program = folder / "program"
        execute([compiler, "-static", *main.values(), *objects.values(), "-o", program])
        printed = execute([emulator, program, model]).strip()
        expected = printed == "ok" if unit is None else (
            printed.startswith("mu8 error 71: ") and printed.endswith(f"; {name_in_message(unit)}"))
        check(expected, f"{name}, {unit}: {printed}")


def main():
    check = Checks()
    with tempfile.TemporaryDirectory() as holder:
        folder = pathlib.Path(holder)
        tree = without_guards(folder / "tree")
        for name, tools in LIBERTIES.items():
            lacking = [tool for tool in tools[:2] if shutil.which(tool) is None]
            if lacking:
                print(f"skipped {name}: {lacking[0]} is not installed (tools/setup devices)")
                continue
            check_liberty(check, name, tree, folder / name)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
