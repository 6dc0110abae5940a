// Drawing a panel with Helium: 4 lanes, 16 weights of a block, in a register; a block's quarter by
// quarter, so that a quarter's random state and levels stay in registers over all blocks.
#include "kernels/built_tables.h"

#if MU8_HAVE_HELIUM
#include <arm_mve.h>

#include <array>
#include <cstring>

#include "kernels/gaussian_table.h"
#include "kernels/helium/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::helium {
namespace {

constexpr std::uint32_t kQuarters = 4;
constexpr std::uint32_t kQuarterBytes = kBlockBytes / kQuarters;

// eps of every random byte, and half of them again: from byte 128 on it is that of byte ^ 0x80.
constexpr std::array<std::int8_t, 384> kEpsilon = [] {
  std::array<std::int8_t, 384> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    table[byte] = static_cast<std::int8_t>(Epsilon(static_cast<std::uint8_t>(byte)));
  }
  return table;
}();

// A predicate's bit for each byte of a quarter: codes of 1 bit as they lie.
mve_pred16_t LoadBits(const std::uint8_t* plane, std::uint32_t quarter) {
  std::uint16_t bits;
  std::memcpy(&bits, plane + quarter * 2, sizeof(bits));
  return bits;
}

// The codes of a quarter in a block's plane of codes of kBits.
template <std::uint32_t kBits>
uint8x16_t LoadCodes(const std::uint8_t* plane, std::uint32_t quarter) {
  if constexpr (kBits == 8) {
    return vld1q_u8(plane + quarter * kQuarterBytes);
  } else if constexpr (kBits == 1) {
    return vpselq_u8(vdupq_n_u8(1), vdupq_n_u8(0), LoadBits(plane, quarter));
  } else {
    // Parts of 16 bytes side by side, then bits upwards: to the top, and down without the others.
    constexpr std::uint32_t kParts = kBits == 4 ? 2 : 1;
    const uint8x16_t codes = vld1q_u8(plane + quarter % kParts * kQuarterBytes);
    const auto place = static_cast<std::int32_t>(quarter / kParts * kBits);
    return vshrq_n_u8(vshlq_r_u8(codes, 8 - static_cast<std::int32_t>(kBits) - place), 8 - kBits);
  }
}

// MakeLane for 4 lanes, the first of which is 4 * quarter.
uint32x4x4_t MakeLanes(const StreamId& stream, std::uint32_t quarter) {
  uint32x4_t c0 = vdupq_n_u32(stream.pass), c1 = vdupq_n_u32(stream.layer);
  uint32x4_t c2 = vdupq_n_u32(stream.panel), c3 = vidupq_n_u32(quarter * 4, 1);
  auto k0 = static_cast<std::uint32_t>(stream.seed);
  auto k1 = static_cast<std::uint32_t>(stream.seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round, k0 += kPhiloxW0, k1 += kPhiloxW1) {
    const uint32x4_t high0 = vmulhq_u32(c0, vdupq_n_u32(kPhiloxM0));
    const uint32x4_t high1 = vmulhq_u32(c2, vdupq_n_u32(kPhiloxM1));
    const uint32x4_t low0 = vmulq_n_u32(c0, kPhiloxM0);
    const uint32x4_t low1 = vmulq_n_u32(c2, kPhiloxM1);
    c0 = veorq_u32(veorq_u32(high1, c1), vdupq_n_u32(k0));
    c2 = veorq_u32(veorq_u32(high0, c3), vdupq_n_u32(k1));
    c1 = low1;
    c3 = low0;
  }
  // xoshiro's only forbidden state: of no bits at all, and of 32 leading zeros, bit 5 is set.
  const uint32x4_t bits = vorrq_u32(vorrq_u32(c0, c1), vorrq_u32(c2, c3));
  c0 = vorrq_u32(c0, vshrq_n_u32(vclzq_u32(bits), 5));
  uint32x4x4_t words;
  words.val[0] = c0;
  words.val[1] = c1;
  words.val[2] = c2;
  words.val[3] = c3;
  return words;
}

