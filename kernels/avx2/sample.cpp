// Drawing a panel's weights with AVX2: a 64-byte block is two registers of 8 lanes. See
// scalar/sample.cpp for the definition.
#include <immintrin.h>

#include "kernels/avx2/kernels.h"
#include "kernels/gaussian_table.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::avx2 {
namespace {

template <int kBits>
__m256i Rotate(__m256i value) {
  return _mm256_or_si256(_mm256_slli_epi32(value, kBits), _mm256_srli_epi32(value, 32 - kBits));
}

__m256i Load(const void* bytes) { return _mm256_loadu_si256(static_cast<const __m256i*>(bytes)); }

// Eight lanes' xoshiro128++ states.
struct Lanes {
  __m256i s0, s1, s2, s3;

  __m256i Next() {
    const __m256i result = _mm256_add_epi32(Rotate<7>(_mm256_add_epi32(s0, s3)), s0);
    const __m256i t = _mm256_slli_epi32(s1, 9);
    s2 = _mm256_xor_si256(s2, s0);
    s3 = _mm256_xor_si256(s3, s1);
    s1 = _mm256_xor_si256(s1, s2);
    s0 = _mm256_xor_si256(s0, s3);
    s2 = _mm256_xor_si256(s2, t);
    s3 = Rotate<11>(s3);
    return result;
  }
};

void MultiplyWide(__m256i c, std::uint32_t factor, __m256i* high, __m256i* low) {
  const __m256i f = _mm256_set1_epi32(static_cast<int>(factor));
  const __m256i even = _mm256_mul_epu32(c, f);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(c, 32), f);
  *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
  *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}

// Lanes first_lane .. first_lane + 7.
Lanes MakeLanes(const StreamId& id, int first_lane) {
  __m256i c0 = _mm256_set1_epi32(static_cast<int>(id.pass));
  __m256i c1 = _mm256_set1_epi32(static_cast<int>(id.layer));
  __m256i c2 = _mm256_set1_epi32(static_cast<int>(id.panel));
  __m256i c3 =
      _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first_lane));
  auto k0 = static_cast<std::uint32_t>(id.seed);
  auto k1 = static_cast<std::uint32_t>(id.seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    __m256i high0, low0, high1, low1;
    MultiplyWide(c0, kPhiloxM0, &high0, &low0);
    MultiplyWide(c2, kPhiloxM1, &high1, &low1);
    c0 = _mm256_xor_si256(_mm256_xor_si256(high1, c1), _mm256_set1_epi32(static_cast<int>(k0)));
    c1 = low1;
    c2 = _mm256_xor_si256(_mm256_xor_si256(high0, c3), _mm256_set1_epi32(static_cast<int>(k1)));
    c3 = low0;
    k0 += kPhiloxW0;
    k1 += kPhiloxW1;
  }
  const __m256i any = _mm256_or_si256(_mm256_or_si256(c0, c1), _mm256_or_si256(c2, c3));
  const __m256i is_zero = _mm256_cmpeq_epi32(any, _mm256_setzero_si256());
  c0 = _mm256_or_si256(c0, _mm256_and_si256(is_zero, _mm256_set1_epi32(1)));
  return {c0, c1, c2, c3};
}

// Hides where a constant comes from: g++ 12 would rather make it anew in every step.
void Opaque(__m256i* value) { __asm__("" : "+x"(*value)); }

// eps of random bytes. kEpsilonMagnitude's eight parts of 16 entries are looked up one after the
// other: a shuffle gives 0 where bit 7 of an index is set, so part i answers for indices from 16 i
// on, and holds the XOR of entries 16 i + j and 16 (i - 1) + j, which takes back what the parts
// before it gave.
struct EpsilonTable {
  __m256i part[8];
  __m256i entries;  // of a part

  // The mirror of an antithetic pair has negative magnitudes, which saves the flip of random bytes.
  explicit EpsilonTable(std::uint8_t flip) : entries(_mm256_set1_epi8(16)) {
    Opaque(&entries);
    __m128i before = _mm_setzero_si128();
    for (int i = 0; i < 8; ++i) {
      __m128i own =
          _mm_load_si128(reinterpret_cast<const __m128i*>(kEpsilonMagnitude.data() + 16 * i));
      if (flip != 0) own = _mm_sub_epi8(_mm_setzero_si128(), own);
      part[i] = _mm256_broadcastsi128_si256(_mm_xor_si128(own, before));
      before = own;
    }
  }

