"""Holds tools/mu8_reader.py, formats/FORMAT.md and the C++ engine against each other.

    /usr/bin/python3 tests/tools/test_mu8_reader.py [path of the mu8 binary]

Runs in the repository root. The reader is written from the page alone, so where the two agree the
page says what the engine does.
"""

import gzip
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
sys.path.insert(0, str(ROOT / "tools"))

import mu8_arithmetic  # noqa: E402
import mu8_format  # noqa: E402
import mu8_reader  # noqa: E402

MU8 = ROOT / "build" / "release" / "mu8"


def page_dump(page):
    """The bytes of the file dumped in section 1, and how many of them the page shows."""
    line = re.compile(r"^([0-9a-f]{4})  (\S+(?: \S+)*?)(?:  .*)?$", re.M)
    found = [(int(at, 16), text) for at, text in line.findall(page)]
    size = struct.unpack("<Q", bytes.fromhex(dict(found)[0x10])[:8])[0]
    ends = [at for at, _ in found[1:]] + [size]
    data, shown = bytearray(), 0
    for (at, text), end in zip(found, ends):
        if at != len(data):
            raise AssertionError(f"the dump jumps from {len(data):#x} to {at:#x}")
        if text == "00 ...":
            part = bytes(end - at)
        elif "..." in text:  # the input table: table[u] = u
            part = bytes(range(256))
        else:
            part = bytes.fromhex(text)
            shown += len(part)
        data += part
    return bytes(data), shown


def page_results(page):
    """The table below the dump: {first column: [32-bit words or bytes as hex]}."""
    rows = re.findall(r"^\| ([^|]+) \| (.+) \|$", page.split("\n## 2.")[0], re.M)
    return {name: value for name, value in rows}


def words(text):
    """`e3e80670 e50a0ebc` -> ["e3e80670", "e50a0ebc"], and the same for pairs of digits."""
    return re.findall(r"\b(?:[0-9a-f]{8}|[0-9a-f]{2})\b", " ".join(re.findall("`([^`]*)`", text)))


def bits(values):
    return [f"{int(v):08x}" for v in np.atleast_1d(values).view(np.uint32).ravel()]


def split_mix_bytes(seed, count):
    """The lowest bytes of the first `count` numbers of SplitMix64, u8 [count]."""
    found, mask = bytearray(), 2 ** 64 - 1
    for i in range(1, count + 1):
        z = (seed + i * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        found.append((z ^ z >> 31) & 255)
    return np.frombuffer(bytes(found), np.uint8)


class PageTest(unittest.TestCase):
    """The example of section 1."""

    @classmethod
    def setUpClass(cls):
        page = (ROOT / "formats" / "FORMAT.md").read_text()
        cls.data, cls.shown = page_dump(page)
        cls.results = page_results(page)
        cls.model = mu8_reader.read_model(cls.data)
        cls.image = np.arange(0, 256, 16, dtype=np.uint8).reshape(4, 4)

    def test_dump_is_a_valid_file(self):
        self.assertGreater(self.shown, 800)
        self.assertEqual(len(self.data), self.model.file_bytes)
        self.assertEqual([layer.op for layer in self.model.layers], [1, 3, 2])
        self.assertEqual(self.model.metadata, {b"labels": b"cat\ndog\nowl", b"name": b"tiny"})

    def test_a_changed_byte_is_noticed(self):
        for at in range(len(self.data)):
            changed = bytearray(self.data)
            changed[at] ^= 1
            with self.assertRaises(mu8_reader.FormatError, msg=f"byte {at:#x}"):
                mu8_reader.read_model(changed)

    def test_random_numbers(self):
        zero = [int(c) for c in mu8_arithmetic.philox([0] * 4, (0, 0))]
        self.assertEqual(zero, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8])
        state = mu8_arithmetic.first_states(1, 0, 0, 1)
        key = "lane 0 of pass 0, layer 0, panel 0: first state"
        self.assertEqual([f"{int(s[0, 0]):08x}" for s in state], words(self.results[key]))
        outputs = mu8_arithmetic.lane_outputs(state, 3)[0, :, 0]
        self.assertEqual(bits(outputs), words(self.results["its first three outputs"]))

    def test_weights(self):
        weights, biases = mu8_arithmetic.WeightSource(self.model, 0).sample(1, 0)
        for channel, name in ((0, "weights of layer 0, channel 0, pass 0, rows of 3"),
                              (1, "weights of layer 0, channel 1, pass 0")):
            found = [f"{int(w) & 255:02x}" for w in weights[channel]]
            self.assertEqual(found, words(self.results[name]))
        self.assertEqual(", ".join(map(str, biases)), self.results["biases of layer 0, pass 0"])
        _, biases = mu8_arithmetic.WeightSource(self.model, 2).sample(1, 0)
        self.assertEqual(", ".join(map(str, biases)), self.results["biases of layer 2, pass 0"])

    def test_prediction(self):
        sources = {i: mu8_arithmetic.WeightSource(self.model, i) for i in (0, 2)}
        stored = mu8_arithmetic.quantize_input(self.model, self.image)
        tensors, _ = mu8_arithmetic.run_pass(self.model, sources, stored, 1, 1)
        self.assertEqual([f"{int(q):02x}" for q in tensors[2].ravel()],
                         words(self.results["tensor 2, pass 1 (NHWC)"]))
        p = mu8_reader.predict(self.model, self.image, 2, 1)
        self.assertEqual(str(p.label), self.results["label"])
        entropies = np.array([p.predictive_entropy, p.expected_entropy, p.mutual_information])
        for name, values in (
                ("logits of pass 0", p.logits[0]), ("logits of pass 1", p.logits[1]),
                ("mean", p.mean), ("variance", p.variance),
                ("predictive entropy, expected entropy, mutual information", entropies)):
            self.assertEqual(bits(values), words(self.results[name]), name)


