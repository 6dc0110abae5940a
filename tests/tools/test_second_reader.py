"""Holds tools/second_reader, formats/FORMAT.md and the C++ engine against each other.

    /usr/bin/python3 tests/tools/test_second_reader.py [path of the mu8 binary]

Runs in the repository root. The reader is written from the page alone, so where the two agree the
page says what the engine does.
"""

import ast
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

from second_reader.arithmetic import quantize_input, run_pass  # noqa: E402
from second_reader.file_format import (GAUSSIAN, MAGIC, NUMBERS, FormatError,  # noqa: E402
                                       crc32c, read_header, read_sections, round_up)
from second_reader.images import read_idx  # noqa: E402
from second_reader.parameters import mu_of_codes, unpack_mu_codes  # noqa: E402
from second_reader.prediction import abstains, predict  # noqa: E402
from second_reader.reader import read_model  # noqa: E402
from second_reader.sampling import WeightSource, first_states, lane_outputs, philox  # noqa: E402

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


def golden_images(model, count):
    """What golden predictions are of: u8 or, of a file of numbers, f32 [count][H][W][C]."""
    t = model.tensors[0]
    images = split_mix_bytes(7, count * t.height * t.width * t.channels).reshape(
        count, t.height, t.width, t.channels)
    return (images.astype(np.float32) - 128) / 16 if model.input == NUMBERS else images


def prediction_bytes(model, p):
    """The bytes of a Prediction, as the head of predictions.txt has them."""
    found = b"".join(np.asarray(value, "<f4").tobytes()
                     for value in (*p[:5], p.output_entropy, p.output_expected_entropy,
                                   p.noise_variance, p.error, p.error_variance)
                     if value is not None)
    if model.head == GAUSSIAN:
        found += struct.pack("<I", p.clamped_scales)
    if model.input == NUMBERS:
        found += struct.pack("<I", p.clamped_inputs)
    if model.abstain is not None:
        found += struct.pack("<B", abstains(model, p))
    return found


def sections_of(data):
    """{id: bytes of the section}"""
    _, _, count = read_header(data)
    return {s.id: bytearray(data[s.offset:s.offset + s.bytes])
            for s in read_sections(data, count)}


def padded(data):
    return bytes(data).ljust(round_up(len(data), 64), b"\0")


def file_of(sections, minor):
    """{id: bytes} -> a file, sections 2 and 3."""
    table, content = b"", b""
    start = round_up(64 + 32 * len(sections), 64)
    for id_, part in sections.items():
        table += struct.pack("<IIQQII", id_, 1, start + len(content), len(part), crc32c(part), 0)
        content += padded(part)
    head = struct.pack("<8sHHIQI32s", MAGIC, 1, minor, 0x01020304, start + len(content),
                       len(sections), bytes(32))
    crc = struct.pack("<I", crc32c(head + table))
    return padded(head + crc + table) + content


