// Predictions by moments with AVX2: a register holds 8 channels of a pixel. See scalar/moments.cpp
// and moments_math.h for the definition, whose order of operations is this one's.
#include "kernels/moments.h"

#include <immintrin.h>

#include "kernels/avx2/kernels.h"
#include "kernels/moments_math.h"
#include "kernels/moments_rows.h"
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

// A function's knots and how it rises behind each.
struct Knots {
  alignas(32) float low[32];
  alignas(32) float rise[32];

  explicit Knots(const ShapeTable& table) {
    for (std::uint32_t i = 0; i < 32; ++i) {
      low[i] = static_cast<float>(table[i]);
      rise[i] = static_cast<float>(table[i + 1] - table[i]);
    }
  }
  __m256 At(__m256i knot, __m256 fraction) const {
    const __m256 from = _mm256_i32gather_ps(low, knot, 4);
    const __m256 more = _mm256_mul_ps(fraction, _mm256_i32gather_ps(rise, knot, 4));
    return _mm256_mul_ps(_mm256_add_ps(from, more), _mm256_set1_ps(0x1p-15F));
  }
};

struct Shape {
  __m256 u, g;
};

struct Clipper {
  const Knots u{kShapeU}, g{kShapeG};
  __m256 low, high, inverse_step;
  __m256i zero_out;

  explicit Clipper(const ClipArgs& args)
      : low(_mm256_set1_ps(static_cast<float>(args.clamp_min - args.zero_out))),
        high(_mm256_set1_ps(static_cast<float>(args.clamp_max - args.zero_out))),
        inverse_step(_mm256_set1_ps(args.inverse_step)),
        zero_out(_mm256_set1_epi32(args.zero_out)) {}

  static __m256 InverseRoot(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i index = _mm256_and_si256(_mm256_srli_epi32(bits, 19), _mm256_set1_epi32(31));
    const __m256i root =
        _mm256_i32gather_epi32(reinterpret_cast<const int*>(kInverseRoots.data()), index, 4);
    const __m256i less = _mm256_slli_epi32(_mm256_srli_epi32(bits, 24), 23);
    return _mm256_castsi256_ps(_mm256_sub_epi32(root, less));
  }

  Shape At(__m256 z) const {
    const __m256 four = _mm256_set1_ps(4.0F);
    __m256 t = _mm256_mul_ps(_mm256_add_ps(z, four), four);
    t = _mm256_min_ps(_mm256_max_ps(t, _mm256_setzero_ps()), _mm256_set1_ps(0x1.fffffep4F));
    const __m256i knot = _mm256_cvttps_epi32(t);
    const __m256 fraction = _mm256_sub_ps(t, _mm256_cvtepi32_ps(knot));
    return {u.At(knot, fraction), g.At(knot, fraction)};
  }

  // The codes of 8 means and variances, as 32-bit numbers.
  void Clip(__m256 x, __m256 variance, __m256i* mean_codes, __m256i* variance_codes) const {
    const __m256 certain = _mm256_cmp_ps(variance, _mm256_set1_ps(kLeastVariance), _CMP_LT_OQ);
    const __m256 root = InverseRoot(variance);
    const __m256 s = _mm256_mul_ps(variance, root);
    const __m256 d = _mm256_sub_ps(x, low);
    const Shape shape = At(_mm256_mul_ps(d, root));
    __m256 mean = _mm256_add_ps(_mm256_max_ps(d, _mm256_setzero_ps()), _mm256_mul_ps(s, shape.u));
    __m256 found = _mm256_mul_ps(variance, shape.g);
    const __m256 upper = _mm256_add_ps(x, _mm256_mul_ps(_mm256_set1_ps(4.0F), s));
    const __m256 reaches = _mm256_andnot_ps(certain, _mm256_cmp_ps(upper, high, _CMP_GT_OQ));
    if (_mm256_movemask_ps(reaches) != 0) {
      const __m256 e = _mm256_sub_ps(x, high);
      const Shape above = At(_mm256_mul_ps(e, root));
      const __m256 beyond =
          _mm256_add_ps(_mm256_max_ps(e, _mm256_setzero_ps()), _mm256_mul_ps(s, above.u));
      const __m256 rest = _mm256_sub_ps(_mm256_add_ps(_mm256_sub_ps(high, low), beyond), mean);
      const __m256 twice = _mm256_mul_ps(_mm256_set1_ps(2.0F), beyond);
      const __m256 less = _mm256_sub_ps(_mm256_sub_ps(found, _mm256_mul_ps(variance, above.g)),
                                        _mm256_mul_ps(twice, rest));
      found = _mm256_blendv_ps(found, _mm256_max_ps(less, _mm256_setzero_ps()), reaches);
      mean = _mm256_blendv_ps(mean, _mm256_sub_ps(mean, beyond), reaches);
    }
    mean = _mm256_blendv_ps(_mm256_add_ps(low, mean), x, certain);
    found = _mm256_andnot_ps(certain, found);
    mean = _mm256_min_ps(_mm256_max_ps(mean, low), high);
    found = _mm256_min_ps(_mm256_mul_ps(found, inverse_step), _mm256_set1_ps(255.0F));
    *mean_codes = _mm256_add_epi32(zero_out, _mm256_cvtps_epi32(mean));
    *variance_codes = _mm256_cvtps_epi32(found);
  }
};

