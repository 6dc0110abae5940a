// Convolution of one panel with AVX-512 VNNI: a register holds 16 channels x 4 inputs, an
// accumulator register one output pixel. Narrow panels use the low lanes of the same code.
#include <immintrin.h>

#include "kernels/avx512vnni/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::avx512vnni {

float ProbeConvolve(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

// acc += dot of 4 unsigned and 4 signed bytes per lane. Inline assembly because g++ 12 spills
// accumulators around the intrinsic (240 to 340 GMAC/s against 490 and more).
inline void Dot(__m512i* accumulator, __m512i x, __m512i w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(*accumulator) : "v"(x), "v"(w));
}

// Hides where a value comes from, so that the compiler keeps it in a register: g++ 12 would rather
// compute a dozen addresses anew in every step.
template <typename T>
inline void Opaque(T* value) {
  __asm__("" : "+r"(*value));
}

inline __m512i Broadcast(const std::uint8_t* bytes) {
  std::int32_t four;
  __builtin_memcpy(&four, bytes, 4);
  return _mm512_set1_epi32(four);
}

inline __m512i AddFour(const __m512i* sums) {
  return _mm512_add_epi32(_mm512_add_epi32(sums[0], sums[1]), _mm512_add_epi32(sums[2], sums[3]));
}

// Everything that is the same for all pixels of a call.
struct Panel {
  const ConvolveArgs& args;
  __mmask16 lanes;  // the panel's channels
  std::size_t group_bytes;
  __m512i start;  // bias - zero_point * column sum

  explicit Panel(const ConvolveArgs& a)
      : args(a),
        lanes(static_cast<__mmask16>((1U << a.width) - 1)),
        group_bytes(std::size_t{a.width} * 4),
        start(_mm512_maskz_loadu_epi32(lanes, a.bias)) {
    if (a.zero_point == 0) return;
    // sum (x - z) w = sum x w - z sum w, and modulo 2^32 both sides are exact.
    __m512i sums[4] = {};  // side by side hide the latency of the dot product
    const std::size_t groups = std::size_t{a.outer_runs} * a.inner_runs * (a.padded_run / 4);
    const __m512i ones = _mm512_set1_epi8(1);
    std::size_t g = 0;
    for (; g + 4 <= groups; g += 4) {
      for (std::size_t i = 0; i < 4; ++i) Dot(&sums[i], ones, Weights(a.weights, g + i));
    }
    for (; g < groups; ++g) Dot(&sums[0], ones, Weights(a.weights, g));
    const __m512i sum = AddFour(sums);
    start = _mm512_sub_epi32(start, _mm512_mullo_epi32(sum, _mm512_set1_epi32(a.zero_point)));
  }
  __m512i Weights(const std::int8_t* weights, std::size_t group) const {
    return _mm512_maskz_loadu_epi32(lanes, weights + group * group_bytes);
  }
};

// One pixel alone: four sums side by side hide the latency of the dot product.
inline __m512i AccumulateOne(const Panel& panel, const std::uint8_t* window) {
  const ConvolveArgs& args = panel.args;
  __m512i sums[4] = {panel.start, _mm512_setzero_si512(), _mm512_setzero_si512(),
                     _mm512_setzero_si512()};
  const std::int8_t* weights = args.weights;
  for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
    for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner) {
      const std::uint8_t* run = window + outer * args.outer_step + inner * args.inner_step;
      std::uint32_t k = 0;
      for (; k + 16 <= args.padded_run; k += 16, weights += 4 * panel.group_bytes) {
        for (std::uint32_t i = 0; i < 4; ++i) {
          Dot(&sums[i], Broadcast(run + k + 4 * i), panel.Weights(weights, i));
        }
      }
      for (; k < args.padded_run; k += 4, weights += panel.group_bytes) {
        Dot(&sums[0], Broadcast(run + k), panel.Weights(weights, 0));
      }
    }
  }
  return AddFour(sums);
}