  __m256i Epsilon(__m256i random) const {
    __m256i index = _mm256_and_si256(random, _mm256_set1_epi8(0x7f));
    __m256i magnitude = _mm256_shuffle_epi8(part[0], index);
    for (int i = 1; i < 8; ++i) {
      index = _mm256_sub_epi8(index, entries);
      magnitude = _mm256_xor_si256(magnitude, _mm256_shuffle_epi8(part[i], index));
    }
    // Negated where the random byte's top bit is set; a byte of 0 is positive.
    return _mm256_sign_epi8(magnitude, _mm256_or_si256(random, _mm256_set1_epi8(1)));
  }
};

// Byte of channel lane % width, four times per lane, for the lanes of one half.
__m256i PerChannel(const std::uint8_t* values, std::uint32_t width, std::uint32_t first_lane) {
  alignas(32) std::uint32_t lanes[8];
  for (std::uint32_t i = 0; i < 8; ++i) {
    lanes[i] = values[(first_lane + i) % width] * 0x01010101U;
  }
  return Load(lanes);
}

// The codes of 32 of a block's 64 weights in planes of 4, 2 and 1 bits (FORMAT.md 6.3).
__m256i Codes4(const std::uint8_t* plane, std::uint32_t half) {
  const __m256i packed = Load(plane);
  const __m256i codes = half == 0 ? packed : _mm256_srli_epi16(packed, 4);
  return _mm256_and_si256(codes, _mm256_set1_epi8(15));
}

// Bits 0 and 1 of each byte are its code; what lies above them stays.
__m256i Spread2(const std::uint8_t* plane, std::uint32_t half) {
  const __m256i packed =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(plane)));
  const long long first = half * 4;
  return _mm256_srlv_epi64(packed, _mm256_setr_epi64x(first, first, first + 2, first + 2));
}

// -1 where a weight's bit is set. Byte i of the register takes bit i: spread the mask's bytes, then
// test one bit each.
__m256i Set1(const std::uint8_t* plane, std::uint32_t half) {
  std::int32_t mask;
  __builtin_memcpy(&mask, plane + half * 4, 4);
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(mask), _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2,
                                                2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3));
  const __m256i bits = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
  return _mm256_cmpeq_epi8(_mm256_and_si256(spread, bits), bits);
}

// Means of one half of a block. Always inline: a call would spill every register of the loop.
[[gnu::always_inline]] inline __m256i Mu(const SampleArgs& args, std::size_t block,
                                         std::uint32_t half) {
  const std::uint32_t bits = args.mu_bits;
  const std::uint8_t* plane = args.mu + block * 8 * bits;
  if (bits == 8) return Load(plane + half * 32);
  // No code outgrows its byte, so shifts of 16-bit lanes do.
  __m256i code = _mm256_setzero_si256();
  if ((bits & 4) != 0) {
    code = Codes4(plane, half);
    plane += 32;
  }
  if ((bits & 2) != 0) {
    const __m256i two = _mm256_and_si256(Spread2(plane, half), _mm256_set1_epi8(3));
    code = _mm256_or_si256(_mm256_slli_epi16(code, 2), two);
    plane += 16;
  }
  if ((bits & 1) != 0) {
    code = _mm256_sub_epi8(_mm256_slli_epi16(code, 1), Set1(plane, half));
  }
  if (bits > 4) return _mm256_sll_epi16(code, _mm_cvtsi32_si128(static_cast<int>(8 - bits)));
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(args.mu_table)));
  return _mm256_shuffle_epi8(table, code);
}

// Per-half constants and unpacking of sigma. `half` 0 holds weights 0..31 of a block, 1 the rest.
struct Half {
  std::uint32_t half;
  __m256i table[4];
  __m256i multiplier;  // 2^(15 - shift) of the channel of each 16-bit lane

