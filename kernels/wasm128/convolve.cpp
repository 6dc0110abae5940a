// Convolution and dense product with pairs of products of 16 bits: 2 pixels by 8 channels, 8 inputs
// a step, the panel as it lies.
#include "kernels/built_tables.h"

#if MU8_HAVE_WASM128
#include <wasm_simd128.h>

#include <cstring>

#include "formats/exact_floats.h"
#include "kernels/output_pixels.h"
#include "kernels/wasm128/kernels.h"
#include "kernels/wasm128/parts.h"
#include "kernels/window_taps.h"

namespace mu8::kernels::wasm128 {

float ProbeConvolve(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

constexpr std::uint32_t kPixels = 2;

// {a0 + a1, a2 + a3, b0 + b1, b2 + b3}
v128_t AddPairs(v128_t a, v128_t b) {
  return wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), wasm_i32x4_shuffle(a, b, 1, 3, 5, 7));
}

v128_t Splat(std::int32_t value) { return wasm_i32x4_splat(value); }

// Sums of 4 channels of one pixel, half a channel in each word: of the first two and the next two.
struct Halves {
  v128_t low, high;

  // s16 4 inputs of each channel, in turn; weights as many.
  void Add(v128_t x_low, v128_t x_high, const std::int8_t* weights) {
    low = wasm_i32x4_add(low, wasm_i32x4_dot_i16x8(x_low, wasm_i16x8_load8x8(weights)));
    high = wasm_i32x4_add(high, wasm_i32x4_dot_i16x8(x_high, wasm_i16x8_load8x8(weights + 8)));
  }
  v128_t Sum() const { return AddPairs(low, high); }
};

// sums[p][v] += sum of (x - zero_point) * w over the window at windows[p], for the 4 * kVectors
// channels whose weights begin at `weights`.
template <std::size_t kCount, std::size_t kVectors>
void Accumulate(const ConvolveArgs& args, const std::uint8_t* const* windows,
                const std::int8_t* weights, v128_t (&sums)[kCount][kVectors]) {
  const std::size_t step = std::size_t{args.width} * 4;
  const v128_t zero_point = wasm_i16x8_splat(static_cast<std::int16_t>(args.zero_point));
  Halves halves[kCount][kVectors] = {};
  const auto add = [&](const std::int8_t* group, const v128_t(&x)[kCount]) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
#pragma GCC unroll 8
      for (std::size_t p = 0; p < kCount; ++p) halves[p][v].Add(x[p], x[p], group + v * 16);
    }
  };
  std::ptrdiff_t outer_at = 0;
  for (std::uint32_t outer = args.outer_runs; outer != 0; --outer, outer_at += args.outer_step) {
    std::ptrdiff_t inner_at = outer_at;
    for (std::uint32_t inner = args.inner_runs; inner != 0; --inner, inner_at += args.inner_step) {
      std::ptrdiff_t at = inner_at;
      std::uint32_t left = args.padded_run;
      while (left != 0) {  // at most once an input
        v128_t x[kCount], first[kCount], second[kCount];
#pragma GCC unroll 8
        for (std::size_t p = 0; p < kCount; ++p) {
          // A tensor's tail may be read: 8 inputs, be they there or not.
          x[p] = wasm_i16x8_sub(wasm_u16x8_load8x8(windows[p] + at), zero_point);
          first[p] = wasm_i64x2_shuffle(x[p], x[p], 0, 0);
          second[p] = wasm_i64x2_shuffle(x[p], x[p], 1, 1);
        }
        add(weights, first);
        weights += step;
        if (left == 4) break;
        add(weights, second);
        weights += step;
        at += 8;
        left -= 8;
      }
    }
  }
#pragma GCC unroll 8
  for (std::size_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      sums[p][v] = wasm_i32x4_add(sums[p][v], halves[p][v].Sum());
    }
  }
}

// Values of one pixel's sums, up to 4 * kVectors channels from channel `first` on.
struct Output {
  // For |value| <= 2^22: adding 1.5 * 2^23 leaves no room for fractions, and the integer in the
  // lower bits.
  static constexpr float kMagic = 12582912.0F;
  static constexpr std::int32_t kMagicBits = 0x4b400000;

  const ConvolveArgs& args;
  v128_t low, high, zero, residual_zero, half;

  explicit Output(const ConvolveArgs& of)
      : args(of),
        low(wasm_f32x4_splat(static_cast<float>(of.clamp_min - of.zero_out))),
        high(wasm_f32x4_splat(static_cast<float>(of.clamp_max - of.zero_out))),
        zero(Splat(of.zero_out - kMagicBits)),
        residual_zero(Splat(of.residual_zero)),
        half(Splat(of.residual == nullptr ? 0 : 1 << (of.residual_shift - 1))) {}