// The requantization of scalar/convolve.cpp for 16 channels. Multipliers are below 1 (FORMAT.md
// 6.5), so products stay inside int32 and the clamp may follow the conversion: saturating packs
// keep the order of values.
struct Epilogue {
  const ConvolveArgs& args;
  __mmask16 channels;
  bool all_channels;  // of a register
  bool whole_pixels;  // and one pixel behind the other
  __m512 multiplier;
  __m512i zero_out, clamp_min, clamp_max;
  __m512i residual_factor, residual_half;  // the half less zero * factor
  __m128i residual_shift;

  explicit Epilogue(const ConvolveArgs& a)
      : args(a),
        channels(static_cast<__mmask16>((1U << a.channels) - 1)),
        all_channels(a.channels == kPanelWidth),
        whole_pixels(all_channels && a.output_col_step == kPanelWidth),
        multiplier(_mm512_maskz_loadu_ps(channels, a.multiplier)),
        zero_out(_mm512_set1_epi16(static_cast<std::int16_t>(a.zero_out))),
        clamp_min(_mm512_set1_epi8(static_cast<char>(a.clamp_min))),
        clamp_max(_mm512_set1_epi8(static_cast<char>(a.clamp_max))) {
    if (a.residual == nullptr) return;
    residual_factor = _mm512_maskz_loadu_epi32(channels, a.residual_factor);
    residual_half =
        _mm512_sub_epi32(_mm512_set1_epi32(1 << (a.residual_shift - 1)),
                         _mm512_mullo_epi32(_mm512_set1_epi32(a.residual_zero), residual_factor));
    residual_shift = _mm_cvtsi32_si128(a.residual_shift);
  }

  // scalar/convolve.cpp's Residual of 16 channels, added.
  __m512i AddResidual(const std::uint8_t* residual, __m512i acc) const {
    const __m512i r = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(channels, residual));
    const __m512i scaled = _mm512_mullo_epi32(r, residual_factor);
    const __m512i rounded =
        _mm512_sra_epi32(_mm512_add_epi32(scaled, residual_half), residual_shift);
    return _mm512_add_epi32(acc, rounded);
  }

  // rint(float(acc) * multiplier), ties to even.
  __m512i Scale(__m512i acc) const {
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc), multiplier));
  }

  // Four pixels: u8 of pixel p in 128-bit part p.
  __m512i Quantize(const __m512i* acc) const {
    const __m512i low = _mm512_packs_epi32(Scale(acc[0]), Scale(acc[1]));
    const __m512i high = _mm512_packs_epi32(Scale(acc[2]), Scale(acc[3]));
    __m512i q =
        _mm512_packus_epi16(_mm512_adds_epi16(low, zero_out), _mm512_adds_epi16(high, zero_out));
    q = _mm512_min_epu8(_mm512_max_epu8(q, clamp_min), clamp_max);
    // Packs work within 128-bit parts: part i holds channels 4i.. of all four pixels.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, q);
  }

  // `count` pixels, 1 to 4, from output pixel `out` on; acc has four.
  void Store(const __m512i* acc, std::uint32_t count, std::uint8_t* out) const {
    const __m512i q = Quantize(acc);
    if (whole_pixels && count == 4) {
      _mm512_storeu_si512(out, q);
      return;
    }
    const __m128i pixels[4] = {_mm512_castsi512_si128(q), _mm512_extracti32x4_epi32(q, 1),
                               _mm512_extracti32x4_epi32(q, 2), _mm512_extracti32x4_epi32(q, 3)};
#pragma GCC unroll 4
    for (std::uint32_t p = 0; p < count; ++p) {
      std::uint8_t* pixel = out + p * args.output_col_step;
      if (all_channels) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(pixel), pixels[p]);
      } else {
        _mm_mask_storeu_epi8(pixel, channels, pixels[p]);
      }
    }
  }

  // `count` pixels of one row; their accumulators are multiples of four long. Inline, so that a
  // tile's stay in registers.
  [[gnu::always_inline]] void StoreRow(__m512i* acc, std::uint32_t y, std::uint32_t x,
                                       std::uint32_t count) const {
    if (args.residual != nullptr) {
      const std::uint8_t* residual =
          args.residual + y * args.residual_row_step + x * args.residual_col_step;
#pragma GCC unroll 8
      for (std::uint32_t p = 0; p < count; ++p) {
        acc[p] = AddResidual(residual + p * args.residual_col_step, acc[p]);
      }
    }
    std::uint8_t* out = args.output + y * args.output_row_step + x * args.output_col_step;
#pragma GCC unroll 2
    for (std::uint32_t p = 0; p < count; p += 4) {
      Store(acc + p, count - p < 4 ? count - p : 4, out + p * args.output_col_step);
    }
  }
};

