// Drawing a panel's weights: a quarter of each 64-byte block, of 4 random lanes, is one register.
// The lanes' states, the table of epsilon and the quarter's constants stay in registers over the
// whole panel.
#include <cstring>

#include "kernels/gaussian_table.h"
#include "kernels/neon/kernels.h"
#include "kernels/neon/vectors.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::neon {
namespace {

constexpr std::uint32_t kQuarters = 4;

// xoshiro128++ of 4 lanes, word by word.
struct Lanes {
  uint32x4_t s0, s1, s2, s3;

  uint8x16_t Next() {
    const uint32x4_t sum = vaddq_u32(s0, s3);
    const uint32x4_t result = vaddq_u32(Rotate<7>(sum), s0);
    const uint32x4_t t = vshlq_n_u32(s1, 9);
    s2 = veorq_u32(s2, s0);
    s3 = veorq_u32(s3, s1);
    s1 = veorq_u32(s1, s2);
    s0 = veorq_u32(s0, s3);
    s2 = veorq_u32(s2, t);
    s3 = Rotate<11>(s3);
    return vreinterpretq_u8_u32(result);
  }
  template <int kCount>
  static uint32x4_t Rotate(uint32x4_t value) {
    return vsriq_n_u32(vshlq_n_u32(value, kCount), value, 32 - kCount);
  }
};

// a * b of 4 lanes, as low and high words.
struct Product {
  uint32x4_t low, high;

  Product(uint32x4_t a, std::uint32_t b) {
    const uint32x4_t factor = vdupq_n_u32(b);
    const uint32x4x2_t words =
        vuzpq_u32(vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a), vget_low_u32(factor))),
                  vreinterpretq_u32_u64(MultiplyLongHigh(a, factor)));
    low = words.val[0];
    high = words.val[1];
  }
};