def pack_codes(codes, bits):
    """Section 6.7, code by code: [M] -> bytes."""
    packed = b""
    for n in range(0, len(codes), 64):
        rest = bits
        for plane in (8, 4, 2, 1):
            if not bits & plane:
                continue
            rest -= plane
            part = bytearray(8 * plane)
            for i, code in enumerate(codes[n:n + 64].tolist()):
                byte, bit = (i // 8, i % 8) if plane == 1 else (i % len(part),
                                                                i // len(part) * plane)
                part[byte] |= (code >> rest & (1 << plane) - 1) << bit
            packed += part
    return packed


def panel_and_missing(layer):
    """Of every byte of mu: its panel, int [M], and whether its input does not exist (6.2)."""
    layout = layer.parameters.layout
    panels, missing = [], []
    for panel, (width, size) in enumerate(zip(layout.width.tolist(), layout.panel_bytes.tolist())):
        for i in range(size):
            position = i // (4 * width) * 4 + i % 4
            panels.append(panel)
            missing.append(position < layout.inputs
                           and position % layout.padded_run >= layer.run_length)
    return np.array(panels), np.array(missing)


def other_weights(layer, bits, seed):
    """Of a layer of 8 bits, for panels of `bits` [P]: codes u8 [M], mu_table s8 [P][16], mu."""
    panel, missing = panel_and_missing(layer)
    table = split_mix_bytes(seed, 16 * len(bits)) | 1  # odd: neither 0 nor -128
    table = table.view(np.int8).reshape(-1, 16)
    table[np.arange(16) >= np.where(bits <= 4, 1 << bits, 0)[:, None]] = 0
    b, codes = bits[panel], layer.parameters.mu.view(np.uint8).astype(int)
    codes = np.where(b <= 4, codes & (1 << b) - 1, codes >> 8 - b)
    codes[(b > 4) & (b < 8) & (codes == 1 << b - 1)] += 1
    looked_up = np.where(missing, 0, table[panel, codes & 15])
    mu = np.where(b <= 4, looked_up, (codes << 8 - b).astype(np.uint8).view(np.int8))
    return codes.astype(np.uint8), table, mu.astype(np.int8)


def with_mu_bits(data, bits_of_layer, change=lambda index, codes, table: None):
    """A file of 8 bits -> (a packed one of other weights, one of 8 bits with those weights).

    bits_of_layer(index) is a width, or a list for the panels in turn (6.8). change(index, codes
    u8 [M], table s8 [P][16]) may spoil what is packed.
    """
    model, sections = read_model(data), sections_of(data)
    minor = 1
    files, largest, parameters = [dict(sections), dict(sections)], 0, [b"", b""]
    records = [bytearray(sections[3]), bytearray(sections[3])]
    for index, layer in enumerate(model.layers):
        at, p = layer.at - model.layers[0].at, layer.parameters
        blocks = [b"" if p is None else p.tobytes()] * 2 if not layer.weighted else []
        if layer.weighted:
            mu_bits = bits_of_layer(index)
            by_panel = isinstance(mu_bits, list)
            bits = np.resize(mu_bits, p.layout.panels)
            arrays = p.weight_scale, p.bias_mu, p.bias_level, p.bias_shift, p.shift, p.codebook
            head = b"".join(a.tobytes() for a in arrays if a is not None)
            sigma = padded(b"" if p.sigma is None else p.sigma)
            codes, table, mu = other_weights(layer, bits, index)
            change(index, codes, table)
            parts = np.split(codes, p.layout.panel_start[1:])
            stored = b"".join(pack_codes(part, b) for part, b in zip(parts, bits.tolist()))
            packed_head = head + (bytes(bits.tolist()) if by_panel else b"")
            if by_panel or mu_bits <= 4:
                packed_head += table.tobytes()
            blocks = [padded(packed_head) + padded(stored) + sigma,
                      padded(head) + mu.tobytes() + sigma]
            if layer.bayesian or mu_bits != 8:
                largest = max(largest, int(p.layout.panel_bytes.max()))
            records[0][at + 2] = 255 if by_panel else mu_bits
            if by_panel:
                minor = 2
                struct.pack_into("<I", records[0], at + 64, len(stored))
        for k in range(2):
            struct.pack_into("<II", records[k], at + 44, len(parameters[k]), len(blocks[k]))
            parameters[k] += blocks[k]
    for k in range(2):
        files[k][3], files[k][5] = records[k], parameters[k]
    files[0][1] = bytearray(sections[1])
    struct.pack_into("<I", files[0][1], 4, largest)
    arena_bytes = model.arena_bytes + round_up(largest, 64) - round_up(model.panel_bytes, 64)
    struct.pack_into("<Q", files[0][1], 16, arena_bytes)
    return file_of(files[0], minor), file_of(files[1], 0)


class PageTest(unittest.TestCase):
    """The example of section 1."""

    @classmethod
    def setUpClass(cls):
        page = (ROOT / "formats" / "FORMAT.md").read_text()
        cls.data, cls.shown = page_dump(page)
        cls.results = page_results(page)
        cls.model = read_model(cls.data)
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
            with self.assertRaises(FormatError, msg=f"byte {at:#x}"):
                read_model(changed)

    def test_random_numbers(self):
        zero = [int(c) for c in philox([0] * 4, (0, 0))]
        self.assertEqual(zero, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8])
        state = first_states(1, 0, 0, 1)
        key = "lane 0 of pass 0, layer 0, panel 0: first state"
        self.assertEqual([f"{int(s[0, 0]):08x}" for s in state], words(self.results[key]))
        outputs = lane_outputs(state, 3)[0, :, 0]
        self.assertEqual(bits(outputs), words(self.results["its first three outputs"]))

    def test_weights(self):
        weights, biases = WeightSource(self.model, 0).sample(1, 0)
        for channel, name in ((0, "weights of layer 0, channel 0, pass 0, rows of 3"),
                              (1, "weights of layer 0, channel 1, pass 0")):
            found = [f"{int(w) & 255:02x}" for w in weights[channel]]
            self.assertEqual(found, words(self.results[name]))
        self.assertEqual(", ".join(map(str, biases)), self.results["biases of layer 0, pass 0"])
        _, biases = WeightSource(self.model, 2).sample(1, 0)
        self.assertEqual(", ".join(map(str, biases)), self.results["biases of layer 2, pass 0"])

    def test_prediction(self):
        sources = {i: WeightSource(self.model, i) for i in (0, 2)}
        stored, _ = quantize_input(self.model, self.image)
        tensors, *_ = run_pass(self.model, sources, stored, 1, 1)
        self.assertEqual([f"{int(q):02x}" for q in tensors[2].ravel()],
                         words(self.results["tensor 2, pass 1 (NHWC)"]))
        p = predict(self.model, self.image, 2, 1)
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
                read_model(path.read_bytes())

    def test_golden_predictions(self):
        """predictions.txt pins them for the C++ kernels; its head says of what the CRC is."""
        lines = (DATA / "golden" / "predictions.txt").read_text().splitlines()
        wanted = dict(line.split() for line in lines if line and not line.startswith("#"))
        self.assertTrue(wanted, "no predictions")
        for name, crc in wanted.items():
            with self.subTest(name):
                model = read_model((DATA / "golden" / f"{name}.mu8").read_bytes())
                images = golden_images(model, 8)
                found = b"".join(prediction_bytes(model, predict(model, image, 32, 2026))
                                 for image in images)
                self.assertEqual(f"{crc32c(found):08x}", crc)

    def test_invalid_files_give_the_code_in_their_name(self):
        paths = sorted((DATA / "invalid").glob("*_*.mu8"))
        self.assertTrue(paths, "no invalid files")
        for path in paths:
            with self.subTest(path.name):
                with self.assertRaises(FormatError) as caught:
                    read_model(path.read_bytes())
                self.assertEqual(caught.exception.code, int(path.name.split("_")[0]),
                                 str(caught.exception))


