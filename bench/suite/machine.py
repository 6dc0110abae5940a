"""What a figure of time depends on, and whether this machine can give any."""

import os
import pathlib
import platform
import subprocess
import time

# The instruction sets that a kernel table or a peer chooses by.
FLAGS = ("avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "amx_int8",
         "asimddp", "i8mm")
PACKAGES = ("libdnnl2", "libxnnpack0", "libbenchmark1debian", "libbenchmark1", "python3-torch")
COARSEST_CLOCK = 1e-5  # seconds


class Refused(Exception):
    """This machine cannot measure what was asked for."""


def output_of(command, folder=None):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def read(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def check_clock(now=time.perf_counter_ns, reads=20000):
    """The clock's smallest step in seconds; Refused if it is too coarse or runs backwards."""
    steps = []
    last = now()
    for _ in range(reads):
        value = now()
        if value < last:
            raise Refused("the clock ran backwards: no time measured here would mean anything")
        if value > last:
            steps.append(value - last)
        last = value
    if not steps or min(steps) * 1e-9 > COARSEST_CLOCK:
        found = f"{min(steps) * 1e-9:.1e} s" if steps else "it stands still"
        raise Refused(f"the clock is too coarse: its smallest step is {found}, expected at most "
                      f"{COARSEST_CLOCK:.0e} s")
    return min(steps) * 1e-9


def pin(cpu):
    """Runs this process and what it starts on one core, the last allowed one if `cpu` is None."""
    if not hasattr(os, "sched_setaffinity"):
        raise Refused("this system cannot pin a process to a core: tools/bench needs Linux")
    allowed = sorted(os.sched_getaffinity(0))
    if cpu is None:
        cpu = allowed[-1]
    if cpu not in allowed:
        raise Refused(f"--cpu {cpu}: this core is not available, expected one of "
                      f"{', '.join(map(str, allowed))}")
    os.sched_setaffinity(0, {cpu})
    if os.sched_getaffinity(0) != {cpu}:
        raise Refused(f"--cpu {cpu}: the system did not pin this process")
    return cpu


def cpu_fields():
    """The first processor's fields of /proc/cpuinfo."""
    first = read("/proc/cpuinfo").split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def compiler(build):
    """What the build folder's cache names, as it calls itself."""
    for line in read(build / "CMakeCache.txt").splitlines():
        if line.startswith("CMAKE_CXX_COMPILER:"):
            return output_of([line.split("=", 1)[1], "--version"]).split("\n")[0]
    return ""


def package_versions():
    found = {}
    for name in PACKAGES:
        version = output_of(["dpkg-query", "-W", "-f", "${Version}", name])
        if version:
            found[name] = version
    return found


def describe(root, build, cpu, clock_step):
    fields = cpu_fields()
    flags = set((fields.get("flags") or fields.get("Features", "")).split())
    cpu_folder = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}")
    caches = []
    for index in sorted((cpu_folder / "cache").glob("index*")):
        if read(index / "type") != "Instruction":
            caches.append(f"L{read(index / 'level')} {read(index / 'size')}")
    return {
        "cpu": fields.get("model name", platform.machine()),
        "family": fields.get("cpu family", ""), "model": fields.get("model", ""),
        "flags": [flag for flag in FLAGS if flag in flags],
        "virtual": "hypervisor" in flags, "cores": os.cpu_count(), "caches": caches,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "clock_source": read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "clock_step_seconds": clock_step,
        "governor": read(cpu_folder / "cpufreq/scaling_governor"),
        "compiler": compiler(build), "packages": package_versions(),
        "source": output_of(["git", "describe", "--always", "--dirty"], root),
        "pinned_cpu": cpu, "load_before": list(os.getloadavg()),
    }
