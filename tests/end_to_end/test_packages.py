"""tools/package: each package is complete, its library and example compile and print the host's
prediction, and its ecosystem's own checker accepts it.

    /usr/bin/python3 tests/end_to_end/test_packages.py MU8 KIND            without the checker
    /usr/bin/python3 tests/end_to_end/test_packages.py MU8 KIND checker    the checker alone

Prints each failure and "N passed, N failed"; exits 1 if anything failed, 77 where a compiler, an emulator
(tools/setup devices) or the checker (tools/packages/README.md) is not installed.
"""

import importlib.machinery
import importlib.util
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

from bare_metal import BOARDS, FIRMWARE, ROOT, SECTIONS, execute, link, link_options, run
from mu8_command import Checks, Mu8

SKIPPED = 77
MODEL = ROOT / "tests" / "data" / "golden" / "tiny_sigma4.mu8"
SIDE = 6  # its pictures' height and width
WARNINGS = ["-Wall", "-Wextra", "-Werror"]

# Where the example runs, if not on the host: rv32imc is an ESP32-C3's.
ON_BOARDS = {"arduino": "m4", "cmsis": "m4", "esp-idf": "rv32imc"}
# What a board's vendor would bring: text goes to the emulator's console, and there is no heap.
ARDUINO_H = """#pragma once
struct Print {
  void begin(unsigned long) {}
  void print(const char* text);
};
extern Print Serial;
void setup();
void loop();
"""
VENDOR = {"arduino": """#include "Arduino.h"
extern "C" void BoardWrite(const char*);
extern "C" void* _sbrk(int) { return reinterpret_cast<void*>(-1); }
Print Serial;
void Print::print(const char* text) { BoardWrite(text); }
int main() {
  setup();
  loop();
  return 0;
}
""", "cmsis": """#include <cstring>
extern "C" void BoardWrite(const char*);
extern "C" void* _sbrk(int) { return reinterpret_cast<void*>(-1); }
extern "C" int _write(int, const char* text, int size) {
  char copy[256] = {};
  const int count = size < 255 ? size : 255;
  std::memcpy(copy, text, count);
  BoardWrite(copy);
  return count;
}
""", "esp-idf": """#include <stdio.h>
extern "C" void app_main();
extern "C" void BoardWrite(const char*);
static int Put(char c, FILE*) {
  const char text[] = {c, 0};
  BoardWrite(text);
  return 0;
}
static FILE console = FDEV_SETUP_STREAM(Put, nullptr, nullptr, _FDEV_SETUP_WRITE);
FILE* const stdout = &console;
int main() {
  app_main();
  return 0;
}
"""}
# Where the toolchain has no C++ headers (tools/toolchains/freestanding).
CSTDIO = "#pragma once\n#include <stdio.h>\nnamespace std {\nusing ::fputs;\nusing ::snprintf;\n}\n"


def load_package():
    """tools/package as a module."""
    loader = importlib.machinery.SourceFileLoader("package", str(ROOT / "tools" / "package"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("package", loader))
    loader.exec_module(module)
    return module


PACKAGE = load_package()


def expected_line(mu8, folder):
    """What the example has to print: the host's own prediction of its picture."""
    pictures = folder / "x-images-idx3-ubyte"
    pictures.write_bytes(struct.pack(">IIII", 0x803, 1, SIDE, SIDE) +
                         bytes(i * 37 % 256 for i in range(SIDE * SIDE)))
    found = mu8.run("predict", MODEL, f"{pictures}#0")["predictions"][0]
    label = found["label"]
    names = mu8.run("inspect", MODEL)["labels"]
    return (f"{names[label]}, p {found['mean'][label]:.4f}, predictive entropy "
            f"{found['predictive_entropy']:.4f}, mutual information "
            f"{found['mutual_information']:.4f}")


def check_contents(check, name, folder):
    """Nothing is left to fill in, and a folder with files is refused."""
    texts = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*")
             if path.is_file()}
    for path, text in texts.items():
        check("@VERSION@" not in text and "@URL@" not in text, f"{path}: filled in")
    for part in ("LICENSE", "README.md"):
        check(folder / part in texts, f"{name}: has {part}")
    filled = [path for path, text in texts.items()
              if PACKAGE.version() in text and path.name != "mu8.cpp" and path.name != "mu8.h"]
    least = 1 if name == "zephyr" else 2  # README.md, and metadata that have one
    check(len(filled) >= least, f"{name}: the version is in {filled}")
    again = subprocess.run([ROOT / "tools" / "package", name, folder], capture_output=True, text=True,
                           check=False)
    check(again.returncode == 2 and "not an empty folder" in again.stderr,
          f"{name}: a folder with files is refused: {again.stderr}")


