"""The `mu8` command for the end-to-end tests: runs it, reads its JSON, counts checks."""

import json
import subprocess


class Checks:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def __call__(self, good, what):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {what}")

    def end(self):
        """Prints the counts; returns the exit code."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


class Mu8:
    def __init__(self, program):
        self.program = program

    def run(self, *arguments):
        """stdout as JSON; raises with stderr if the command fails."""
        command = [self.program, *map(str, arguments), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
        return json.loads(done.stdout)

    def runnable_kernels(self, model):
        """Kernel sets of this machine; the others are refused."""
        found = ["scalar"]
        for name in ("portable", "avx2", "avxvnni", "avx512vnni", "avx512vbmi", "neon", "neondot",
                     "neoni8mm"):
            try:
                self.run("bench", model, "--samples", 1, "--kernels", name)
                found.append(name)
            except RuntimeError:
                pass
        return found
