// What cases of kernels are made of: arrays before guards, and panels and windows of random shape.
#pragma once

#include <cstring>
#include <span>

#include "kernels/kernel_table.h"
#include "tests/bare_metal/guards.h"
#include "tests/support/random.h"

namespace mu8::testing {

using kernels::ConvolveArgs;
using kernels::KernelTable;
using kernels::SampleArgs;

inline constexpr std::uint8_t kCanary = 0xcd;
inline constexpr std::size_t kMargin = 64;      // before an output
inline constexpr std::size_t kTensorTail = 64;  // which kernels may read
inline constexpr std::uint32_t kArrays = 12;

// Arrays of one case, each at the end of a slot, guarded ones in turn.
class Arrays {
 public:
  explicit Arrays(std::uint32_t turn) : turn_(turn) {}
  template <typename T>
  std::span<T> New(std::size_t count) {
    const std::uint32_t slot = (turn_ + used_++) % kArrays;
    return {reinterpret_cast<T*>(LastOfSlot(slot, count * sizeof(T))), count};
  }
  // With known bytes in it and before it.
  std::span<std::uint8_t> NewOutput(std::size_t bytes) {
    const std::span<std::uint8_t> output = New<std::uint8_t>(bytes);
    std::memset(output.data() - kMargin, kCanary, bytes + kMargin);
    return output;
  }

 private:
  std::uint32_t turn_, used_ = 0;
};

inline std::uint8_t expected[kSlotBytes];

// Whether what the second call leaves at `output` and before it is what the first left.
template <typename First, typename Second>
bool Same(std::span<std::uint8_t> output, const First& first, const Second& second) {
  std::memset(output.data() - kMargin, kCanary, output.size() + kMargin);
  first();
  std::memcpy(expected, output.data() - kMargin, output.size() + kMargin);
  std::memset(output.data() - kMargin, kCanary, output.size() + kMargin);
  second();
  return std::memcmp(expected, output.data() - kMargin, output.size() + kMargin) == 0;
}

inline void FillPanel(Random* random, Arrays* arrays, SampleArgs* args) {
  const std::size_t bytes = kernels::BlockCount(*args) * kernels::kBlockBytes;
  const bool extreme = random->OneIn(4);
  const auto bytes_of = [&](std::size_t count, int low, int high) {
    const auto values = arrays->New<std::uint8_t>(count);
    random->Fill(values, low, high);
    return values.data();
  };
  args->mu = bytes_of(bytes * args->mu_bits / 8, 0, 127);
  args->sigma = bytes_of(bytes * args->sigma_bits / 8, 0, 255);
  const std::size_t codes = std::size_t{1} << (args->sigma_bits & 3);
  args->codebook =
      bytes_of(args->sigma_bits == 4 ? 16 : (codes - 1) * args->codebook_stride + args->width,
               extreme ? 255 : 0, 255);
  args->shift = bytes_of(args->width, extreme ? 1 : 8, extreme ? 1 : random->Between(8, 15));
  args->bias_shift = bytes_of(args->width, 1, 15);
  const auto table = arrays->New<std::int8_t>(16);
  random->Fill(table, -127, 127);
  args->mu_table = table.data();
  const auto mu = arrays->New<std::int32_t>(args->width);
  random->Fill(mu, -99999, 99999);
  args->bias_mu = mu.data();
  const auto level = arrays->New<std::uint16_t>(args->width);
  random->Fill(level, 0, 65535);
  args->bias_level = level.data();
}

inline void SetWindow(Random* random, bool depthwise, ConvolveArgs* args) {
  args->width = 4U << random->Below(3);
  args->channels = random->OneIn(2) ? args->width : 1 + random->Below(args->width);
  args->outer_runs = 1 + random->Below(4);
  args->inner_runs = random->OneIn(2) ? 1 : 1 + random->Below(3);
  const std::uint32_t run = 1 + random->Below(random->OneIn(2) ? 12 : 60);
  args->padded_run =
      depthwise ? (args->outer_runs * args->inner_runs + 3) / 4 * 4 : (run + 3) / 4 * 4;
  args->output_height = 1 + random->Below(3);
  args->output_width = 1 + random->Below(7);
  args->input_col_step = 1 + random->Between(0, 40);
  args->input_row_step = random->Between(0, 500);
  args->outer_step = random->Between(0, 500);
  args->inner_step = random->Between(0, 100);
  args->zero_point = random->Between(0, 255);
}

inline void FillWeights(Random* random, bool depthwise, Arrays* arrays, ConvolveArgs* args) {
  const std::size_t inputs =
      depthwise ? args->padded_run
                : std::size_t{args->outer_runs} * args->inner_runs * args->padded_run;
  const bool extreme = random->OneIn(3);
  const std::ptrdiff_t reach =
      (args->output_height - 1) * args->input_row_step +
      (args->output_width - 1) * args->input_col_step + (args->outer_runs - 1) * args->outer_step +
      (args->inner_runs - 1) * args->inner_step + (depthwise ? args->channels : args->padded_run);
  const auto input = arrays->New<std::uint8_t>(static_cast<std::size_t>(reach) + kTensorTail);
  random->Fill(input, extreme ? 254 : 0, 255);
  args->input = input.data();
  const auto weights = arrays->New<std::int8_t>((args->width * inputs + 63) / 64 * 64);
  random->Fill(weights, extreme ? 126 : -127, 127);
  args->weights = weights.data();
  for (std::size_t i = 0; depthwise && i < weights.size(); ++i) {
    const std::size_t tap = i / 4 / args->width * 4 + i % 4;
    if (tap >= std::size_t{args->outer_runs} * args->inner_runs) weights[i] = 0;
  }
  const auto bias = arrays->New<std::int32_t>(args->width);
  const int most = static_cast<int>(0x7fffffffU - 255 * 127 * inputs);
  random->Fill(bias, extreme ? -most : -9999, extreme ? most : 9999);
  args->bias = bias.data();
  const auto multiplier = arrays->New<float>(args->width);
  for (float& value : multiplier) value = static_cast<float>(1 + random->Below(999)) * 0x1p-19F;
  if (extreme) multiplier[0] = 0x1.fffffep-1F;
  args->multiplier = multiplier.data();
}

// Predictions by moments: moments.cpp.
bool MomentsCase(const KernelTable& scalar, const KernelTable& table, Random* random,
                 std::uint32_t number);

}  // namespace mu8::testing
