#!/usr/bin/env python3
"""Tests of tools/mutation: which changes it makes of a source, and what it says of them.
Run: python3 tests/tools/test_mutation.py"""

import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from mutation import record  # noqa: E402
from mutation.mutants import mutants_of  # noqa: E402
from mutation.strata import STRATA  # noqa: E402

SOURCE = """// 1 + 2 < 3
#include <span>
template <int N = 3>
int F(const std::span<const int> a, int* b) {
  std::puts("4 - 5");
  if (a[0] < 7 && b != nullptr) return 2;
  b[1] = a[0] << 3;
  b[1] = a[0] << 3;
  return static_cast<int>(0.5F);
}
"""


def changes(text: str) -> set[tuple[int, str]]:
    """(line, change) of all mutants."""
    return {(m.line, m.change) for m in mutants_of("f.cpp", text)}


class Mutants(unittest.TestCase):
    def test_every_kind_and_nothing_else(self):
        self.assertEqual(changes(SOURCE), {
            (5, 'std::puts("4 - 5"); -> ;'),
            *((8, change) for line, change in changes(SOURCE) if line == 7),
            (6, "< -> <="), (6, "< -> >="), (6, "&& -> ||"), (6, "!= -> =="),
            (6, "0 -> 1"), (6, "7 -> 8"), (6, "7 -> 6"),
            (6, "(a[0] < 7 && b != nullptr) -> (!(a[0] < 7 && b != nullptr))"),
            (6, "return 2; -> return {};"), (6, "2 -> 3"), (6, "2 -> 1"),
            (7, "b[1] = a[0] << 3; -> ;"), (7, "<< -> >>"), (7, "1 -> 2"), (7, "1 -> 0"),
            (7, "0 -> 1"), (7, "3 -> 4"), (7, "3 -> 2"),
            (9, "return static_cast<int>(0.5F); -> return {};"), (9, "0.5F -> 1.5F")})

    def test_applies_where_it_says(self):
        mutant = next(m for m in mutants_of("f.cpp", SOURCE) if m.change == "<< -> >>")
        self.assertEqual(mutant.apply(SOURCE), SOURCE.replace("a[0] << 3", "a[0] >> 3", 1))
        for mutant in mutants_of("f.cpp", SOURCE):
            self.assertNotEqual(mutant.apply(SOURCE), SOURCE)

    def test_key_stays_when_other_lines_change(self):
        keys = [m.key for m in mutants_of("f.cpp", SOURCE)]
        self.assertEqual(len(set(keys)), len(keys))
        self.assertEqual([m.key for m in mutants_of("f.cpp", "// more\n" + SOURCE)], keys)

    def test_strata_have_sources_and_more_mutants_than_are_tried(self):
        self.assertGreaterEqual(sum(s.mutants for s in STRATA), 300)
        for stratum in STRATA:
            made = 0
            for path, users in stratum.sources.items():
                made += len(mutants_of(path, (ROOT / path).read_text()))
                for user in users:
                    self.assertTrue((ROOT / user).is_file(), user)
            self.assertGreater(made, stratum.mutants, stratum.name)


class Record(unittest.TestCase):
    def test_table_is_read_as_written(self):
        mutants = mutants_of("f.cpp", SOURCE)
        results = [record.result_of("part", m, "killed", 'a "test", or two') for m in mutants]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            self.assertEqual(record.read(path), [])
            record.write(path, results)
            self.assertEqual(record.read(path), results)
        self.assertEqual([r.key for r in results], [m.key for m in mutants])

    def test_wilson(self):
        low, high = record.wilson(85, 100)  # Newcombe 1998 has the formula; these by hand
        self.assertAlmostEqual(low, 0.7672, 4)
        self.assertAlmostEqual(high, 0.9069, 4)

    def test_page_counts_and_lists(self):
        outcomes = ["killed", "killed", "survived", "equivalent", "not compiled"]
        results = [record.result_of("part", m, outcome, "why")
                   for m, outcome in zip(mutants_of("f.cpp", SOURCE), outcomes)]
        page = record.page(results, "# Title")
        self.assertIn("| part | 4 | 2 | 1 | 1 | 66.7 % (20.8 to 93.9) |", page)
        survivors, equivalent = page.split("## Survivors")[1].split("## Equivalent")
        self.assertEqual(survivors.count("f.cpp:"), 1)
        self.assertEqual(equivalent.count("f.cpp:"), 1)


if __name__ == "__main__":
    unittest.main()
