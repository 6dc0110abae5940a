"""Compiles the device sources for a target as someone does who has a build system of their own: with
the sources, include folders, definitions and instruction sets that CMake's lists have, and no other
option of ours.
"""

import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
FREESTANDING = ROOT / "tools" / "toolchains" / "freestanding"
# ccache, if the environment asks for it.
LAUNCHER = shlex.split(os.environ.get("CMAKE_CXX_COMPILER_LAUNCHER", ""))
POOL = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1)
TIMEOUT = 600  # seconds, of one command


class Failed(RuntimeError):
    """A command ended with an error; the text has it and its output."""


def execute(command, folder=ROOT):
    """Its output; raises Failed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, text=True, stdout=subprocess.PIPE, timeout=TIMEOUT,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise Failed(f"{shlex.join(words)}: exit {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def includes(tree=ROOT):
    """The folders in which our headers are found."""
    return ["-I", tree, "-I", tree / "engine" / "include"]


def plain_flags(command):
    """Of a compiler's command of CMake: what says which code is meant, for which processor."""
    kept = []
    words = iter(shlex.split(command)[1:])
    for word in words:
        if word == "-o":
            break
        if word in ("-isystem", "-idirafter"):
            kept += [word, next(words)]
        elif word.startswith(("-m", "-D", "--specs")) and word not in ("-DNDEBUG", "-MD"):
            kept.append(word)
    return kept


def device_sources(folder, toolchain=None, options=()):
    """{source: flags} of libmu8.a, as CMake has it for the toolchain file. `folder` is for CMake."""
    chosen = [] if toolchain is None else [
        "--toolchain", ROOT / "tools" / "toolchains" / f"{toolchain}.cmake"]
    execute(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *chosen, "-DCMAKE_BUILD_TYPE=Release",
             "-DMU8_BUILD_HOST=OFF", "-DMU8_BUILD_TESTS=OFF", "-DCMAKE_C_COMPILER_WORKS=ON",
             "-DCMAKE_CXX_COMPILER_WORKS=ON", *options])
    commands = json.loads((folder / "compile_commands.json").read_text(encoding="utf-8"))
    return {pathlib.Path(entry["file"]): plain_flags(entry["command"]) for entry in commands}


def compile_later(compiler, source, output, flags):
    """A future of the object file."""
    output.parent.mkdir(parents=True, exist_ok=True)

    def work():
        execute([*LAUNCHER, *compiler, *flags, "-c", source, "-o", output])
        return output

    return POOL.submit(work)


def compile_all(compiler, sources, folder, flags=(), tree=ROOT):
    """{source: object}; `sources` maps each to flags of its own. Raises Failed."""
    futures = {}
    for i, (source, own) in enumerate(sources.items()):
        standard = ["-std=c++20"] if source.suffix == ".cpp" else []
        futures[source] = compile_later(compiler, source, folder / f"{i}_{source.stem}.o",
                                        [*standard, *flags, *own, *includes(tree)])
    return {source: future.result() for source, future in futures.items()}