class FileTest(unittest.TestCase):
    """The files under tests/data/."""

    def test_golden_models_are_read(self):
        paths = sorted((DATA / "golden").glob("*.mu8"))
        self.assertTrue(paths, "no golden models")
        for path in paths:
            with self.subTest(path.name):
                mu8_reader.read_model(path.read_bytes())

    def test_golden_predictions(self):
        """predictions.txt pins them for the C++ kernels; its head says of what the CRC is."""
        lines = (DATA / "golden" / "predictions.txt").read_text().splitlines()
        wanted = dict(line.split() for line in lines if line and not line.startswith("#"))
        self.assertTrue(wanted, "no predictions")
        for name, crc in wanted.items():
            with self.subTest(name):
                model = mu8_reader.read_model((DATA / "golden" / f"{name}.mu8").read_bytes())
                t = model.tensors[0]
                images = split_mix_bytes(7, 8 * t.height * t.width * t.channels).reshape(
                    8, t.height, t.width, t.channels)
                found = bytearray()
                for image in images:
                    for value in mu8_reader.predict(model, image, 32, 2026)[:5]:
                        found += np.asarray(value, "<f4").tobytes()
                self.assertEqual(f"{mu8_format.crc32c(found):08x}", crc)

    def test_invalid_files_give_the_code_in_their_name(self):
        paths = sorted((DATA / "invalid").glob("*_*.mu8"))
        self.assertTrue(paths, "no invalid files")
        for path in paths:
            with self.subTest(path.name):
                with self.assertRaises(mu8_reader.FormatError) as caught:
                    mu8_reader.read_model(path.read_bytes())
                self.assertEqual(caught.exception.code, int(path.name.split("_")[0]),
                                 str(caught.exception))


class EngineTest(unittest.TestCase):
    """LeNet-5 on MNIST digits, against the mu8 command."""

    def predict_both(self, directory, sigma_bits, antithetic=False):
        """(the engine's, this reader's) mean of two images over 3 passes, as bytes."""
        mnist = DATA / "mnist"
        digits = mnist / "digits-images-idx3-ubyte.gz"
        model, predictions = directory / "model.mu8", directory / "predictions.f32"
        subprocess.run(
            [MU8, "convert", "--model", DATA / "lenet5_mnist.onnx",
             "--posterior", DATA / "lenet5_mnist.npz",
             "--calibration", mnist / "calibration-images-idx3-ubyte.gz",
             "--calibration-limit", "64", "--sigma-bits", str(sigma_bits),
             "--mean", ".1307", "--std", ".3081", "-o", model],
            check=True, capture_output=True)
        subprocess.run([MU8, "eval", model, "--data", digits, "--limit", "2", "--samples", "3",
                        "--seed", "7", "--predictions", predictions,
                        *(["--antithetic"] if antithetic else [])],
                       check=True, capture_output=True)
        with gzip.open(digits) as file:
            images = mu8_reader.read_idx(file.read())[:2]
        read = mu8_reader.read_model(model.read_bytes())
        means = [mu8_reader.predict(read, image, 3, 7, antithetic).mean for image in images]
        return predictions.read_bytes(), np.stack(means).astype("<f4").tobytes()

    def test_antithetic_predictions_equal_the_engine(self):
        with tempfile.TemporaryDirectory() as directory:
            engine, reader = self.predict_both(pathlib.Path(directory), 4, antithetic=True)
            self.assertEqual(engine, reader)
            self.assertNotEqual(engine, self.predict_both(pathlib.Path(directory), 4)[0])

    def test_predictions_equal_the_engine(self):
        self.assertTrue(MU8.exists(), f"{MU8} is missing")
        for sigma_bits in (8, 4, 2, 1, 0):
            with self.subTest(sigma_bits=sigma_bits), tempfile.TemporaryDirectory() as directory:
                engine, reader = self.predict_both(pathlib.Path(directory), sigma_bits)
                self.assertEqual(len(engine), 2 * 10 * 4)
                self.assertEqual(engine.hex(), reader.hex())


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        MU8 = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
