// Convolution and dense product of one panel, and requantization: the definition.
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::scalar {

float ProbeConvolve(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

// Nearest integer, ties to even, for |value| <= 2^22: adding 1.5 * 2^23 leaves no room for
// fractions. The value comes from a clamp, so no compiler can fuse it with the multiplication.
std::int32_t RoundToEven(float value) {
  constexpr float kMagic = 12582912.0F;
  return static_cast<std::int32_t>((value + kMagic) - kMagic);
}

std::int32_t Accumulate(const ConvolveArgs& args, const std::uint8_t* window, std::uint32_t c) {
  // |x - z| <= 255 and |w| <= 127; Open proves that the sum fits (FORMAT.md section 6.4).
  std::int32_t sum = args.bias[c];
  const std::int8_t* weights = args.weights + std::size_t{c} * 4;
  for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
    for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner) {
      const std::uint8_t* run =
          window + Signed(outer) * args.outer_step + Signed(inner) * args.inner_step;
      for (std::uint32_t k = 0; k < args.padded_run; k += 4) {
        for (std::uint32_t j = 0; j < 4; ++j) {
          sum = AddWrapping(sum, (run[k + j] - args.zero_point) * weights[j]);
        }
        weights += std::size_t{args.width} * 4;
      }
    }
  }
  return sum;
}

std::int32_t Residual(const ConvolveArgs& args, const std::uint8_t* residual, std::uint32_t c) {
  if (residual == nullptr) return 0;
  // |r - z| <= 255 and factors are at most 2^21: below 2^30 with the rounding term.
  const std::int32_t scaled = (residual[c] - args.residual_zero) * args.residual_factor[c];
  return (scaled + (1 << (args.residual_shift - 1))) >> args.residual_shift;
}

std::int32_t AccumulateDepthwise(const ConvolveArgs& args, const std::uint8_t* window,
                                 std::uint32_t c) {
  std::int32_t sum = args.bias[c];
  std::uint32_t tap = 0;
  for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
    for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner, ++tap) {
      const std::uint8_t x =
          window[Signed(outer) * args.outer_step + Signed(inner) * args.inner_step + Signed(c)];
      const std::int8_t w = args.weights[(tap / 4 * args.width + c) * 4 + tap % 4];
      sum = AddWrapping(sum, (x - args.zero_point) * w);
    }
  }
  return sum;
}

}  // namespace

std::uint8_t Requantize(std::int32_t accumulator, float multiplier, std::int32_t zero_out,
                        std::int32_t clamp_min, std::int32_t clamp_max) {
  const float low = static_cast<float>(clamp_min - zero_out);
  const float high = static_cast<float>(clamp_max - zero_out);
  float value = static_cast<float>(accumulator) * multiplier;
  value = value < low ? low : value;
  value = value > high ? high : value;
  return static_cast<std::uint8_t>(zero_out + RoundToEven(value));
}

namespace {

// Each output value from its accumulator, or the accumulators of the first pixel.
template <typename Sum>
void ForOutputs(const ConvolveArgs& args, const Sum& sum) {
  if (args.accumulators != nullptr) {
    for (std::uint32_t c = 0; c < args.channels; ++c) {
      args.accumulators[c] = sum(args, args.input, c);
    }
    return;
  }
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    for (std::uint32_t x = 0; x < args.output_width; ++x) {
      const std::uint8_t* window =
          args.input + Signed(y) * args.input_row_step + Signed(x) * args.input_col_step;
      std::uint8_t* out =
          args.output + Signed(y) * args.output_row_step + Signed(x) * args.output_col_step;
      const std::uint8_t* residual = args.residual == nullptr
                                         ? nullptr
                                         : args.residual + Signed(y) * args.residual_row_step +
                                               Signed(x) * args.residual_col_step;
      for (std::uint32_t c = 0; c < args.channels; ++c) {
        const std::int32_t acc = AddWrapping(sum(args, window, c), Residual(args, residual, c));
        out[c] = Requantize(acc, args.multiplier[c], args.zero_out, args.clamp_min, args.clamp_max);
      }
    }
  }
}

}  // namespace

void Convolve(const ConvolveArgs& args) { ForOutputs(args, Accumulate); }

void ConvolveDepthwise(const ConvolveArgs& args) { ForOutputs(args, AccumulateDepthwise); }

}  // namespace mu8::kernels::scalar
