"""The page of tools/web in a real browser, beside the command.

    /usr/bin/python3 tests/web/test_page.py build/release/mu8 build/wasm [--shots DIR]

Chromium, headless, by chromedriver: served by a plain file server and opened from the disk. The
same seed gives the numbers of `mu8 predict --json` to the last digit; no request leaves the page;
all of it can be reached and used by keyboard. --shots keeps pictures of the page in both themes
and three widths.
"""

import base64
import contextlib
import functools
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = json.loads((ROOT / "tools/web/samples.json").read_text(encoding="utf-8"))
BITS = (8, 4, 2, 1, 0)
LEAST_CONTRAST = 4.5  # WCAG 2.1, 1.4.3
WAIT = 60  # seconds, of a machine that does other things as well

# Contrast of each text of the page with what is behind it, of SVG text with the page's background.
CONTRAST = """
const luminance = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const background = (node) => {
  for (; node; node = node.parentElement) {
    const colour = numbers(getComputedStyle(node).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (walker.currentNode.data.trim() === "" || !node.checkVisibility()) continue;
  if (node.closest("script, option")) continue;
  if (node.closest("button")?.disabled) continue;
  const style = getComputedStyle(node);
  const a = luminance(numbers(node.namespaceURI.endsWith("svg") ? style.fill : style.color));
  const b = luminance(background(node));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  found.push([ratio, walker.currentNode.data.trim().slice(0, 40)]);
}
return found;
"""
# What Tab must reach.
FOCUSABLE = """
return [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
  .filter((one) => one.checkVisibility() && !one.disabled)
  .map((one) => one.id || one.dataset.sample || one.tagName);
"""