def check_example_model(check, mu8, folder):
    """The example's model is what `mu8 embed` writes."""
    mu8.run("embed", MODEL, "--name", "model", "-o", folder / "embedded")
    for name in ("model.h", "model.c"):
        check((folder / "embedded" / name).read_bytes() ==
              (PACKAGE.TEMPLATES / "example" / f"{name}.in").read_bytes(),
              f"tools/packages/example/{name}.in is not what `mu8 embed {MODEL.relative_to(ROOT)} "
              f"--name model -o DIR` writes: copy DIR/{name} there")


def run_on_host(kind, folder, work):
    """The example's output, compiled by one line."""
    execute(["gcc", "-O2", *WARNINGS, "-c", folder / kind.example / "model.c", "-o",
             work / "model.o"])
    execute(["g++", "-std=gnu++20", "-O2", *WARNINGS, "-I", folder / kind.headers,
             folder / kind.example / kind.main, folder / kind.source / "mu8.cpp", work / "model.o",
             "-o", work / "classify"])
    return execute([work / "classify"])


def run_on_board(name, kind, folder, work):
    """The same on an emulated processor without an operating system."""
    board = BOARDS[ON_BOARDS[name]]
    (work / "vendor").mkdir()
    (work / "vendor" / "Arduino.h").write_text(ARDUINO_H, encoding="utf-8")
    if board.riscv:
        (work / "vendor" / "cstdio").write_text(CSTDIO, encoding="utf-8")
    (work / "vendor.cpp").write_text(VENDOR[name], encoding="utf-8")
    defines = {"arduino": ["-DARDUINO=10819"], "esp-idf": ["-DESP_PLATFORM"]}.get(name, [])
    objects = []
    for source in (folder / kind.source / "mu8.cpp", folder / kind.example / kind.main,
                   folder / kind.example / "model.c", work / "vendor.cpp",
                   FIRMWARE / "board" / ("riscv.c" if board.riscv else "cortex_m.c")):
        objects.append(work / f"{source.name}.o")
        compiler, options = ("gcc", SECTIONS[:2]) if source.suffix == ".c" else (
            "g++", ["-x", "c++", "-std=gnu++20", *WARNINGS, *SECTIONS])
        execute([f"{board.prefix}{compiler}", *board.flags, *options, "-O2", *defines, "-I",
                 folder / kind.headers, "-I", work / "vendor", "-I", ROOT, "-c", source, "-o",
                 objects[-1]])
    code, text = run(board, link(board, objects, work / "classify.elf"))
    return text if code == 0 else f"exit {code}: {text}"


def build_with_cmake(kind, folder, work):
    """The example's output, with the library built from the package's sources and installed."""
    installed = work / "installed"
    execute(["cmake", "-S", folder / kind.source, "-B", work / "library", "-G", "Ninja",
             "-DCMAKE_BUILD_TYPE=Release", "-DMU8_BUILD_HOST=OFF", "-DMU8_BUILD_TESTS=OFF",
             f"-DCMAKE_INSTALL_PREFIX={installed}"])
    execute(["cmake", "--build", work / "library", "--target", "install"])
    execute(["cmake", "-S", folder / kind.example, "-B", work / "example", "-G", "Ninja",
             f"-DCMAKE_PREFIX_PATH={installed}"])
    execute(["cmake", "--build", work / "example"])
    return execute([work / "example" / "classify"])


def check_language(check, kind, folder):
    """Compiled as C++17, the header's first complaint is that."""
    done = subprocess.run(["g++", "-std=gnu++17", "-fsyntax-only", "-x", "c++",
                           folder / kind.headers / "mu8.h"], capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if "error: " in line]
    check(errors and "mu8 is C++20: -std=gnu++20" in errors[0], f"C++17: {errors[:1]}")


def check_package(check, mu8, name, folder, work):
    kind = PACKAGE.KINDS[name]
    check_contents(check, name, folder)
    expected = expected_line(mu8, work)
    if not kind.amalgamated:
        text = build_with_cmake(kind, folder, work)
    elif name in ON_BOARDS:
        text = run_on_board(name, kind, folder, work)
    else:
        text = run_on_host(kind, folder, work)
    check(text.strip() == expected, f"{name}: expected {expected!r}, got {text!r}")
    if kind.amalgamated:
        check_language(check, kind, folder)
    if name == "arduino":
        check_example_model(check, mu8, work)
    return 0