// What belongs to each channel, zeros past the real ones.
struct Channels {
  alignas(32) float multiplier[kPanelWidth] = {};
  alignas(32) float k_spread[kPanelWidth] = {};
  alignas(32) float k_input[kPanelWidth] = {};
  alignas(32) float k_bias[kPanelWidth] = {};
  alignas(32) std::int32_t factor[kPanelWidth] = {};
  alignas(32) std::int32_t half[kPanelWidth] = {};  // less zero * factor

  explicit Channels(const ClipArgs& args) {
    for (std::uint32_t c = 0; c < args.channels; ++c) {
      multiplier[c] = args.multiplier[c];
      k_spread[c] = args.k_spread[c];
      k_input[c] = args.k_input[c];
      k_bias[c] = args.k_bias[c];
      if (args.residual == nullptr) continue;
      factor[c] = args.residual_factor[c];
      half[c] = (1 << (args.residual_shift - 1)) - args.residual_zero * factor[c];
    }
  }
};

__m256i Integers(const std::int32_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// The low bytes of two registers of 32-bit numbers up to 255, in their order.
void StoreBytes(const __m256i* numbers, std::uint32_t count, std::uint8_t* to) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(numbers[0], numbers[1]), 0xd8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  if (count == kPanelWidth) return _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  alignas(16) std::uint8_t all[kPanelWidth];
  _mm_store_si128(reinterpret_cast<__m128i*>(all), bytes);
  for (std::uint32_t c = 0; c < count; ++c) to[c] = all[c];
}

__m256i LoadBytes(const std::uint8_t* from, std::uint32_t count) {
  if (count >= 8) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  }
  alignas(16) std::uint8_t some[16] = {};
  for (std::uint32_t c = 0; c < count; ++c) some[c] = from[c];
  return _mm256_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(some)));
}

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

void Clip(const ClipArgs& args) {
  const Clipper clipper(args);
  const Channels channels(args);
  const __m128i shift = _mm_cvtsi32_si128(args.residual_shift);
  const std::uint32_t halves = args.channels > 8 ? 2 : 1;
  for (std::uint32_t p = 0; p < args.pixels; ++p) {
    const std::size_t row = std::size_t{p} * kPanelWidth;
    const std::ptrdiff_t residual_at = Signed(p) * args.residual_col_step;
    __m256i means[2] = {}, variances[2] = {};
    for (std::uint32_t h = 0; h < halves; ++h) {
      const std::uint32_t first = h * 8;
      const auto load = [&](const std::int32_t* from) {
        return from == nullptr ? _mm256_setzero_ps()
                               : _mm256_cvtepi32_ps(Integers(from + row + first));
      };
      __m256i acc = Integers(args.acc + row + first);
      __m256 variance = _mm256_add_ps(
          _mm256_add_ps(_mm256_mul_ps(load(args.spread), _mm256_load_ps(channels.k_spread + first)),
                        _mm256_mul_ps(load(args.input), _mm256_load_ps(channels.k_input + first))),
          _mm256_load_ps(channels.k_bias + first));
      if (args.residual != nullptr) {
        const auto bytes = [&](const std::uint8_t* from) {
          return LoadBytes(from + residual_at + first, args.channels - first);
        };
        const __m256i scaled =
            _mm256_mullo_epi32(bytes(args.residual), Integers(channels.factor + first));
        const __m256i sum = _mm256_add_epi32(scaled, Integers(channels.half + first));
        acc = _mm256_add_epi32(acc, _mm256_sra_epi32(sum, shift));
        if (args.residual_variance != nullptr) {
          variance = _mm256_add_ps(variance,
                                   _mm256_mul_ps(_mm256_cvtepi32_ps(bytes(args.residual_variance)),
                                                 _mm256_set1_ps(args.k_residual)));
        }
      }
      const __m256 x =
          _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_load_ps(channels.multiplier + first));
      clipper.Clip(x, variance, &means[h], &variances[h]);
    }
    const std::ptrdiff_t at = Signed(p) * args.output_col_step;
    StoreBytes(means, args.channels, args.output + at);
    StoreBytes(variances, args.channels, args.variance + at);
  }
}

void AddSoftmaxRows(const RowsArgs& args) { kernels::AddSoftmaxRows(args); }

}  // namespace mu8::kernels::avx2
