// Sampling a panel's weights with AVX-512 BW: 64 weights a step. See scalar/sample.cpp for the
// definition; each stage below names the line of it that it computes. How random bytes become eps
// is the including file's: it takes most of the time, and AVX-512 VBMI has one instruction for it.
//
// Everything here has internal linkage: each file that includes it is compiled with flags of its
// own, and no code of the one may serve the other.
#pragma once

#include <immintrin.h>

#include "kernels/gaussian_table.h"
#include "kernels/kernel_table.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels {
namespace {

constexpr __mmask16 kOddLanes = 0xAAAA;

// High and low halves of the 16 products c * factor.
void MultiplyWide(__m512i c, std::uint32_t factor, __m512i* high, __m512i* low) {
  const __m512i f = _mm512_set1_epi32(static_cast<int>(factor));
  const __m512i even = _mm512_mul_epu32(c, f);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(c, 32), f);
  *low = _mm512_mask_blend_epi32(kOddLanes, even, _mm512_slli_epi64(odd, 32));
  *high = _mm512_mask_blend_epi32(kOddLanes, _mm512_srli_epi64(even, 32), odd);
}

// The 16 lanes' xoshiro128++ states.
struct Lanes {
  __m512i s0, s1, s2, s3;

  __m512i Next() {
    const __m512i result = _mm512_add_epi32(_mm512_rol_epi32(_mm512_add_epi32(s0, s3), 7), s0);
    const __m512i t = _mm512_slli_epi32(s1, 9);
    constexpr int kXor = 0x96;  // of three
    const __m512i next0 = _mm512_ternarylogic_epi32(s0, s1, s3, kXor);
    const __m512i next1 = _mm512_ternarylogic_epi32(s0, s1, s2, kXor);
    s2 = _mm512_ternarylogic_epi32(s0, s2, t, kXor);
    s3 = _mm512_rol_epi32(_mm512_xor_si512(s1, s3), 11);
    s0 = next0;
    s1 = next1;
    return result;
  }
};

Lanes MakeLanes(const StreamId& id) {
  __m512i c0 = _mm512_set1_epi32(static_cast<int>(id.pass));
  __m512i c1 = _mm512_set1_epi32(static_cast<int>(id.layer));
  __m512i c2 = _mm512_set1_epi32(static_cast<int>(id.panel));
  __m512i c3 = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  auto k0 = static_cast<std::uint32_t>(id.seed);
  auto k1 = static_cast<std::uint32_t>(id.seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    __m512i high0, low0, high1, low1;
    MultiplyWide(c0, kPhiloxM0, &high0, &low0);
    MultiplyWide(c2, kPhiloxM1, &high1, &low1);
    c0 = _mm512_xor_si512(_mm512_xor_si512(high1, c1), _mm512_set1_epi32(static_cast<int>(k0)));
    c1 = low1;
    c2 = _mm512_xor_si512(_mm512_xor_si512(high0, c3), _mm512_set1_epi32(static_cast<int>(k1)));
    c3 = low0;
    k0 += kPhiloxW0;
    k1 += kPhiloxW1;
  }
  const __m512i any = _mm512_or_si512(_mm512_or_si512(c0, c1), _mm512_or_si512(c2, c3));
  const __mmask16 zero = _mm512_testn_epi32_mask(any, any);
  c0 = _mm512_mask_mov_epi32(c0, zero, _mm512_set1_epi32(1));
  return {c0, c1, c2, c3};
}

__mmask16 FirstLanes(std::uint32_t width) { return static_cast<__mmask16>((1U << width) - 1); }

// Byte c % width of each channel, four times, in 16 lanes: the pattern of a 64-byte block.
__m512i PerChannel(const std::uint8_t* values, std::uint32_t width) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i channel = _mm512_and_si512(lanes, _mm512_set1_epi32(static_cast<int>(width - 1)));
  const __m512i wide = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(FirstLanes(width), values));
  return _mm512_mullo_epi32(_mm512_permutexvar_epi32(channel, wide), _mm512_set1_epi32(0x01010101));
}

// The codes of 64 weights in planes of 4, 2 and 1 bits (FORMAT.md 6.3), one per byte.
__m512i Codes4(const std::uint8_t* plane) {
  const __m256i packed = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(plane));
  const __m512i both =
      _mm512_inserti64x4(_mm512_castsi256_si512(packed), _mm256_srli_epi16(packed, 4), 1);
  return _mm512_and_si512(both, _mm512_set1_epi8(15));
}

// 128-bit part q takes bits 2q and 2q + 1 of every byte; what lies above them in a byte stays.
__m512i Spread2(const std::uint8_t* plane) {
  const __m512i packed =
      _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(plane)));
  return _mm512_srlv_epi64(packed, _mm512_setr_epi64(0, 0, 2, 2, 4, 4, 6, 6));
}

__mmask64 Mask1(const std::uint8_t* plane) {
  std::uint64_t mask;
  __builtin_memcpy(&mask, plane, 8);
  return mask;
}

