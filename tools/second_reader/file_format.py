"""The records of a .mu8 file and the rules of formats/FORMAT.md sections 2, 3, 4 and 7.

Written from that page alone, as a second opinion on the C++ reader; require(..., 31, ...) names the
error code of a rule, and the checks keep the order of section 11. The layers are checked in
layers.py; reader.py puts it together.
"""

import dataclasses
import struct

import numpy as np

MAGIC = bytes.fromhex("936d75380d0a1a0a")
LFS_TEXT = b"version https://git-lfs"
NO_TENSOR = 0xFFFF
PIXELS, NUMBERS = 0, 1  # what the inputs are, section 5.1
MU_BITS_BY_PANEL = 255  # every panel has a width of its own, section 6.8
(CONV2D, DENSE, MAX_POOL, AVERAGE_POOL, LOOKUP, ADD, MULTIPLY, SLICE, CONCAT, GATHER, MAXIMUM,
 MINIMUM, CONSTANT) = range(1, 14)
OUTSIDE = 0xFFFFFFFF  # row of a gather's place
OPERATOR_NAMES = {CONV2D: "conv2d", DENSE: "dense", MAX_POOL: "max-pool",
                  AVERAGE_POOL: "average-pool", LOOKUP: "lookup", ADD: "add",
                  MULTIPLY: "multiply", SLICE: "slice", CONCAT: "concat", GATHER: "gather",
                  MAXIMUM: "maximum", MINIMUM: "minimum", CONSTANT: "constant"}
SECTION_NAMES = {1: "model", 2: "tensors", 3: "layers", 4: "input", 5: "parameters",
                 6: "metadata", 7: "outputs", 8: "ranges", 9: "abstain", 10: "moments"}
SOFTMAX, SIGMOID, VALUES, GAUSSIAN, RECONSTRUCTION = range(5)  # heads, section 10


class FormatError(Exception):
    """A broken rule: the code of section 11, a sentence, and where in the file it shows."""

    def __init__(self, code, message, offset):
        super().__init__(f"{message} at offset {offset:#x} (error {code})")
        self.code, self.message, self.offset = code, message, offset


def require(condition, code, message, offset):
    if not condition:
        raise FormatError(code, message, offset)


@dataclasses.dataclass
class Section:
    id: int
    flags: int
    offset: int
    bytes: int
    crc: int


@dataclasses.dataclass
class Tensor:
    """Section 4: one u8 activation, NHWC; x = scale * (q - zero_point)."""
    height: int
    width: int
    channels: int
    row_stride: int
    pad_top: int
    pad_bottom: int
    pad_left: int
    pad_right: int
    offset: int
    bytes: int
    scale: np.float32
    first_layer: int
    last_layer: int
    zero_point: int
    reserved: bytes
    at: int = 0  # of the record in the file


@dataclasses.dataclass
class Layer:
    """Section 5.2; parameters is parameters.Parameters, or u8 tables [n][256], of a gather three
    tables u32 [n][row, offset], of a constant u8 [H][W][C]."""
    op: int
    flags: int
    mu_bits: int
    sigma_bits: int
    input: int
    input2: int
    output: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int
    clamp_min: int
    clamp_max: int
    groups: int
    output_channels: int
    runs: int
    run_length: int
    parameter_offset: int
    parameter_bytes: int
    offset_h: int
    offset_w: int
    offset_c: int
    mu_bytes: int
    reserved: bytes
    at: int = 0
    parameters: object = None

    @property
    def bayesian(self):
        return bool(self.flags & 1)

    @property
    def depthwise(self):
        return bool(self.flags & 4)

    @property
    def by_channel(self):
        return bool(self.flags & 8)

    @property
    def weighted(self):
        return self.op in (CONV2D, DENSE)