  v128_t Quantize(v128_t sum, std::uint32_t channel) const {
    const v128_t multiplier = wasm_v128_load(args.multiplier + channel);
    v128_t value = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(sum), multiplier);
    value = wasm_f32x4_pmin(wasm_f32x4_pmax(value, low), high);
    return wasm_i32x4_add(wasm_f32x4_add(value, wasm_f32x4_splat(kMagic)), zero);
  }
  v128_t AddResidual(v128_t sum, const std::uint8_t* residual, std::uint32_t channel) const {
    const v128_t values =
        wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(residual)));
    const v128_t factor = wasm_v128_load(args.residual_factor + channel);
    const v128_t scaled = wasm_i32x4_mul(wasm_i32x4_sub(values, residual_zero), factor);
    return wasm_i32x4_add(sum, wasm_i32x4_shr(wasm_i32x4_add(scaled, half),
                                              static_cast<std::uint32_t>(args.residual_shift)));
  }

  template <std::size_t kVectors>
  void Write(Pixel pixel, std::uint32_t first, const v128_t (&sums)[kVectors]) const {
    const std::uint32_t left = args.channels - first;
    const std::uint32_t count = left < kVectors * 4 ? left : kVectors * 4;
    std::uint8_t residuals[kVectors * 4] = {};
    const bool has_residual = args.residual != nullptr;
    if (has_residual) {
      const std::uint8_t* from =
          At(args.residual, pixel, args.residual_row_step, args.residual_col_step) + first;
      if (count == kVectors * 4) {
        std::memcpy(residuals, from, kVectors * 4);
      } else {
        for (std::uint32_t c = 0; c < count; ++c) residuals[c] = from[c];
      }
    }
    v128_t words[4] = {};
#pragma GCC unroll 4
    for (std::uint32_t v = 0; v < kVectors; ++v) {
      v128_t sum = sums[v];
      if (has_residual) sum = AddResidual(sum, residuals + v * 4, first + v * 4);
      words[v] = Quantize(sum, first + v * 4);
    }
    const v128_t bytes = wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(words[0], words[1]),
                                                 wasm_i16x8_narrow_i32x4(words[2], words[3]));
    StorePart(At(args.output, pixel, args.output_row_step, args.output_col_step) + first, bytes,
              count);
  }
};

// The biases of the panel's channels: the accumulators' own memory may be they.
struct Biases {
  std::int32_t words[kPanelWidth] = {};

  explicit Biases(const ConvolveArgs& args) {
    std::memcpy(words, args.bias, args.channels * sizeof(std::int32_t));
  }
  v128_t Of(std::size_t channel) const { return wasm_v128_load(words + channel); }
};

// kCount pixels' sums of 4 * kVectors channels from `first` on.
template <std::size_t kCount, std::size_t kVectors>
void Sum(const ConvolveArgs& args, const Biases& biases, const std::uint8_t* const* windows,
         std::uint32_t first, v128_t (&sums)[kCount][kVectors]) {
#pragma GCC unroll 8
  for (std::size_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) sums[p][v] = biases.Of(first + v * 4);
  }
  Accumulate<kCount, kVectors>(args, windows, args.weights + std::size_t{first} * 4, sums);
}

template <std::size_t kCount, std::size_t kVectors>
void ConvolvePixels(const ConvolveArgs& args, const Output& output, const Biases& biases,
                    const std::uint8_t* const* windows, const Pixel* pixels) {
  for (std::uint32_t first = 0; first < args.channels; first += kVectors * 4) {
    v128_t sums[kCount][kVectors];
    Sum<kCount, kVectors>(args, biases, windows, first, sums);
#pragma GCC unroll 8
    for (std::size_t p = 0; p < kCount; ++p) output.Write<kVectors>(pixels[p], first, sums[p]);
  }
}

template <std::size_t kVectors>
void ConvolvePanel(const ConvolveArgs& args) {
  const Biases biases(args);
  const Output output(args);
  Pixel pixel;
  bool more = true;
  while (more) {  // at most once a pixel
    Pixel pixels[kPixels];
    const std::uint8_t* windows[kPixels];
    std::uint32_t count = 0;
    for (; more && count < kPixels; ++count, more = Next(args, &pixel)) {
      pixels[count] = pixel;
      windows[count] = At(args.input, pixel, args.input_row_step, args.input_col_step);
    }
    if (count == kPixels) {
      ConvolvePixels<kPixels, kVectors>(args, output, biases, windows, pixels);
      continue;
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      ConvolvePixels<1, kVectors>(args, output, biases, windows + i, pixels + i);
    }
  }
}

// Accumulators of kCount pixels, kPanelWidth a pixel.
template <std::size_t kCount, std::size_t kVectors>
void AccumulatePixels(const ConvolveArgs& args, const Biases& biases, const std::uint8_t* window,
                      std::int32_t* to) {
  const std::uint8_t* windows[kCount];
  for (std::size_t p = 0; p < kCount; ++p) windows[p] = window + Signed(p) * args.input_col_step;
  for (std::uint32_t first = 0; first < args.channels; first += kVectors * 4) {
    v128_t sums[kCount][kVectors];
    Sum<kCount, kVectors>(args, biases, windows, first, sums);
    for (std::size_t p = 0; p < kCount; ++p) {
      for (std::size_t v = 0; v < kVectors; ++v) {
        wasm_v128_store(to + p * kPanelWidth + first + v * 4, sums[p][v]);
      }
    }
  }
}

