// Drawing a panel's weights with AVX-512 BW: 64 weights a step. See scalar/sample.cpp for the
// definition; each stage below names the line of it that it computes.
#include <immintrin.h>

#include "kernels/avx512vnni/kernels.h"
#include "kernels/gaussian_table.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::avx512vnni {
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
    s2 = _mm512_xor_si512(s2, s0);
    s3 = _mm512_xor_si512(s3, s1);
    s1 = _mm512_xor_si512(s1, s2);
    s0 = _mm512_xor_si512(s0, s3);
    s2 = _mm512_xor_si512(s2, t);
    s3 = _mm512_rol_epi32(s3, 11);
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

// kEpsilonMagnitude as 64 pairs of bytes: pair w holds magnitudes 2w and 2w + 1.
struct EpsilonTable {
  __m512i pairs_low, pairs_high;

  EpsilonTable()
      : pairs_low(_mm512_loadu_si512(kEpsilonMagnitude.data())),
        pairs_high(_mm512_loadu_si512(kEpsilonMagnitude.data() + 64)) {}

  // Magnitudes of 32 indices of 7 bits, one per 16-bit lane, in the lane's low byte.
  __m512i Magnitude(__m512i index) const {
    const __m512i pair =
        _mm512_permutex2var_epi16(pairs_low, _mm512_srli_epi16(index, 1), pairs_high);
    const __m512i odd = _mm512_slli_epi16(_mm512_and_si512(index, _mm512_set1_epi16(1)), 3);
    return _mm512_and_si512(_mm512_srlv_epi16(pair, odd), _mm512_set1_epi16(0xff));
  }

  // eps of 64 random bytes.
  __m512i Epsilon(__m512i random) const {
    const __m512i index = _mm512_and_si512(random, _mm512_set1_epi8(0x7f));
    const __m512i even = Magnitude(_mm512_and_si512(index, _mm512_set1_epi16(0x7f)));
    const __m512i odd = Magnitude(_mm512_srli_epi16(index, 8));
    const __m512i magnitude = _mm512_or_si512(even, _mm512_slli_epi16(odd, 8));
    return _mm512_mask_sub_epi8(magnitude, _mm512_movepi8_mask(random), _mm512_setzero_si512(),
                                magnitude);
  }
};

// Byte c % width of each channel, four times, in 16 lanes: the pattern of a 64-byte block.
__m512i PerChannel(const std::uint8_t* values, std::uint32_t width) {
  alignas(64) std::uint32_t lanes[kLanes];
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    lanes[lane] = values[lane % width] * 0x01010101U;
  }
  return _mm512_load_si512(lanes);
}

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
      case 4: {
        const __m256i packed =
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sigma + block * 32));
        const __m512i both =
            _mm512_inserti64x4(_mm512_castsi256_si512(packed), _mm256_srli_epi16(packed, 4), 1);
        return _mm512_shuffle_epi8(table[0], _mm512_and_si512(both, _mm512_set1_epi8(15)));
      }
      case 2: {
        // 128-bit lane q takes bits 2q and 2q + 1 of every byte.
        const __m512i packed = _mm512_broadcast_i32x4(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(sigma + block * 16)));
        const __m512i codes = _mm512_srlv_epi64(packed, _mm512_setr_epi64(0, 0, 2, 2, 4, 4, 6, 6));
        const __mmask64 bit0 = _mm512_test_epi8_mask(codes, _mm512_set1_epi8(1));
        const __mmask64 bit1 = _mm512_test_epi8_mask(codes, _mm512_set1_epi8(2));
        return _mm512_mask_blend_epi8(bit1, _mm512_mask_blend_epi8(bit0, table[0], table[1]),
                                      _mm512_mask_blend_epi8(bit0, table[2], table[3]));
      }
      case 1: {
        std::uint64_t mask;
        __builtin_memcpy(&mask, sigma + block * 8, 8);
        return _mm512_mask_blend_epi8(mask, table[0], table[1]);
      }
      default:
        return table[0];
    }
  }
};

// w of 32 weights: level and eps as int16, n = mulhrs(level * eps, 2^(15 - shift)), mu as int16.
__m512i Weight(__m512i level, __m512i epsilon, __m512i multiplier, __m512i mu) {
  const __m512i product = _mm512_mullo_epi16(level, epsilon);
  return _mm512_add_epi16(mu, _mm512_mulhrs_epi16(product, multiplier));
}

__m512i SignExtendLow(__m512i bytes) {
  return _mm512_srai_epi16(_mm512_unpacklo_epi8(bytes, bytes), 8);
}
__m512i SignExtendHigh(__m512i bytes) {
  return _mm512_srai_epi16(_mm512_unpackhi_epi8(bytes, bytes), 8);
}

void SampleBiases(const SampleArgs& args, __m512i random) {
  alignas(64) std::uint32_t words[kLanes];
  _mm512_store_si512(words, random);
  for (std::uint32_t c = 0; c < args.width; ++c) {
    const auto byte = static_cast<std::uint8_t>(words[c]);
    const std::int32_t product = args.bias_level[c] * Epsilon(byte ^ args.stream.flip);
    const std::int32_t shift = args.bias_shift[c];
    args.bias[c] = args.bias_mu[c] + ((product + (1 << (shift - 1))) >> shift);
  }
}

}  // namespace

void SamplePanel(const SampleArgs& args) {
  Lanes lanes = MakeLanes(args.stream);
  const EpsilonTable table;
  const Levels levels(args);
  const __m512i zero = _mm512_setzero_si512();
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(args.stream.flip));
  const __m512i shift = PerChannel(args.shift, args.width);
  const __m512i one = _mm512_set1_epi16(1);
  const __m512i fifteen = _mm512_set1_epi16(15);
  const __m512i multiplier_low =
      _mm512_sllv_epi16(one, _mm512_sub_epi16(fifteen, _mm512_unpacklo_epi8(shift, zero)));
  const __m512i multiplier_high =
      _mm512_sllv_epi16(one, _mm512_sub_epi16(fifteen, _mm512_unpackhi_epi8(shift, zero)));

  const std::size_t bytes = std::size_t{args.width} * args.runs * args.padded_run;
  const std::size_t blocks = (bytes + kBlockBytes - 1) / kBlockBytes;
  for (std::size_t block = 0; block < blocks; ++block) {
    const __m512i epsilon = table.Epsilon(_mm512_xor_si512(lanes.Next(), flip));
    const __m512i level = levels.Block(block);
    const __m512i mu = _mm512_loadu_si512(args.mu + block * kBlockBytes);
    const __m512i low = Weight(_mm512_unpacklo_epi8(level, zero), SignExtendLow(epsilon),
                               multiplier_low, SignExtendLow(mu));
    const __m512i high = Weight(_mm512_unpackhi_epi8(level, zero), SignExtendHigh(epsilon),
                                multiplier_high, SignExtendHigh(mu));
    // |mu + n| fits int16; packing saturates to [-128, 127].
    const __m512i weight = _mm512_max_epi8(_mm512_packs_epi16(low, high), _mm512_set1_epi8(-127));
    _mm512_storeu_si512(args.weights + block * kBlockBytes, weight);
  }
  scalar::SilencePadding(args);
  SampleBiases(args, lanes.Next());
}

}  // namespace mu8::kernels::avx512vnni