// Lanes first to first + 3 at their start: Philox4x32-10 (random.h), 4 lanes side by side.
Lanes MakeLanes(const StreamId& id, std::uint32_t first) {
  const std::uint32_t numbers[4] = {first, first + 1, first + 2, first + 3};
  uint32x4_t c0 = vdupq_n_u32(id.pass), c1 = vdupq_n_u32(id.layer), c2 = vdupq_n_u32(id.panel),
             c3 = vld1q_u32(numbers);
  std::uint32_t key0 = static_cast<std::uint32_t>(id.seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(id.seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round, key0 += kPhiloxW0, key1 += kPhiloxW1) {
    const Product p0(c0, kPhiloxM0), p1(c2, kPhiloxM1);
    c0 = veorq_u32(veorq_u32(p1.high, c1), vdupq_n_u32(key0));
    c1 = p1.low;
    c2 = veorq_u32(veorq_u32(p0.high, c3), vdupq_n_u32(key1));
    c3 = p0.low;
  }
  // xoshiro's only forbidden state.
  const uint32x4_t any = vorrq_u32(vorrq_u32(c0, c1), vorrq_u32(c2, c3));
  const uint32x4_t one = vandq_u32(vceqq_u32(any, vdupq_n_u32(0)), vdupq_n_u32(1));
  return {vorrq_u32(c0, one), c1, c2, c3};
}

Lanes LoadLanes(const LaneStates& states, std::uint32_t quarter) {
  const auto* from = reinterpret_cast<const std::uint8_t*>(&states) + quarter * 64;
  const auto word = [&](int i) { return vreinterpretq_u32_u8(vld1q_u8(from + i * 16)); };
  return {word(0), word(1), word(2), word(3)};
}

void StoreLanes(const Lanes& lanes, std::uint32_t quarter, LaneStates* states) {
  auto* to = reinterpret_cast<std::uint8_t*>(states) + quarter * 64;
  for (const uint32x4_t& word : {lanes.s0, lanes.s1, lanes.s2, lanes.s3}) {
    vst1q_u8(to, vreinterpretq_u8_u32(word));
    to += 16;
  }
}

// eps of random bytes. The table holds kEpsilonMagnitude, negated for a mirrored stream.
struct EpsilonTable {
  Table64 low, high;

  explicit EpsilonTable(std::uint8_t flip)
      : EpsilonTable(reinterpret_cast<const std::uint8_t*>(Magnitudes(flip).bytes)) {}

  int8x16_t Epsilon(uint8x16_t random) const {
    const uint8x16_t index = vandq_u8(random, vdupq_n_u8(127));
    const uint8x16_t magnitude = high.At(vsubq_u8(index, vdupq_n_u8(64)), low.At(index));
    const int8x16_t sign = vshrq_n_s8(vreinterpretq_s8_u8(random), 7);
    return vsubq_s8(veorq_s8(vreinterpretq_s8_u8(magnitude), sign), sign);
  }

 private:
  struct Bytes {
    std::int8_t bytes[128];
  };

  explicit EpsilonTable(const std::uint8_t* magnitudes) : low(magnitudes), high(magnitudes + 64) {}
  static Bytes Magnitudes(std::uint8_t flip) {
    Bytes result;
    for (std::uint32_t i = 0; i < 128; ++i) {
      result.bytes[i] =
          static_cast<std::int8_t>(flip != 0 ? -kEpsilonMagnitude[i] : kEpsilonMagnitude[i]);
    }
    return result;
  }
};

// The codes of 8, 4, 2 or 1 bits of one quarter of a block (scalar/sample.cpp says where they lie).
template <std::uint32_t kBits>
struct Codes {
  std::uint32_t offset;
  int8x16_t shift;

  explicit Codes(std::uint32_t quarter)
      : offset(quarter * 16 % (8 * kBits)),
        shift(vdupq_n_s8(static_cast<std::int8_t>(
            -static_cast<std::int32_t>(quarter * 16 / (8 * kBits) * kBits)))) {}
  uint8x16_t Of(const std::uint8_t* block) const {
    const uint8x16_t bytes = vld1q_u8(block + offset);
    if constexpr (kBits == 8) return bytes;
    return vandq_u8(vshlq_u8(bytes, shift), vdupq_n_u8((1U << kBits) - 1));
  }
};

// Single bits: 16 of them are two bytes.
template <>
struct Codes<1> {
  std::uint32_t offset;
  uint8x16_t bits;

  explicit Codes(std::uint32_t quarter) : offset(quarter * 2) {
    const uint8x8_t bit = vcreate_u8(0x8040201008040201U);
    bits = vcombine_u8(bit, bit);
  }
  // 255 where the bit is set.
  uint8x16_t Mask(const std::uint8_t* block) const {
    const uint8x16_t bytes =
        vcombine_u8(vld1_dup_u8(block + offset), vld1_dup_u8(block + offset + 1));
    return vtstq_u8(bytes, bits);
  }
  uint8x16_t Of(const std::uint8_t* block) const { return vandq_u8(Mask(block), vdupq_n_u8(1)); }
};

// The levels of one quarter of a block, less 128: then they are signed bytes.
template <std::uint32_t kBits>
struct Levels;

template <>
struct Levels<8> {
  Codes<8> codes;

  Levels(const SampleArgs&, std::uint32_t quarter) : codes(quarter) {}
  int8x16_t Of(const std::uint8_t* block) const {
    return vreinterpretq_s8_u8(veorq_u8(codes.Of(block), vdupq_n_u8(128)));
  }
};

// Code k of byte i selects entry k * 16 + i of a table (or, of 4 bits, entry k).
struct LevelBytes {
  std::uint8_t bytes[64];

  LevelBytes(const SampleArgs& args, std::uint32_t quarter) : bytes() {
    for (std::uint32_t i = 0; i < (args.sigma_bits == 4 ? 16U : 16U << args.sigma_bits); ++i) {
      const std::uint32_t channel = (quarter * 4 + i % 16 / 4) % args.width;
      const std::size_t at = args.sigma_bits == 4 ? i : i / 16 * args.codebook_stride + channel;
      bytes[i] = args.codebook[at] ^ 128;
    }
  }
  uint8x16_t Row(std::uint32_t code) const { return vld1q_u8(bytes + code * 16); }
};

template <>
struct Levels<4> {
  Codes<4> codes;
  Table16 table;

  Levels(const SampleArgs& args, std::uint32_t quarter)
      : codes(quarter), table(LevelBytes(args, quarter).bytes) {}
  int8x16_t Of(const std::uint8_t* block) const {
    return vreinterpretq_s8_u8(table.At(codes.Of(block)));
  }
};

template <>
struct Levels<2> {
  Codes<2> codes;
  Table64 table;
  uint8x16_t position;

  Levels(const SampleArgs& args, std::uint32_t quarter)
      : codes(quarter), table(LevelBytes(args, quarter).bytes) {
    const uint8x8_t eight = vcreate_u8(0x0706050403020100U);
    position = vcombine_u8(eight, vadd_u8(eight, vdup_n_u8(8)));
  }
  int8x16_t Of(const std::uint8_t* block) const {
    return vreinterpretq_s8_u8(table.At(vsliq_n_u8(position, codes.Of(block), 4)));
  }
};

template <>
struct Levels<1> {
  Codes<1> codes;
  uint8x16_t clear, set;

  Levels(const SampleArgs& args, std::uint32_t quarter) : codes(quarter) {
    const LevelBytes levels(args, quarter);
    clear = levels.Row(0);
    set = levels.Row(1);
  }
  int8x16_t Of(const std::uint8_t* block) const {
    return vreinterpretq_s8_u8(vbslq_u8(codes.Mask(block), set, clear));
  }
};

template <>
struct Levels<0> {
  int8x16_t level;

  Levels(const SampleArgs& args, std::uint32_t quarter)
      : level(vreinterpretq_s8_u8(LevelBytes(args, quarter).Row(0))) {}
  int8x16_t Of(const std::uint8_t*) const { return level; }
};

// What draws one quarter of every block.
template <std::uint32_t kBits>
struct Quarter {
  Lanes lanes;
  Levels<kBits> levels;
  int16x8_t shift_low, shift_high;  // to the left: negative

  Quarter(const SampleArgs& args, std::uint32_t quarter)
      : lanes(args.first_block == 0 ? MakeLanes(args.stream, quarter * 4)
                                    : LoadLanes(*args.lanes, quarter)),
        levels(args, quarter) {
    std::int16_t shift[16];
    for (std::uint32_t i = 0; i < 16; ++i) {
      shift[i] = static_cast<std::int16_t>(-args.shift[(quarter * 4 + i / 4) % args.width]);
    }
    shift_low = vld1q_s16(shift);
    shift_high = vld1q_s16(shift + 8);
  }

  int8x16_t Draw(const EpsilonTable& table, const std::uint8_t* sigma, int8x16_t mu) {
    const int8x16_t epsilon = table.Epsilon(lanes.Next());
    const int8x16_t level = levels.Of(sigma);
    // level * eps = 128 * eps + (level - 128) * eps: below 2^15.
    int16x8_t low =
        vmlal_s8(vshll_n_s8(vget_low_s8(epsilon), 7), vget_low_s8(epsilon), vget_low_s8(level));
    int16x8_t high = MultiplyAddLongHigh(ShiftLeftLong7High(epsilon), epsilon, level);
    low = vaddw_s8(vrshlq_s16(low, shift_low), vget_low_s8(mu));
    high = AddWideHigh(vrshlq_s16(high, shift_high), mu);
    const int8x16_t weights = vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
    return vmaxq_s8(weights, vdupq_n_s8(-127));
  }
};

// Quarters `first` and first + 1 of all blocks of the piece: two streams side by side, for
// processors that do nothing out of order; AArch64's 32 registers hold both. `mu` may be
// args.weights.
template <std::uint32_t kBits>
void DrawQuarters(const SampleArgs& args, const EpsilonTable& table, const std::int8_t* mu,
                  std::uint32_t first, LaneStates* after) {
  Quarter<kBits> one(args, first), other(args, first + 1);
  constexpr std::size_t kSigmaStep = std::size_t{8} * kBits;
  const std::uint8_t* sigma = kBits == 0 ? nullptr : args.sigma + args.first_block * kSigmaStep;
  std::int8_t* weights = args.weights + first * 16;
  mu += first * 16;
  for (std::size_t left = args.end_block - args.first_block; left != 0; --left) {
    vst1q_s8(weights, one.Draw(table, sigma, vld1q_s8(mu)));
    vst1q_s8(weights + 16, other.Draw(table, sigma, vld1q_s8(mu + 16)));
    if (kBits != 0) sigma += kSigmaStep;
    mu += kBlockBytes;
    weights += kBlockBytes;
  }
  StoreLanes(one.lanes, first, after);
  StoreLanes(other.lanes, first + 1, after);
}

template <std::uint32_t kBits>
void DrawBlocks(const SampleArgs& args, const EpsilonTable& table, const std::int8_t* mu,
                LaneStates* after) {
  DrawQuarters<kBits>(args, table, mu, 0, after);
  DrawQuarters<kBits>(args, table, mu, 2, after);
}

// The piece's means of 1 to 7 bits as bytes, in the place of the weights: their codes' planes of 4,
// 2 and 1 bits lie one behind the other in each block.
void UnpackMeans(const SampleArgs& args) {
  const std::uint32_t bits = args.mu_bits;
  const int8x16_t to_top = vdupq_n_s8(static_cast<std::int8_t>(8 - bits));
  const Table16 table(bits <= 4 ? reinterpret_cast<const std::uint8_t*>(args.mu_table)
                                : reinterpret_cast<const std::uint8_t*>(kEpsilonMagnitude.data()));
  for (std::uint32_t quarter = 0; quarter < kQuarters; ++quarter) {
    const Codes<4> codes4(quarter);
    const Codes<2> codes2(quarter);
    const Codes<1> codes1(quarter);
    const std::uint8_t* plane = args.mu + args.first_block * 8 * bits;
    std::int8_t* out = args.weights + quarter * 16;
    for (std::size_t left = args.end_block - args.first_block; left != 0; --left) {
      uint8x16_t code = vdupq_n_u8(0);
      if ((bits & 4) != 0) {
        code = codes4.Of(plane);
        plane += 32;
      }
      if ((bits & 2) != 0) {
        code = vsliq_n_u8(codes2.Of(plane), code, 2);
        plane += 16;
      }
      if ((bits & 1) != 0) {
        code = vsliq_n_u8(codes1.Of(plane), code, 1);
        plane += 8;
      }
      vst1q_s8(out, vreinterpretq_s8_u8(bits <= 4 ? table.At(code) : vshlq_u8(code, to_top)));
      out += kBlockBytes;
    }
  }
}

// What stands for each code of sigma, of every quarter of every block.
template <std::uint32_t kBits>
void UnpackCodes(const SampleArgs& args) {
  for (std::uint32_t quarter = 0; quarter < kQuarters; ++quarter) {
    const Levels<kBits> levels(args, quarter);
    const std::uint8_t* sigma = kBits == 0 ? nullptr : args.sigma + args.first_block * 8 * kBits;
    std::int8_t* out = args.weights + quarter * 16;
    for (std::size_t left = args.end_block - args.first_block; left != 0; --left) {
      const uint8x16_t level = veorq_u8(vreinterpretq_u8_s8(levels.Of(sigma)), vdupq_n_u8(128));
      if constexpr (kBits == 8) {
        const uint8x8_t low = vget_low_u8(level), high = vget_high_u8(level);
        vst1q_s8(out, vreinterpretq_s8_u8(vcombine_u8(
                          vmovn_u16(vrshrq_n_u16(vmull_u8(low, low), kSpreadShift)),
                          vmovn_u16(vrshrq_n_u16(vmull_u8(high, high), kSpreadShift)))));
      } else {
        vst1q_s8(out, vreinterpretq_s8_u8(level));
      }
      if (kBits != 0) sigma += 8 * kBits;
      out += kBlockBytes;
    }
  }
}

// The step after the weights: byte 0 of lane c.
void DrawBiases(const SampleArgs& args, const EpsilonTable& table, const LaneStates& after) {
  std::int8_t epsilon[kLanes * 4];
  for (std::uint32_t quarter = 0; quarter < kQuarters; ++quarter) {
    Lanes lanes = LoadLanes(after, quarter);
    vst1q_s8(epsilon + quarter * 16, table.Epsilon(lanes.Next()));
  }
  for (std::uint32_t c = 0; c < args.width; ++c) {
    scalar::DrawBias(args, c, epsilon[c * 4]);
  }
}

}  // namespace

