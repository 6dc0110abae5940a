// Predictions by moments with AVX-512: a register holds 16 channels of a pixel.
#include "kernels/moments.h"

#include <immintrin.h>

#include "kernels/avx512vnni/kernels.h"
#include "kernels/moments_rows.h"
#include "kernels/moments_vector.h"

namespace mu8::kernels::avx512vnni {

float ProbeMoments(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

__mmask16 First(std::uint32_t count) { return static_cast<__mmask16>((1U << count) - 1); }

// The instructions of moments_vector.h.
struct Vector {
  using F = __m512;
  using I = __m512i;
  using M = __mmask16;
  static constexpr std::uint32_t kLanes = 16;

  struct Table {
    F low, high;
    explicit Table(const float* entries)
        : low(_mm512_loadu_ps(entries)), high(_mm512_loadu_ps(entries + 16)) {}
    F operator[](I index) const { return _mm512_permutex2var_ps(low, index, high); }
  };

  static F Set(float x) { return _mm512_set1_ps(x); }
  static F Add(F a, F b) { return _mm512_add_ps(a, b); }
  static F Sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F Mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F Div(F a, F b) { return _mm512_div_ps(a, b); }
  static F Min(F a, F b) { return _mm512_min_ps(a, b); }
  static F Max(F a, F b) { return _mm512_max_ps(a, b); }
  static F ToFloat(I a) { return _mm512_cvtepi32_ps(a); }
  static F AsFloat(I a) { return _mm512_castsi512_ps(a); }
  static I SetInt(std::int32_t x) { return _mm512_set1_epi32(x); }
  static I AddInt(I a, I b) { return _mm512_add_epi32(a, b); }
  static I SubInt(I a, I b) { return _mm512_sub_epi32(a, b); }
  static I MulInt(I a, I b) { return _mm512_mullo_epi32(a, b); }
  static I Truncate(F a) { return _mm512_cvttps_epi32(a); }
  static I Nearest(F a) { return _mm512_cvtps_epi32(a); }
  static I AsInt(F a) { return _mm512_castps_si512(a); }
  template <int kBits>
  static I Left(I a) {
    return _mm512_slli_epi32(a, kBits);
  }
  template <int kBits>
  static I Right(I a) {
    return _mm512_srli_epi32(a, kBits);
  }
  static I RightBy(I a, std::int32_t bits) { return _mm512_sra_epi32(a, _mm_cvtsi32_si128(bits)); }
  static M Less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static M AndNot(M a, M b) { return static_cast<M>(b & ~a); }
  static bool Any(M m) { return m != 0; }
  static F Select(M m, F yes, F no) { return _mm512_mask_mov_ps(no, m, yes); }

  static void StoreFloats(F a, float* to) { _mm512_storeu_ps(to, a); }
  static F LoadFloats(const float* from, std::uint32_t count) {
    return _mm512_maskz_loadu_ps(First(count), from);
  }
  static I LoadInts(const std::int32_t* from, std::uint32_t count) {
    return _mm512_maskz_loadu_epi32(First(count), from);
  }
  static I LoadAll(const std::int32_t* from) { return _mm512_loadu_si512(from); }
  static I LoadBytes(const std::uint8_t* from, std::uint32_t count) {
    return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(First(count), from));
  }
  static void StoreBytes(I a, std::uint32_t count, std::uint8_t* to) {
    _mm_mask_storeu_epi8(to, First(count), _mm512_cvtepi32_epi8(a));
  }
};

// 32 second moments.
struct Seconds {
  __m512i zero, gain, variance_gain, most;

  explicit Seconds(const SecondMomentsArgs& args)
      : zero(_mm512_set1_epi16(static_cast<std::int16_t>(args.zero_point))),
        gain(_mm512_set1_epi16(static_cast<std::int16_t>(args.gain))),
        variance_gain(_mm512_set1_epi16(static_cast<std::int16_t>(args.variance_gain))),
        most(_mm512_set1_epi16(32767)) {}

  __m256i Of(__m256i means, __m256i variances) const {
    const __m512i d = _mm512_sub_epi16(_mm512_cvtepu8_epi16(means), zero);
    const __m512i square = _mm512_srli_epi16(_mm512_mullo_epi16(d, d), 1);
    const __m512i v = _mm512_slli_epi16(_mm512_cvtepu8_epi16(variances), 8);
    const __m512i sum = _mm512_adds_epu16(square, _mm512_mulhi_epu16(v, variance_gain));
    return _mm512_cvtusepi16_epi8(_mm512_mulhrs_epi16(_mm512_min_epu16(sum, most), gain));
  }
};

}  // namespace

void SecondMoments(const SecondMomentsArgs& args) {
  const Seconds seconds(args);
  std::size_t i = 0;
  for (; i + 32 <= args.bytes; i += 32) {
    const auto load = [i](const std::uint8_t* from) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    };
    const __m256i variances =
        args.variances == nullptr ? _mm256_setzero_si256() : load(args.variances);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(args.output + i),
                        seconds.Of(load(args.means), variances));
  }
  if (i == args.bytes) return;
  const __mmask32 rest = (__mmask32{1} << (args.bytes - i)) - 1;
  const __m256i variances = args.variances == nullptr
                                ? _mm256_setzero_si256()
                                : _mm256_maskz_loadu_epi8(rest, args.variances + i);
  _mm256_mask_storeu_epi8(args.output + i, rest,
                          seconds.Of(_mm256_maskz_loadu_epi8(rest, args.means + i), variances));
}

void Clip(const ClipArgs& args) { ClipWith<Vector>(args); }

void MaxPoolMoments(const MomentsPoolArgs& args) { MaxPoolWith<Vector>(args); }

void AddSoftmaxRows(const RowsArgs& args) { AddSoftmaxRowsWith<Vector>(args); }

void WeightedSums(const WeightedSumsArgs& args) {
  // Eight channels a register, of each its sums over taps 0 and 1 of four and over taps 2 and 3.
  __m512i pairs[2] = {};
  const std::uint64_t bytes = (std::uint64_t{1} << (args.width * 2) << (args.width * 2)) - 1;
  const __mmask32 masks[2] = {static_cast<__mmask32>(bytes), static_cast<__mmask32>(bytes >> 32)};
  const std::int8_t* weights = args.weights;
  for (std::uint32_t k = 0; k < args.taps; k += 4, weights += std::size_t{args.width} * 4) {
    std::int64_t four;
    __builtin_memcpy(&four, args.x + k, sizeof(four));
    const __m512i x = _mm512_set1_epi64(four);
    for (std::size_t i = 0; i < 2; ++i) {
      const __m256i eight = _mm256_maskz_loadu_epi8(masks[i], weights + 32 * i);
      pairs[i] = _mm512_add_epi32(pairs[i], _mm512_madd_epi16(_mm512_cvtepi8_epi16(eight), x));
    }
  }
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  _mm512_storeu_si512(args.sums,
                      _mm512_add_epi32(_mm512_permutex2var_epi32(pairs[0], even, pairs[1]),
                                       _mm512_permutex2var_epi32(pairs[0], odd, pairs[1])));
}

}  // namespace mu8::kernels::avx512vnni
