"""Random numbers and the weights drawn with them: formats/FORMAT.md section 9, bit by bit.

Written from that page alone, as a second opinion on the C++ sampling kernels.
"""

import numpy as np

from .parameters import unpack_plane


MAGNITUDE = np.array("""
  1  1  1  1  1  1  3  3  3  3  3  3  3  5  5  5
  5  5  5  7  7  7  7  7  7  9  9  9  9  9  9 11
 11 11 11 11 11 13 13 13 13 13 13 15 15 15 15 15
 15 17 17 17 17 17 17 19 19 19 19 19 21 21 21 21
 21 23 23 23 23 23 25 25 25 25 25 27 27 27 27 29
 29 29 29 31 31 31 31 33 33 33 33 35 35 35 35 37
 37 37 39 39 39 41 41 41 43 43 45 45 45 47 47 49
 49 51 51 53 55 55 57 59 61 63 65 67 71 75 81 93""".split(), np.int64)
EPSILON = np.concatenate([MAGNITUDE, -MAGNITUDE])  # eps of a byte, section 9.2
MASK32 = np.uint64(0xFFFFFFFF)


def philox(counter, key):
    """Philox4x32-10. counter: four u64 arrays below 2^32, key: two numbers; four u32 arrays."""
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = key
    half = np.uint64(32)
    for _ in range(10):
        p, q = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = ((q >> half) ^ c1 ^ np.uint64(k0), q & MASK32,
                          (p >> half) ^ c3 ^ np.uint64(k1), p & MASK32)
        k0, k1 = (k0 + 0x9E3779B9) % 2 ** 32, (k1 + 0xBB67AE85) % 2 ** 32
    return [c.astype(np.uint32) for c in (c0, c1, c2, c3)]


def first_states(seed, mc_pass, layer, panel_count):
    """The first states of the 16 lanes of each panel: four u32 [P][16]."""
    panel, lane = (a.astype(np.uint64) for a in np.indices((panel_count, 16)))
    constant = np.zeros_like(panel)
    state = philox((constant + np.uint64(mc_pass), constant + np.uint64(layer), panel, lane),
                   (seed % 2 ** 32, seed >> 32))
    state[0][(state[0] | state[1] | state[2] | state[3]) == 0] = 1
    return state


def rotate_left(value, count):
    return value << np.uint32(count) | value >> np.uint32(32 - count)


def lane_outputs(state, count):
    """xoshiro128++: the first `count` outputs of all lanes, u32 [P][count][16]."""
    s0, s1, s2, s3 = state
    outputs = np.empty((s0.shape[0], count, 16), "<u4")
    for n in range(count):
        outputs[:, n] = rotate_left(s0 + s3, 7) + s0
        t = s1 << np.uint32(9)
        s2 = s2 ^ s0
        s3 = s3 ^ s1
        s1 = s1 ^ s2
        s0 = s0 ^ s3
        s2 = s2 ^ t
        s3 = rotate_left(s3, 11)
    return outputs


def unpack_levels(layer, panel, slot):
    """Section 6.3: the level of every byte of mu, int [M]; panel and slot of each are given."""
    p, bits = layer.parameters, layer.sigma_bits
    if bits == 0:
        return p.codebook.astype(np.int64)[slot]
    codes = unpack_plane(p.sigma.reshape(-1, 8 * bits), bits).ravel().astype(np.int64)
    if bits == 8:
        return codes
    if bits == 4:
        return p.codebook.reshape(-1, 16).astype(np.int64)[panel, codes]
    return p.codebook.reshape(1 << bits, -1).astype(np.int64)[codes, slot]


class WeightSource:
    """The weights and biases of one conv2d or dense layer, pass by pass.

    Weights of inputs that do not exist (6.2), 0 whatever mu_table says, are not even looked up.
    """

    def __init__(self, model, index):
        self.index, self.layer = index, model.layers[index]
        layer, layout = self.layer, self.layer.parameters.layout
        channels = layer.output_channels
        self.slot_of_channel = layout.slot_of_channel(channels)
        run, place = np.indices((layer.runs, layer.run_length))
        positions = (run * layout.padded_run + place).ravel()
        self.byte_of_weight = layout.byte_of_weight(channels, positions)
        if layer.bayesian:
            panel = layout.panel_of_byte()
            byte = np.arange(layout.mu_bytes) - layout.panel_start[panel]
            self.slot_of_byte = layout.first_slot[panel] + byte // 4 % layout.width[panel]
            self.levels = unpack_levels(layer, panel, self.slot_of_byte)

    def means(self):
        """mu, int [output_channels][runs * run_length], and bias_mu, int [output_channels]."""
        p = self.layer.parameters
        return (p.mu.astype(np.int64)[self.byte_of_weight],
                p.bias_mu.astype(np.int64)[self.slot_of_channel])

    def sample(self, seed, mc_pass, flip=0):
        """Weights, int [output_channels][runs * run_length], and biases, int [output_channels].

        `flip` is XORed into the random bytes (9.5).
        """
        p, layout = self.layer.parameters, self.layer.parameters.layout
        weights, biases = p.mu.astype(np.int64), p.bias_mu.astype(np.int64)
        if self.layer.bayesian:
            blocks = layout.panel_bytes // 64  # [P]
            state = first_states(seed, mc_pass, self.index, len(blocks))
            outputs = lane_outputs(state, int(blocks.max()) + 1)
            used = np.arange(outputs.shape[1]) < blocks[:, None]
            # Little-endian lanes one after the other: byte i of a panel meets random byte i.
            e = EPSILON[outputs[used].view(np.uint8).ravel() ^ flip]
            shift = p.shift.astype(np.int64)[self.slot_of_byte]
            noise = (self.levels * e + (1 << (shift - 1))) >> shift
            weights = np.clip(weights + noise, -127, 127)

            slot = np.arange(layout.slots)
            panel = np.searchsorted(layout.first_slot, slot, side="right") - 1
            e = EPSILON[outputs[panel, blocks[panel], slot - layout.first_slot[panel]] & 255 ^ flip]
            shift = p.bias_shift.astype(np.int64)
            biases = biases + ((p.bias_level * e + (1 << (shift - 1))) >> shift)
        return weights[self.byte_of_weight], biases[self.slot_of_channel]


def stream_of_pass(mc_pass, antithetic):
    """Section 9.5: the pass whose random bytes are drawn, and what they are XORed with."""
    if not antithetic:
        return mc_pass, 0
    return mc_pass - mc_pass % 2, 128 * (mc_pass % 2)
