"""--report of `mu8 convert` and `mu8 eval`: one page that needs nothing beside itself, and shows what --json
says.

    /usr/bin/python3 tests/cli/test_reports.py build/release/mu8
"""

import html.parser
import re
import xml.etree.ElementTree

import cli

CONVERT = ("convert", *cli.LENET5, *cli.IMAGES, "--calibration-limit", 64, "--calibration-passes", 2,
           "--sigma-bits", 4)
FEW = ("--data", cli.DIGITS, "--limit", 40, "--samples", 8)
VOID = {"meta", "br", "img", "hr", "link", "input"}


class Reader(html.parser.HTMLParser):
    """The elements of a page, each closed; its text, and what it would fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.fetched, self.text = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.fetched += [f"{tag} {name}={value}" for name, value in attrs
                         if name in ("src", "href", "srcset", "data", "action") or name.startswith("on")]

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text += data


class Reports(cli.CommandTest):
    def page(self, name):
        text = (self.folder / name).read_text(encoding="utf-8")
        found = Reader(text)
        self.assertEqual(found.open, [])
        self.assertEqual(found.fetched, [], "nothing comes from elsewhere, nothing runs")
        self.assertNotIn("script", found.tags)
        self.assertNotIn("url(", text)
        for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
            xml.etree.ElementTree.fromstring(drawing)
            for number in re.findall(r'"(-?[\d.]+)"', drawing):
                self.assertGreaterEqual(float(number), -90)  # the rotated label
                self.assertLess(float(number), 600)
        return found

    def test_convert(self):
        found = self.json_of(*CONVERT, "-o", "net.mu8", "--report", "convert.html")
        page = self.page("convert.html")
        self.assertIn("kept: " + found["verdict"]["reason"], page.text)
        for layer in found["layers"]:
            self.assertIn(layer["name"], page.text)
        self.assertEqual(page.tags.count("svg"), 1)

    def test_convert_that_is_refused_says_why(self):
        outcome = self.run_mu8(*CONVERT[:1], *cli.MODEL, *cli.POSTERIOR, *CONVERT[1 + len(cli.LENET5):],
                               "--mean", "400", "--std", "0.01", "-o", "lost.mu8", "--report", "lost.html")
        self.assertEqual(outcome.code, 3, cli.describe(outcome))
        page = self.page("lost.html")
        self.assertIn("It was not written.", page.text)
        self.assertIn("lost: " + outcome.stderr.split("not written: ")[1].split(" (--accept")[0], page.text)
        self.assertFalse((self.folder / "lost.mu8").exists())

    def test_eval(self):
        self.text_of(*CONVERT, "-o", "net.mu8")
        found = self.json_of("eval", "net.mu8", *FEW, "--ood", cli.FASHION, "--ood-limit", 30, "--report",
                             "eval.html")
        self.assertNotIn("curves", found)
        page = self.page("eval.html")
        self.assertEqual(page.tags.count("svg"), 5)
        self.assertIn(f"{found['accuracy'] * 100:.2f} % of 40 images are labelled right", page.text)
        self.assertIn(f"{found['ood'][0]['by_entropy']['auroc']:.3f}", page.text)
        self.assertIn("perfect calibration", page.text)

    def test_eval_without_labels(self):
        self.text_of(*CONVERT, "-o", "net.mu8")
        self.json_of("eval", "net.mu8", "--data", cli.FASHION, "--samples", 4, "--report", "bare.html")
        page = self.page("bare.html")
        self.assertEqual(page.tags.count("svg"), 2)  # the histograms
        self.assertNotIn("labelled right", page.text)

    def test_names_are_text(self):
        """A file's name and labels may be anything; the page shows them."""
        self.write("labels.txt", "<script>alert(1)</script>\n" + "\n".join("a&b\"'" + str(i) for i in range(9)))
        self.text_of(*CONVERT, "--labels", "labels.txt", "--name", "<b>", "-o", "named.mu8", "--report", "named.html")
        self.page("named.html")
        self.text_of("eval", "named.mu8", *FEW, "--report", "<i>.html")
        page = self.page("<i>.html")
        self.assertIn("mu8 eval: ", page.text)

    def test_refused(self):
        self.text_of(*CONVERT, "-o", "net.mu8")
        self.fails("eval", "net.mu8", *FEW, "--report", "nowhere/eval.html", says="nowhere/eval.html: cannot be written")
        self.wrong_command("eval", "net.mu8", *FEW, "--report", "net.mu8", says="--report: net.mu8 is the file of MODEL")


if __name__ == "__main__":
    cli.main()