void UnpackPanel(const SampleArgs& args) {
  if (args.mu_bits == 8) {
    std::memcpy(args.weights, args.mu + args.first_block * kBlockBytes,
                (args.end_block - args.first_block) * kBlockBytes);
  } else {
    UnpackMeans(args);
  }
  scalar::SilencePadding(args);
}

void SquareMeans(const SampleArgs& args) {
  const std::size_t bytes = (args.end_block - args.first_block) * kBlockBytes;
  const auto* mu = reinterpret_cast<const std::int8_t*>(args.mu) + args.first_block * kBlockBytes;
  if (args.mu_bits != 8) {
    UnpackMeans(args);
    mu = args.weights;
  }
  for (std::size_t i = 0; i < bytes; i += 16) {
    const int8x16_t m = vld1q_s8(mu + i);
    const int8x8_t low = vget_low_s8(m), high = vget_high_s8(m);
    vst1q_s8(args.weights + i, vcombine_s8(vrshrn_n_s16(vmull_s8(low, low), kSquareShift),
                                           vrshrn_n_s16(vmull_s8(high, high), kSquareShift)));
  }
  scalar::SilencePadding(args);
}

void UnpackSpread(const SampleArgs& args) {
  switch (args.sigma_bits) {
    case 8:
      UnpackCodes<8>(args);
      break;
    case 4:
      UnpackCodes<4>(args);
      break;
    case 2:
      UnpackCodes<2>(args);
      break;
    case 1:
      UnpackCodes<1>(args);
      break;
    default:
      UnpackCodes<0>(args);
      break;
  }
  scalar::SilencePadding(args);
}

void SamplePanel(const SampleArgs& args) {
  const auto* mu = reinterpret_cast<const std::int8_t*>(args.mu) + args.first_block * kBlockBytes;
  if (args.mu_bits != 8) {
    UnpackMeans(args);
    mu = args.weights;
  }
  LaneStates own;  // of a whole panel
  LaneStates* after = args.lanes != nullptr ? args.lanes : &own;
  const EpsilonTable table(args.stream.flip);
  switch (args.sigma_bits) {
    case 8:
      DrawBlocks<8>(args, table, mu, after);
      break;
    case 4:
      DrawBlocks<4>(args, table, mu, after);
      break;
    case 2:
      DrawBlocks<2>(args, table, mu, after);
      break;
    case 1:
      DrawBlocks<1>(args, table, mu, after);
      break;
    default:
      DrawBlocks<0>(args, table, mu, after);
      break;
  }
  scalar::SilencePadding(args);
  if (args.end_block == BlockCount(args)) DrawBiases(args, table, *after);
}

}  // namespace mu8::kernels::neon