// Accumulators as they are, kPanelWidth a pixel.
struct Raw {
  const ConvolveArgs& args;

  [[gnu::always_inline]] void StoreRow(const __m512i* acc, std::uint32_t y, std::uint32_t x,
                                       std::uint32_t count) const {
    std::int32_t* to = args.accumulators + (std::size_t{y} * args.output_width + x) * kPanelWidth;
#pragma GCC unroll 8
    for (std::uint32_t p = 0; p < count; ++p) _mm512_storeu_si512(to + p * kPanelWidth, acc[p]);
  }
};

// Where a segment begins.
struct Segment {
  std::uint32_t y, x;
};

const std::uint8_t* WindowAt(const ConvolveArgs& args, Segment at) {
  return args.input + at.y * args.input_row_step + at.x * args.input_col_step;
}

// Addresses of the pixels of a segment: pixel p lies p column steps behind the first. From two
// pointers and two distances all come by x86's own address arithmetic.
struct Pixels {
  const std::uint8_t *first, *fifth;

  const std::uint8_t* At(std::uint32_t p, std::ptrdiff_t step, std::ptrdiff_t three_steps) const {
    const std::uint8_t* from = p < 5 ? first : fifth;
    const std::uint32_t left = p < 5 ? p : p - 5;
    return left == 3 ? from + three_steps : from + static_cast<std::ptrdiff_t>(left) * step;
  }
};

// A tile: kSegments pieces of rows, kPixels (2, 4 or 8) side by side in each. 16 accumulators hide
// the dot product's latency (5 cycles, 2 a cycle); 24 have more products between one epilogue and
// the next.
//
// kSlide: a run is three taps that lie one column step apart, as in a 3 x 3 convolution of stride
// 1. A group of 4 inputs of one pixel then meets the weights of all three taps, once for each of
// the three output pixels that it belongs to: 10 loads of inputs for 24 dot products, where 24
// loads would take longer than the products (2 a cycle of either).
template <bool kSlide, std::uint32_t kSegments, std::uint32_t kPixels, typename Output>
void ConvolveTile(const Panel& panel, const Output& epilogue, const Segment* at,
                  std::uint32_t count) {
  constexpr std::uint32_t kTaps = kSlide ? 3 : 1;
  const ConvolveArgs& args = panel.args;
  std::ptrdiff_t step = args.input_col_step, three_steps = 3 * step;
  __m512i sums[kSegments][kPixels < 4 ? 4 : kPixels];
#pragma GCC unroll 4
  for (std::uint32_t s = 0; s < kSegments; ++s) {
#pragma GCC unroll 8
    for (std::uint32_t p = 0; p < kPixels; ++p) sums[s][p] = panel.start;
  }
  const std::uint32_t groups = args.padded_run / (4 * kTaps);
  std::size_t tap_bytes = groups * panel.group_bytes;
  const std::int8_t* weights = args.weights;
  for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
    for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner) {
      const std::ptrdiff_t run = outer * args.outer_step + inner * args.inner_step;
      Pixels pixels[kSegments];
#pragma GCC unroll 4
      for (std::uint32_t s = 0; s < kSegments; ++s) {
        pixels[s].first = WindowAt(args, at[s]) + run;
        pixels[s].fifth = pixels[s].first + 5 * step;
      }
      Opaque(&step);
      Opaque(&three_steps);
      Opaque(&tap_bytes);
      for (std::uint32_t g = 0; g < groups; ++g) {
        __m512i w[kTaps];
#pragma GCC unroll 3
        for (std::uint32_t tap = 0; tap < kTaps; ++tap) {
          w[tap] = panel.Weights(weights + tap * tap_bytes, 0);
        }
        weights += panel.group_bytes;
#pragma GCC unroll 4
        for (std::uint32_t s = 0; s < kSegments; ++s) {
          Opaque(&pixels[s].first);
          if (kPixels + kTaps - 1 > 5) Opaque(&pixels[s].fifth);
#pragma GCC unroll 10
          for (std::uint32_t p = 0; p < kPixels + kTaps - 1; ++p) {
            const __m512i x = Broadcast(pixels[s].At(p, step, three_steps));
#pragma GCC unroll 3
            for (std::uint32_t tap = 0; tap < kTaps; ++tap) {
              if (p >= tap && p - tap < kPixels) Dot(&sums[s][p - tap], x, w[tap]);
            }
          }
          pixels[s].first += 4;
          pixels[s].fifth += 4;
        }
      }
      weights += (kTaps - 1) * tap_bytes;
    }
  }
