// Sums at the ends of what FORMAT.md proves (5.5, 6.4, 6.6), in every table: all inputs as far from
// the zero point as they can be, all weights 127 or -127, and a bias that fills the rest.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "formats/layout.h"
#include "kernels/kernel_table.h"
#include "tests/kernels/tables.h"
#include "tests/support/guarded_buffer.h"

namespace mu8::testing {
namespace {

constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();

// What a convolution reads. Slot c sums up to kMost if c is even, to -kMost if it is odd.
struct Extreme {
  std::vector<std::uint8_t> input;
  std::vector<std::int8_t> weights;
  std::vector<std::int32_t> bias;
  std::vector<float> multiplier;
};

// `zero_point`: 0 or 255. `taps`: weights of a slot, a multiple of 4, at most 66,311.
Extreme MakeExtreme(std::uint32_t width, std::uint32_t taps, int zero_point,
                    std::size_t input_bytes) {
  Extreme made;
  made.input.assign(input_bytes + format::kTensorTailBytes, zero_point == 0 ? 255 : 0);
  const int sign = zero_point == 0 ? 1 : -1;  // of an input's distance from the zero point
  made.weights.resize((std::size_t{width} * taps + 63) / 64 * 64);
  for (std::size_t i = 0; i < std::size_t{width} * taps; ++i) {
    made.weights[i] = static_cast<std::int8_t>(i / 4 % width % 2 == 0 ? 127 * sign : -127 * sign);
  }
  const std::int32_t rest = kMost - 255 * 127 * static_cast<std::int32_t>(taps);
  for (std::uint32_t c = 0; c < width; ++c) made.bias.push_back(c % 2 == 0 ? rest : -rest);
  made.multiplier.assign(width, 0x1p-25F);  // f32(kMost) is 2^31: 64
  return made;
}

// Calls convolve(table, args) for the accumulators and for one output pixel of every table.
template <typename Convolve>
std::size_t CheckExtreme(const Extreme& made, kernels::ConvolveArgs args,
                         const Convolve& convolve) {
  GuardedBuffer input(made.input.size()), weights(made.weights.size()), bias(64), multiplier(64);
  args.input = input.CopyLast(made.input);
  args.weights = weights.CopyLast(made.weights);
  args.bias = bias.CopyLast(made.bias);
  args.multiplier = multiplier.CopyLast(made.multiplier);
  args.channels = args.width;
  args.output_height = args.output_width = 1;
  args.zero_out = 100;
  args.clamp_max = 255;
  const auto tables = RunnableTables();
  for (const kernels::KernelTable* table : tables) {
    CAPTURE(std::string(table->name));
    CAPTURE(args.width);
    CAPTURE(args.padded_run);
    CAPTURE(args.zero_point);
    std::vector<std::int32_t> sums(args.width);
    args.accumulators = sums.data();
    convolve(*table, args);
    std::vector<std::uint8_t> values(args.width);
    args.accumulators = nullptr;
    args.output = values.data();
    convolve(*table, args);
    for (std::uint32_t c = 0; c < args.width; ++c) {
      REQUIRE(sums[c] == (c % 2 == 0 ? kMost : -kMost));
      REQUIRE(int{values[c]} == (c % 2 == 0 ? 164 : 36));
    }
  }
  return tables.size();
}

TEST_CASE("extremes: convolutions add up to 2^31 - 1 and to its opposite in every table") {
  std::size_t executed = 0;
  for (const std::uint32_t width : {4U, 8U, 16U}) {
    for (const int zero_point : {0, 255}) {
      for (const std::uint32_t run : {4U, 64U, 1020U, 66308U}) {
        kernels::ConvolveArgs args{};
        args.outer_runs = args.inner_runs = 1;
        args.padded_run = run;
        args.zero_point = zero_point;
        args.width = width;
        executed += CheckExtreme(MakeExtreme(width, run, zero_point, run), args,
                                 [](const auto& table, const auto& a) { table.convolve(a); });
      }
    }
  }
  MESSAGE("convolutions at their ends: " << executed);
  CHECK(executed == RunnableTables().size() * 3 * 2 * 4);
}

TEST_CASE("extremes: depthwise sums add up to 2^31 - 1 and to its opposite in every table") {
  std::size_t executed = 0;
  for (const std::uint32_t width : {4U, 8U, 16U}) {
    for (const int zero_point : {0, 255}) {
      for (const std::uint32_t side : {2U, 6U, 256U}) {
        kernels::ConvolveArgs args{};
        args.outer_runs = args.inner_runs = side;
        args.padded_run = side * side;
        args.inner_step = static_cast<std::ptrdiff_t>(width);
        args.outer_step = args.inner_step * static_cast<std::ptrdiff_t>(side);
        args.zero_point = zero_point;
        args.width = width;
        executed += CheckExtreme(
            MakeExtreme(width, side * side, zero_point, std::size_t{side} * side * width), args,
            [](const auto& table, const auto& a) { table.convolve_depthwise(a); });
      }
    }
  }
  MESSAGE("depthwise sums at their ends: " << executed);
  CHECK(executed == RunnableTables().size() * 3 * 2 * 3);
}

TEST_CASE("extremes: average pools of 2^20 taps in every table") {
  constexpr std::uint32_t kSide = 1024;
  std::size_t executed = 0;
  for (const std::uint32_t channels : {1U, 3U}) {
    for (const int zero_point : {0, 255}) {
      const std::uint8_t far = zero_point == 0 ? 255 : 0;
      const std::vector<std::uint8_t> input(
          std::size_t{kSide} * kSide * channels + format::kTensorTailBytes, far);
      for (const kernels::KernelTable* table : RunnableTables()) {
        CAPTURE(std::string(table->name));
        CAPTURE(channels);
        std::vector<std::uint8_t> output(channels, 7);
        kernels::PoolArgs args{};
        args.input = input.data();
        args.input_height = args.input_width = args.kernel_h = args.kernel_w = kSide;
        args.input_row_stride = static_cast<std::ptrdiff_t>(kSide * channels);
        args.stride_h = args.stride_w = 1;
        args.channels = channels;
        args.output_height = args.output_width = 1;
        args.zero_in = args.zero_out = zero_point;
        args.scale_ratio = 0.5F;  // so that a sum that wrapped is seen, and not clamped away
        args.clamp_max = 255;
        args.output = output.data();
        table->average_pool(args);
        // Half of 255, 127.5, is as far from 127 as from 128, which is even; so is 255 - 127.5.
        const std::uint8_t expected = zero_point == 0 ? 128 : 127;
        REQUIRE(std::all_of(output.begin(), output.end(),
                            [expected](std::uint8_t value) { return value == expected; }));
        ++executed;
      }
    }
  }
  MESSAGE("pools at their ends: " << executed);
  CHECK(executed == RunnableTables().size() * 2 * 2);
}

TEST_CASE("extremes: sums of two tensors with the largest factors in every table") {
  std::size_t executed = 0;
  for (const int zero_point : {0, 255}) {
    // All shifts that 6.6 allows; of few, the result is clamped.
    for (int shift = 1; shift <= 30; ++shift) {
      for (const kernels::KernelTable* table : RunnableTables()) {
        CAPTURE(std::string(table->name));
        CAPTURE(shift);
        const std::vector<std::uint8_t> far(35, zero_point == 0 ? 255 : 0);
        std::vector<std::uint8_t> output(35);
        kernels::ElementwiseArgs args{};
        args.a = args.b = far.data();
        args.height = args.width = 1;
        args.channels = 35;
        args.b_col_step = 35;
        args.factor_a = args.factor_b = 1 << 21;
        args.shift = shift;
        args.zero_a = args.zero_b = zero_point;
        args.zero_out = 100;
        args.clamp_max = 255;
        args.output = output.data();
        table->add(args);
        const std::int64_t sum = (zero_point == 0 ? 1 : -1) * (std::int64_t{510} << 21);
        const std::int64_t q = 100 + ((sum + (std::int64_t{1} << (shift - 1))) >> shift);
        REQUIRE(int{output.front()} == std::clamp<std::int64_t>(q, 0, 255));
        REQUIRE(std::all_of(output.begin(), output.end(),
                            [&](std::uint8_t value) { return value == output.front(); }));
        ++executed;
      }
    }
  }
  MESSAGE("sums at their ends: " << executed);
  CHECK(executed == RunnableTables().size() * 2 * 30);
}

}  // namespace
}  // namespace mu8::testing
