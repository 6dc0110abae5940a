// Predictions by moments with AVX2: a register holds 8 channels of a pixel.
#include "kernels/moments.h"

#include <immintrin.h>

#include "kernels/avx2/kernels.h"
#include "kernels/moments_rows.h"
#include "kernels/moments_vector.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::avx2 {

float ProbeMoments(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

// 16 second moments in 16-bit lanes.
struct Seconds {
  __m256i zero, gain, variance_gain, most;

  explicit Seconds(const SecondMomentsArgs& args)
      : zero(_mm256_set1_epi16(static_cast<std::int16_t>(args.zero_point))),
        gain(_mm256_set1_epi16(static_cast<std::int16_t>(args.gain))),
        variance_gain(_mm256_set1_epi16(static_cast<std::int16_t>(args.variance_gain))),
        most(_mm256_set1_epi16(32767)) {}

  __m256i Of(__m128i means, __m128i variances) const {
    const __m256i d = _mm256_sub_epi16(_mm256_cvtepu8_epi16(means), zero);
    const __m256i square = _mm256_srli_epi16(_mm256_mullo_epi16(d, d), 1);
    const __m256i v = _mm256_slli_epi16(_mm256_cvtepu8_epi16(variances), 8);
    const __m256i sum = _mm256_adds_epu16(square, _mm256_mulhi_epu16(v, variance_gain));
    return _mm256_mulhrs_epi16(_mm256_min_epu16(sum, most), gain);
  }
};

// The instructions of moments_vector.h.
struct Vector {
  using F = __m256;
  using I = __m256i;
  using M = __m256;
  static constexpr std::uint32_t kLanes = 8;

  struct Table {
    alignas(32) float at[32];
    explicit Table(const float* entries) { __builtin_memcpy(at, entries, sizeof(at)); }
    // By the low five bits of an index: three choose in each quarter of the table, two a quarter.
    // A gather takes several times as long.
    F operator[](I index) const {
      const auto eight = [&](std::size_t k) {
        return _mm256_permutevar8x32_ps(_mm256_load_ps(at + 8 * k), index);
      };
      const F by_8 = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
      const F by_16 = _mm256_castsi256_ps(_mm256_slli_epi32(index, 27));
      return _mm256_blendv_ps(_mm256_blendv_ps(eight(0), eight(1), by_8),
                              _mm256_blendv_ps(eight(2), eight(3), by_8), by_16);
    }
  };

  struct PackedTable {
    Table words;
    explicit PackedTable(const std::uint32_t* entries)
        : words(reinterpret_cast<const float*>(entries)) {}
    I operator[](I index) const { return _mm256_castps_si256(words[index]); }
  };

  static F Set(float x) { return _mm256_set1_ps(x); }
  static F Add(F a, F b) { return _mm256_add_ps(a, b); }
  static F Sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F Mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F Div(F a, F b) { return _mm256_div_ps(a, b); }
  static F Min(F a, F b) { return _mm256_min_ps(a, b); }
  static F Max(F a, F b) { return _mm256_max_ps(a, b); }
  static F ToFloat(I a) { return _mm256_cvtepi32_ps(a); }
  static F AsFloat(I a) { return _mm256_castsi256_ps(a); }
  static I SetInt(std::int32_t x) { return _mm256_set1_epi32(x); }
  static I AddInt(I a, I b) { return _mm256_add_epi32(a, b); }
  static I SubInt(I a, I b) { return _mm256_sub_epi32(a, b); }
  static I MulInt(I a, I b) { return _mm256_mullo_epi32(a, b); }
  static I Truncate(F a) { return _mm256_cvttps_epi32(a); }
  static I Nearest(F a) { return _mm256_cvtps_epi32(a); }
  static I AsInt(F a) { return _mm256_castps_si256(a); }
  template <int kBits>
  static I Left(I a) {
    return _mm256_slli_epi32(a, kBits);
  }
  template <int kBits>
  static I Right(I a) {
    return _mm256_srli_epi32(a, kBits);
  }
  static I RightBy(I a, std::int32_t bits) { return _mm256_sra_epi32(a, _mm_cvtsi32_si128(bits)); }
  static M Less(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static M AndNot(M a, M b) { return _mm256_andnot_ps(a, b); }
  static bool Any(M m) { return _mm256_movemask_ps(m) != 0; }
  static F Select(M m, F yes, F no) { return _mm256_blendv_ps(no, yes, m); }

  static I LoadAll(const std::int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static I LoadInts(const std::int32_t* from, std::uint32_t count) {
    alignas(32) std::int32_t all[kLanes] = {};
    for (std::uint32_t i = 0; i < count; ++i) all[i] = from[i];
    return LoadAll(all);
  }
  static void StoreFloats(F a, float* to) { _mm256_storeu_ps(to, a); }
  static F LoadFloats(const float* from, std::uint32_t count) {
    alignas(32) float all[kLanes] = {};
    for (std::uint32_t i = 0; i < count; ++i) all[i] = from[i];
    return _mm256_load_ps(all);
  }
  static I LoadBytes(const std::uint8_t* from, std::uint32_t count) {
    if (count == kLanes) {
      return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
    }
    alignas(16) std::uint8_t all[16] = {};
    for (std::uint32_t i = 0; i < count; ++i) all[i] = from[i];
    return _mm256_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(all)));
  }
  static void StoreBytes(I a, std::uint32_t count, std::uint8_t* to) {
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(a, a), 0xd8);
    const __m128i low = _mm256_castsi256_si128(words);
    const __m128i bytes = _mm_packus_epi16(low, low);
    if (count == kLanes) return _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
    alignas(16) std::uint8_t all[16];
    _mm_store_si128(reinterpret_cast<__m128i*>(all), bytes);
    if (count >= 4) {  // as two pieces that may overlap
      __builtin_memcpy(to, all, 4);
      __builtin_memcpy(to + count - 4, all + count - 4, 4);
      return;
    }
    for (std::uint32_t i = 0; i < count; ++i) to[i] = all[i];
  }
};

}  // namespace