// xoshiro128++ of 4 lanes.
struct State {
  uint32x4_t s0, s1, s2, s3;

  explicit State(const uint32x4x4_t& words)
      : s0(words.val[0]), s1(words.val[1]), s2(words.val[2]), s3(words.val[3]) {}
  void Store(Xoshiro* lanes) const {
    uint32x4x4_t words;
    words.val[0] = s0;
    words.val[1] = s1;
    words.val[2] = s2;
    words.val[3] = s3;
    vst4q_u32(lanes->s.data(), words);
  }
  uint32x4_t Next() {
    const uint32x4_t sum = vaddq_u32(s0, s3);
    const uint32x4_t result = vaddq_u32(vsriq_n_u32(vshlq_n_u32(sum, 7), sum, 25), s0);
    const uint32x4_t shifted = vshlq_n_u32(s1, 9);
    s2 = veorq_u32(s2, s0);
    s3 = veorq_u32(s3, s1);
    s1 = veorq_u32(s1, s2);
    s0 = veorq_u32(s0, s3);
    s2 = veorq_u32(s2, shifted);
    s3 = vsriq_n_u32(vshlq_n_u32(s3, 11), s3, 21);
    return result;
  }
};

// The levels that codes stand for: where these differ from channel to channel, of each of the
// quarter's bytes.
template <std::uint32_t kBits>
class Levels {
 public:
  Levels(const SampleArgs& args, std::uint32_t quarter, uint8x16_t channels)
      : quarter_(quarter), codebook_(args.codebook) {
    if constexpr (kBits <= 2) {
      for (std::uint32_t code = 0; code < 1U << kBits; ++code) {
        vst1q_u8(table_ + code * kQuarterBytes,
                 vldrbq_gather_offset_u8(args.codebook + code * args.codebook_stride, channels));
      }
    }
  }
  // Of the block whose codes these are.
  uint8x16_t Load(const std::uint8_t* sigma) const {
    if constexpr (kBits == 0) {
      return vld1q_u8(table_);
    } else if constexpr (kBits == 1) {
      return vpselq_u8(vld1q_u8(table_ + kQuarterBytes), vld1q_u8(table_),
                       LoadBits(sigma, quarter_));
    } else {
      const uint8x16_t codes = LoadCodes<kBits>(sigma, quarter_);
      if constexpr (kBits == 8) return codes;
      if constexpr (kBits == 4) return vldrbq_gather_offset_u8(codebook_, codes);
      return vldrbq_gather_offset_u8(table_, vorrq_u8(vshlq_n_u8(codes, 4), vidupq_n_u8(0, 1)));
    }
  }

 private:
  std::uint32_t quarter_;
  const std::uint8_t* codebook_;
  std::uint8_t table_[kBits <= 2 ? kQuarterBytes << kBits : 1];
};

// Of channels 4 * quarter and on.
void DrawBiases(const SampleArgs& args, std::uint32_t quarter, const std::int8_t* epsilon,
                uint32x4_t random) {
  const std::uint32_t c = quarter * 4;
  const int32x4_t eps = vldrbq_gather_offset_s32(epsilon, vandq_u32(random, vdupq_n_u32(255)));
  const int32x4_t level = vreinterpretq_s32_u32(vldrhq_u32(args.bias_level + c));
  const int32x4_t shift = vreinterpretq_s32_u32(vldrbq_u32(args.bias_shift + c));
  const int32x4_t noise = vrshlq_s32(vmulq_s32(level, eps), vnegq_s32(shift));
  vst1q_s32(args.bias + c, vaddq_s32(vld1q_s32(args.bias_mu + c), noise));
}

// Byte by byte: mean + level * epsilon / 2^shift; the shift, negative, of each byte of a half.
int16x8_t Draw(int16x8_t mean, uint16x8_t level, int16x8_t epsilon, int16x8_t shift) {
  const int16x8_t product = vmulq_s16(epsilon, vreinterpretq_s16_u16(level));
  return vaddq_s16(vrshlq_s16(product, shift), mean);
}