def emulated_core(hardware):
    """An Arduino core for the emulated Cortex-M4, C++17 as cores are; the memory it was linked for."""
    board = BOARDS["m4"]
    platform = hardware / "emulated" / "arm"
    core = platform / "cores" / "emulated"
    start = core / "tools" / "firmware" / "board"  # as its files include each other
    start.mkdir(parents=True)
    for name in ("cortex_m.c", "board.h", "start.h"):
        shutil.copyfile(FIRMWARE / "board" / name, start / name)
    (core / "Arduino.h").write_text(ARDUINO_H, encoding="utf-8")
    (core / "main.cpp").write_text(VENDOR["arduino"], encoding="utf-8")
    (platform / "boards.txt").write_text(
        "m4.name=Emulated Cortex-M4\nm4.build.core=emulated\nm4.upload.maximum_size=4194304\n",
        encoding="utf-8")
    flags = " ".join([*board.flags, "-O2", *SECTIONS[:2], "-DARDUINO={runtime.ide.version}"])
    files = '{includes} "{source_file}" -o "{object_file}"'
    (platform / "platform.txt").write_text(
        "name=Emulated processors\nversion=1.0.0\ncompiler.cpp.extra_flags=\n"
        f"recipe.c.o.pattern={board.prefix}gcc -c {flags} {files}\n"
        f"recipe.cpp.o.pattern={board.prefix}g++ -c {flags} -std=gnu++17 {' '.join(SECTIONS[2:])} "
        f"{{compiler.cpp.extra_flags}} {files}\n"
        f'recipe.ar.pattern={board.prefix}ar rcs "{{archive_file_path}}" "{{object_file}}"\n'
        f"recipe.c.combine.pattern={board.prefix}gcc {flags} "
        + " ".join(map(str, link_options(board)))
        + ' {object_files} "{archive_file_path}" -o "{build.path}/{build.project_name}.elf"\n',
        encoding="utf-8")


def build_with_arduino(check, folder, work, expected):
    """Arduino's own builder finds the library by its header and compiles the example; then its
    lint, where that is installed, too."""
    emulated_core(work / "hardware")
    libraries = work / "libraries"
    shutil.copytree(folder, libraries / "mu8")
    for name in ("build", "tools"):
        (work / name).mkdir()
    execute(["arduino-builder", "-compile", "-hardware", "/usr/share/arduino-builder", "-hardware",
             work / "hardware", "-tools", work / "tools", "-libraries", libraries, "-fqbn",
             "emulated:arm:m4", "-build-path", work / "build", "-prefs",
             "compiler.cpp.extra_flags=-std=gnu++20",
             libraries / "mu8" / "examples" / "Classify" / "Classify.ino"])
    _, text = run(BOARDS["m4"], work / "build" / "Classify.ino.elf")
    check(text.strip() == expected, f"expected {expected!r}, got {text!r}")
    if shutil.which("arduino-lint") is None:
        print("unchecked: arduino-lint is not installed")
        return
    execute(["arduino-lint", "--compliance", "strict", "--library-manager", "submit", folder])


def pack_cmsis(check, folder, work, expected):
    text = execute(["packchk", "--pedantic", folder / "mu8.mu8.pdsc"])
    check("Found 0 Error(s) and 0 Warning(s)" in text, text)


def create_with_conan(check, folder, work, expected):
    os.environ["CONAN_HOME"] = str(work / "conan")
    execute(["conan", "profile", "detect"])
    # Debian's headers of xsimd, and no server.
    (work / "profile").write_text("include(default)\n[settings]\ncompiler.cppstd=20\n"
                                  "[platform_requires]\nxsimd/8.1.0\n", encoding="utf-8")
    text = execute(["conan", "create", folder, "--no-remote", "--build=missing", "-pr",
                    work / "profile"])
    check(expected in text, f"expected {expected!r} in:\n{text}")


def lint_esp_idf(check, folder, work, expected):
    text = execute(["compote", "--warnings-as-errors", "manifest", "lint", folder])
    check(text.strip() == "", text)


def build_with_platformio(check, folder, work, expected):
    try:
        execute(["pio", "pkg", "pack", folder, "-o", work / "mu8.tar.gz"])
    except RuntimeError as error:
        if "Could not load SPDX licenses" not in str(error):
            raise
        # Its list of licences is on the network; all else is checked without.
        print("unchecked: the identifier of the licence, whose list PlatformIO could not load")
        manifest = folder / "library.json"
        manifest.write_text(manifest.read_text(encoding="utf-8").replace(
            '  "license": "Apache-2.0",\n', ""), encoding="utf-8")
        execute(["pio", "pkg", "pack", folder, "-o", work / "mu8.tar.gz"])
    packed = execute(["tar", "tzf", work / "mu8.tar.gz"])
    check("src/mu8.cpp" in packed and "library.json" in packed, packed)
    home = pathlib.Path(os.environ.get("PLATFORMIO_CORE_DIR", pathlib.Path.home() / ".platformio"))
    if not (home / "platforms" / "native").is_dir():
        print("unchecked: the example's build; PlatformIO's platform native is not installed")
        return
    project = folder / "examples" / "classify"
    execute(["pio", "run", "-d", project])
    text = execute([project / ".pio" / "build" / "native" / "program"])
    check(text.strip() == expected, f"expected {expected!r}, got {text!r}")