@dataclasses.dataclass
class Model:
    version: tuple
    file_bytes: int
    sections: list
    class_count: int
    panel_bytes: int
    activation_bytes: int
    arena_bytes: int
    head: int
    input: int
    output_height: int  # 0: 1, as the next one
    output_width: int
    tensors: list = None
    layers: list = None
    input_table: np.ndarray = None   # u8 [channels][256], input 0
    input_affine: np.ndarray = None  # f32 [channels][gain, offset], input 1
    outputs: object = None           # section 7, outputs.Outputs; None: there is none
    ranges: np.ndarray = None        # section 8, f32 [K][low, high]; None: there is none
    abstain: object = None           # section 9, outputs.Abstain; None: there is none
    moments: np.ndarray = None       # section 10, f32 [layers][step, factor]; None: there is none
    metadata: dict = None            # bytes to bytes

    @property
    def positions(self):
        """P of section 8."""
        return self.output_height * self.output_width or 1

    @property
    def output_count(self):
        """K of section 8."""
        return self.class_count // 2 if self.head == GAUSSIAN else self.class_count

    @property
    def first_pass_layer(self):
        """D of section 4: the layers before it give the same values in every pass."""
        return next((i for i, layer in enumerate(self.layers) if layer.bayesian),
                    len(self.layers) - 1)

    def output_shape(self, index):
        """(height, width, channels) of what layer `index` writes."""
        if index + 1 == len(self.layers):
            return self.output_height or 1, self.output_width or 1, self.layers[index].output_channels
        tensor = self.tensors[index + 1]
        return tensor.height, tensor.width, tensor.channels


def crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = crc32c_table()