void SecondMoments(const SecondMomentsArgs& args) {
  const Seconds seconds(args);
  std::size_t i = 0;
  for (; i + 32 <= args.bytes; i += 32) {
    __m256i halves[2];
    for (std::size_t h = 0; h < 2; ++h) {
      const auto load = [&](const std::uint8_t* from) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i + 16 * h));
      };
      halves[h] = seconds.Of(
          load(args.means), args.variances == nullptr ? _mm_setzero_si128() : load(args.variances));
    }
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(halves[0], halves[1]), 0xd8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(args.output + i), bytes);
  }
  if (i == args.bytes) return;
  SecondMomentsArgs rest = args;
  rest.means += i;
  if (rest.variances != nullptr) rest.variances += i;
  rest.output += i;
  rest.bytes -= i;
  scalar::SecondMoments(rest);
}

void Clip(const ClipArgs& args) { ClipWith<Vector>(args); }

void MaxPoolMoments(const MomentsPoolArgs& args) { MaxPoolWith<Vector>(args); }

void AddSoftmaxRows(const RowsArgs& args) { AddSoftmaxRowsWith<Vector>(args); }

void WeightedSums(const WeightedSumsArgs& args) {
  // Four channels a register, of each its sums over taps 0 and 1 of four and over taps 2 and 3.
  __m256i pairs[4] = {};
  const std::int8_t* weights = args.weights;
  for (std::uint32_t k = 0; k < args.taps; k += 4) {
    std::int64_t four;
    __builtin_memcpy(&four, args.x + k, sizeof(four));
    const __m256i x = _mm256_set1_epi64x(four);
    for (std::uint32_t c = 0; c < args.width; c += 4, weights += 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights));
      pairs[c / 4] =
          _mm256_add_epi32(pairs[c / 4], _mm256_madd_epi16(_mm256_cvtepi8_epi16(bytes), x));
    }
  }
  for (std::size_t half = 0; half < 2; ++half) {
    const __m256i sums = _mm256_hadd_epi32(pairs[2 * half], pairs[2 * half + 1]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(args.sums + 8 * half),
                        _mm256_permute4x64_epi64(sums, 0xd8));
  }
}

}  // namespace mu8::kernels::avx2