class PackedMuTest(unittest.TestCase):
    """mu of 1 to 7 bits (6.7) and of a width for each panel (6.8), packed here code by code."""

    def golden(self, name):
        return (DATA / "golden" / f"{name}.mu8").read_bytes()

    def test_a_block_by_hand(self):
        stored = np.zeros(56, np.uint8)  # 7 bits: 32 bytes of 4, 16 of 2, 8 of 1
        stored[[1, 32, 33, 48, 55]] = 0xA5, 0x40, 0x02, 0x02, 0x80
        codes = unpack_mu_codes(stored, 7)
        found = {i: int(codes[i]) for i in np.flatnonzero(codes)}
        self.assertEqual(found, {1: 8 * 5 + 2 * 2 + 1, 33: 8 * 10, 48: 2 * 1, 63: 1})
        self.assertEqual(mu_of_codes(codes, 7, None)[33], 2 * (80 - 128))

    def test_eight_bits_give_the_file_itself(self):
        for name in ("every_operator", "tiny_sigma4", "deterministic"):
            data = self.golden(name)
            packed, twin = with_mu_bits(data, lambda index: 8)
            self.assertEqual(twin, data)
            self.assertEqual(packed[12:60], data[12:60])
            self.assertEqual(packed[64:], data[64:])

    def test_packed_weights_are_those_of_the_8_bit_twin(self):
        names = ["every_operator", "deterministic", "deterministic_prefix",
                 *(f"tiny_sigma{bits}" for bits in (0, 1, 2, 4, 8))]
        choices = [lambda index, b=b: b for b in (*range(1, 8), [8], [3], [8, 1], [2, 7], [5, 4])]
        choices += [lambda index: 1 + index % 8, lambda index: 6 if index else [4, 6]]
        compared = 0
        for name in names:
            for number, choice in enumerate(choices):
                with self.subTest(name, choice=number):
                    packed, twin = map(read_model, with_mu_bits(self.golden(name), choice))
                    by_panel = any(layer.mu_bits == 255 for layer in packed.layers)
                    self.assertEqual(packed.version, (1, 2 if by_panel else 1))
                    for index, layer in enumerate(packed.layers):
                        if layer.weighted:
                            found, wanted = (WeightSource(m, index).sample(3, 1)
                                             for m in (packed, twin))
                            np.testing.assert_array_equal(found[0], wanted[0])
                            np.testing.assert_array_equal(found[1], wanted[1])
                            compared += 1
                    t = packed.tensors[0]
                    image = split_mix_bytes(7, t.height * t.width * t.channels).reshape(
                        t.height, t.width, t.channels)
                    found, wanted = (predict(m, image, 2, 1).logits
                                     for m in (packed, twin))
                    self.assertEqual(bits(found), bits(wanted))
        self.assertGreater(compared, 150)

    def check(self, code, data):
        with self.assertRaises(FormatError) as caught:
            read_model(data)
        self.assertEqual(caught.exception.code, code, str(caught.exception))

    def spoiled(self, name, mu_bits, layer, what, at, value):
        """A packed file with codes[at] or table.flat[at] of a layer = value."""
        def change(index, codes, table):
            if index == layer:
                (codes if what == "code" else table.reshape(-1))[at] = value
        return with_mu_bits(self.golden(name), lambda index: mu_bits, change)[0]

    def test_mu_range(self):
        for b in (5, 6, 7):  # the last byte of the panel belongs to no weight
            self.check(44, self.spoiled("tiny_sigma2", b, 0, "code", 127, 1 << (b - 1)))
            self.check(44, self.spoiled("tiny_deterministic", b, 1, "code", 0, 1 << (b - 1)))
        for b in (1, 2, 3, 4):
            self.check(44, self.spoiled("tiny_sigma2", b, 0, "table", (1 << b) - 1, -128))
        for b in (1, 2, 3):  # layer 2 of deterministic has two panels
            self.check(44, self.spoiled("deterministic", b, 2, "table", 16 + (1 << b), 1))

    def test_padding_weight(self):
        for b in range(1, 8):  # byte 3: input 3 of 3; bytes 20 on: slots without a channel
            for at in (3, 23):
                self.check(45, self.spoiled("tiny_sigma2", b, 0, "code", at, 1))

        def zeros(index, codes, table):
            table[:], codes[3 if index == 0 else 0] = 0, 1
        self.check(45, with_mu_bits(self.golden("tiny_sigma2"), lambda index: 4, zeros)[0])

    def test_ranges_by_panel(self):
        """Layer 2 of deterministic has two panels, layer 0 of tiny_sigma2 an input of padding."""
        first = read_model(self.golden("deterministic")).layers[2].parameters.layout
        start = int(first.panel_start[1])
        for widths in ([3, 6], [8, 5], [1, 7]):
            lowest = 1 << (widths[1] - 1)
            self.check(44, self.spoiled("deterministic", widths, 2, "code", start, lowest))
        self.check(44, self.spoiled("deterministic", [1, 8], 2, "code", start, 128))
        for widths, at in (([5, 2], 0), ([8, 2], 15), ([2, 8], 16), ([2, 5], 31), ([4, 2], 20)):
            self.check(44, self.spoiled("deterministic", widths, 2, "table", at, 1))
        self.check(44, self.spoiled("deterministic", [8, 4], 2, "table", 31, -128))
        for b in range(1, 9):
            self.check(45, self.spoiled("tiny_sigma2", [b], 0, "code", 3, 1))

    def test_other_rules_by_panel(self):
        packed = with_mu_bits(self.golden("deterministic"), lambda index: [3, 6])[0]
        model, sections = read_model(packed), sections_of(packed)
        layer, record = model.layers[2], 2 * 128
        size, layout = layer.mu_bytes, layer.parameters.layout
        panel_bits = layer.parameter_offset + 8 * layout.slots
        self.assertEqual(sections[5][panel_bits:panel_bits + 2], b"\x03\x06")
        cases = [(34, 5, panel_bits, "<B", 0), (34, 5, panel_bits + 1, "<B", 9),
                 (40, 5, panel_bits, "<B", 2), (40, 5, panel_bits + 1, "<B", 7),
                 (9, 3, record + 2, "<B", 8), (9, 3, record + 68, "<I", 1),
                 (48, 1, 4, "<I", 0)]
        for value in (0, size - 8, size - 4, size + 4, size + 8, layout.mu_bytes + 64, 2 ** 32 - 1):
            cases.append((40, 3, record + 64, "<I", value))
        for code, section, at, form, value in cases:
            changed = bytearray(sections[section])
            struct.pack_into(form, changed, at, value)
            self.check(code, file_of({**sections, section: changed}, 2))

    def test_other_rules(self):
        packed = with_mu_bits(self.golden("tiny_deterministic"), lambda index: 3)[0]
        model, sections = read_model(packed), sections_of(packed)
        self.assertEqual(model.panel_bytes, 192)
        for code, section, at, form, value in (
                (34, 3, 2, "<B", 0), (34, 3, 2, "<B", 9), (40, 3, 130, "<B", 8),
                (40, 3, 130, "<B", 7), (40, 3, 48, "<I", model.layers[0].parameter_bytes + 64),
                (48, 1, 4, "<I", 0), (48, 1, 4, "<I", 128)):
            changed = bytearray(sections[section])
            struct.pack_into(form, changed, at, value)
            self.check(code, file_of({**sections, section: changed}, 1))