#pragma GCC unroll 4
  for (std::uint32_t s = 0; s < kSegments; ++s) {
    if (s < count) epilogue.StoreRow(sums[s], at[s].y, at[s].x, kPixels);
  }
}

// Columns [begin, end) of all rows, a multiple of kPixels wide.
template <std::uint32_t kSegments, std::uint32_t kPixels, typename Output>
void ConvolveColumns(const Panel& panel, const Output& epilogue, std::uint32_t begin,
                     std::uint32_t end) {
  const ConvolveArgs& args = panel.args;
  const bool slide = args.inner_runs == 1 && args.input_col_step % 4 == 0 &&
                     args.padded_run == 3 * args.input_col_step;
  const auto tile = slide ? ConvolveTile<true, kSegments, kPixels, Output>
                          : ConvolveTile<false, kSegments, kPixels, Output>;
  // The last tile; of three segments one or two may be left.
  constexpr std::uint32_t kLast = kSegments == 3 ? 2 : kSegments;
  const auto last = slide ? ConvolveTile<true, kLast, kPixels, Output>
                          : ConvolveTile<false, kLast, kPixels, Output>;
  Segment segments[kSegments] = {};
  std::uint32_t count = 0;
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    for (std::uint32_t x = begin; x < end; x += kPixels) {
      segments[count++] = {y, x};
      if (count < kSegments) continue;
      tile(panel, epilogue, segments, count);
      count = 0;
    }
  }
  if (count == 0) return;
  if (kSegments == 3 && count == 1) {
    const auto one =
        slide ? ConvolveTile<true, 1, kPixels, Output> : ConvolveTile<false, 1, kPixels, Output>;
    return one(panel, epilogue, segments, 1);
  }
  // Those that are missing are the first again: computed, not stored.
  for (std::uint32_t s = count; s < kLast; ++s) segments[s] = segments[0];
  last(panel, epilogue, segments, count);
}

// The last column, pixel by pixel.
template <typename Output>
void ConvolveColumn(const Panel& panel, const Output& epilogue, std::uint32_t x) {
  const ConvolveArgs& args = panel.args;
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    __m512i acc[4] = {AccumulateOne(panel, WindowAt(args, {y, x}))};
    epilogue.StoreRow(acc, y, x, 1);
  }
}

