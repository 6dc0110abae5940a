// A panel over an image, for every instruction set of NEON: where windows begin, the zero point,
// the residual, requantization. What differs are the sums of products:
//
//   struct Products {
//     // Pixels side by side for a panel of 4 * kVectors channels.
//     template <std::size_t kVectors> static constexpr std::size_t kPixels;
//     // sums[p][v] = base[v] + sum of x' * w over the window that begins at
//     // window + p * args.input_col_step, of channels 4 v to 4 v + 3; x' is x - kOffset.
//     template <std::size_t kVectors, std::size_t kPixels>
//     static void Sum(const ConvolveArgs& args, const std::uint8_t* window,
//                     const int32x4_t (&base)[kVectors], int32x4_t (&sums)[kPixels][kVectors]);
//     static constexpr std::int32_t kOffset;
//     // Whether input k of a channel is that channel of tap k, as in a depthwise convolution.
//     static constexpr bool kDepthwise;
//     // {sum of the 4 weights of each channel} added to sum.
//     static int32x4_t AddWeights(int32x4_t sum, int8x16_t weights);
//   };
//
// Sum is a function of its own, with sums of its own: inlined among what a pixel's end needs, or
// where each sum is also in memory, compilers do not keep the sums in registers. Loops over
// constants are unrolled by hand, for compilers do it at -O3 alone.
//
// Whatever x' is: sum (x - z) * w = sum x' * w - (z - kOffset) * sum w.
#pragma once

#include <cstring>

#include "kernels/kernel_table.h"
#include "kernels/neon/vectors.h"

namespace mu8::kernels::neon {
namespace {

// What is the same for all pixels.
template <std::size_t kVectors>
struct Output {
  float32x4_t multiplier[kVectors];
  int16x8_t zero_out;
  uint8x16_t low, high;
  int32x4_t residual_zero, residual_shift, residual_factor[kVectors];
  bool has_residual;

  explicit Output(const ConvolveArgs& args)
      : zero_out(vdupq_n_s16(static_cast<std::int16_t>(args.zero_out))),
        low(vdupq_n_u8(static_cast<std::uint8_t>(args.clamp_min))),
        high(vdupq_n_u8(static_cast<std::uint8_t>(args.clamp_max))),
        residual_zero(vdupq_n_s32(args.residual_zero)),
        residual_shift(vdupq_n_s32(-args.residual_shift)),
        has_residual(args.residual != nullptr) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      multiplier[v] = vld1q_f32(args.multiplier + v * 4);
      if (has_residual) residual_factor[v] = vld1q_s32(args.residual_factor + v * 4);
    }
  }

  int32x4_t Residual(uint16x4_t values, std::size_t v) const {
    const int32x4_t r = vsubq_s32(vreinterpretq_s32_u32(vmovl_u16(values)), residual_zero);
    return vrshlq_s32(vmulq_s32(r, residual_factor[v]), residual_shift);
  }
  // Bounds are integers, so values may be rounded first and cut off last: what does not fit 16 bits
  // is beyond them, and stays so.
  int16x4_t Requantize(int32x4_t sum, std::size_t v) const {
    return vqmovn_s32(RoundToEven(vmulq_f32(vcvtq_f32_s32(sum), multiplier[v])));
  }