template <std::size_t kVectors>
void AccumulatePanel(const ConvolveArgs& args) {
  const Biases biases(args);
  std::int32_t* to = args.accumulators;
  const std::uint8_t* row = args.input;
  for (std::uint32_t y = 0; y < args.output_height; ++y, row += args.input_row_step) {
    const std::uint8_t* window = row;
    std::uint32_t left = args.output_width;
    for (; left >= kPixels; left -= kPixels, to += kPixels * kPanelWidth) {
      AccumulatePixels<kPixels, kVectors>(args, biases, window, to);
      window += std::ptrdiff_t{kPixels} * args.input_col_step;
    }
    if (left == 0) continue;
    AccumulatePixels<1, kVectors>(args, biases, window, to);
    to += kPanelWidth;
  }
}

void ConvolveOne(const ConvolveArgs& args) {
  const Biases biases(args);
  std::int32_t words[kPanelWidth];
  for (std::uint32_t first = 0; first < args.channels; first += 4) {
    v128_t sums[1][1];
    Sum<1, 1>(args, biases, &args.input, first, sums);
    wasm_v128_store(words + first, sums[0][0]);
  }
  std::memcpy(args.accumulators, words, args.channels * sizeof(std::int32_t));
}

// Bytes of a and b in turn: of their first halves or their last.
v128_t InterleaveLow(v128_t a, v128_t b) {
  return wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
v128_t InterleaveHigh(v128_t a, v128_t b) {
  return wasm_i8x16_shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
// Pairs of bytes in turn.
v128_t PairsLow(v128_t a, v128_t b) { return wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
v128_t PairsHigh(v128_t a, v128_t b) {
  return wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

// 4 taps of all channels a step, brought into the order of the weights: 4 of one channel, then of
// the next. Taps that are not there have weights of 0.
template <std::size_t kVectors>
void AccumulateDepthwise(const ConvolveArgs& args, const std::uint8_t* window,
                         v128_t (&sums)[kVectors]) {
  const v128_t zero_point = wasm_i16x8_splat(static_cast<std::int16_t>(args.zero_point));
  Halves halves[kVectors] = {};
  Taps taps(args, window);
  const std::int8_t* weights = args.weights;
  for (std::uint32_t left = args.padded_run; left != 0; left -= 4, weights += kVectors * 16) {
    // A tensor's tail may be read.
    const v128_t a = wasm_v128_load(taps.Next()), b = wasm_v128_load(taps.Next());
    const v128_t c = wasm_v128_load(taps.Next()), d = wasm_v128_load(taps.Next());
    const v128_t ab = InterleaveLow(a, b), cd = InterleaveLow(c, d);
    const v128_t ab_high = InterleaveHigh(a, b), cd_high = InterleaveHigh(c, d);
    const v128_t x[4] = {PairsLow(ab, cd), PairsHigh(ab, cd), PairsLow(ab_high, cd_high),
                         PairsHigh(ab_high, cd_high)};
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      halves[v].Add(wasm_i16x8_sub(wasm_u16x8_extend_low_u8x16(x[v]), zero_point),
                    wasm_i16x8_sub(wasm_u16x8_extend_high_u8x16(x[v]), zero_point),
                    weights + v * 16);
    }
  }
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) {
    sums[v] = wasm_i32x4_add(sums[v], halves[v].Sum());
  }
}

template <std::size_t kVectors>
void DepthwisePanel(const ConvolveArgs& args) {
  const Biases biases(args);
  const Output output(args);
  Pixel pixel;
  do {  // at most once a pixel
    v128_t sums[kVectors];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) sums[v] = biases.Of(v * 4);
    AccumulateDepthwise<kVectors>(
        args, At(args.input, pixel, args.input_row_step, args.input_col_step), sums);
    if (args.accumulators != nullptr) {
      std::int32_t words[kVectors * 4];
      for (std::size_t v = 0; v < kVectors; ++v) wasm_v128_store(words + v * 4, sums[v]);
      std::memcpy(args.accumulators, words, args.channels * sizeof(std::int32_t));
      return;
    }
    output.Write<kVectors>(pixel, 0, sums);
  } while (Next(args, &pixel));
}

}  // namespace

void Convolve(const ConvolveArgs& args) {
  if (args.accumulators != nullptr) return ConvolveOne(args);
  if (args.width == 4) return ConvolvePanel<1>(args);
  ConvolvePanel<2>(args);
}

void Accumulate(const ConvolveArgs& args) {
  if (args.width == 4) return AccumulatePanel<1>(args);
  AccumulatePanel<2>(args);
}

void ConvolveDepthwise(const ConvolveArgs& args) {
  if (args.width == 16) return DepthwisePanel<4>(args);
  if (args.width == 8) return DepthwisePanel<2>(args);
  DepthwisePanel<1>(args);
}

}  // namespace mu8::kernels::wasm128
#endif  // MU8_HAVE_WASM128