template <typename Output>
void ConvolveAll(const Panel& panel, const Output& epilogue) {
  const std::uint32_t width = panel.args.output_width;
  const std::uint32_t eights = width / 8 * 8, fours = width / 4 * 4, twos = width / 2 * 2;
  if (eights > 0) ConvolveColumns<3, 8>(panel, epilogue, 0, eights);
  if (fours > eights) ConvolveColumns<4, 4>(panel, epilogue, eights, fours);
  if (twos > fours) ConvolveColumns<2, 2>(panel, epilogue, fours, twos);
  if (width > twos) ConvolveColumn(panel, epilogue, twos);
}

}  // namespace

void Convolve(const ConvolveArgs& args) {
  const Panel panel(args);
  if (args.accumulators != nullptr) {
    const auto channels = static_cast<__mmask16>((1U << args.channels) - 1);
    _mm512_mask_storeu_epi32(args.accumulators, channels, AccumulateOne(panel, args.input));
    return;
  }
  ConvolveAll(panel, Epilogue(args));
}

void Accumulate(const ConvolveArgs& args) { ConvolveAll(Panel(args), Raw{args}); }

// 16 channels of 4 taps, tap by tap within each channel: what one register of weights meets.
// Channels past the panel's are read, too (at most 15 bytes, a tensor has a tail); their weights do
// not exist.
inline __m512i FourTaps(const std::uint8_t* const* taps) {
  __m128i t[4];
  for (int i = 0; i < 4; ++i) t[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(taps[i]));
  const __m128i low01 = _mm_unpacklo_epi8(t[0], t[1]);
  const __m128i high01 = _mm_unpackhi_epi8(t[0], t[1]);
  const __m128i low23 = _mm_unpacklo_epi8(t[2], t[3]);
  const __m128i high23 = _mm_unpackhi_epi8(t[2], t[3]);
  __m512i all = _mm512_castsi128_si512(_mm_unpacklo_epi16(low01, low23));
  all = _mm512_inserti32x4(all, _mm_unpackhi_epi16(low01, low23), 1);
  all = _mm512_inserti32x4(all, _mm_unpacklo_epi16(high01, high23), 2);
  return _mm512_inserti32x4(all, _mm_unpackhi_epi16(high01, high23), 3);
}

// Taps whose places fit a table on the stack; larger windows take the scalar code.
constexpr std::uint32_t kMostTaps = 128;

void ConvolveDepthwise(const ConvolveArgs& args) {
  if (args.padded_run > kMostTaps) return scalar::ConvolveDepthwise(args);
  // Padded taps read the first tap's bytes; their weights are 0.
  std::ptrdiff_t offsets[kMostTaps] = {};
  std::uint32_t tap = 0;
  for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
    for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner) {
      offsets[tap++] = outer * args.outer_step + inner * args.inner_step;
    }
  }
  ConvolveArgs whole = args;  // Panel sums the weights of outer x inner runs of padded_run
  whole.outer_runs = whole.inner_runs = 1;
  const Panel panel(whole);
  const auto accumulate = [&](const std::uint8_t* window) {
    __m512i sum = panel.start;
    for (std::uint32_t k = 0; k < args.padded_run; k += 4) {
      const std::uint8_t* taps[4];
      for (std::uint32_t i = 0; i < 4; ++i) taps[i] = window + offsets[k + i];
      Dot(&sum, FourTaps(taps), panel.Weights(args.weights, k / 4));
    }
    return sum;
  };
  if (args.accumulators != nullptr) {
    const auto channels = static_cast<__mmask16>((1U << args.channels) - 1);
    _mm512_mask_storeu_epi32(args.accumulators, channels, accumulate(args.input));
    return;
  }
  const Epilogue epilogue(args);
  __m512i acc[4] = {};
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    for (std::uint32_t x = 0; x < args.output_width; x += 4) {
      const std::uint32_t left = args.output_width - x;
      const std::uint32_t count = left < 4 ? left : 4;
      for (std::uint32_t p = 0; p < count; ++p) {
        acc[p] = accumulate(args.input + y * args.input_row_step + (x + p) * args.input_col_step);
      }
      epilogue.StoreRow(acc, y, x, count);
    }
  }
}

}  // namespace mu8::kernels::avx512vnni
