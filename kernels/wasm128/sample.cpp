// Drawing a panel's weights: a quarter of each 64-byte block, of 4 random lanes, is one register. A
// quarter's random state, levels and shifts stay where they are over all blocks of the piece.
#include "kernels/built_tables.h"

#if MU8_HAVE_WASM128
#include <wasm_simd128.h>

#include <cstring>

#include "kernels/gaussian_table.h"
#include "kernels/scalar/kernels.h"
#include "kernels/wasm128/kernels.h"

namespace mu8::kernels::wasm128 {
namespace {

constexpr std::uint32_t kQuarters = 4;
constexpr std::uint32_t kQuarterBytes = kBlockBytes / kQuarters;

template <std::uint32_t kCount>
v128_t Rotate(v128_t words) {
  return wasm_v128_or(wasm_i32x4_shl(words, kCount), wasm_u32x4_shr(words, 32 - kCount));
}

// xoshiro128++ of 4 lanes, word by word.
struct Lanes {
  v128_t s0, s1, s2, s3;

  v128_t Next() {
    const v128_t result = wasm_i32x4_add(Rotate<7>(wasm_i32x4_add(s0, s3)), s0);
    const v128_t t = wasm_i32x4_shl(s1, 9);
    s2 = wasm_v128_xor(s2, s0);
    s3 = wasm_v128_xor(s3, s1);
    s1 = wasm_v128_xor(s1, s2);
    s0 = wasm_v128_xor(s0, s3);
    s2 = wasm_v128_xor(s2, t);
    s3 = Rotate<11>(s3);
    return result;
  }
};

// a * b of 4 lanes, as low and high words.
struct Product {
  v128_t low, high;

  Product(v128_t a, std::uint32_t b) {
    const v128_t factor = wasm_u32x4_splat(b);
    const v128_t first = wasm_u64x2_extmul_low_u32x4(a, factor);
    const v128_t last = wasm_u64x2_extmul_high_u32x4(a, factor);
    low = wasm_i32x4_shuffle(first, last, 0, 2, 4, 6);
    high = wasm_i32x4_shuffle(first, last, 1, 3, 5, 7);
  }
};

// Lanes first to first + 3 at their start: Philox4x32-10 (random.h), 4 lanes side by side.
Lanes MakeLanes(const StreamId& id, std::uint32_t first) {
  v128_t c0 = wasm_u32x4_splat(id.pass), c1 = wasm_u32x4_splat(id.layer);
  v128_t c2 = wasm_u32x4_splat(id.panel);
  v128_t c3 = wasm_u32x4_make(first, first + 1, first + 2, first + 3);
  auto key0 = static_cast<std::uint32_t>(id.seed);
  auto key1 = static_cast<std::uint32_t>(id.seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round, key0 += kPhiloxW0, key1 += kPhiloxW1) {
    const Product p0(c0, kPhiloxM0), p1(c2, kPhiloxM1);
    c0 = wasm_v128_xor(wasm_v128_xor(p1.high, c1), wasm_u32x4_splat(key0));
    c1 = p1.low;
    c2 = wasm_v128_xor(wasm_v128_xor(p0.high, c3), wasm_u32x4_splat(key1));
    c3 = p0.low;
  }
  // xoshiro's only forbidden state.
  const v128_t any = wasm_v128_or(wasm_v128_or(c0, c1), wasm_v128_or(c2, c3));
  const v128_t is_zero = wasm_i32x4_eq(any, wasm_i32x4_splat(0));
  return {wasm_v128_or(c0, wasm_v128_and(is_zero, wasm_i32x4_splat(1))), c1, c2, c3};
}

Lanes LoadLanes(const LaneStates& states, std::uint32_t quarter) {
  const auto* from = reinterpret_cast<const std::uint8_t*>(&states) + quarter * 64;
  return {wasm_v128_load(from), wasm_v128_load(from + 16), wasm_v128_load(from + 32),
          wasm_v128_load(from + 48)};
}

void StoreLanes(const Lanes& lanes, std::uint32_t quarter, LaneStates* states) {
  auto* to = reinterpret_cast<std::uint8_t*>(states) + quarter * 64;
  wasm_v128_store(to, lanes.s0);
  wasm_v128_store(to + 16, lanes.s1);
  wasm_v128_store(to + 32, lanes.s2);
  wasm_v128_store(to + 48, lanes.s3);
}

// eps of random bytes. A look-up gives 0 where the index is 16 or more, so each of 8 parts of
// kEpsilonMagnitude answers for its own entries. A mirrored stream has negative magnitudes.
struct EpsilonTable {
  v128_t parts[8];

