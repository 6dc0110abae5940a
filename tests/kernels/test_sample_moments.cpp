// The moments of the noise: exact by enumerating the 256 equally likely values of eps, and found
// again in real draws of every table.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/gaussian_table.h"
#include "kernels/kernel_table.h"
#include "tests/kernels/tables.h"
#include "tests/support/effort.h"
#include "tests/support/reference_noise.h"

namespace mu8::testing {
namespace {

// Of n = round(level * eps / 2^shift), exactly.
struct Moments {
  std::int64_t sum = 0;  // 256 * mean
  double variance = 0;
  double fourth = 0;  // central
};

Moments Enumerate(int level, int shift) {
  Moments moments;
  std::vector<double> values;
  for (int byte = 0; byte < 256; ++byte) {
    const std::int64_t noise =
        ReferenceNoise(level, kernels::Epsilon(static_cast<std::uint8_t>(byte)), shift);
    moments.sum += noise;
    values.push_back(static_cast<double>(noise));
  }
  const double mean = static_cast<double>(moments.sum) / 256;
  for (const double value : values) {
    const double square = (value - mean) * (value - mean);
    moments.variance += square / 256;
    moments.fourth += square * square / 256;
  }
  return moments;
}

TEST_CASE("noise: the mean is exactly zero for every level but the ties") {
  int ties = 0;
  int checked = 0;
  for (int level = 0; level < 256; ++level) {
    for (int shift = 1; shift <= 15; ++shift) {
      const bool tie = level % (1 << shift) == 1 << (shift - 1);
      CAPTURE(level);
      CAPTURE(shift);
      // A tie goes up for either sign of eps: half a step, always.
      CHECK(Enumerate(level, shift).sum == (tie ? 128 : 0));
      ties += tie ? 1 : 0;
      ++checked;
    }
  }
  MESSAGE("levels x shifts: " << checked << ", of which ties: " << ties);
  CHECK(checked == 256 * 15);
  CHECK(ties == 255);  // level = odd * 2^(shift - 1): each positive level is a tie for one shift
}

// `count` draws of n around mu = 0 with one level and shift, by one table.
std::vector<std::int8_t> Draw(const kernels::KernelTable& table, int level, int shift,
                              std::size_t count) {
  constexpr std::uint32_t kInputs = 4096;
  constexpr std::size_t kWidth = 16;
  const std::vector<std::uint8_t> mu(kInputs * kWidth, 0);
  const std::vector<std::uint8_t> codebook(kWidth, static_cast<std::uint8_t>(level));
  const std::vector<std::uint8_t> shifts(kWidth, static_cast<std::uint8_t>(shift));
  const std::vector<std::int32_t> bias_mu(kWidth, 0);
  const std::vector<std::uint16_t> bias_level(kWidth, 0);
  std::vector<std::int8_t> weights(mu.size());
  std::vector<std::int32_t> bias(kWidth);
  std::vector<std::int8_t> all;
  kernels::SampleArgs args{};
  args.stream.seed = 11;
  args.width = kWidth;
  args.runs = 1;
  args.run_length = args.padded_run = kInputs;
  args.mu_bits = 8;
  args.mu = mu.data();
  args.codebook = codebook.data();
  args.codebook_stride = kWidth;
  args.shift = args.bias_shift = shifts.data();
  args.bias_mu = bias_mu.data();
  args.bias_level = bias_level.data();
  args.end_block = kernels::BlockCount(args);
  args.weights = weights.data();
  args.bias = bias.data();
  while (all.size() < count) {
    table.sample_panel(args);
    ++args.stream.pass;
    all.insert(all.end(), weights.begin(), weights.end());
  }
  return all;
}

TEST_CASE("noise: drawn mean and variance are the enumerated ones within five standard errors") {
  struct Setting {
    int level, shift;
  };
  // From a whole register of noise down to fractions of one weight step.
  constexpr Setting kSettings[] = {{160, 7}, {255, 8}, {77, 6},  {33, 6},  {31, 8},
                                   {20, 9},  {7, 8},   {90, 12}, {255, 15}};
  const auto count = static_cast<std::size_t>(Effort(1 << 20, 1 << 17));
  std::size_t executed = 0;
  for (const kernels::KernelTable* table : RunnableTables()) {
    for (const Setting& setting : kSettings) {
      const Moments exact = Enumerate(setting.level, setting.shift);
      const std::vector<std::int8_t> draws = Draw(*table, setting.level, setting.shift, count);
      double sum = 0;
      double squares = 0;
      for (const std::int8_t draw : draws) {
        sum += draw;
        squares += draw * draw;
      }
      const auto n = static_cast<double>(draws.size());
      CAPTURE(std::string(table->name));
      CAPTURE(setting.level);
      CAPTURE(setting.shift);
      CHECK(exact.sum == 0);
      // The mean of n draws has variance v / n; that of squares (m4 - v^2) / n.
      CHECK(std::abs(sum / n) <= 5 * std::sqrt(exact.variance / n));
      CHECK(std::abs(squares / n - exact.variance) <=
            5 * std::sqrt((exact.fourth - exact.variance * exact.variance) / n));
      ++executed;
    }
  }
  MESSAGE("moment checks: " << executed << " of " << count << " draws");
  CHECK(executed == RunnableTables().size() * std::size(kSettings));
}

TEST_CASE("noise: neighbours, channels and passes are uncorrelated") {
  const auto count = static_cast<std::size_t>(Effort(1 << 20, 1 << 17));
  const double variance = Enumerate(255, 8).variance;
  for (const kernels::KernelTable* table : RunnableTables()) {
    const std::vector<std::int8_t> draws = Draw(*table, 255, 8, count);
    // Next byte of a word, next channel, next block, next pass.
    for (const std::size_t lag : {1U, 4U, 64U, 65536U}) {
      double sum = 0;
      for (std::size_t i = lag; i < draws.size(); ++i) sum += draws[i] * draws[i - lag];
      const auto n = static_cast<double>(draws.size() - lag);
      CAPTURE(std::string(table->name));
      CAPTURE(lag);
      CHECK(std::abs(sum / n) <= 5 * variance / std::sqrt(n));
    }
  }
}

}  // namespace
}  // namespace mu8::testing
