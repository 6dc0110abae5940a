// Kernels of predictions by moments (FORMAT.md 13): panels of squares, second moments of inputs,
// and from accumulators to means and variances. kernels/scalar/moments.cpp is the definition.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace mu8::kernels {

// Largest code of a square in a panel: products are those of u8 and s8.
inline constexpr std::uint32_t kMostSquare = 64;
// What a code of a squared mean is worth, in squared weight steps.
inline constexpr float kMeanSquareUnit = 256.0F;

// e = min((t C + 2^14) >> 15, 255), t = min((d d >> 1) + (v H >> 8), 32767), d = q - zero_point.
struct SecondMomentsArgs {
  const std::uint8_t* means;      // q [bytes]
  const std::uint8_t* variances;  // v [bytes], or null: all 0
  std::size_t bytes;
  std::int32_t zero_point;
  std::uint32_t gain;           // C, at most 1020
  std::uint32_t variance_gain;  // H, at most 65535
  std::uint8_t* output;         // e [bytes]
};

// Outputs of a piece of one row, from accumulators of kPanelWidth channels a pixel, of which
// `channels` count:
//   V = (float(spread) k_spread[c] + float(input) k_input[c]) + k_bias[c]
// and with a residual acc += ((r - residual_zero) factor[c] + 2^(shift-1)) >> shift, V = V +
// float(residual_variance) k_residual; then Clip(float(acc) multiplier[c], V).
struct ClipArgs {
  std::uint32_t pixels, channels;
  const std::int32_t* acc;     // [pixels][kPanelWidth]
  const std::int32_t* spread;  // A1, or null: 0
  const std::int32_t* input;   // A2, or null: 0
  const float* multiplier;     // [channels], as the next three
  const float *k_spread, *k_input, *k_bias;
  // First channel of the first pixel, or null. It may be the output's own memory: what is read of a
  // pixel is read before the pixel is written.
  const std::uint8_t* residual;
  const std::uint8_t* residual_variance;  // or null: 0
  std::ptrdiff_t residual_col_step;
  const std::int32_t* residual_factor;  // [channels]
  std::int32_t residual_zero, residual_shift;
  float k_residual;
  std::int32_t zero_out, clamp_min, clamp_max;
  float inverse_step;
  std::uint8_t* output;    // first channel of the first pixel
  std::uint8_t* variance;  // the same of variances
  std::ptrdiff_t output_col_step;
};

// Sums of a panel's weights for a row of a covariance: sums[c] = sum over k of x[k] w[k / 4][c][k %
// 4].
inline constexpr std::uint32_t kMostWeightedTaps = 64;
struct WeightedSumsArgs {
  const std::int16_t* x;  // [taps], |x| <= 255 * 127
  std::uint32_t taps;     // a multiple of 4, at most kMostWeightedTaps
  std::uint32_t width;
  const std::int8_t* weights;  // [taps / 4][width][4]
  std::int32_t* sums;          // [kPanelWidth]; those past `width` may be anything
};

// A max-pool without clamp_min, of one image (FORMAT.md 13.4); zero_point is both tensors'.
struct MomentsPoolArgs {
  const std::uint8_t* means;      // pixel (0, 0), with a tensor's tail behind the last
  const std::uint8_t* variances;  // laid out like the means, as the output's are
  std::ptrdiff_t input_row_stride;
  std::uint32_t input_height, input_width, channels;
  std::uint32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  float step, factor;  // of the input's codes of variances, of the layer
  std::int32_t zero_point, clamp_min, clamp_max;
  float inverse_step;
  std::uint8_t* output;
  std::uint8_t* output_variances;
  std::ptrdiff_t output_row_stride;
  std::uint32_t output_height, output_width;
};

// Rows of logits (FORMAT.md 13.6), whose softmax is added to the sums of 10.1: rows 2 n and 2 n + 1
// are means + L x and means - L x, x[c] = RowNumber(classes, n, c).
inline constexpr std::uint32_t kMostCorrelated = 64;  // classes
struct RowsArgs {
  std::uint32_t classes;        // at most kMostCorrelated
  const float* means;           // [classes]
  const float* factor;          // L [classes][classes]; what is above its diagonal may be anything
  std::uint64_t *sum, *square;  // [classes], added to
  std::uint64_t* entropy;
};

}  // namespace mu8::kernels
