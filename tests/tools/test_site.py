"""tools/site: every page there, every link of it inside the site leads somewhere. Skipped without mkdocs.

usage: test_site.py MU8
"""

import html.parser
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
MU8 = pathlib.Path(sys.argv.pop(1)).resolve()
SKIPPED = 77


class Links(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        self.ids.add(names.get("id"))
        self.found += [names[name] for name in ("href", "src") if names.get(name)]


def build(out, *options):
    return subprocess.run([sys.executable, ROOT / "tools" / "site", *options, "-o", out], capture_output=True,
                          text=True, check=False)


class Site(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.out = pathlib.Path(self.folder.name) / "site"

    def tearDown(self):
        self.folder.cleanup()

    def test_every_link(self):
        done = build(self.out, "--mu8", MU8)
        self.assertEqual(done.returncode, 0, done.stderr)
        pages = {page: Links(page.read_text(encoding="utf-8")) for page in self.out.rglob("*.html")}
        self.assertGreater(len(pages), 40)
        libraries = list((self.out / "docs" / "libraries").glob("*.html"))
        self.assertGreaterEqual(len(libraries), 11)
        for page in libraries:
            self.assertRegex(page.read_text(encoding="utf-8"), "(?s)A whole script.*mu8.convert", page.name)
        checked = 0
        for page, links in pages.items():
            if page.name == "404.html":
                continue  # its links are from the server's root
            for link in links.found:
                parts = urllib.parse.urlsplit(link)
                if parts.scheme or parts.netloc:
                    continue
                target = (page.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else page
                target = target / "index.html" if target.is_dir() else target
                self.assertTrue(target.exists(), f"{page.relative_to(self.out)}: {link}")
                checked += 1
        self.assertGreater(checked, 1000)
        commands = (self.out / "reference" / "commands.html").read_text(encoding="utf-8")
        self.assertIn("--moments-passes", commands)
        self.assertIn("mu8_model_open", (self.out / "reference" / "c.html").read_text(encoding="utf-8"))

    def test_nothing_of_others_is_replaced(self):
        self.out.mkdir()
        (self.out / "mine.txt").write_text("mine", encoding="utf-8")
        done = build(self.out)
        self.assertEqual(done.returncode, 1)
        self.assertIn("expected a new folder", done.stderr)
        self.assertEqual([path.name for path in self.out.iterdir()], ["mine.txt"])


if __name__ == "__main__":
    if shutil.which("mkdocs") is None:
        print("skipped: mkdocs is missing (tools/setup site)")
        sys.exit(SKIPPED)
    unittest.main()