  explicit EpsilonTable(std::uint8_t flip) {
    for (std::size_t i = 0; i < 8; ++i) {
      const v128_t magnitudes = wasm_v128_load(kEpsilonMagnitude.data() + 16 * i);
      parts[i] = flip != 0 ? wasm_i8x16_neg(magnitudes) : magnitudes;
    }
  }
  v128_t Epsilon(v128_t random) const {
    v128_t index = wasm_v128_and(random, wasm_i8x16_splat(127));
    v128_t magnitude = wasm_i8x16_swizzle(parts[0], index);
#pragma GCC unroll 8
    for (std::size_t i = 1; i < 8; ++i) {
      index = wasm_i8x16_sub(index, wasm_i8x16_splat(16));
      magnitude = wasm_v128_or(magnitude, wasm_i8x16_swizzle(parts[i], index));
    }
    const v128_t sign = wasm_i8x16_shr(random, 7);
    return wasm_i8x16_sub(wasm_v128_xor(magnitude, sign), sign);
  }
};

// The codes of a quarter in a block's plane of codes of kBits (scalar/sample.cpp says where they
// lie); of 1 bit 255 stands for 1.
template <std::uint32_t kBits>
v128_t LoadCodes(const std::uint8_t* plane, std::uint32_t quarter) {
  if constexpr (kBits == 8) {
    return wasm_v128_load(plane + quarter * kQuarterBytes);
  } else if constexpr (kBits == 1) {
    const v128_t bits = wasm_u64x2_splat(0x8040201008040201U);
    const v128_t places = wasm_i8x16_const(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const v128_t spread = wasm_i8x16_swizzle(wasm_v128_load16_splat(plane + quarter * 2), places);
    return wasm_i8x16_eq(wasm_v128_and(spread, bits), bits);
  } else {
    // Parts of 16 bytes side by side, then bits upwards.
    constexpr std::uint32_t kParts = kBits == 4 ? 2 : 1;
    const v128_t codes = wasm_v128_load(plane + quarter % kParts * kQuarterBytes);
    return wasm_v128_and(wasm_u16x8_shr(codes, quarter / kParts * kBits),
                         wasm_u8x16_splat((1U << kBits) - 1));
  }
}

// The levels of a quarter's weights.
template <std::uint32_t kBits>
class Levels {
 public:
  Levels(const SampleArgs& args, std::uint32_t quarter) : quarter_(quarter) {
    if constexpr (kBits == 4) table_[0] = wasm_v128_load(args.codebook);
    if constexpr (kBits < 4) {
      for (std::uint32_t code = 0; code < 1U << kBits; ++code) {
        std::uint8_t levels[kQuarterBytes];
        for (std::uint32_t i = 0; i < kQuarterBytes; ++i) {
          const std::uint32_t channel = (quarter * 4 + i / 4) % args.width;
          levels[i] = args.codebook[code * args.codebook_stride + channel];
        }
        table_[code] = wasm_v128_load(levels);
      }
    }
  }
  // Of the block whose codes these are.
  v128_t Load(const std::uint8_t* sigma) const {
    if constexpr (kBits == 0) {
      return table_[0];
    } else {
      const v128_t codes = LoadCodes<kBits>(sigma, quarter_);
      if constexpr (kBits == 8) return codes;
      if constexpr (kBits == 4) return wasm_i8x16_swizzle(table_[0], codes);
      if constexpr (kBits == 1) return wasm_v128_bitselect(table_[1], table_[0], codes);
      if constexpr (kBits == 2) {
        const v128_t bit0 = wasm_i8x16_neg(wasm_v128_and(codes, wasm_i8x16_splat(1)));
        const v128_t bit1 = wasm_i8x16_gt(codes, wasm_i8x16_splat(1));
        return wasm_v128_bitselect(wasm_v128_bitselect(table_[3], table_[2], bit0),
                                   wasm_v128_bitselect(table_[1], table_[0], bit0), bit1);
      }
    }
  }

 private:
  std::uint32_t quarter_;
  v128_t table_[kBits == 2 ? 4 : 2];
};

// 8 weights in 16 bits: mean + level * eps / 2^shift, where multiplier is 2^(15 - shift).
v128_t Draw(v128_t mean, v128_t level, v128_t epsilon, v128_t multiplier) {
  // |level * eps| <= 255 * 93 < 2^15.
  return wasm_i16x8_add(mean, wasm_i16x8_q15mulr_sat(wasm_i16x8_mul(level, epsilon), multiplier));
}

// A quarter of each block of the piece; the lanes behind it. `mu` is the piece's means of 8 bits
// and may be args.weights.
template <std::uint32_t kBits>
Lanes DrawQuarter(const SampleArgs& args, const EpsilonTable& table, std::uint32_t quarter,
                  const std::int8_t* mu) {
  Lanes lanes =
      args.first_block == 0 ? MakeLanes(args.stream, quarter * 4) : LoadLanes(*args.lanes, quarter);
  const Levels<kBits> levels(args, quarter);
  std::int16_t factors[16];
  for (std::uint32_t i = 0; i < 16; ++i) {
    factors[i] =
        static_cast<std::int16_t>(1 << (15 - args.shift[(quarter * 4 + i / 4) % args.width]));
  }
  const v128_t low_factors = wasm_v128_load(factors), high_factors = wasm_v128_load(factors + 8);
  const std::uint8_t* sigma = args.sigma + args.first_block * 8 * kBits;
  std::int8_t* out = args.weights + quarter * kQuarterBytes;
  mu += quarter * kQuarterBytes;
  for (std::size_t left = args.end_block - args.first_block; left != 0; --left) {
    const v128_t epsilon = table.Epsilon(lanes.Next());
    const v128_t level = levels.Load(sigma);
    const v128_t mean = wasm_v128_load(mu);
    const v128_t low = Draw(wasm_i16x8_extend_low_i8x16(mean), wasm_u16x8_extend_low_u8x16(level),
                            wasm_i16x8_extend_low_i8x16(epsilon), low_factors);
    const v128_t high =
        Draw(wasm_i16x8_extend_high_i8x16(mean), wasm_u16x8_extend_high_u8x16(level),
             wasm_i16x8_extend_high_i8x16(epsilon), high_factors);
    wasm_v128_store(out,
                    wasm_i8x16_max(wasm_i8x16_narrow_i16x8(low, high), wasm_i8x16_splat(-127)));
    sigma += 8 * kBits;
    mu += kBlockBytes;
    out += kBlockBytes;
  }
  return lanes;
}

Lanes DrawQuarter(const SampleArgs& args, const EpsilonTable& table, std::uint32_t quarter,
                  const std::int8_t* mu) {
  switch (args.sigma_bits) {
    case 8:
      return DrawQuarter<8>(args, table, quarter, mu);
    case 4:
      return DrawQuarter<4>(args, table, quarter, mu);
    case 2:
      return DrawQuarter<2>(args, table, quarter, mu);
    case 1:
      return DrawQuarter<1>(args, table, quarter, mu);
    default:
      return DrawQuarter<0>(args, table, quarter, mu);
  }
}

// The means of a quarter of a block from their packed codes: planes of 4, 2 and 1 bits.
v128_t LoadMeans(const SampleArgs& args, const std::uint8_t* block, std::uint32_t quarter) {
  const std::uint32_t bits = args.mu_bits;
  v128_t codes = wasm_i8x16_splat(0);
  if ((bits & 4) != 0) {
    codes = LoadCodes<4>(block, quarter);
    block += 32;
  }
  if ((bits & 2) != 0) {
    codes = wasm_v128_or(wasm_i8x16_shl(codes, 2), LoadCodes<2>(block, quarter));
    block += 16;
  }
  if ((bits & 1) != 0)
    codes = wasm_i8x16_sub(wasm_i8x16_shl(codes, 1), LoadCodes<1>(block, quarter));
  if (bits > 4) return wasm_i8x16_shl(codes, 8 - bits);
  return wasm_i8x16_swizzle(wasm_v128_load(args.mu_table), codes);
}

// The piece's packed means as bytes in the place of the weights.
void UnpackMeans(const SampleArgs& args) {
  const std::uint8_t* block = args.mu + args.first_block * 8 * args.mu_bits;
  auto* out = args.weights;
  for (std::size_t left = args.end_block - args.first_block; left != 0; --left) {
    for (std::uint32_t quarter = 0; quarter < kQuarters; ++quarter, out += kQuarterBytes) {
      wasm_v128_store(out, LoadMeans(args, block, quarter));
    }
    block += 8 * args.mu_bits;
  }
}

// What stands for each code of sigma, of a quarter of each block.
template <std::uint32_t kBits>
void UnpackCodes(const SampleArgs& args, std::uint32_t quarter) {
  const Levels<kBits> levels(args, quarter);
  const std::uint8_t* sigma = args.sigma + args.first_block * 8 * kBits;
  std::int8_t* out = args.weights + quarter * kQuarterBytes;
  for (std::size_t left = args.end_block - args.first_block; left != 0; --left) {
    v128_t level = levels.Load(sigma);
    if constexpr (kBits == 8) {
      // Shifted by one before the sum, which is more than 16 bits else.
      const v128_t half = wasm_i16x8_splat(1 << (kSpreadShift - 2));
      const auto code = [half](v128_t square) {
        return wasm_u16x8_shr(wasm_i16x8_add(wasm_u16x8_shr(square, 1), half), kSpreadShift - 1);
      };
      level = wasm_u8x16_narrow_i16x8(code(wasm_u16x8_extmul_low_u8x16(level, level)),
                                      code(wasm_u16x8_extmul_high_u8x16(level, level)));
    }
    wasm_v128_store(out, level);
    sigma += 8 * kBits;
    out += kBlockBytes;
  }
}

// The step after the weights: byte 0 of lane c, of the quarter's lanes.
void DrawBiases(const SampleArgs& args, const EpsilonTable& table, std::uint32_t quarter,
                Lanes* lanes) {
  std::int8_t epsilon[kQuarterBytes];
  wasm_v128_store(epsilon, table.Epsilon(lanes->Next()));
  for (std::uint32_t lane = 0; lane < 4 && quarter * 4 + lane < args.width; ++lane) {
    const std::uint32_t c = quarter * 4 + lane;
    scalar::DrawBias(args, c, epsilon[lane * 4]);
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
  UnpackPanel(args);
  std::int8_t* const end = args.weights + (args.end_block - args.first_block) * kBlockBytes;
  const v128_t half = wasm_i16x8_splat(1 << (kSquareShift - 1));
  for (std::int8_t* at = args.weights; at != end; at += 16) {
    const v128_t mu = wasm_v128_load(at);
    const v128_t low = wasm_i16x8_add(wasm_i16x8_extmul_low_i8x16(mu, mu), half);
    const v128_t high = wasm_i16x8_add(wasm_i16x8_extmul_high_i8x16(mu, mu), half);
    wasm_v128_store(at, wasm_i8x16_narrow_i16x8(wasm_i16x8_shr(low, kSquareShift),
                                                wasm_i16x8_shr(high, kSquareShift)));
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
  const auto* mu = reinterpret_cast<const std::int8_t*>(args.mu) + args.first_block * kBlockBytes;
  if (args.mu_bits != 8) {
    UnpackMeans(args);
    mu = args.weights;
  }
  const EpsilonTable table(args.stream.flip);
  const bool is_last = args.end_block == BlockCount(args);
  for (std::uint32_t quarter = 0; quarter < kQuarters; ++quarter) {
    Lanes lanes = DrawQuarter(args, table, quarter, mu);
    if (is_last) {
      DrawBiases(args, table, quarter, &lanes);
    } else {
      StoreLanes(lanes, quarter, args.lanes);
    }
  }
  scalar::SilencePadding(args);
}

}  // namespace mu8::kernels::wasm128
#endif  // MU8_HAVE_WASM128