// Means of the 64 weights of a block.
struct Means {
  std::uint32_t bits;
  const std::uint8_t* mu;
  __m512i table;
  __m128i shift;  // of codes of 5 to 7 bits

  explicit Means(const SampleArgs& args)
      : bits(args.mu_bits), mu(args.mu), shift(_mm_cvtsi32_si128(static_cast<int>(8 - bits))) {
    if (bits <= 4) {
      table =
          _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(args.mu_table)));
    }
  }

  __m512i Block(std::size_t block) const {
    const std::uint8_t* plane = mu + block * 8 * bits;
    if (bits == 8) return _mm512_loadu_si512(plane);
    // No code outgrows its byte, so shifts of 16-bit lanes do.
    __m512i code = _mm512_setzero_si512();
    if ((bits & 4) != 0) {
      code = Codes4(plane);
      plane += 32;
    }
    if ((bits & 2) != 0) {
      const __m512i two = _mm512_and_si512(Spread2(plane), _mm512_set1_epi8(3));
      code = _mm512_or_si512(_mm512_slli_epi16(code, 2), two);
      plane += 16;
    }
    if ((bits & 1) != 0) {
      const __m512i one = _mm512_maskz_set1_epi8(Mask1(plane), 1);
      code = _mm512_or_si512(_mm512_slli_epi16(code, 1), one);
    }
    return bits > 4 ? _mm512_sll_epi16(code, shift) : _mm512_shuffle_epi8(table, code);
  }
};

// Levels of the 64 weights of a block, for each width of sigma.
struct Levels {
  std::uint32_t sigma_bits;
  const std::uint8_t* sigma;
  __m512i table[4];  // per-channel levels of codes 0..3, or the panel's codebook in table[0]

  explicit Levels(const SampleArgs& args) : sigma_bits(args.sigma_bits), sigma(args.sigma) {
    if (sigma_bits == 4) {
      table[0] =
          _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(args.codebook)));
    } else if (sigma_bits < 4) {
      for (std::uint32_t code = 0; code < (1U << sigma_bits); ++code) {
        table[code] = PerChannel(args.codebook + code * args.codebook_stride, args.width);
      }
    }
  }

  __m512i Block(std::size_t block) const {
    switch (sigma_bits) {
      case 8:
        return _mm512_loadu_si512(sigma + block * 64);
      case 4:
        return _mm512_shuffle_epi8(table[0], Codes4(sigma + block * 32));
      case 2: {
        const __m512i codes = Spread2(sigma + block * 16);
        const __mmask64 bit0 = _mm512_test_epi8_mask(codes, _mm512_set1_epi8(1));
        const __mmask64 bit1 = _mm512_test_epi8_mask(codes, _mm512_set1_epi8(2));
        return _mm512_mask_blend_epi8(bit1, _mm512_mask_blend_epi8(bit0, table[0], table[1]),
                                      _mm512_mask_blend_epi8(bit0, table[2], table[3]));
      }
      case 1:
        return _mm512_mask_blend_epi8(Mask1(sigma + block * 8), table[0], table[1]);
      default:
        return table[0];
    }
  }
};

// Hides where a constant comes from: g++ 12 would rather make it anew in every step.
inline void Opaque(__m512i* value) { __asm__("" : "+v"(*value)); }

bool IsNarrow(const std::uint8_t* shift, std::uint32_t width) {
  const __mmask16 lanes = FirstLanes(width);
  return _mm_mask_cmplt_epu8_mask(lanes, _mm_maskz_loadu_epi8(lanes, shift),
                                  _mm_set1_epi8(kLeastNarrowShift)) == 0;
}

// Products need 16 bits. Even and odd bytes take turns: an instruction that multiplies pairs of
// bytes and adds the two products gives those of the even bytes where the odd ones of one side are
// 0. Both bytes of a lane belong to one channel, so one multiplier serves them.
struct Weights {
  __m512i multiplier;  // 2^(15 - shift) of the lane's channel
  __m512i even_bytes;  // every second byte of 64: of a 16-bit lane the low one
  __m512i least;
  __m512i turns;

