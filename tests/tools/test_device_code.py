"""tools/check_device_code: what it finds in code that breaks its rules, and that the device code keeps them.

usage: test_device_code.py
"""

import importlib.machinery
import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "check_device_code"
LOADER = importlib.machinery.SourceFileLoader("check_device_code", str(TOOL))
check_device_code = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_device_code", LOADER))
sys.dont_write_bytecode = True
LOADER.exec_module(check_device_code)

SOURCE = """
extern "C" void Use(volatile char*);
int Odd(int n);
[[gnu::noinline]] int Even(int n) { volatile char a[100]; Use(a); return n == 0 ? 1 : Odd(n - 1) + 1; }
[[gnu::noinline]] int Odd(int n) { volatile char a[50]; Use(a); return n == 0 ? 0 : Even(n - 1) + 1; }
int Dynamic(int n) { char a[n]; Use(a); return a[0]; }
int Pointer(int (*unknown)(int)) { return unknown(3) + 1; }
[[gnu::noinline]] int Leaf() { volatile char a[1000]; Use(a); return a[3]; }
int Root() { volatile char a[200]; Use(a); return Leaf() + a[7]; }
"""


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "bad.cpp"
            source.write_text(SOURCE)
            subprocess.run(["g++", "-O1", "-fno-optimize-sibling-calls", "-w", "-fcallgraph-info=su", "-c", source],
                           cwd=folder, check=True)
            cls.graph = check_device_code.Graph()
            (unit,) = pathlib.Path(folder).glob("*.ci")
            cls.graph.read(unit)
            cls.graph.resolve()
            cls.stack = cls.graph.deepest()

    def find(self, text):
        return [fault for fault in self.graph.faults if text in fault]

    def test_recursion(self):
        (fault,) = self.find("recursion")
        self.assertIn("Even", fault)
        self.assertIn("Odd", fault)

    def test_dynamic_frame(self):
        (fault,) = self.find("not constant")
        self.assertRegex(fault, r"bad\.cpp:6:.*Dynamic")

    def test_unknown_pointer(self):
        (fault,) = self.find("through a pointer")
        self.assertIn("bad.cpp:7", fault)

    def test_depth(self):
        leaf, root = (self.stack[name][0] for name in ("_Z4Leafv", "_Z4Rootv"))
        self.assertGreaterEqual(leaf, 1000)
        self.assertGreaterEqual(root, leaf + 200)

    def test_loops(self):
        for line in ("while (n) {", "  do {", "for (;;) {", "for (int i = 0; i < n;) {", "  while (n) --n;"):
            self.assertRegex(line, check_device_code.LOOP)
        for line in ("for (int i = 0; i < n; ++i) {", "} while (n);", "// while (n) {"):
            self.assertNotRegex(line, check_device_code.LOOP)


class DeviceCode(unittest.TestCase):
    def test_it_keeps_the_rules(self):
        done = subprocess.run([TOOL], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        functions = int(re.search(r"(\d+) functions", done.stdout)[1])
        loops = int(re.search(r"(\d+) loops", done.stdout)[1])
        self.assertGreater(functions, 400)
        self.assertGreater(loops, 30)
        self.assertRegex(done.stdout, r"\| mu8_predict_u8 \| [0-9],\d{3} \| .*RunLayers.*DrawLane")


if __name__ == "__main__":
    if shutil.which("arm-none-eabi-g++") is None:
        print("skipped: arm-none-eabi-g++ is missing (tools/setup test)")
        sys.exit(77)
    unittest.main()