  // One pixel: its 4 * kVectors sums as values; `residual` holds as many bytes.
  void Values(const int32x4_t (&sums)[kVectors], const std::uint8_t* residual,
              std::uint8_t* out) const {
    int16x4_t parts[4] = {};
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      int32x4_t sum = sums[v];
      if (has_residual) {
        std::uint32_t four;
        std::memcpy(&four, residual + v * 4, 4);
        const uint8x8_t bytes = vcreate_u8(four);
        sum = vaddq_s32(sum, Residual(vget_low_u16(vmovl_u8(bytes)), v));
      }
      parts[v] = Requantize(sum, v);
    }
    const uint8x8_t first = vqmovun_s16(vqaddq_s16(vcombine_s16(parts[0], parts[1]), zero_out));
    const uint8x8_t last = vqmovun_s16(vqaddq_s16(vcombine_s16(parts[2], parts[3]), zero_out));
    const uint8x16_t all = vminq_u8(vmaxq_u8(vcombine_u8(first, last), low), high);
    if constexpr (kVectors == 4) {
      vst1q_u8(out, all);
    } else if constexpr (kVectors == 2) {
      vst1_u8(out, vget_low_u8(all));
    } else {
      const std::uint32_t four = vgetq_lane_u32(vreinterpretq_u32_u8(all), 0);
      std::memcpy(out, &four, 4);
    }
  }
};

// bias - (zero_point - kOffset) * sum of the weights.
template <typename Products, std::size_t kVectors>
void Base(const ConvolveArgs& args, int32x4_t (&base)[kVectors]) {
  int32x4_t sum[kVectors];
  for (int32x4_t& part : sum) part = vdupq_n_s32(0);
  const std::int8_t* weights = args.weights;
  std::size_t groups = args.padded_run / 4;
  if (!Products::kDepthwise) groups *= std::size_t{args.outer_runs} * args.inner_runs;
  for (std::size_t left = groups; left != 0; --left, weights += kVectors * 16) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      sum[v] = Products::AddWeights(sum[v], vld1q_s8(weights + v * 16));
    }
  }
#pragma GCC unroll 8
  for (std::size_t v = 0; v < kVectors; ++v) {
    const int32x4_t offset = vdupq_n_s32(args.zero_point - Products::kOffset);
    base[v] = vmlsq_s32(base[v], sum[v], offset);
  }
}

// The panel's channels of consecutive pixels of one row; fewer channels than slots go through a
// buffer.
template <std::size_t kVectors, std::size_t kPixels>
void StorePixels(const ConvolveArgs& args, const Output<kVectors>& output,
                 const int32x4_t (&sum)[kPixels][kVectors], const std::uint8_t* residual,
                 std::uint8_t* out) {
#pragma GCC unroll 8
  for (std::size_t p = 0; p < kPixels; ++p) {
    if (args.channels == kVectors * 4) {
      output.Values(sum[p], residual, out);
    } else {
      std::uint8_t values[kVectors * 4], residuals[kVectors * 4] = {};
      if (residual != nullptr) std::memcpy(residuals, residual, args.channels);
      output.Values(sum[p], residuals, values);
      std::memcpy(out, values, args.channels);
    }
    out += args.output_col_step;
    if (residual != nullptr) residual += args.residual_col_step;
  }
}

template <typename Products, std::size_t kVectors, std::size_t kPixels>
void Pixels(const ConvolveArgs& args, const Output<kVectors>& output,
            const int32x4_t (&base)[kVectors], const std::uint8_t* window,
            const std::uint8_t* residual, std::uint8_t* out) {
  int32x4_t sum[kPixels][kVectors];
  Products::template Sum<kVectors, kPixels>(args, window, base, sum);
  StorePixels<kVectors, kPixels>(args, output, sum, residual, out);
}

template <typename Products, std::size_t kVectors>
void ConvolveRows(const ConvolveArgs& args, const int32x4_t (&base)[kVectors]) {
  constexpr std::size_t kPixels = Products::template kPixels<kVectors>;
  const Output<kVectors> output(args);
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    const std::uint8_t* window = args.input + Signed(y) * args.input_row_step;
    std::uint8_t* out = args.output + Signed(y) * args.output_row_step;
    const std::uint8_t* residual =
        args.residual == nullptr ? nullptr : args.residual + Signed(y) * args.residual_row_step;
    const auto advance = [&](std::ptrdiff_t pixels) {
      window += pixels * args.input_col_step;
      out += pixels * args.output_col_step;
      if (residual != nullptr) residual += pixels * args.residual_col_step;
    };
    std::size_t left = args.output_width;
    for (; left >= kPixels; left -= kPixels, advance(kPixels)) {
      Pixels<Products, kVectors, kPixels>(args, output, base, window, residual, out);
    }
    for (; left != 0; --left, advance(1)) {
      Pixels<Products, kVectors, 1>(args, output, base, window, residual, out);
    }
  }
}

