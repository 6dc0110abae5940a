"""A newcomer's firmware: the commands of docs/DEVICES.md, as they stand there, from the model that
tools/demo converts to a program on an emulated Cortex-M4; then the same program for other boards.

    /usr/bin/python3 tests/end_to_end/test_firmware.py MU8 BOARD...

BOARD: document (the document's own commands, on m4), m55, rv32imac, ... The first two commands of the
document install and build what the test already runs on; in their place are MU8 and a model
converted as tools/demo does. Prints each failure and "N passed, N failed"; exits 1 if anything
failed, 77 where the compiler or the emulator is not installed (tools/setup devices).
"""

import pathlib
import re
import subprocess
import sys
import tempfile

from bare_metal import BOARDS, ROOT, execute
from mu8_command import Checks, Mu8

SKIPPED = 77
DATA = ROOT / "tests" / "data"
MOST_COMMANDS = 5
# What the first commands have to be, and to leave: not repeated here.
PREPARATION = ["tools/setup devices", "tools/demo"]
PICTURES = {"digit 7": DATA / "mnist" / "digits-images-idx3-ubyte.gz#0",
            "digit 2": DATA / "mnist" / "digits-images-idx3-ubyte.gz#1",
            "shirt": DATA / "mnist" / "fashion-images-idx3-ubyte.gz#4"}


def document_commands():
    """The commands of the document's first block of shell."""
    text = (ROOT / "docs" / "DEVICES.md").read_text(encoding="utf-8")
    block = re.search(r"```sh\n(.*?)```", text, re.DOTALL).group(1)
    return [line.split("#")[0].strip() for line in block.replace("\\\n", " ").splitlines()]


def expected_lines(mu8, model):
    """What the program has to print of each picture: the host's own prediction."""
    lines = []
    for name, picture in PICTURES.items():
        found = mu8.run("predict", model, picture)["predictions"][0]
        probability = max(found["mean"])
        lines.append((name, found["label"], probability, found["predictive_entropy"],
                      found["mutual_information"]))
    return lines


def check_output(check, board, text, expected, arena):
    """Labels as they are, numbers to the four decimals that are printed."""
    for name, label, *numbers in expected:
        match = re.search(rf"^{name}: class {label}, p = (\d+\.\d+), predictive entropy (\d+\.\d+), "
                          r"mutual information (\d+\.\d+)\r?$", text, re.MULTILINE)
        check(match and all(abs(float(found) - number) < 1e-4
                            for found, number in zip(match.groups(), numbers)),
              f"{board}: {name}: expected class {label}, {numbers} in:\n{text}")
    check(f", arena {arena} bytes" in text, f"{board}: expected an arena of {arena} bytes:\n{text}")


def run_document(commands, folder, mu8_program):
    """The output of the last command; each runs in a folder with the tree's parts that it names."""
    (folder / "build" / "release").mkdir(parents=True)
    (folder / "build" / "release" / "mu8").symlink_to(mu8_program)
    for part in ("tools", "CMakeLists.txt", "formats", "kernels", "engine"):
        (folder / part).symlink_to(ROOT / part)
    for command in commands:
        text = execute(["bash", "-c", command], folder)
    return text


def on_board(name, folder):
    """The same program for another processor, by the document's own way."""
    board = BOARDS[name]
    build = folder / name
    execute(["cmake", "-S", ROOT / "tools" / "firmware" / "digits", "-B", build, "-G", "Ninja",
             "--toolchain", ROOT / "tools" / "toolchains" / f"{board.toolchain}.cmake",
             f"-DMODEL={folder / 'build' / 'model'}", *board.options])
    return execute(["cmake", "--build", build, "--target", "run"])


def main():
    if len(sys.argv) < 3:
        print(__doc__)
        return 2
    program = pathlib.Path(sys.argv[1]).resolve()
    for name in sys.argv[2:]:
        tool = BOARDS["m4" if name == "document" else name].missing()
        if tool is not None:
            print(f"skipped: {tool} is not installed (tools/setup devices)")
            return SKIPPED
    check, mu8 = Checks(), Mu8(program)
    commands = document_commands()
    check(len(commands) <= MOST_COMMANDS, f"{len(commands)} commands: {commands}")
    check(commands[:2] == PREPARATION, f"the document begins with {commands[:2]}")
    with tempfile.TemporaryDirectory() as holder:
        folder = pathlib.Path(holder)
        model = folder / "build" / "demo" / "lenet5_sigma4.mu8"
        model.parent.mkdir(parents=True)
        subprocess.run([program, "convert", "--model", DATA / "lenet5_mnist.onnx", "--posterior",
                        DATA / "lenet5_mnist.npz", "--calibration",
                        DATA / "mnist" / "calibration-images-idx3-ubyte.gz", "--sigma-bits", "4",
                        "-o", model], stdout=subprocess.DEVNULL, check=True)
        arena = mu8.run("embed", model, "--name", "model", "-o", model.parents[1] / "model")
        expected = expected_lines(mu8, model)
        for name in sys.argv[2:]:
            text = (run_document(commands[2:], folder, program) if name == "document"
                    else on_board(name, folder))
            check_output(check, name, text, expected, arena["arena_bytes"])
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
