// Random streams as statistics see them: uniform, and independent of their neighbours. Seeds are
// fixed, so a test passes or fails once and for all; bounds are those of chance for the number of
// tries.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/gaussian_table.h"
#include "kernels/kernel_table.h"
#include "kernels/random.h"
#include "tests/support/effort.h"
#include "tests/support/random.h"

namespace mu8::testing {
namespace {

enum Field { kSeed, kPass, kLayer, kPanel, kLane, kFields };

// The lane `step` behind `base` in one field of its name.
kernels::Xoshiro Neighbour(kernels::StreamId base, std::uint32_t lane, int field,
                           std::uint32_t step) {
  if (field == kSeed) base.seed += step;
  if (field == kPass) base.pass += step;
  if (field == kLayer) base.layer += step;
  if (field == kPanel) base.panel += step;
  return kernels::MakeLane(base, field == kLane ? lane + step : lane);
}

kernels::StreamId AnyStream(Random* random) {
  return {.seed = random->OneOf<std::uint64_t>({0, 1, 2026, random->Next()}),
          .pass = random->Below(1000),
          .layer = random->Below(40),
          .panel = random->Below(64)};
}

// Epsilons of `words` steps of a lane.
std::vector<std::int32_t> Epsilons(kernels::Xoshiro lane, std::size_t words) {
  std::vector<std::int32_t> epsilons;
  epsilons.reserve(words * 4);
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint32_t word = lane.Next();
    for (int j = 0; j < 4; ++j) {
      epsilons.push_back(kernels::Epsilon(static_cast<std::uint8_t>(word >> (8 * j))));
    }
  }
  return epsilons;
}

// Of two sequences, in standard deviations of what independent ones have: N(0, 1).
double Correlation(const std::int32_t* a, const std::int32_t* b, std::size_t count) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += std::int64_t{a[i]} * b[i];
  const double variance = kernels::kEpsilonSumOfSquares / 256.0;
  return static_cast<double>(sum) / (variance * std::sqrt(static_cast<double>(count)));
}

struct Scores {
  int tries = 0;
  double farthest = 0, squares = 0;

  void Add(double z) {
    ++tries;
    farthest = std::max(farthest, std::abs(z));
    squares += z * z;
  }
  // A normal variable lies beyond 5 once in 1.7 million tries; the sum of squares is chi-square's.
  void Check() const {
    CHECK(farthest < 5);
    CHECK(std::abs(squares - tries) < 5 * std::sqrt(2.0 * tries));
  }
};

TEST_CASE("streams: neighbours in seed, pass, layer, panel and lane are uncorrelated") {
  Random random(71);
  const auto words = static_cast<std::size_t>(Effort(1 << 16, 1 << 10));
  for (int field = 0; field < kFields; ++field) {
    Scores scores;
    for (int i = 0; i < Effort(24, 4); ++i) {
      const kernels::StreamId base = AnyStream(&random);
      const std::uint32_t lane = random.Below(8), step = 1 + random.Below(8);
      const auto a = Epsilons(Neighbour(base, lane, field, 0), words);
      const auto b = Epsilons(Neighbour(base, lane, field, step), words);
      for (std::size_t lag = 0; lag < 8; ++lag) {  // bytes of a step beside other bytes, too
        scores.Add(Correlation(a.data() + lag, b.data(), a.size() - lag));
        scores.Add(Correlation(a.data(), b.data() + lag, a.size() - lag));
        if (lag > 0) scores.Add(Correlation(a.data(), a.data() + lag, a.size() - lag));
      }
    }
    CAPTURE(field);
    CHECK(scores.tries == Effort(24, 4) * 23);
    scores.Check();
  }
}

TEST_CASE("streams: first draws of consecutive names are uniform and uncorrelated") {
  Random random(72);
  const auto count = static_cast<std::uint32_t>(Effort(1 << 17, 1 << 12));
  Scores correlations, counts;
  for (int field = 0; field < kLane; ++field) {
    const kernels::StreamId base = AnyStream(&random);
    std::vector<std::int32_t> first;
    std::array<std::array<std::uint32_t, 256>, 4> seen{};
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t word = Neighbour(base, 3, field, i).Next();
      for (std::uint32_t j = 0; j < 4; ++j) {
        const auto byte = static_cast<std::uint8_t>(word >> (8 * j));
        ++seen[j][byte];
        first.push_back(kernels::Epsilon(byte));
      }
    }
    for (std::size_t lag = 1; lag <= 8; ++lag) {
      correlations.Add(Correlation(first.data(), first.data() + lag, first.size() - lag));
    }
    for (const auto& bytes : seen) {
      const double expected = count / 256.0;
      double square = 0;
      for (const std::uint32_t times : bytes) {
        square += (times - expected) * (times - expected) / expected;
      }
      counts.Add((square - 255) / std::sqrt(2.0 * 255));
    }
  }
  CHECK(correlations.tries == 4 * 8);
  CHECK(counts.tries == 4 * 4);
  correlations.Check();
  counts.Check();
}