// Of each of a quarter's bytes.
uint8x16_t Channels(const SampleArgs& args, std::uint32_t quarter) {
  const auto last = static_cast<std::uint8_t>(args.width - 1);
  return vandq_u8(vshrq_n_u8(vidupq_n_u8(quarter * 16, 1), 2), vdupq_n_u8(last));
}

// A quarter of each block; `mu` is the piece's means of 8 bits.
template <std::uint32_t kBits>
[[gnu::noinline]] void DrawQuarter(const SampleArgs& args, std::uint32_t quarter,
                                   const std::uint8_t* mu) {
  Xoshiro* lanes = args.lanes != nullptr ? args.lanes->lanes + quarter * 4 : nullptr;
  State state(args.first_block == 0 ? MakeLanes(args.stream, quarter) : vld4q_u32(lanes->s.data()));
  const uint8x16_t channels = Channels(args, quarter);
  // Even and odd bytes belong to the same channels.
  const int16x8_t shift =
      vnegq_s16(vreinterpretq_s16_u16(vldrbq_gather_offset_u16(args.shift, vmovlbq_u8(channels))));
  const Levels<kBits> levels(args, quarter, channels);
  const std::int8_t* epsilon = kEpsilon.data() + args.stream.flip;
  const std::uint8_t* sigma = args.sigma + args.first_block * 8 * kBits;
  const std::uint8_t* means = mu + quarter * kQuarterBytes;
  std::int8_t* out = args.weights + quarter * kQuarterBytes;
  for (std::size_t left = args.end_block - args.first_block; left != 0; --left) {
    const int8x16_t e = vldrbq_gather_offset_s8(epsilon, vreinterpretq_u8_u32(state.Next()));
    const uint8x16_t level = levels.Load(sigma);
    const int8x16_t mean = vreinterpretq_s8_u8(vld1q_u8(means));
    const int16x8_t even = Draw(vmovlbq_s8(mean), vmovlbq_u8(level), vmovlbq_s8(e), shift);
    const int16x8_t odd = Draw(vmovltq_s8(mean), vmovltq_u8(level), vmovltq_s8(e), shift);
    const int8x16_t weights = vqmovntq_s16(vqmovnbq_s16(mean, even), odd);
    // -128 becomes -127: 1 less and 1 more, each saturated.
    vst1q_s8(out, vqsubq_n_s8(vqaddq_n_s8(weights, -1), -1));
    sigma += 8 * kBits;
    means += kBlockBytes;
    out += kBlockBytes;
  }
  if (args.end_block != BlockCount(args)) return state.Store(lanes);
  // The biases take the step after the weights: byte 0 of lane c.
  if (quarter * 4 < args.width) DrawBiases(args, quarter, epsilon, state.Next());
}

std::size_t PieceBlocks(const SampleArgs& args) { return args.end_block - args.first_block; }

// The means of a quarter of a block from their packed codes.
int8x16_t LoadMeans(const SampleArgs& args, const std::uint8_t* block, std::uint32_t quarter) {
  const std::uint32_t bits = args.mu_bits;
  uint8x16_t codes = vdupq_n_u8(0);
  if ((bits & 4) != 0) {
    codes = LoadCodes<4>(block, quarter);
    block += 32;
  }
  if ((bits & 2) != 0) {
    codes = vorrq_u8(vshlq_n_u8(codes, 2), LoadCodes<2>(block, quarter));
    block += 16;
  }
  if ((bits & 1) != 0) codes = vorrq_u8(vshlq_n_u8(codes, 1), LoadCodes<1>(block, quarter));
  if (bits <= 4) return vldrbq_gather_offset_s8(args.mu_table, codes);
  return vreinterpretq_s8_u8(vshlq_r_u8(codes, static_cast<std::int32_t>(8 - bits)));
}