  Half(const SampleArgs& args, std::uint32_t which) : half(which) {
    if (args.sigma_bits == 4) {
      table[0] = _mm256_broadcastsi128_si256(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(args.codebook)));
    } else if (args.sigma_bits < 4) {
      for (std::uint32_t code = 0; code < (1U << args.sigma_bits); ++code) {
        table[code] = PerChannel(args.codebook + code * args.codebook_stride, args.width, half * 8);
      }
    }
    alignas(32) std::int16_t lane_multiplier[16];
    for (std::uint32_t i = 0; i < 16; ++i) {
      const std::uint32_t channel = (half * 8 + i / 2) % args.width;
      lane_multiplier[i] = static_cast<std::int16_t>(1 << (15 - args.shift[channel]));
    }
    multiplier = Load(lane_multiplier);
  }

  __m256i Level(const SampleArgs& args, std::size_t block) const {
    const std::uint8_t* sigma = args.sigma + block * 8 * args.sigma_bits;
    switch (args.sigma_bits) {
      case 8:
        return Load(sigma + half * 32);
      case 4:
        return _mm256_shuffle_epi8(table[0], Codes4(sigma, half));
      case 2: {
        const __m256i codes = Spread2(sigma, half);
        // blendv looks at bit 7 of each byte.
        const __m256i bit0 = _mm256_slli_epi16(codes, 7);
        const __m256i bit1 = _mm256_slli_epi16(codes, 6);
        return _mm256_blendv_epi8(_mm256_blendv_epi8(table[0], table[1], bit0),
                                  _mm256_blendv_epi8(table[2], table[3], bit0), bit1);
      }
      case 1:
        return _mm256_blendv_epi8(table[0], table[1], Set1(sigma, half));
      default:
        return table[0];
    }
  }
};

// n of 16 weights in int16, of the bytes of `level` that are not 0: of each pair one is, so the sum
// of two products of bytes is one exact product, |255 * 93| < 2^15.
__m256i Noise(__m256i level, __m256i epsilon, __m256i multiplier) {
  return _mm256_mulhrs_epi16(_mm256_maddubs_epi16(level, epsilon), multiplier);
}

bool IsNarrow(const std::uint8_t* shift, std::uint32_t width) {
  for (std::uint32_t c = 0; c < width; ++c) {
    if (shift[c] < kLeastNarrowShift) return false;
  }
  return true;
}

// w of 32 weights.
template <bool kNarrow>
__m256i Draw(__m256i level, __m256i epsilon, __m256i mu, __m256i multiplier) {
  // Even and odd bytes by themselves: products need 16 bits.
  const __m256i even_bytes = _mm256_set1_epi16(0x00ff);
  const __m256i least = _mm256_set1_epi8(-127);
  const __m256i even = Noise(_mm256_and_si256(level, even_bytes), epsilon, multiplier);
  const __m256i odd = Noise(_mm256_andnot_si256(even_bytes, level), epsilon, multiplier);
  // Packing puts even weights before odd ones, in each 128-bit part: put them in turn again.
  const auto in_turn = [](__m256i first, __m256i second) {
    const __m256i turns = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15));
    return _mm256_shuffle_epi8(_mm256_packs_epi16(first, second), turns);
  };
  if constexpr (kNarrow) {
    // Sums of bytes saturate to [-128, 127].
    return _mm256_max_epi8(_mm256_adds_epi8(mu, in_turn(even, odd)), least);
  }
  // |mu + n| fits int16; packing saturates to [-128, 127].
  const __m256i even_sum = _mm256_add_epi16(_mm256_maddubs_epi16(_mm256_set1_epi16(1), mu), even);
  const __m256i odd_sum = _mm256_add_epi16(_mm256_srai_epi16(mu, 8), odd);
  return _mm256_max_epi8(in_turn(even_sum, odd_sum), least);
}

// Lanes first_lane .. first_lane + 7 where an earlier piece has left them: each word's 16 lie one
// behind the other.
Lanes LoadLanes(const LaneStates& states, std::uint32_t first_lane) {
  const char* at = reinterpret_cast<const char*>(&states) + first_lane * 4;
  return {Load(at), Load(at + 64), Load(at + 128), Load(at + 192)};
}

void StoreLanes(const Lanes& lanes, std::uint32_t first_lane, LaneStates* states) {
  auto* at = reinterpret_cast<char*>(states) + first_lane * 4;
  for (const __m256i& word : {lanes.s0, lanes.s1, lanes.s2, lanes.s3}) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), word);
    at += 64;
  }
}

