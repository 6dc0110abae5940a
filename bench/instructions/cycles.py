"""Estimates of cycles by llvm-mca, from what QEMU has counted: llvm-mca knows the units, latencies and
order of a processor's instructions, but neither caches nor mispredicted branches.

    for name in PROCESSORS.get("m4:armdsp", ()):
        estimator = Estimator(name)
        cycles_per_instruction, share = estimator.estimate(elf, counts)

counts: {address: executions}. The innermost loops that ran are found (a branch back, none between) and
each is given to llvm-mca as a loop without end. What they take per instruction stands for the rest of
the program, too; `share` of it is within them.
"""

import bisect
import re
import subprocess

MCA, OBJDUMP = "llvm-mca-19", "llvm-objdump-19"  # 14 has no model of Cortex-M55 and Neoverse N1
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S.*?)\s*(?://.*|@.*)?$")
TARGET = re.compile(r"0x([0-9a-f]+) <[^>]*>$")
BRANCH = re.compile(r"(b(\.?(eq|ne|hs|lo|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le))?|[ct]bn?z|le(tp)?)"
                    r"(\.[nw])?\s")
CALL = re.compile(r"bl[rx]?\s")
# Of no unit's time, or of next to none, and not in all models: IT, and the ends of Cortex-M55's loops.
FREE = re.compile(r"it[te]*|le(tp)?")
# Which processors run what `count` counts; where llvm-mca has no model of a
# processor it takes another's, which `model` of the estimator names.
PROCESSORS = {
    "aarch64:neon": ("cortex-a53", "cortex-a72"),
    "aarch64:neondot": ("cortex-a55", "cortex-a76", "neoverse-n1"),
    "aarch64:neoni8mm": ("neoverse-n2",),
    "m33:armdsp": ("cortex-m33",),
    "m4:armdsp": ("cortex-m4",),
    "m7:armdsp": ("cortex-m7",),
    "m55:helium": ("cortex-m55",),
}
TRIPLES = {"cortex-m4": "thumbv7em", "cortex-m7": "thumbv7em", "cortex-m33": "thumbv8m.main",
           "cortex-m55": "thumbv8.1m.main"}
ITERATIONS = 1000
LEAST_SHARE = 0.01  # of all instructions; loops with less are left out


class NoModel(Exception):
    """llvm-mca does not know the processor or one of the instructions."""


def parse(text):
    """[(address, instruction)] of llvm-objdump's output, in order."""
    lines = (LINE.match(line) for line in text.splitlines())
    return [(int(match[1], 16), match[2]) for match in lines if match]


def back(address, instruction):
    """Where a branch back goes; None of anything else."""
    if not BRANCH.match(instruction + " "):
        return None
    match = TARGET.search(instruction)
    return int(match[1], 16) if match and int(match[1], 16) <= address else None


def innermost_loops(instructions, counts):
    """[(iterations, [instruction], executed)] of the loops that ran. Instructions that most
    iterations jump over are not in a loop's list."""
    addresses = [address for address, _ in instructions]
    spans = {(bisect.bisect_left(addresses, start), end)
             for end, each in enumerate(instructions) if each[0] in counts
             for start in [back(*each)] if start in counts}
    loops, taken = [], set()
    # An outer loop is longer than what it holds.
    for first, last in sorted(spans, key=lambda span: (span[1] - span[0], span)):
        iterations = counts[addresses[last]]
        body = [instructions[i] for i in range(first, last + 1)
                if 2 * counts.get(addresses[i], 0) >= iterations]
        if taken.isdisjoint(range(first, last + 1)) and not any(CALL.match(text) for _, text in body):
            loops.append((iterations, [text for _, text in body],
                          sum(counts[address] for address, _ in body)))
        taken.update(range(first, last + 1))
    return loops


class Estimator:
    """llvm-mca and llvm-objdump for one processor."""

    def __init__(self, processor):
        self.processor, self.triple = processor, TRIPLES.get(processor, "aarch64")
        self.model = self.run_mca(["nop"])[1]

    def run_mca(self, loop):
        """(cycles an iteration, whose model that is)"""
        source = "".join(TARGET.sub("target", text) + "\n" for text in loop)
        done = subprocess.run(
            [MCA, f"-mtriple={self.triple}", f"-mcpu={self.processor}",
             f"-iterations={ITERATIONS}", "-skip-unsupported-instructions=lack-sched"],
            input=source, text=True, capture_output=True, check=False)
        cycles = re.search(r"^Total Cycles:\s+(\d+)$", done.stdout, re.MULTILINE)
        units = re.search(r"^Resources:\n\[\S+\s+- (\w+?)Unit", done.stdout, re.MULTILINE)
        skipped = re.findall(r"^note: instruction:\s+(\S+)", done.stderr, re.MULTILINE)
        if done.returncode or not cycles or not units or not all(map(FREE.fullmatch, skipped)):
            raise NoModel(f"{MCA}, {self.processor}: {done.stderr.strip()}")
        return int(cycles[1]) / ITERATIONS, units[1].removeprefix("Cortex")

    def disassemble(self, elf):
        return parse(subprocess.run(
            [OBJDUMP, "-d", "--no-show-raw-insn", f"--triple={self.triple}",
             f"--mcpu={self.processor}", elf], text=True, capture_output=True, check=True).stdout)

    def estimate(self, elf, counts):
        """(cycles per instruction, the loops' share of all that were executed)"""
        whole = sum(counts.values())
        cycles = executed = 0
        for iterations, loop, count in innermost_loops(self.disassemble(elf), counts):
            if count >= LEAST_SHARE * whole:
                cycles += iterations * self.run_mca(loop)[0]
                executed += count
        if executed == 0:
            raise NoModel(f"{elf}: no loop was found")
        return cycles / executed, executed / whole


def version():
    """llvm-mca's, as "llvm-mca 19.1.7"."""
    text = subprocess.run([MCA, "--version"], text=True, capture_output=True, check=True).stdout
    return "llvm-mca " + re.search(r"version (\S+)", text)[1]
