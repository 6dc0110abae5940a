#!/usr/bin/env python3
"""Tests of the documents: every link and name leads somewhere, and what pages say of the tree, holds.

    /usr/bin/python3 tests/tools/test_documents.py
"""

import importlib.machinery
import importlib.util
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_README_LINES = 125

GOOD = """# A page

## Its `second` part: one, two
A [file](src/a.cpp), [this part](#its-second-part-one-two), [the net](https://example.org/no/such),
a [link that
breaks](src/a.cpp), `src/a.cpp:12`, `src/*.cpp`, `src/<isa>/b.h`, `src/{a.cpp,x}`, `src/a`, `a.cpp`,
`build/release/mu8`, `--data src/a.cpp`, `no [link](at-all.md)`.

```sh
src/a.cpp --help   # a command
```
"""


def load(command):
    """A command of tools/ as a module."""
    loader = importlib.machinery.SourceFileLoader(command, str(ROOT / "tools" / command))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(command, loader))
    loader.exec_module(module)
    return module


def check_links(root):
    """Exit status and lines of output."""
    done = subprocess.run([ROOT / "tools" / "check_links", root], capture_output=True, text=True,
                          check=False)
    return done.returncode, (done.stdout + done.stderr).splitlines()


class Links(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = pathlib.Path(holder.name)
        subprocess.run(["git", "init", "-q", self.root], check=True)
        for name, text in (("src/a.cpp", "// See a.cpp and src/avx2/b.h.\n"), ("src/avx2/b.h", ""),
                           ("page.md", GOOD)):
            self.write(name, text)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def dead(self, text, name="other.md"):
        """What is found on a page of this text, without the place of the page and the summary."""
        self.write(name, text)
        status, lines = check_links(self.root)
        self.assertEqual(status, 1 if lines[:-1] else 0)
        return [line.removeprefix(f"{name}:") for line in lines[:-1]]

    def test_a_good_page(self):
        status, lines = check_links(self.root)
        self.assertEqual((status, len(lines)), (0, 1), lines)
        self.assertRegex(lines[0], r"^1 pages, \d+ links and words, 0 dead$")

    def test_links(self):
        self.assertEqual(self.dead("a\n[b](no.md) [c](page.md#no)\n![d](no.png)\n[e\nf](../x)\n"), [
            "2: no.md: there is no such file", "2: page.md#no: there is no such heading",
            "3: no.png: there is no such file", "4: ../x: there is no such file"])

    def test_an_anchor_of_its_own_page(self):
        self.assertEqual(self.dead("# One\n# One\n[a](#one) [b](#one-1) [c](#one-2)\n"),
                         ["3: #one-2: there is no such heading"])

    def test_names_in_backticks(self):
        self.assertEqual(self.dead("`src/no.cpp` `run src/no --x`\n`src/*.h`, `no.cpp`, `src/<i>/n`\n"),
                         ["1: src/no.cpp: there is no such file", "1: src/no: there is no such file",
                          "2: src/*.h: there is no such file", "2: no.cpp: no file has this name",
                          "2: src/<i>/n: there is no such file"])

    def test_names_in_a_block(self):
        self.assertEqual(self.dead("src/no\n```\nsrc/no\n```\nsrc/no\n"),
                         ["3: src/no: there is no such file"])

    def test_names_in_a_comment(self):
        self.assertEqual(self.dead("int a;  // no.h and\nint src/no;\n", "src/c.cpp"),
                         ["1: no.h: no file has this name"])
        self.assertEqual(self.dead("#!/bin/sh\n# src/no.\n", "run"),
                         ["2: src/no.: there is no such file", "src/c.cpp:1: no.h: no file has this name"])

    def test_pages_of_their_time_may_name_what_is_gone(self):
        self.assertEqual(self.dead("`src/no.cpp`\n[a](no.md)\n", "CHANGELOG.md"),
                         ["2: no.md: there is no such file"])

    def test_what_git_ignores_is_no_file(self):
        self.write(".gitignore", "/made/\n")
        self.write("made/page.md", "[a](no.md)\n")
        self.assertEqual(check_links(self.root)[0], 0)

    def test_without_git(self):
        shutil.rmtree(self.root / ".git")
        self.write("build/page.md", "[a](no.md)\n")
        self.assertEqual(self.dead("[a](no.md)\n"), ["1: no.md: there is no such file"])

    def test_no_pages_at_all(self):
        (self.root / "page.md").unlink()
        self.assertEqual(check_links(self.root)[0], 1)


class Documents(unittest.TestCase):
    def page(self, name):
        return (ROOT / name).read_text(encoding="utf-8")

    def test_every_link_and_name_leads_somewhere(self):
        status, lines = check_links(ROOT)
        self.assertEqual(status, 0, "\n".join(lines))

    def test_the_architecture_has_the_stages_of_check_includes(self):
        part = self.page("docs/ARCHITECTURE.md").split("\n## Convert")[1].split("\n## ")[0]
        rows = re.findall(r"^\| `([a-z0-9]+)/?` \|", part, re.MULTILINE)
        self.assertEqual(rows, list(load("check_includes").STAGES))

    def test_the_readme_is_a_front_door(self):
        lines = self.page("README.md").splitlines()
        self.assertLessEqual(len(lines), MOST_README_LINES)
        first = [line.split()[0] for line in lines if line.startswith("tools/")]
        self.assertEqual(first, ["tools/demo", "tools/test"])
        self.assertLess(lines.index("```sh"), 5)


if __name__ == "__main__":
    unittest.main()
