#include "engine/src/checked_products.h"

#include "engine/src/unit_probes.h"
#include "formats/arithmetic.h"

namespace mu8 {

float ProbeCheckedProducts(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

using kernels::ConvolveArgs;
using kernels::Signed;

// (x - zero_point) times the sum of its weights, over one run.
std::int64_t RunSum(const ConvolveArgs& args, const std::uint8_t* run, const std::int8_t* weights) {
  std::int64_t sum = 0;
  for (std::uint32_t k = 0; k < args.padded_run; k += 4, weights += std::size_t{args.width} * 4) {
    std::int32_t of_weights[4] = {};
    for (std::uint32_t c = 0; c < args.channels * 4; c += 4) {
      for (std::uint32_t j = 0; j < 4; ++j) of_weights[j] += weights[c + j];
    }
    for (std::uint32_t j = 0; j < 4; ++j) {
      sum += std::int64_t{run[k + j] - args.zero_point} * of_weights[j];
    }
  }
  return sum;
}

// Channel c reads its own input: a product each.
std::int64_t TapSum(const ConvolveArgs& args, const std::uint8_t* at, std::uint32_t tap) {
  const std::int8_t* weights = args.weights + std::size_t{tap / 4} * args.width * 4 + tap % 4;
  std::int64_t sum = 0;
  for (std::uint32_t c = 0; c < args.channels; ++c) {
    sum += (at[c] - args.zero_point) * weights[std::size_t{c} * 4];
  }
  return sum;
}

std::int64_t ExpectedSum(const ConvolveArgs& args, bool depthwise) {
  std::int64_t sum = 0;
  for (std::uint32_t c = 0; c < args.channels; ++c) sum += args.bias[c];
  const std::int8_t* weights = args.weights;
  std::uint32_t tap = 0;
  for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
    for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner, ++tap) {
      const std::uint8_t* run =
          args.input + Signed(outer) * args.outer_step + Signed(inner) * args.inner_step;
      if (depthwise) {
        sum += TapSum(args, run, tap);
      } else {
        sum += RunSum(args, run, weights);
        weights += std::size_t{args.width} * args.padded_run;
      }
    }
  }
  return sum;
}

// FORMAT.md 6.5 and 6.6.
void Store(const ConvolveArgs& args, const std::int32_t* sums, const std::uint8_t* residual,
           std::uint8_t* out) {
  const auto low = static_cast<float>(args.clamp_min - args.zero_out);
  const auto high = static_cast<float>(args.clamp_max - args.zero_out);
  for (std::uint32_t c = 0; c < args.channels; ++c) {
    std::int32_t sum = sums[c];
    if (residual != nullptr) {
      const std::int32_t scaled = (residual[c] - args.residual_zero) * args.residual_factor[c];
      const std::int32_t half = 1 << (args.residual_shift - 1);
      sum = kernels::AddWrapping(sum, (scaled + half) >> args.residual_shift);
    }
    float value = static_cast<float>(sum) * args.multiplier[c];
    value = value < low ? low : value > high ? high : value;
    out[c] = static_cast<std::uint8_t>(args.zero_out + format::RoundToEven(value));
  }
}

}  // namespace

bool ConvolveChecked(const ConvolveArgs& args, bool depthwise, std::uint32_t slots,
                     void (*convolve)(const ConvolveArgs&), ProductFault* fault) {
  ConvolveArgs one = args;
  std::int32_t sums[kernels::kPanelWidth];
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    for (std::uint32_t x = 0; x < args.output_width; ++x) {
      const std::uint32_t pixel = y * args.output_width + x;
      one.input = args.input + Signed(y) * args.input_row_step + Signed(x) * args.input_col_step;
      one.accumulators =
          args.accumulators == nullptr ? sums : args.accumulators + std::size_t{pixel} * slots;
      const std::int64_t expected = ExpectedSum(one, depthwise);  // bias may be the accumulators
      convolve(one);
      std::int64_t found = 0;
      for (std::uint32_t c = 0; c < args.channels; ++c) found += one.accumulators[c];
      if (found != expected) {
        *fault = {pixel, found, expected};
        return false;
      }
      if (args.accumulators != nullptr) continue;
      const std::uint8_t* residual = args.residual == nullptr
                                         ? nullptr
                                         : args.residual + Signed(y) * args.residual_row_step +
                                               Signed(x) * args.residual_col_step;
      Store(args, sums, residual,
            args.output + Signed(y) * args.output_row_step + Signed(x) * args.output_col_step);
    }
  }
  return true;
}

}  // namespace mu8