// One half of every block: lanes, table and constants of one half fill the registers. Returns the
// lanes after the weights.
template <bool kNarrow>
Lanes DrawHalf(const SampleArgs& args, const EpsilonTable& table, std::uint32_t which) {
  Lanes lanes = args.first_block == 0 ? MakeLanes(args.stream, static_cast<int>(which * 8))
                                      : LoadLanes(*args.lanes, which * 8);
  const Half half(args, which);
  std::int8_t* to = args.weights + which * 32;
  for (std::size_t block = args.first_block; block < args.end_block; ++block, to += kBlockBytes) {
    const __m256i epsilon = table.Epsilon(lanes.Next());
    const __m256i weights =
        Draw<kNarrow>(half.Level(args, block), epsilon, Mu(args, block, which), half.multiplier);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), weights);
  }
  return lanes;
}

}  // namespace

void UnpackPanel(const SampleArgs& args) {
  std::int8_t* to = args.weights;
  for (std::size_t block = args.first_block; block < args.end_block; ++block, to += kBlockBytes) {
    for (std::uint32_t half = 0; half < 2; ++half) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + half * 32), Mu(args, block, half));
    }
  }
  scalar::SilencePadding(args);
}

namespace {

// (x x + half) >> kShift of 32 bytes' worth in 16-bit lanes, which are bytes again afterwards.
// Halved before the sum: 255 * 255 + 512 is more than 16 bits.
template <int kShift>
__m256i Squares(__m256i low, __m256i high) {
  const __m256i half = _mm256_set1_epi16(1 << (kShift - 2));
  const auto square = [half](__m256i x) {
    const __m256i halved = _mm256_srli_epi16(_mm256_mullo_epi16(x, x), 1);
    return _mm256_srli_epi16(_mm256_add_epi16(halved, half), kShift - 1);
  };
  const __m256i bytes = _mm256_packus_epi16(square(low), square(high));
  return _mm256_permute4x64_epi64(bytes, 0xd8);
}

// to[32 bytes] = bytes(block, half) for the halves of all blocks.
template <typename Bytes>
void ForHalves(const SampleArgs& args, const Bytes& bytes) {
  std::int8_t* to = args.weights;
  for (std::size_t block = args.first_block; block < args.end_block; ++block) {
    for (std::uint32_t half = 0; half < 2; ++half, to += 32) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes(block, half));
    }
  }
  scalar::SilencePadding(args);
}

}  // namespace

void SquareMeans(const SampleArgs& args) {
  ForHalves(args, [&](std::size_t block, std::uint32_t half) {
    const __m256i mu = Mu(args, block, half);
    return Squares<kSquareShift>(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(mu)),
                                 _mm256_cvtepi8_epi16(_mm256_extracti128_si256(mu, 1)));
  });
}

void UnpackSpread(const SampleArgs& args) {
  const Half halves[2] = {Half(args, 0), Half(args, 1)};
  ForHalves(args, [&](std::size_t block, std::uint32_t half) {
    const __m256i level = halves[half].Level(args, block);
    if (args.sigma_bits < 8) return level;
    return Squares<kSpreadShift>(_mm256_cvtepu8_epi16(_mm256_castsi256_si128(level)),
                                 _mm256_cvtepu8_epi16(_mm256_extracti128_si256(level, 1)));
  });
}

void SamplePanel(const SampleArgs& args) {
  const EpsilonTable table(args.stream.flip);
  const bool narrow = IsNarrow(args.shift, args.width);
  const bool is_last = args.end_block == BlockCount(args);
  alignas(32) std::uint8_t random[kLanes * 4];
  for (std::uint32_t half = 0; half < 2; ++half) {
    Lanes lanes = narrow ? DrawHalf<true>(args, table, half) : DrawHalf<false>(args, table, half);
    if (is_last) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(random + half * 32), lanes.Next());
    } else {
      StoreLanes(lanes, half * 8, args.lanes);
    }
  }
  scalar::SilencePadding(args);
  if (!is_last) return;
  for (std::uint32_t c = 0; c < args.width; ++c) {
    scalar::DrawBias(args, c, Epsilon(static_cast<std::uint8_t>(random[c * 4] ^ args.stream.flip)));
  }
}

}  // namespace mu8::kernels::avx2