class Quiet(http.server.SimpleHTTPRequestHandler):

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """The address of a plain file server of the folder."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                             functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def browser():
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    options.add_argument("--headless=new")
    options.add_argument("--disable-dev-shm-usage")
    options.add_argument("--hide-scrollbars")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_script_timeout(WAIT)
    return driver


class PageTest(unittest.TestCase):
    """One browser for all; each test opens the page anew."""

    command = folder = shots = None

    @classmethod
    def setUpClass(cls):
        cls.web = cls.folder / "web"
        cls.model = cls.folder / "tools/web/lenet5_sigma4.mu8"
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.address = cls.stack.enter_context(served(cls.web)) + "/index.html"
        cls.scratch = pathlib.Path(cls.stack.enter_context(tempfile.TemporaryDirectory()))
        cls.driver = browser()
        cls.stack.callback(cls.driver.quit)

    def setUp(self):
        self.media("light", "reduce")
        self.size(1280, 900)
        self.open(self.address)

    def tearDown(self):
        errors = [
            entry for entry in self.driver.get_log("browser")
            if entry["level"] in ("SEVERE", "WARNING")
        ]
        self.assertEqual(errors, [], "console")

    # -- Steps

    def media(self, scheme, motion):
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {
                "features": [{
                    "name": "prefers-color-scheme",
                    "value": scheme
                }, {
                    "name": "prefers-reduced-motion",
                    "value": motion
                }]
            })

    def size(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": width < 500
        })

    def wait(self, condition, what):
        return WebDriverWait(self.driver, WAIT).until(lambda _: condition(), what)

    def open(self, address):
        self.driver.get(address)
        self.wait(lambda: self.script("return document.documentElement.dataset.ready") == "yes",
                  "ready")

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def find(self, name):
        return self.driver.find_element(By.ID, name)

    def text(self, name):
        return self.script("return document.getElementById(arguments[0]).textContent", name)

    def set(self, name, value):
        """Types a number into a field, as a user does."""
        field = self.find(name)
        if field.get_attribute("value") == str(value):
            return
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(str(value), Keys.TAB)

    def numbers(self, **wanted):
        """The prediction that the page shows, once it is of these settings (of the record)."""

        def found():
            text = self.text("numbers")
            json_found = json.loads(text) if text else None
            return json_found if json_found and all(json_found["replay"][key] == value
                                                    for key, value in wanted.items()) else None

        return self.wait(found, f"a prediction of {wanted}")

    def choose_sample(self, index):
        self.driver.find_element(By.CSS_SELECTOR, f'[data-sample="{index}"]').click()

    def predict(self, *images, options=(), model=None):
        done = subprocess.run(
            [self.command, "predict", model or self.model, *images, "--json", *map(str, options)],
            capture_output=True,
            text=True,
            check=True)
        return json.loads(done.stdout)["predictions"]

    def assert_same(self, found, expected):
        """All keys that both have; the record, whose checksum is of every number, among them."""
        keys = [key for key in found if key in expected]
        for key in keys:
            self.assertEqual(found[key], expected[key], key)
        for key in ("mean", "standard_deviation", "predictive_entropy", "expected_entropy",
                    "mutual_information", "label", "label_name", "probability", "verdict", "why",
                    "ended", "samples_used", "replay"):
            self.assertIn(key, keys)

    # -- The command's bytes

    def test_the_same_seed_gives_the_bytes_of_the_command(self):
        images = [f"{sample['file']}#{sample['entry']}" for sample in SAMPLES]
        compared, ended = 0, set()
        for samples, seed, stop in ((50, 1, ""), (1, 2, ""), (17, 123456789012, ""),
                                    (200, 3, "0.001"), (50, 9007199254740990, "0.05"), (50, 1,
                                                                                        "0.01")):
            options = [
                "--samples", samples, "--seed", seed, *(["--stop-error", stop] if stop else [])
            ]
            expected = self.predict(*images, options=options)
            self.set("samples-count", samples)
            self.set("seed", seed)
            Select(self.find("stop")).select_by_value(stop)
            for index, one in enumerate(expected):
                self.choose_sample(index)
                found = self.numbers(seed=seed, mc_samples=samples, stop_error=float(stop or 0))
                self.assert_same(found, one)
                ended.add(found["ended"])
                compared += 1
        self.assertEqual(compared, 6 * len(SAMPLES))
        self.assertEqual(ended, {"all_samples", "label"})
        print(f"{compared} predictions compared")

    def test_the_command_replays_the_record_of_the_page(self):
        record = self.scratch / "record.json"
        self.choose_sample(2)
        record.write_text(json.dumps(self.numbers(seed=1)), encoding="utf-8")
        image = f"{SAMPLES[2]['file']}#{SAMPLES[2]['entry']}"
        done = subprocess.run([self.command, "replay", record, self.model, image],
                              check=False,
                              capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        other = f"{SAMPLES[3]['file']}#{SAMPLES[3]['entry']}"
        done = subprocess.run([self.command, "replay", record, self.model, other],
                              check=False,
                              capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 1)

    def test_moments_and_other_widths_of_sigma_are_the_command_s(self):

        def words(p):
            return [
                p["label_name"], f"{100 * p['probability']:.2f} %",
                f"{p['predictive_entropy']:.4f}", f"{p['expected_entropy']:.4f}",
                f"{p['mutual_information']:.4f}"
            ]

        for index in (0, 4):
            self.choose_sample(index)
            self.numbers(seed=1)
            image = f"{SAMPLES[index]['file']}#{SAMPLES[index]['entry']}"
            rows = self.script(
                "return [...document.querySelectorAll('#ways tbody tr')].map((row) => "
                "[...row.cells].map((cell) => cell.textContent))")
            self.assertEqual(len(rows), 2 + len(BITS))
            for row, bits in zip(rows[1:], BITS):
                file = self.folder / f"tools/web/lenet5_sigma{bits}.mu8"
                self.assertEqual(row[:2],
                                 [f"sigma of {bits} bits, T = 50", f"{file.stat().st_size:,}"])
                self.assertEqual(row[2:7], words(self.predict(image, model=file)[0]))
            self.assertEqual(rows[-1][2:7],
                             words(self.predict(image, options=["--method", "moments"])[0]))
            # FP32's are those of the posterior, recorded by another program.
            self.assertIn("recorded", rows[0][0])
            recorded = json.loads(self.text("data"))["samples"][index]["fp32"]
            self.assertEqual(rows[0][4:7], [f"{value:.4f}" for value in recorded["entropies"]])

    def test_what_the_page_says_of_the_study_is_in_its_table(self):
        table = (ROOT /
                 "bench/results/study_lenet5/table1.csv").read_text(encoding="utf-8").splitlines()
        header = table[0].split(",")
        rows = [dict(zip(header, line.split(","))) for line in table[1:]]
        shown = self.script(
            "return Object.fromEntries([...document.querySelectorAll('#ways tbody tr')].map("
            "(row) => [row.cells[0].textContent, "
            "[...row.cells].slice(7).map((c) => c.textContent)]))"
        )
        compared = 0
        for name, cells in shown.items():
            form = "fp32" if name.startswith("FP32") else f"sigma{name[9]}" if name.startswith(
                "sigma") else None
            row = next((r for r in rows if r["network"] == "lenet5" and r["format"] == form), None)
            if row is None:
                continue
            self.assertEqual(cells[0], f"{100 * float(row['accuracy']):.2f}")
            self.assertEqual(cells[1], f"{100 * float(row['ece']):.2f}")
            ratio = f"{float(row['kl_ratio']):.2f}" if row["kl_ratio"] else "–"
            self.assertEqual(cells[2], ratio)
            compared += 1
        self.assertGreaterEqual(compared, 5)

    # -- Files of the user's

    def error_of(self, path, field="model-file"):
        self.script("document.getElementById('error').textContent = ''")
        self.find(field).send_keys(str(path))
        return self.wait(lambda: self.text("error"), f"an error about {path}")

    def test_a_bad_file_is_refused_with_the_engine_s_text(self):
        before = self.numbers(seed=1)
        files = sorted((ROOT / "tests/data/invalid").glob("*.mu8"))[::23]
        cut = self.scratch / "cut.mu8"
        cut.write_bytes(self.model.read_bytes()[:50000])
        empty = self.scratch / "empty.mu8"
        empty.write_bytes(b"")
        compared = 0
        for path in (*files, cut, empty):
            text = self.error_of(path)
            said = subprocess.run([self.command, "inspect", path],
                                  capture_output=True,
                                  text=True,
                                  check=False)
            self.assertNotEqual(said.returncode, 0)
            self.assertTrue(text.startswith(f"{path.name}: mu8 error "), text)
            if "mu8 error" in said.stderr:
                self.assertEqual(
                    text.partition(": ")[2], said.stderr[said.stderr.index("mu8 error"):].strip())
                compared += 1
        self.assertGreaterEqual(compared, 15)
        # The page goes on with the model that it had.
        self.assertEqual(self.numbers(seed=1), before)
        print(f"{compared} texts compared")

    def test_a_dropped_file_is_taken_as_a_chosen_one(self):
        drop = """
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(arguments[1]), (c) => c.charCodeAt(0));
        transfer.items.add(new File([bytes], arguments[0]));
        for (const kind of ["dragover", "drop"]) document.body.dispatchEvent(
          new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
        """
        self.script(drop, "wrong.mu8",
                    base64.b64encode(b"no model at all, but long enough to be one" * 9).decode())
        self.wait(lambda: "wrong.mu8: mu8 error 2: not a .mu8 file" in self.text("error"),
                  "the engine's text")
        one_bit = self.folder / "tools/web/lenet5_sigma1.mu8"
        self.script(drop, "<b>mine.mu8", base64.b64encode(one_bit.read_bytes()).decode())
        self.wait(lambda: "<b>mine.mu8" in self.text("model-text"), "the model")
        self.assertIn("<b>mine.mu8, T = 50", self.text("ways"))
        self.assertEqual(self.script("return document.querySelectorAll('b').length"), 0)
        self.assertEqual(self.text("error"), "")
        image = f"{SAMPLES[0]['file']}#{SAMPLES[0]['entry']}"
        self.assert_same(self.numbers(seed=1), self.predict(image, model=one_bit)[0])
        self.find("own-model-off").click()
        self.wait(lambda: "lenet5_sigma4.mu8" in self.text("model-text"), "the page's model")

    def test_a_picture_of_the_model_s_size_has_the_command_s_numbers(self):
        for picture in sorted((ROOT / "tests/data/mnist").glob("digit_*.png")):
            self.find("image-file").send_keys(str(picture))
            self.wait(lambda: picture.name in self.text("seen-text"), picture.name)
            self.assertIn("taken as it is, 28 × 28 pixels", self.text("seen-text"))
            self.assert_same(self.numbers(seed=1), self.predict(picture)[0])
        plain = self.numbers(seed=1)
        self.find("invert").click()
        self.wait(lambda: "; inverted" in self.text("seen-text"), "inverted")
        self.assertNotEqual(self.numbers(seed=1)["mean"], plain["mean"])

    def test_another_picture_is_changed_and_said_so_and_no_picture_is_refused(self):
        self.find("image-file").send_keys(str(ROOT / "tests/data/images/baseline.jpg"))
        self.wait(lambda: "baseline.jpg" in self.text("seen-text"), "the picture")
        self.assertRegex(self.text("seen-text"),
                         r"pixels, (all of it|its middle) scaled to 28 × 28")
        text = self.error_of(ROOT / "README.md", "image-file")
        self.assertIn("README.md: no picture that this browser can read", text)

    def test_models_of_other_heads_and_inputs(self):
        golden = ROOT / "tests/data/golden"
        shown = 0
        for path in sorted(golden.glob("*.mu8")):
            self.find("model-file").send_keys(str(path))
            self.wait(lambda: path.name in self.text("model-text"), path.name)
            self.assertEqual(self.text("error"), "", path.name)
            self.assertNotEqual(self.text("summary"), "")
            shown += 1
        self.assertGreater(shown, 40)

    # -- Drawing, settings

    def stroke(self, points):
        box = self.script("const b = document.getElementById('pad').getBoundingClientRect(); "
                          "return [b.left, b.top, b.width]")

        def mouse(kind, point, buttons):
            self.driver.execute_cdp_cmd(
                "Input.dispatchMouseEvent", {
                    "type": kind,
                    "x": box[0] + point[0] * box[2],
                    "y": box[1] + point[1] * box[2],
                    "button": "left",
                    "buttons": buttons,
                    "clickCount": 1
                })

        mouse("mousePressed", points[0], 1)
        for point in points[1:]:
            mouse("mouseMoved", point, 1)
        mouse("mouseReleased", points[-1], 0)

    def test_a_drawn_one_is_a_one_and_clear_clears(self):
        self.stroke([(0.5, 0.1), (0.5, 0.4), (0.49, 0.6), (0.49, 0.9)])
        self.wait(lambda: "your drawing" in self.text("seen-text"), "the drawing")
        drawn = self.numbers(seed=1)
        self.assertEqual(drawn["label_name"], "1")
        self.find("centre").click()
        self.wait(lambda: "where you drew it" in self.text("seen-text"), "not centred")
        self.assertIn("not recorded of this picture", self.text("ways"))
        self.find("clear").click()
        self.wait(lambda: "Draw something" in self.text("summary"), "nothing")
        self.assertFalse(self.find("answer").is_displayed())

    def test_a_finger_draws(self):
        box = self.script("const b = document.getElementById('pad').getBoundingClientRect(); "
                          "return [b.left, b.top, b.width]")
        places = [{
            "x": box[0] + 0.5 * box[2],
            "y": box[1] + y * box[2]
        } for y in (0.2, 0.4, 0.6, 0.8)]
        for kind, points in (("touchStart", places[:1]), ("touchMove", places[1:2]),
                             ("touchMove", places[2:3]), ("touchMove", places[3:]), ("touchEnd",
                                                                                     [])):
            self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {
                "type": kind,
                "touchPoints": points
            })
        self.wait(lambda: "your drawing" in self.text("seen-text"), "the drawing")
        self.assertEqual(self.numbers(seed=1)["label_name"], "1")

    def test_a_setting_that_is_none_is_refused(self):
        for name, value in (("samples-count", "0"), ("samples-count", "201"),
                            ("samples-count", "2.5"), ("seed", "-1"), ("seed", "")):
            old = self.find(name).get_attribute("value")
            self.script(
                "const f = document.getElementById(arguments[0]); f.value = arguments[1]; "
                "f.dispatchEvent(new Event('change'))", name, value)
            self.wait(lambda: f'is "{value}", expected a whole number from' in self.text("error"),
                      value)
            self.set(name, old)
            self.wait(lambda: self.text("error") == "", "no error")

    def test_votes_come_one_by_one_unless_motion_is_not_wanted(self):
        count = ("return document.querySelectorAll('#votes span:not(.none)').length")
        self.choose_sample(4)
        self.numbers(seed=1)
        self.assertEqual(self.script(count), 50)
        self.media("light", "no-preference")
        seen = self.driver.execute_async_script("""
            const done = arguments[0];
            const seen = new Set();
            new MutationObserver(() => {
              const count = document.querySelectorAll("#votes span:not(.none)").length;
              seen.add(count);
              if (count === 50) setTimeout(() => done([...seen]), 50);
            }).observe(document.getElementById("votes"), {childList: true});
            document.querySelector('[data-sample="5"]').click();
            """)
        self.assertGreater(len(seen), 3)
        self.assertEqual(self.script(count), 50)
        text = self.text("votes-text")
        self.assertEqual(
            sum(
                int(word) for word in text.split()[3:]
                if word.isdigit() and f"{word} vote for" in text), 50, text)

    # -- The page itself

    def requests(self):
        """Addresses of all that was asked for since the last time."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
            self.assertNotEqual(message["method"], "Network.webSocketCreated")
        return found

    def test_no_request_leaves_the_page(self):
        for address in (self.address, (self.web / "index.html").as_uri()):
            self.requests()
            self.open(address)
            expected = self.predict(f"{SAMPLES[4]['file']}#{SAMPLES[4]['entry']}")[0]
            self.choose_sample(4)
            self.wait(lambda: self.numbers(seed=1)["label"] == expected["label"], "the sample")
            self.assert_same(self.numbers(seed=1), expected)
            self.find("image-file").send_keys(str(ROOT / "tests/data/mnist/digit_0_label7.png"))
            self.wait(lambda: "digit_0" in self.text("seen-text"), "the picture")
            self.error_of(sorted((ROOT / "tests/data/invalid").glob("*.mu8"))[0])
            asked = [one for one in self.requests() if not one.startswith(("data:", "blob:"))]
            self.assertEqual(asked, [address])
            print(f"{address.split(':')[0]}: one request")

    def test_the_page_cannot_send_anything(self):
        told = self.driver.execute_async_script(
            "fetch(arguments[0]).then(() => arguments[1]('sent'), () => arguments[1]('refused'))",
            self.address)
        self.assertEqual(told, "refused")
        self.driver.get_log("browser")  # which says so as well

    def test_everything_can_be_reached_and_used_by_keyboard(self):
        wanted = set(self.script(FOCUSABLE))
        self.assertGreaterEqual(len(wanted), 16)
        reached = set()

        def focused():
            return self.script(
                "const e = document.activeElement; return e.id || e.dataset.sample || e.tagName")

        def press(*keys):
            for key in keys:
                ActionChains(self.driver).send_keys(key).perform()

        self.script("document.activeElement.blur()")
        for _ in range(len(wanted) + 2):
            press(Keys.TAB)
            name = focused()
            reached.add(name)
            outline = self.script("return getComputedStyle(document.activeElement).outlineStyle")
            self.assertTrue(name == "BODY" or outline != "none", f"{name} has no outline")
        self.assertEqual(wanted - reached, set(), "not reached by Tab")
        self.open(self.address)
        for _ in range(40):
            press(Keys.TAB)
            if focused() == "pad":
                break
        press(Keys.SPACE, *[Keys.ARROW_DOWN] * 9, Keys.SPACE)
        self.wait(lambda: "your drawing" in self.text("seen-text"), "drawn by keys")
        self.assertEqual(self.numbers(seed=1)["label_name"], "1")
        press(Keys.ESCAPE)
        self.wait(lambda: "Draw something" in self.text("summary"), "cleared")
        for _ in range(20):
            press(Keys.TAB)
            if focused() == "4":
                break
        press(Keys.ENTER)
        expected = self.predict(f"{SAMPLES[4]['file']}#{SAMPLES[4]['entry']}")[0]
        self.assert_same(self.numbers(seed=1), expected)
        for _ in range(20):
            press(Keys.TAB)
            if focused() == "next-seed":
                break
        press(Keys.ENTER)
        self.numbers(seed=2)

    def test_everything_has_a_name_and_the_result_is_announced(self):
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        checked = 0
        for node in nodes:
            role = node.get("role", {}).get("value")
            if node.get("ignored") or role not in ("button", "combobox", "checkbox", "spinbutton",
                                                   "textbox", "image", "img", "link", "application",
                                                   "region", "heading"):
                continue
            self.assertTrue(node.get("name", {}).get("value", "").strip(), f"{role} without a name")
            checked += 1
        self.assertGreater(checked, 30)
        summary = self.find("summary")
        self.assertEqual(summary.get_attribute("aria-live"), "polite")
        self.assertEqual(self.find("error").get_attribute("role"), "alert")
        levels = self.script(
            "return [...document.querySelectorAll('h1, h2, h3')].map((h) => Number(h.tagName[1]))")
        self.assertEqual(levels.count(1), 1)
        self.assertTrue(all(b - a <= 1 for a, b in zip(levels, levels[1:])), levels)

    def test_contrast_and_width_in_both_themes_and_on_a_phone(self):
        looked_at = 0
        for width in (360, 768, 1280):
            self.size(width, 900)
            for scheme in ("light", "dark"):
                self.media(scheme, "reduce")
                self.open(self.address)
                self.choose_sample(4)
                self.numbers(seed=1)
                self.script("document.querySelector('details').open = true; "
                            "document.getElementById('error').textContent = 'An error.'")
                for ratio, text in self.script(CONTRAST):
                    self.assertGreaterEqual(ratio, LEAST_CONTRAST, f"{scheme}: {text}")
                    looked_at += 1
                self.assertLessEqual(self.script("return document.documentElement.scrollWidth"),
                                     width)
                self.script("document.querySelector('details').open = false; "
                            "document.getElementById('error').textContent = ''")
                if self.shots:
                    self.size(width, self.script("return document.documentElement.scrollHeight"))
                    self.driver.save_screenshot(str(self.shots / f"{width}_{scheme}.png"))
                    self.size(width, 900)
        self.assertGreater(looked_at, 600)
        print(f"{looked_at} texts looked at")


def main():
    arguments = sys.argv[1:]
    if "--shots" in arguments:
        at = arguments.index("--shots")
        PageTest.shots = pathlib.Path(arguments[at + 1]).resolve()
        PageTest.shots.mkdir(parents=True, exist_ok=True)
        del arguments[at:at + 2]
    PageTest.command, PageTest.folder = (pathlib.Path(argument).resolve()
                                         for argument in arguments[:2])
    os.chdir(ROOT)
    unittest.main(argv=[sys.argv[0], *arguments[2:]])


if __name__ == "__main__":
    main()