class EngineTest(unittest.TestCase):
    """LeNet-5 on MNIST digits, against the mu8 command."""

    def predict_both(self, directory, sigma_bits, antithetic=False, mu_bits=8):
        """(the engine's, this reader's) mean of two images over 3 passes, as bytes."""
        mnist = DATA / "mnist"
        digits = mnist / "digits-images-idx3-ubyte.gz"
        model, predictions = directory / "model.mu8", directory / "predictions.f32"
        subprocess.run(
            [MU8, "convert", "--model", DATA / "lenet5_mnist.onnx",
             "--posterior", DATA / "lenet5_mnist.npz",
             "--calibration", mnist / "calibration-images-idx3-ubyte.gz",
             "--calibration-limit", "64", "--sigma-bits", str(sigma_bits), "--mu-bits",
             str(mu_bits),
             "--mean", ".1307", "--std", ".3081", "-o", model],
            check=True, capture_output=True)
        subprocess.run([MU8, "eval", model, "--data", digits, "--limit", "2", "--samples", "3",
                        "--seed", "7", "--predictions", predictions,
                        *(["--antithetic"] if antithetic else [])],
                       check=True, capture_output=True)
        with gzip.open(digits) as file:
            images = read_idx(file.read())[:2]
        read = read_model(model.read_bytes())
        means = [predict(read, image, 3, 7, antithetic).mean for image in images]
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

    def test_packed_means_equal_the_engine(self):
        for mu_bits in (6, 3):
            with self.subTest(mu_bits=mu_bits), tempfile.TemporaryDirectory() as directory:
                engine, reader = self.predict_both(pathlib.Path(directory), 2, mu_bits=mu_bits)
                self.assertEqual(engine.hex(), reader.hex())