def crc32c(data):
    crc, table = 0xFFFFFFFF, CRC_TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def round_up(a, b):
    return -(-a // b) * b


def is_normal(value):
    """Positive, finite and normal, for an f32 or an array of them."""
    bits = np.asarray(value, np.float32).view(np.uint32)
    return (bits >= 0x00800000) & (bits <= 0x7F7FFFFF)


def read_header(data):
    """Section 2; returns (minor version, file_bytes, section_count)."""
    require(not data.startswith(LFS_TEXT), 3, "this is a Git LFS pointer, not the file", 0)
    require(len(data) >= 64, 1, f"file of {len(data)} bytes is shorter than a header", 0)
    magic, major, minor, endian, file_bytes, count, reserved, crc = struct.unpack_from(
        "<8sHHIQI32sI", data)
    require(magic == MAGIC, 2, "wrong magic", 0)
    require(endian == 0x01020304, 4, "wrong endian mark", 12)
    require(major == 1, 5, f"version {major}.{minor} is not 1.x", 8)
    require(file_bytes <= len(data), 1, f"{file_bytes} bytes announced, {len(data)} found", 16)
    require(file_bytes == len(data), 6, f"{file_bytes} bytes announced, {len(data)} found", 16)
    require(file_bytes <= 1 << 31, 6, "larger than 2^31 bytes", 16)
    require(1 <= count <= 16 and 64 + 32 * count <= file_bytes, 10, f"{count} sections", 24)
    require(crc32c(data[:60] + data[64:64 + 32 * count]) == crc, 8, "header checksum", 60)
    require(not any(reserved), 9, "reserved header bytes", 28)
    return minor, file_bytes, count


def read_sections(data, count):
    """Section 3; returns the table as [Section]."""
    sections, end, previous_id = [], 64 + 32 * count, 0
    for i in range(count):
        at = 64 + 32 * i
        id_, flags, offset, size, crc, reserved = struct.unpack_from("<IIQQII", data, at)
        require(id_ > previous_id, 11, f"section {id_} after {previous_id}", at)
        require(flags & ~1 == 0 and reserved == 0, 9, "section flags or reserved", at)
        require(offset == round_up(end, 64), 12, f"section {id_} is misplaced", at + 8)
        require(offset + size <= len(data), 12, f"section {id_} exceeds the file", at + 16)
        require(not any(data[end:offset]), 16, f"padding before section {id_}", end)
        require(crc32c(data[offset:offset + size]) == crc, 15, f"checksum of section {id_}",
                at + 24)
        require(id_ in SECTION_NAMES or not flags & 1, 14, f"unknown required section {id_}", at)
        sections.append(Section(id_, flags, offset, size, crc))
        end, previous_id = offset + size, id_
    require(len(data) == round_up(end, 64), 6, "the last section does not end the file", 16)
    require(not any(data[end:]), 16, "padding at the end", end)
    for id_, name in list(SECTION_NAMES.items())[:6]:
        require(any(s.id == id_ for s in sections), 13, f"no section {id_}, {name}", 64)
    return sections


def read_tensor(data, at, activation_bytes):
    """Section 4, the rules of one record."""
    *fields, bits, first, last, zero_point, reserved = struct.unpack_from("<4I4H2IIHHB7s", data, at)
    scale = np.uint32(bits).view(np.float32)
    t = Tensor(*fields, scale, first, last, zero_point, reserved, at)
    for extent in (t.height, t.width, t.channels):
        require(1 <= extent <= 65535, 21, f"extent {extent} of a tensor", at)
    require(t.row_stride >= (t.pad_left + t.width + t.pad_right) * t.channels, 22, "row stride",
            at + 12)
    rows = t.pad_top + t.height + t.pad_bottom
    require(t.bytes == round_up(rows * t.row_stride + 64, 64) <= 1 << 30, 22, "size of a tensor",
            at + 28)
    require(t.offset % 64 == 0 and t.offset + t.bytes <= activation_bytes, 24, "place of a tensor",
            at + 24)
    require(is_normal(t.scale), 23, f"scale {t.scale}", at + 32)
    require(not any(t.reserved), 9, "reserved bytes of a tensor", at + 41)
    return t


def read_records(data, model):
    """Sections 2 to 4 of the file into `model`, up to the rules of single layers."""
    by_id = {s.id: s for s in model.sections}
    counts = {}
    for id_, size in ((2, 48), (3, 128)):
        section = by_id[id_]
        require(section.bytes % size == 0, 17, f"size of section {id_}", section.offset)
        counts[id_] = section.bytes // size
        require(1 <= counts[id_] <= 4096, 20, f"{counts[id_]} records", section.offset)

    model.tensors = [read_tensor(data, by_id[2].offset + 48 * i, model.activation_bytes)
                     for i in range(counts[2])]
    require(max(t.offset + t.bytes for t in model.tensors) == model.activation_bytes, 47,
            "activation_bytes is not the end of the last tensor", by_id[1].offset + 8)

    read_input(data, model, by_id[4])
    require(counts[2] == counts[3], 20, f"{counts[2]} tensors, {counts[3]} layers", by_id[3].offset)

    model.layers = []
    for i in range(counts[3]):
        at = by_id[3].offset + 128 * i
        model.layers.append(Layer(*struct.unpack_from("<4B11H2B6I3iI60s", data, at), at))
    first = model.tensors[0]
    require(first.first_layer == NO_TENSOR and first.last_layer < counts[3], 26,
            "lifetime of the input", first.at + 36)


def read_affines(data, at, count, code):
    """Gains and offsets, f32 [count][2]."""
    affines = np.frombuffer(data, "<f4", 2 * count, at).reshape(-1, 2)
    require(is_normal(affines[:, 0]).all() and np.isfinite(affines[:, 1]).all(), code,
            "a gain or an offset", at)
    return affines


def read_input(data, model, section):
    """Section 4 of the file, 5.1 of the page."""
    channels = model.tensors[0].channels
    size = 8 if model.input == NUMBERS else 256
    require(section.bytes == size * channels, 17, "size of the input section", section.offset)
    if model.input == NUMBERS:
        model.input_affine = read_affines(data, section.offset, channels, 53)
        return
    table = np.frombuffer(data, np.uint8, 256 * channels, section.offset)
    model.input_table = table.reshape(-1, 256)


def read_metadata(data, section):
    """Section 7; returns {key: value}, both bytes."""
    at, end, pairs, previous = section.offset + 4, section.offset + section.bytes, {}, b""
    require(at <= end, 50, "no number of pairs", section.offset)
    for _ in range(struct.unpack_from("<I", data, section.offset)[0]):
        require(at + 8 <= end, 50, "pair outside the section", at)
        key_bytes, zero, value_bytes = struct.unpack_from("<HHI", data, at)
        require(key_bytes >= 1 and zero == 0, 50, "head of a pair", at)
        require(at + 8 + key_bytes + value_bytes <= end, 50, "pair outside the section", at)
        key = data[at + 8:at + 8 + key_bytes]
        require(key > previous, 50, "keys are not sorted and unique", at)
        at += 8 + key_bytes + value_bytes
        pairs[key], previous = data[at - value_bytes:at], key
    require(at == end, 50, "bytes after the last pair", at)
    return pairs