// Packed means as bytes in the place of the weights.
void Unpack(const SampleArgs& args) {
  const std::uint8_t* block = args.mu + args.first_block * 8 * args.mu_bits;
  std::int8_t* out = args.weights;
  for (std::size_t left = PieceBlocks(args); left != 0; --left, block += 8 * args.mu_bits) {
    for (std::uint32_t quarter = 0; quarter < kQuarters; ++quarter, out += kQuarterBytes) {
      vst1q_s8(out, LoadMeans(args, block, quarter));
    }
  }
}

// What stands for each code of sigma, of a quarter of each block.
template <std::uint32_t kBits>
void UnpackCodes(const SampleArgs& args, std::uint32_t quarter) {
  const uint8x16_t channels = Channels(args, quarter);
  const Levels<kBits> levels(args, quarter, channels);
  const std::uint8_t* sigma = args.sigma + args.first_block * 8 * kBits;
  auto* out = reinterpret_cast<std::uint8_t*>(args.weights) + quarter * kQuarterBytes;
  for (std::size_t left = PieceBlocks(args); left != 0; --left) {
    uint8x16_t level = levels.Load(sigma);
    if constexpr (kBits == 8) {
      const uint16x8_t even = vrshrq_n_u16(vmullbq_int_u8(level, level), kSpreadShift);
      const uint16x8_t odd = vrshrq_n_u16(vmulltq_int_u8(level, level), kSpreadShift);
      level = vmovntq_u16(vmovnbq_u16(level, even), odd);
    }
    vst1q_u8(out, level);
    sigma += 8 * kBits;
    out += kBlockBytes;
  }
}

}  // namespace

void UnpackPanel(const SampleArgs& args) {
  if (args.mu_bits == 8) {
    std::memcpy(args.weights, args.mu + args.first_block * kBlockBytes,
                PieceBlocks(args) * kBlockBytes);
  } else {
    Unpack(args);
  }
  scalar::SilencePadding(args);
}

void SquareMeans(const SampleArgs& args) {
  UnpackPanel(args);
  std::int8_t* const end = args.weights + PieceBlocks(args) * kBlockBytes;
  for (std::int8_t* at = args.weights; at != end; at += 16) {
    const int8x16_t mu = vld1q_s8(at);
    const int16x8_t even = vrshrq_n_s16(vmullbq_int_s8(mu, mu), kSquareShift);
    const int16x8_t odd = vrshrq_n_s16(vmulltq_int_s8(mu, mu), kSquareShift);
    vst1q_s8(at, vmovntq_s16(vmovnbq_s16(mu, even), odd));
  }
}

void UnpackSpread(const SampleArgs& args) {
  for (std::uint32_t quarter = 0; quarter < kQuarters; ++quarter) {
    switch (args.sigma_bits) {
      case 8:
        UnpackCodes<8>(args, quarter);
        break;
      case 4:
        UnpackCodes<4>(args, quarter);
        break;
      case 2:
        UnpackCodes<2>(args, quarter);
        break;
      case 1:
        UnpackCodes<1>(args, quarter);
        break;
      default:
        UnpackCodes<0>(args, quarter);
    }
  }
  scalar::SilencePadding(args);
}

void SamplePanel(const SampleArgs& args) {
  const std::uint8_t* mu = args.mu + args.first_block * kBlockBytes;
  if (args.mu_bits != 8) {
    Unpack(args);
    mu = reinterpret_cast<const std::uint8_t*>(args.weights);
  }
  for (std::uint32_t quarter = 0; quarter < kQuarters; ++quarter) {
    switch (args.sigma_bits) {
      case 8:
        DrawQuarter<8>(args, quarter, mu);
        break;
      case 4:
        DrawQuarter<4>(args, quarter, mu);
        break;
      case 2:
        DrawQuarter<2>(args, quarter, mu);
        break;
      case 1:
        DrawQuarter<1>(args, quarter, mu);
        break;
      default:
        DrawQuarter<0>(args, quarter, mu);
    }
  }
  scalar::SilencePadding(args);
}

}  // namespace mu8::kernels::helium
#endif  // MU8_HAVE_HELIUM
