// Predictions by moments with AVX-512: a register holds 16 channels of a pixel. See
// scalar/moments.cpp and moments_math.h for the definition, whose order of operations is this
// one's.
#include "kernels/moments.h"

#include <immintrin.h>

#include "kernels/avx512vnni/kernels.h"
#include "kernels/moments_math.h"
#include "kernels/moments_rows.h"

namespace mu8::kernels::avx512vnni {

float ProbeMoments(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

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

// 32 floats by their index, as two registers.
struct Entries {
  __m512 low, high;

  __m512 operator[](__m512i index) const { return _mm512_permutex2var_ps(low, index, high); }
};

Entries Load(const float* entries) {
  return {_mm512_loadu_ps(entries), _mm512_loadu_ps(entries + 16)};
}

// A function's knots and how it rises behind each, times a power of two.
struct Knots {
  Entries low, rise;

  Knots(const ShapeTable& table, float unit) {
    alignas(64) float values[32], rises[32];
    for (std::uint32_t i = 0; i < 32; ++i) {
      values[i] = static_cast<float>(table[i]) * unit;
      rises[i] = static_cast<float>(table[i + 1] - table[i]) * unit;
    }
    low = Load(values);
    rise = Load(rises);
  }
  __m512 At(__m512i knot, __m512 fraction) const {
    return _mm512_add_ps(low[knot], _mm512_mul_ps(fraction, rise[knot]));
  }
};

struct Shape {
  __m512 u, g;
};

// Powers of two do not change what is rounded: with R = 4 InverseRoot, S = V R = 4 s and U / 4,
// places between knots are d R + 16, the mean's share S U / 4, and the reach S.
struct Clipper {
  Knots u{kShapeU, 0x1p-17F}, g{kShapeG, 0x1p-15F};
  __m512i roots_low = FourTimes(0), roots_high = FourTimes(16);
  __m512 low, high, inverse_step;
  __m512i zero_out;

  explicit Clipper(const ClipArgs& args)
      : low(_mm512_set1_ps(static_cast<float>(args.clamp_min - args.zero_out))),
        high(_mm512_set1_ps(static_cast<float>(args.clamp_max - args.zero_out))),
        inverse_step(_mm512_set1_ps(args.inverse_step)),
        zero_out(_mm512_set1_epi32(args.zero_out)) {}

  static __m512i FourTimes(std::size_t first) {
    return _mm512_add_epi32(_mm512_loadu_si512(kInverseRoots.data() + first),
                            _mm512_set1_epi32(2 << 23));
  }

  __m512 InverseRoot(__m512 x) const {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i root =
        _mm512_permutex2var_epi32(roots_low, _mm512_srli_epi32(bits, 19), roots_high);
    const __m512i less = _mm512_slli_epi32(_mm512_srli_epi32(bits, 24), 23);
    return _mm512_castsi512_ps(_mm512_sub_epi32(root, less));
  }

  Shape At(__m512 z) const {
    __m512 t = _mm512_add_ps(z, _mm512_set1_ps(16.0F));
    t = _mm512_min_ps(_mm512_max_ps(t, _mm512_setzero_ps()), _mm512_set1_ps(0x1.fffffep4F));
    const __m512i knot = _mm512_cvttps_epi32(t);
    const __m512 fraction = _mm512_sub_ps(t, _mm512_cvtepi32_ps(knot));
    return {u.At(knot, fraction), g.At(knot, fraction)};
  }

  // The codes of 16 means and variances, as 32-bit numbers.
  void Clip(__m512 x, __m512 variance, __m512i* mean_codes, __m512i* variance_codes) const {
    const __mmask16 certain =
        _mm512_cmp_ps_mask(variance, _mm512_set1_ps(kLeastVariance), _CMP_LT_OQ);
    const __m512 root = InverseRoot(variance);
    const __m512 s = _mm512_mul_ps(variance, root);
    const __m512 d = _mm512_sub_ps(x, low);
    const Shape shape = At(_mm512_mul_ps(d, root));
    __m512 mean = _mm512_add_ps(_mm512_max_ps(d, _mm512_setzero_ps()), _mm512_mul_ps(s, shape.u));
    __m512 found = _mm512_mul_ps(variance, shape.g);
    const __m512 upper = _mm512_add_ps(x, s);
    const __mmask16 reaches =
        _mm512_mask_cmp_ps_mask(static_cast<__mmask16>(~certain), upper, high, _CMP_GT_OQ);
    if (reaches != 0) {
      const __m512 e = _mm512_sub_ps(x, high);
      const Shape above = At(_mm512_mul_ps(e, root));
      const __m512 beyond =
          _mm512_add_ps(_mm512_max_ps(e, _mm512_setzero_ps()), _mm512_mul_ps(s, above.u));
      const __m512 rest = _mm512_sub_ps(_mm512_add_ps(_mm512_sub_ps(high, low), beyond), mean);
      const __m512 twice = _mm512_mul_ps(_mm512_set1_ps(2.0F), beyond);
      const __m512 less = _mm512_sub_ps(_mm512_sub_ps(found, _mm512_mul_ps(variance, above.g)),
                                        _mm512_mul_ps(twice, rest));
      found = _mm512_mask_mov_ps(found, reaches, _mm512_max_ps(less, _mm512_setzero_ps()));
      mean = _mm512_mask_sub_ps(mean, reaches, mean, beyond);
    }
    mean = _mm512_mask_mov_ps(_mm512_add_ps(low, mean), certain, x);
    found = _mm512_mask_mov_ps(found, certain, _mm512_setzero_ps());
    mean = _mm512_min_ps(_mm512_max_ps(mean, low), high);
    found = _mm512_min_ps(_mm512_mul_ps(found, inverse_step), _mm512_set1_ps(255.0F));
    *mean_codes = _mm512_add_epi32(zero_out, _mm512_cvtps_epi32(mean));
    *variance_codes = _mm512_cvtps_epi32(found);
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

void Clip(const ClipArgs& args) {
  const auto channels = static_cast<__mmask16>((1U << args.channels) - 1);
  const Clipper clipper(args);
  const __m512 multiplier = _mm512_maskz_loadu_ps(channels, args.multiplier);
  const __m512 k_spread = _mm512_maskz_loadu_ps(channels, args.k_spread);
  const __m512 k_input = _mm512_maskz_loadu_ps(channels, args.k_input);
  const __m512 k_bias = _mm512_maskz_loadu_ps(channels, args.k_bias);
  __m512i factor{}, half{};
  __m128i shift{};
  if (args.residual != nullptr) {
    factor = _mm512_maskz_loadu_epi32(channels, args.residual_factor);
    half = _mm512_sub_epi32(_mm512_set1_epi32(1 << (args.residual_shift - 1)),
                            _mm512_mullo_epi32(_mm512_set1_epi32(args.residual_zero), factor));
    shift = _mm_cvtsi32_si128(args.residual_shift);
  }
  for (std::uint32_t p = 0; p < args.pixels; ++p) {
    const std::size_t row = std::size_t{p} * kPanelWidth;
    const auto load = [row](const std::int32_t* from) {
      return from == nullptr ? _mm512_setzero_ps()
                             : _mm512_cvtepi32_ps(_mm512_loadu_si512(from + row));
    };
    __m512i acc = _mm512_loadu_si512(args.acc + row);
    __m512 variance = _mm512_add_ps(_mm512_add_ps(_mm512_mul_ps(load(args.spread), k_spread),
                                                  _mm512_mul_ps(load(args.input), k_input)),
                                    k_bias);
    const std::ptrdiff_t residual_at = Signed(p) * args.residual_col_step;
    const auto bytes = [&](const std::uint8_t* from) {
      return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(channels, from + residual_at));
    };
    if (args.residual != nullptr) {
      const __m512i scaled = _mm512_mullo_epi32(bytes(args.residual), factor);
      acc = _mm512_add_epi32(acc, _mm512_sra_epi32(_mm512_add_epi32(scaled, half), shift));
      if (args.residual_variance != nullptr) {
        variance =
            _mm512_add_ps(variance, _mm512_mul_ps(_mm512_cvtepi32_ps(bytes(args.residual_variance)),
                                                  _mm512_set1_ps(args.k_residual)));
      }
    }
    __m512i means, variances;
    clipper.Clip(_mm512_mul_ps(_mm512_cvtepi32_ps(acc), multiplier), variance, &means, &variances);
    const std::ptrdiff_t at = Signed(p) * args.output_col_step;
    _mm_mask_storeu_epi8(args.output + at, channels, _mm512_cvtepi32_epi8(means));
    _mm_mask_storeu_epi8(args.variance + at, channels, _mm512_cvtepi32_epi8(variances));
  }
}

void AddSoftmaxRows(const RowsArgs& args) { kernels::AddSoftmaxRows(args); }

}  // namespace mu8::kernels::avx512vnni