  Weights(const std::uint8_t* shift, std::uint32_t width)
      : even_bytes(_mm512_set1_epi16(0x00ff)),
        least(_mm512_set1_epi8(-127)),
        turns(_mm512_broadcast_i32x4(
            _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15))) {
    const __m512i low = _mm512_and_si512(PerChannel(shift, width), even_bytes);
    multiplier =
        _mm512_sllv_epi16(_mm512_set1_epi16(1), _mm512_sub_epi16(_mm512_set1_epi16(15), low));
    for (__m512i* constant : {&even_bytes, &least, &turns}) Opaque(constant);
  }

  // n = mulhrs(level * eps, 2^(15 - shift)) of the bytes of eps that are not 0.
  __m512i Noise(__m512i level, __m512i epsilon) const {
    return _mm512_mulhrs_epi16(_mm512_maddubs_epi16(level, epsilon), multiplier);
  }

  // w of 64 weights. kNarrow: see kLeastNarrowShift.
  template <bool kNarrow>
  __m512i Draw(__m512i level, __m512i epsilon, __m512i mu) const {
    const __m512i even = Noise(level, _mm512_and_si512(epsilon, even_bytes));
    const __m512i odd = Noise(level, _mm512_andnot_si512(even_bytes, epsilon));
    if constexpr (kNarrow) {
      // (odd << 8) | (even & even_bytes), then mu + n in bytes, which saturates to [-128, 127].
      constexpr int kSelect = 0xf8;
      const __m512i noise =
          _mm512_ternarylogic_epi32(_mm512_slli_epi16(odd, 8), even, even_bytes, kSelect);
      return _mm512_max_epi8(_mm512_adds_epi8(mu, noise), least);
    }
    // |mu + n| fits int16; packing saturates to [-128, 127]. It puts even weights before odd ones,
    // in each 128-bit part: put them in turn again.
    const __m512i even_sum = _mm512_add_epi16(_mm512_maddubs_epi16(_mm512_set1_epi16(1), mu), even);
    const __m512i odd_sum = _mm512_add_epi16(_mm512_srai_epi16(mu, 8), odd);
    return _mm512_max_epi8(_mm512_shuffle_epi8(_mm512_packs_epi16(even_sum, odd_sum), turns),
                           least);
  }
};

// magnitude with the sign of each random byte.
__m512i Signed(__m512i magnitude, __m512i random) {
  return _mm512_mask_sub_epi8(magnitude, _mm512_movepi8_mask(random), _mm512_setzero_si512(),
                              magnitude);
}

// Half of kEpsilonMagnitude; negated for the mirror of an antithetic pair, which saves the flip of
// every random byte.
__m512i LoadMagnitudes(std::size_t half, std::uint8_t flip) {
  const __m512i magnitude = _mm512_loadu_si512(kEpsilonMagnitude.data() + half * 64);
  return flip == 0 ? magnitude : _mm512_sub_epi8(_mm512_setzero_si512(), magnitude);
}

// Byte 0 of lane c is channel c's; `epsilon` is eps of all 64.
void SampleBiases(const SampleArgs& args, __m512i epsilon) {
  const __mmask16 lanes = FirstLanes(args.width);
  const __m512i level = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, args.bias_level));
  const __m512i shift = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, args.bias_shift));
  const __m512i product =
      _mm512_mullo_epi32(level, _mm512_srai_epi32(_mm512_slli_epi32(epsilon, 24), 24));
  const __m512i one = _mm512_set1_epi32(1);
  const __m512i half = _mm512_sllv_epi32(one, _mm512_sub_epi32(shift, one));
  const __m512i noise = _mm512_srav_epi32(_mm512_add_epi32(product, half), shift);
  const __m512i mu = _mm512_maskz_loadu_epi32(lanes, args.bias_mu);
  _mm512_mask_storeu_epi32(args.bias, lanes, _mm512_add_epi32(mu, noise));
}

// The lanes where an earlier piece has left them, word by word.
Lanes LoadLanes(const LaneStates& states) {
  const char* at = reinterpret_cast<const char*>(&states);
  return {_mm512_loadu_si512(at), _mm512_loadu_si512(at + 64), _mm512_loadu_si512(at + 128),
          _mm512_loadu_si512(at + 192)};
}

void StoreLanes(const Lanes& lanes, LaneStates* states) {
  auto* at = reinterpret_cast<char*>(states);
  _mm512_storeu_si512(at, lanes.s0);
  _mm512_storeu_si512(at + 64, lanes.s1);
  _mm512_storeu_si512(at + 128, lanes.s2);
  _mm512_storeu_si512(at + 192, lanes.s3);
}

template <bool kNarrow, typename EpsilonTable>
void SampleBlocks(const SampleArgs& args, const EpsilonTable& table, Lanes* lanes) {
  const Means means(args);
  const Levels levels(args);
  const Weights weights(args.shift, args.width);
  std::int8_t* to = args.weights;
  for (std::size_t block = args.first_block; block < args.end_block; ++block, to += kBlockBytes) {
    const __m512i epsilon = table.Epsilon(lanes->Next());
    _mm512_storeu_si512(
        to, weights.template Draw<kNarrow>(levels.Block(block), epsilon, means.Block(block)));
  }
}

// EpsilonTable: made of a stream's flip, has Epsilon(random), eps of 64 random bytes.
template <typename EpsilonTable>
void SamplePanelWith(const SampleArgs& args) {
  Lanes lanes = args.first_block == 0 ? MakeLanes(args.stream) : LoadLanes(*args.lanes);
  const EpsilonTable table(args.stream.flip);
  if (IsNarrow(args.shift, args.width)) {
    SampleBlocks<true>(args, table, &lanes);
  } else {
    SampleBlocks<false>(args, table, &lanes);
  }
  scalar::SilencePadding(args);
  if (args.end_block < BlockCount(args)) return StoreLanes(lanes, args.lanes);
  SampleBiases(args, table.Epsilon(lanes.Next()));
}

}  // namespace
}  // namespace mu8::kernels