class CommandTest(unittest.TestCase):
    """tools/read_mu8"""

    def run_command(self, *arguments):
        """(exit status, stdout, stderr)"""
        done = subprocess.run([ROOT / "tools" / "read_mu8", *arguments], capture_output=True,
                              text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_a_prediction_by_its_bytes(self):
        model = DATA / "golden" / "tiny_sigma4.mu8"
        t = read_model(model.read_bytes()).tensors[0]
        image = split_mix_bytes(7, t.height * t.width * t.channels).reshape(
            t.height, t.width, t.channels)
        with tempfile.TemporaryDirectory() as directory:
            np.save(f"{directory}/image.npy", image)
            found = self.run_command(model, "--image", f"{directory}/image.npy", "--samples", "3",
                                     "--seed", "9", "--hash")
        mean = predict(read_model(model.read_bytes()), image, 3, 9).mean
        self.assertEqual(found, (0, mean.astype("<f4").tobytes().hex() + "\n", ""))

    def test_what_a_file_holds(self):
        status, text, errors = self.run_command(DATA / "golden" / "every_operator.mu8")
        self.assertEqual((status, errors), (0, ""))
        for name in ("conv2d", "max-pool", "average-pool", "lookup", "add", "multiply", "slice",
                     "concat", "dense"):
            self.assertRegex(text, rf"(?m)^ +\d+  {name} ")

    def test_steps_and_factors(self):
        _, text, _ = self.run_command(DATA / "golden" / "tiny_moments.mu8")
        self.assertIn("by layer\n    0  0.0500000007  1.5\n    1  1  0.800000012\n", text)

    def test_a_broken_file(self):
        status, text, errors = self.run_command(DATA / "invalid" / "42_shift.mu8")
        self.assertEqual((status, text), (1, ""))
        self.assertRegex(errors, r"^read_mu8: .*\(error 42\)\n$")


class IndependenceTest(unittest.TestCase):
    def test_the_reader_takes_nothing_from_other_tools(self):
        """A witness that shared code with what it judges would repeat its mistakes."""
        paths = sorted((ROOT / "tools" / "second_reader").glob("*.py"))
        self.assertGreater(len(paths), 8)
        own = {path.stem for path in paths}
        for path in paths:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.level:
                    self.assertEqual(node.level, 1, path.name)
                    self.assertIn(node.module, own, path.name)
                elif isinstance(node, (ast.Import, ast.ImportFrom)):
                    names = ([node.module] if isinstance(node, ast.ImportFrom)
                             else [alias.name for alias in node.names])
                    for name in names:
                        self.assertIn(name.split(".")[0], sys.stdlib_module_names | {"numpy"},
                                      path.name)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        MU8 = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