def install_with_vcpkg(check, folder, work, expected):
    root = os.environ["VCPKG_ROOT"]
    example = folder / "example"
    execute(["cmake", "-S", example, "-B", work / "example", "-G", "Ninja",
             f"-DCMAKE_TOOLCHAIN_FILE={root}/scripts/buildsystems/vcpkg.cmake"])
    execute(["cmake", "--build", work / "example"])
    text = execute([work / "example" / "classify"])
    check(text.strip() == expected, f"expected {expected!r}, got {text!r}")


def build_with_zephyr(check, folder, work, expected):
    """Its script for modules; then the sample, where a toolchain is named."""
    base = os.environ["ZEPHYR_BASE"]
    execute(["python3", f"{base}/scripts/zephyr_module.py", "-z", base, "-m", folder, "--cmake-out",
             work / "modules.txt", "--kconfig-out", work / "Kconfig"])
    check(f'"mu8":"{folder}":"{folder}/zephyr"' in (work / "modules.txt").read_text(encoding="utf-8"),
          "zephyr_module.py takes it for a module")
    if "ZEPHYR_TOOLCHAIN_VARIANT" not in os.environ:
        print("unchecked: the sample's build; ZEPHYR_TOOLCHAIN_VARIANT is not set")
        return
    # ZEPHYR_MODULES: those that the board needs, outside of a west workspace.
    others = os.environ.get("ZEPHYR_MODULES")
    modules = f"MODULES={others};{folder}" if others else f"EXTRA_MODULES={folder}"
    execute(["cmake", "-S", folder / "samples" / "classify", "-B", work / "zephyr", "-G", "Ninja",
             "-DBOARD=qemu_cortex_m3", f"-DZEPHYR_{modules}"])
    execute(["cmake", "--build", work / "zephyr"])
    machine = ["-cpu", "cortex-m3", "-machine", "lm3s6965evb", "-display", "none", "-serial", "stdio"]
    with subprocess.Popen(["qemu-system-arm", *machine, "-kernel", work / "zephyr/zephyr/zephyr.elf"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as emulator:
        lines = [emulator.stdout.readline().strip() for _ in range(2)]  # it goes on for ever
        emulator.kill()
    check(lines[1] == expected, f"expected {expected!r}, got {lines}")


# The checker, and the variable that says where its ecosystem is.
CHECKERS = {
    "arduino": (build_with_arduino, "arduino-builder", None),
    "cmsis": (pack_cmsis, "packchk", None),
    "conan": (create_with_conan, "conan", None),
    "esp-idf": (lint_esp_idf, "compote", None),
    "platformio": (build_with_platformio, "pio", None),
    "vcpkg": (install_with_vcpkg, "vcpkg", "VCPKG_ROOT"),
    "zephyr": (build_with_zephyr, "cmake", "ZEPHYR_BASE"),
}


def main():
    if len(sys.argv) < 3 or sys.argv[2] not in CHECKERS or sys.argv[3:] not in ([], ["checker"]):
        print(__doc__)
        return 2
    mu8, name = Mu8(pathlib.Path(sys.argv[1]).resolve()), sys.argv[2]
    checker, tool, variable = CHECKERS[name]
    by_checker = sys.argv[3:] == ["checker"]
    if by_checker and shutil.which(tool) is None:
        print(f"skipped: {tool} is not installed (tools/packages/README.md)")
        return SKIPPED
    if by_checker and variable is not None and variable not in os.environ:
        print(f"skipped: {variable} is not set")
        return SKIPPED
    if not by_checker and name in ON_BOARDS:
        tool = BOARDS[ON_BOARDS[name]].missing()
        if tool is not None:
            print(f"skipped: {tool} is not installed (tools/setup devices)")
            return SKIPPED
    check = Checks()
    with tempfile.TemporaryDirectory() as holder:
        folder, work = pathlib.Path(holder) / "package", pathlib.Path(holder) / "work"
        work.mkdir()
        execute([ROOT / "tools" / "package", name, folder])
        if by_checker:
            checker(check, folder, work, expected_line(mu8, work))
        else:
            check_package(check, mu8, name, folder, work)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