// A panel of one run of 16 channels: weights of mean 0, every level.
struct Drawn {
  static constexpr std::uint32_t kWidth = 16, kRun = 64;
  static constexpr std::size_t kBytes = std::size_t{kWidth} * kRun;
  std::array<std::int8_t, kBytes> mu{}, weights{};
  std::array<std::uint8_t, kBytes> sigma{};
  std::array<std::uint8_t, kWidth> shift{}, bias_shift{};
  std::array<std::int32_t, kWidth> bias_mu{}, bias{};
  std::array<std::uint16_t, kWidth> bias_level{};
  kernels::SampleArgs args{};

  explicit Drawn(Random* random) {
    for (std::size_t i = 0; i < kBytes; ++i) sigma[i] = static_cast<std::uint8_t>(i);
    random->Fill(std::span<std::uint8_t>(shift), 7, 9);
    bias_level.fill(20000);
    bias_shift.fill(3);
    args.width = kWidth;
    args.runs = 1;
    args.run_length = args.padded_run = kRun;
    args.mu_bits = args.sigma_bits = 8;
    args.mu = reinterpret_cast<const std::uint8_t*>(mu.data());
    args.sigma = sigma.data();
    args.shift = shift.data();
    args.weights = weights.data();
    args.bias_mu = bias_mu.data();
    args.bias_level = bias_level.data();
    args.bias_shift = bias_shift.data();
    args.bias = bias.data();
    args.end_block = kBytes / 64;
  }

  std::uint32_t ChannelOf(std::size_t i) const {
    return static_cast<std::uint32_t>(i / 4 % kWidth);
  }
  // Of all 256 bytes: the mean of the noise's `power`.
  double Moment(std::size_t i, int power) const {
    double sum = 0;
    for (int byte = 0; byte < 256; ++byte) {
      const std::int32_t epsilon = kernels::Epsilon(static_cast<std::uint8_t>(byte));
      sum += std::pow(kernels::RoundShift(sigma[i] * epsilon, shift[ChannelOf(i)]), power);
    }
    return sum / 256;
  }
};

TEST_CASE("streams: drawn weights have the mean and variance that the file says") {
  Random random(73);
  Drawn drawn(&random);
  const auto passes = static_cast<std::uint32_t>(Effort(4096, 256));
  std::vector<std::int64_t> sums(Drawn::kBytes), squares(Drawn::kBytes);
  double bias_squares = 0;
  for (std::uint32_t pass = 0; pass < passes; ++pass) {
    drawn.args.stream = {.seed = 5, .pass = pass, .layer = 2, .panel = 1};
    kernels::TableAt(0).sample_panel(drawn.args);  // scalar: the definition
    for (std::size_t i = 0; i < Drawn::kBytes; ++i) {
      sums[i] += drawn.weights[i];
      squares[i] += drawn.weights[i] * drawn.weights[i];
    }
    for (const std::int32_t bias : drawn.bias) bias_squares += std::pow(bias, 2);
  }
  Scores means, variances;
  for (std::size_t i = 0; i < Drawn::kBytes; ++i) {
    const double variance = drawn.Moment(i, 2), fourth = drawn.Moment(i, 4);
    if (variance == 0) {
      CHECK(squares[i] == 0);  // a level whose noise rounds away
      continue;
    }
    means.Add(static_cast<double>(sums[i]) / std::sqrt(passes * variance));
    if (fourth == variance * variance) continue;
    variances.Add((static_cast<double>(squares[i]) - passes * variance) /
                  std::sqrt(passes * (fourth - variance * variance)));
  }
  CHECK(means.tries > 1000);
  CHECK(variances.tries > 1000);
  means.Check();
  variances.Check();
  // 20000 eps / 2^3: of 16 channels.
  const double expected = 2500.0 * 2500 * kernels::kEpsilonSumOfSquares / 256;
  CHECK(bias_squares / (passes * 16.0) ==
        doctest::Approx(expected).epsilon(5 * std::sqrt(2.0 / (passes * 16.0))));
}

}  // namespace
}  // namespace mu8::testing