// What all pixels' sums begin with.
template <typename Products, std::size_t kVectors>
void FindBase(const ConvolveArgs& args, int32x4_t (&base)[kVectors]) {
  // The accumulators' own memory may be the bias.
  std::int32_t words[kVectors * 4] = {};
  std::memcpy(words, args.bias, args.channels * sizeof(std::int32_t));
#pragma GCC unroll 8
  for (std::size_t v = 0; v < kVectors; ++v) base[v] = vld1q_s32(words + v * 4);
  if (args.zero_point != Products::kOffset) Base<Products, kVectors>(args, base);
}

// Sums as they are, kPanelWidth a pixel.
template <typename Products, std::size_t kVectors, std::size_t kPixels>
void StoreSums(const ConvolveArgs& args, const int32x4_t (&base)[kVectors],
               const std::uint8_t* window, std::int32_t* to) {
  int32x4_t sum[kPixels][kVectors];
  Products::template Sum<kVectors, kPixels>(args, window, base, sum);
#pragma GCC unroll 8
  for (std::size_t p = 0; p < kPixels; ++p) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) vst1q_s32(to + p * kPanelWidth + v * 4, sum[p][v]);
  }
}

template <typename Products, std::size_t kVectors>
void AccumulateWidth(const ConvolveArgs& args) {
  constexpr std::size_t kPixels = Products::template kPixels<kVectors>;
  int32x4_t base[kVectors];
  FindBase<Products, kVectors>(args, base);
  std::int32_t* to = args.accumulators;
  const std::uint8_t* row = args.input;
  for (std::uint32_t y = 0; y < args.output_height; ++y, row += args.input_row_step) {
    const std::uint8_t* window = row;
    std::size_t left = args.output_width;
    for (; left >= kPixels; left -= kPixels, to += kPixels * kPanelWidth) {
      StoreSums<Products, kVectors, kPixels>(args, base, window, to);
      window += Signed(kPixels) * args.input_col_step;
    }
    for (; left != 0; --left, to += kPanelWidth, window += args.input_col_step) {
      StoreSums<Products, kVectors, 1>(args, base, window, to);
    }
  }
}

template <typename Products, std::size_t kVectors>
void ConvolveWidth(const ConvolveArgs& args) {
  int32x4_t base[kVectors];
  FindBase<Products, kVectors>(args, base);
  if (args.accumulators == nullptr) return ConvolveRows<Products, kVectors>(args, base);
  int32x4_t sum[1][kVectors];
  Products::template Sum<kVectors, 1>(args, args.input, base, sum);
  std::int32_t words[kVectors * 4];
  for (std::size_t v = 0; v < kVectors; ++v) vst1q_s32(words + v * 4, sum[0][v]);
  std::memcpy(args.accumulators, words, args.channels * sizeof(std::int32_t));
}

template <typename Products>
void ConvolvePanel(const ConvolveArgs& args) {
  if (args.width == 16) return ConvolveWidth<Products, 4>(args);
  if (args.width == 8) return ConvolveWidth<Products, 2>(args);
  return ConvolveWidth<Products, 1>(args);
}

template <typename Products>
void AccumulatePanel(const ConvolveArgs& args) {
  if (args.width == 16) return AccumulateWidth<Products, 4>(args);
  if (args.width == 8) return AccumulateWidth<Products, 2>(args);
  return AccumulateWidth<Products, 1>(args);
}

}  // namespace
}  // namespace mu8::kernels::neon
