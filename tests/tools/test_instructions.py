#!/usr/bin/env python3
"""Tests of bench/instructions: which loops cycles.py finds in a disassembly with counts, and what it
gives to llvm-mca; no processor's figures are asserted, but those that cannot be otherwise. What `beside`
makes of the pages beside peers, and that the committed ones are up to date.

    /usr/bin/python3 tests/tools/test_instructions.py
"""

import importlib.machinery
import importlib.util
import pathlib
import shutil
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "instructions"))

import cycles  # noqa: E402

LOADER = importlib.machinery.SourceFileLoader("beside", str(ROOT / "bench/instructions/beside"))
beside = importlib.util.module_from_spec(importlib.util.spec_from_loader("beside", LOADER))
LOADER.exec_module(beside)
RESULTS = """
| processor | kernels | compiler | MAC | weight | LeNet-5 | ResNet-20 |
|---|---|---|---|---|---|---|
| m4 | armdsp | g++ 12.2.1 -O2 | 9 / 9 / 9 | 9 / 9 / 9 | 9 | 9 |
| m4 | armdsp | g++ 12.2.1 -O3 | 1.20 / 1.10 / 0.500 | 16.0 / 16.0 / 16.0 | 1.80 | 50.00 |
| aarch64 | neondot | g++ 12.2.0 -O3 | neoverse-n1 | N1 | 0.1 (80%) / 0.2 (87%) / 0.3 (93%) | 1 / 1 / 1 |
"""
PAGE = """
| processor | channels, pixels | Peer | mu8 | mu8 / Peer | mu8, drawn | mu8, drawn / Peer |
|---|---|---|---|---|---|---|
| Cortex-M4 | 64, 8 x 8 | 1.00 | | | | |

| processor | network | Peer | mu8's pass | mu8's pass / Peer |
|---|---|---|---|---|
| Cortex-M4 | ResNet-20 | 100 | 7 | 7 |
| Neoverse N1 | 32, 16 x 16 | 0.1 | | |
"""

# An outer loop (10..24), an inner one with a rare path (14..1c), and a loop that calls (30..34).
DISASSEMBLY = """
layer.elf:	file format elf32-littlearm

00000010 <Convolve>:
      10:      	movs	r2, #0x10
      14:      	smlad	r0, r1, r2, r0
      16:      	bne	0x1a <Convolve+0xa>     @ imm = #0x0
      18:      	nop
      1a:      	subs	r2, #0x1
      1c:      	bne.w	0x14 <Convolve+0x4>     @ imm = #-0xc
      20:      	subs	r3, #0x1
      24:      	bgt	0x10 <Convolve>         @ imm = #-0x18
      28:      	bx	lr
      30:      	bl	0x10 <Convolve>         @ imm = #-0x24
      34:      	b	0x30 <Convolve+0x20>    @ imm = #-0x8
      38:      	le	lr, 0x38 <Convolve+0x28> @ imm = #-0x4
"""
COUNTS = {0x10: 5, 0x14: 80, 0x16: 80, 0x18: 2, 0x1a: 80, 0x1c: 80, 0x20: 5, 0x24: 5, 0x28: 1,
          0x30: 3, 0x34: 3}


class Loops(unittest.TestCase):
    def setUp(self):
        self.instructions = cycles.parse(DISASSEMBLY)

    def test_lines_are_addresses_and_instructions(self):
        self.assertEqual(len(self.instructions), 12)
        self.assertEqual(self.instructions[0], (0x10, "movs\tr2, #0x10"))
        self.assertEqual(self.instructions[5], (0x1c, "bne.w\t0x14 <Convolve+0x4>"))

    def test_branches_back(self):
        for text, target in (("b.ne\t0x8 <F>", 8), ("cbnz\tw0, 0x8 <F>", 8), ("b\t0x8 <F>", 8),
                             ("tbnz\tw0, #0x3, 0x8 <F>", 8), ("le\tlr, 0x8 <F>", 8),
                             ("letp\tlr, 0x8 <F>", 8), ("bhs\t0x8 <F>", 8), ("b\t0x18 <F>", None),
                             ("bl\t0x8 <F>", None), ("bic\tr0, r0, #0x8", None),
                             ("ldr\tq0, 0x8 <F>", None)):
            self.assertEqual(cycles.back(0x10, text), target, text)

    def test_the_innermost_loop_without_what_is_rare(self):
        loops = cycles.innermost_loops(self.instructions, COUNTS)
        self.assertEqual(loops, [(80, ["smlad\tr0, r1, r2, r0", "bne\t0x1a <Convolve+0xa>",
                                       "subs\tr2, #0x1", "bne.w\t0x14 <Convolve+0x4>"], 320)])

    def test_loops_that_do_not_run_are_none(self):
        self.assertEqual(cycles.innermost_loops(self.instructions, {0x10: 1, 0x28: 1}), [])


@unittest.skipUnless(shutil.which(cycles.MCA), f"{cycles.MCA} is not installed (tools/setup devices)")
class Estimates(unittest.TestCase):
    def test_every_processor_is_known(self):
        for names in cycles.PROCESSORS.values():
            for name in names:
                self.assertNotEqual(cycles.Estimator(name).model, "")

    def test_a_chain_takes_its_latency_and_a_nop_one_cycle(self):
        estimator = cycles.Estimator("cortex-m4")
        self.assertEqual(estimator.model, "M4")
        self.assertAlmostEqual(estimator.run_mca(["nop"] * 4)[0], 4, delta=0.1)
        divide = ["udiv\tr0, r0, r1"]
        self.assertGreater(estimator.run_mca(divide)[0], estimator.run_mca(["nop"])[0])

    def test_the_ends_of_loops_are_free(self):
        estimator = cycles.Estimator("cortex-m55")
        body = ["vadd.i32\tq0, q1, q2"] * 4
        self.assertAlmostEqual(estimator.run_mca(body)[0],
                               estimator.run_mca([*body, "le\tlr, 0x10 <F>"])[0], delta=0.1)

    def test_an_instruction_that_is_unknown_is_an_error(self):
        for text in ("no such instruction", "vadd.i32\tq0, q1, q2"):
            with self.assertRaises(cycles.NoModel):
                cycles.Estimator("cortex-m4").run_mca([text])


class Beside(unittest.TestCase):
    def test_the_figures_of_a_page(self):
        page = beside.update(PAGE, beside.read_figures(RESULTS))
        self.assertIn("| Cortex-M4 | 64, 8 x 8 | 1.00 | 0.500 | 0.50 | 0.750 | 0.75 |\n", page)
        self.assertIn("| Cortex-M4 | ResNet-20 | 100 | 50.00 | 0.50 |\n", page)
        self.assertIn("| Neoverse N1 | 32, 16 x 16 | 0.1 | 0.200 | 2.00 |\n", page)

    def test_the_committed_pages_are_up_to_date(self):
        results = (beside.RESULTS / "instructions.md").read_text(encoding="utf-8")
        figures = beside.read_figures(results)
        for name in beside.PAGES:
            page = (beside.RESULTS / name).read_text(encoding="utf-8")
            self.assertEqual(page, beside.update(page, figures), "run bench/instructions/beside")


if __name__ == "__main__":
    unittest.main()
