#include "engine/src/checked_products.h"

#include "engine/src/unit_probes.h"
#include "formats/arithmetic.h"

namespace mu8 {

float ProbeCheckedProducts(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

using kernels::ConvolveArgs;
using kernels::Signed;

// Output pixels, row by row, that share their sums of weights: those have no memory but the stack.
struct Pixels {
  static constexpr std::uint32_t kMost = 16;
  std::uint32_t first = 0, count = 0;
  const std::uint8_t* input[kMost];  // of the window
  std::int64_t expected[kMost];      // sum of the accumulators
};

constexpr std::uint32_t kSums = 64;  // inputs whose sums of weights are at hand

// Adds (x - zero_point) * sum_c w[k][c] over `count` inputs, at most kSums, `offset` bytes into the
// windows.
[[gnu::noinline]] void AddInputs(const ConvolveArgs& args, std::ptrdiff_t offset,
                                 std::uint32_t count, const std::int8_t* weights, Pixels* pixels) {
  std::int16_t of_weights[kSums];  // of 16 channels
  const auto zero = static_cast<std::int16_t>(args.zero_point);
  for (std::uint32_t k = 0; k < count; k += 4, weights += std::size_t{args.width} * 4) {
    std::int32_t of_group[4] = {};
    for (std::uint32_t c = 0; c < args.channels * 4; c += 4) {
      for (std::uint32_t j = 0; j < 4; ++j) of_group[j] += weights[c + j];
    }
    for (std::uint32_t j = 0; j < 4; ++j) {
      of_weights[k + j] = static_cast<std::int16_t>(of_group[j]);
    }
  }
  for (std::uint32_t p = 0; p < pixels->count; ++p) {
    const std::uint8_t* const inputs = pixels->input[p] + offset;
    std::int32_t sum = 0;
    for (std::uint32_t k = 0; k < count; ++k) {
      sum += static_cast<std::int16_t>(inputs[k] - zero) * of_weights[k];
    }
    pixels->expected[p] += sum;
  }
}

// Channel c reads its own input: a product each.
void AddTap(const ConvolveArgs& args, std::ptrdiff_t offset, std::uint32_t tap, Pixels* pixels) {
  const std::int8_t* weights = args.weights + std::size_t{tap / 4} * args.width * 4 + tap % 4;
  for (std::uint32_t p = 0; p < pixels->count; ++p) {
    const std::uint8_t* const inputs = pixels->input[p] + offset;
    std::int32_t sum = 0;
    for (std::uint32_t c = 0; c < args.channels; ++c) {
      sum += (inputs[c] - args.zero_point) * weights[std::size_t{c} * 4];
    }
    pixels->expected[p] += sum;
  }
}

[[gnu::noinline]] void Expect(const ConvolveArgs& args, bool depthwise, Pixels* pixels) {
  std::int64_t biases = 0;
  for (std::uint32_t c = 0; c < args.channels; ++c) biases += args.bias[c];
  for (std::uint32_t p = 0; p < pixels->count; ++p) pixels->expected[p] = biases;
  const std::int8_t* weights = args.weights;
  std::uint32_t tap = 0;
  for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
    for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner, ++tap) {
      const std::ptrdiff_t run = Signed(outer) * args.outer_step + Signed(inner) * args.inner_step;
      if (depthwise) {
        AddTap(args, run, tap, pixels);
        continue;
      }
      for (std::uint32_t k = 0; k < args.padded_run; k += kSums) {
        const std::uint32_t left = args.padded_run - k;
        const std::uint32_t count = left < kSums ? left : kSums;
        AddInputs(args, run + Signed(k), count, weights, pixels);
        weights += std::size_t{args.width} * count;
      }
    }
  }
}

// The next pixels after those at hand, if there are any.
bool Next(const ConvolveArgs& args, Pixels* pixels) {
  const std::uint32_t all = args.output_height * args.output_width;
  pixels->first += pixels->count;
  const std::uint32_t left = all - pixels->first;
  pixels->count = left < Pixels::kMost ? left : Pixels::kMost;
  for (std::uint32_t p = 0; p < pixels->count; ++p) {
    const std::uint32_t y = (pixels->first + p) / args.output_width;
    const std::uint32_t x = (pixels->first + p) % args.output_width;
    pixels->input[p] =
        args.input + Signed(y) * args.input_row_step + Signed(x) * args.input_col_step;
  }
  return pixels->count != 0;
}

// FORMAT.md 6.5 and 6.6.
[[gnu::noinline]] void Store(const ConvolveArgs& args, const std::int32_t* sums,
                             const std::uint8_t* residual, std::uint8_t* out) {
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
  // At most once a pixel.
  for (Pixels pixels; Next(args, &pixels);) {
    Expect(args, depthwise, &pixels);  // before any product: the bias may be the accumulators
    for (std::uint32_t p = 0; p < pixels.count; ++p) {
      const std::uint32_t pixel = pixels.first + p;
      one.input = pixels.input[p];
      one.accumulators =
          args.accumulators == nullptr ? sums : args.accumulators + std::size_t{pixel} * slots;
      convolve(one);
      std::int64_t found = 0;
      for (std::uint32_t c = 0; c < args.channels; ++c) found += one.accumulators[c];
      if (found != pixels.expected[p]) {
        *fault = {pixel, found, pixels.expected[p]};
        return false;
      }
      if (args.accumulators != nullptr) continue;
      const std::uint32_t y = pixel / args.output_width, x = pixel % args.output_width;
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
