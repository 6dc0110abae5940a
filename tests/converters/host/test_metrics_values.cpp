// The metrics of predicted values, and the fit of their noise, against values worked out by hand.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "converters/host/error.h"
#include "converters/host/metrics_values.h"
#include "converters/host/normal.h"
#include "tests/support/random.h"

namespace mu8::host {
namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kFloor = 1e-12;

// Compares to about double precision; doctest's Approx is relative.
doctest::Approx Near(double value) { return doctest::Approx(value).epsilon(1e-12); }

// One output of targets 0, so that the means are the errors.
GaussianMetrics ScoreErrors(const Floats& errors, const Floats& variances, double noise) {
  return ScoreGaussian({errors, variances, 1}, Floats(errors.size(), 0.0f), Doubles{noise})[0];
}

double FitErrors(const Floats& errors, const Floats& variances, double floor = kFloor) {
  return FitNoise({errors, variances, 1}, Floats(errors.size(), 0.0f), floor)[0];
}

TEST_CASE("values: one output, worked out by hand") {
  const Floats mean = {3, 0, 2, 5};
  const Floats variance = {4, 1, 1, 16};
  const Floats targets = {1, 1, 2, 2};
  const ValueMetrics metrics = ScoreValues({mean, variance, 1}, targets)[0];  // errors 2 -1 0 3
  CHECK(metrics.rmse == Near(std::sqrt(14.0 / 4)));
  CHECK(metrics.mae == 1.5);
  CHECK(metrics.bias == 1.0);
  CHECK(*metrics.r2 == Near(1 - 14.0));  // the targets' squares add up to 1
  // Ranks 3 2 1 4 of |error| and 3 1.5 1.5 4 of the deviation: 4.5 / sqrt(5 * 4.5).
  CHECK(*metrics.error_correlation == Near(4.5 / std::sqrt(22.5)));
}

TEST_CASE("values: each output is scored by itself") {
  const Floats mean = {1, 10, 2, 20, 4, 30};  // 3 inputs of 2 outputs
  const Floats variance = {1, 3, 2, 2, 3, 1};
  const Floats targets = {1, 11, 2, 22, 5, 27};
  const std::vector<ValueMetrics> outputs = ScoreValues({mean, variance, 2}, targets);
  REQUIRE(outputs.size() == 2);
  CHECK(outputs[0].bias == Near(-1.0 / 3));
  CHECK(outputs[0].mae == Near(1.0 / 3));
  CHECK(outputs[1].bias == 0.0);
  CHECK(outputs[1].mae == 2.0);
  CHECK(*outputs[1].error_correlation == Near(-1.0));
}

TEST_CASE("values: perfect predictions, and the mean target") {
  const Floats targets = {1, 2, 6};
  const Floats variance = {1, 2, 3};
  const ValueMetrics perfect = ScoreValues({targets, variance, 1}, targets)[0];
  CHECK(perfect.rmse == 0.0);
  CHECK(*perfect.r2 == 1.0);
  CHECK_FALSE(perfect.error_correlation);  // all errors are equal
  CHECK(*ScoreValues({Floats{3, 3, 3}, variance, 1}, targets)[0].r2 == 0.0);
}

TEST_CASE("values: no explained variance of constant targets, no correlation of a constant") {
  const Floats constant = {0.1f, 0.1f, 0.1f};
  const ValueMetrics metrics = ScoreValues({Floats{1, 2, 3}, constant, 1}, constant)[0];
  CHECK_FALSE(metrics.r2);
  CHECK_FALSE(metrics.error_correlation);
}

TEST_CASE("values: one input") {
  const ValueMetrics metrics = ScoreValues({Floats{3}, Floats{1}, 1}, Floats{5})[0];
  CHECK(metrics.rmse == 2.0);
  CHECK(metrics.mae == 2.0);
  CHECK(metrics.bias == -2.0);
  CHECK_FALSE(metrics.r2);
  CHECK_FALSE(metrics.error_correlation);
}

TEST_CASE("spearman: monotonic is one, ties have their mean rank") {
  CHECK(*SpearmanCorrelation(Doubles{1, 2, 3, 4}, Doubles{1, 10, 11, 500}) == Near(1.0));
  CHECK(*SpearmanCorrelation(Doubles{1, 2, 3, 4}, Doubles{4, 3, 2, 0}) == Near(-1.0));
  CHECK(*SpearmanCorrelation(Doubles{1, 2, 3}, Doubles{2, 1, 3}) == Near(0.5));
  // Ranks 1.5 1.5 3 against 1 2 3: 1.5 / sqrt(1.5 * 2).
  CHECK(*SpearmanCorrelation(Doubles{5, 5, 9}, Doubles{1, 2, 3}) == Near(1.5 / std::sqrt(3.0)));
  CHECK_FALSE(SpearmanCorrelation(Doubles{5, 5}, Doubles{1, 2}));
  CHECK_FALSE(SpearmanCorrelation(Doubles{1}, Doubles{1}));
}

TEST_CASE("values: an infinite epistemic variance is the largest") {
  const Floats variance = {1, kInfinity, 2};
  CHECK(*ScoreValues({Floats{1, 3, 2}, variance, 1}, Floats{0, 0, 0})[0].error_correlation ==
        Near(1.0));
}

TEST_CASE("gaussian nll: half of ln 2 pi s^2 and z^2, epistemic and noise variances added") {
  const double half_log = 0.5 * std::log(2 * std::numbers::pi);
  CHECK(ScoreErrors({0}, {0.75f}, 0.25).nll == Near(half_log));
  CHECK(ScoreErrors({1, -2}, {0.75f, 0.75f}, 0.25).nll == Near(half_log + 5.0 / 4));
  CHECK(ScoreErrors({3}, {8}, 1).nll == Near(half_log + std::log(3.0) + 0.5));
  CHECK(ScoreErrors({3}, {0}, 9).nll == ScoreErrors({3}, {9}, 0).nll);
}

TEST_CASE("crps: the integral of the squared gap between the distributions") {
  // At the mean: s (sqrt(2) - 1) / sqrt(pi). The others by numerical integration of
  // (Phi((x - mean) / s) - 1[x >= target])^2 over x.
  CHECK(ScoreErrors({0}, {4}, 5).crps ==
        Near(3 * (std::sqrt(2.0) - 1) / std::sqrt(std::numbers::pi)));
  CHECK(ScoreErrors({1}, {1}, 0).crps == Near(0.6024413576276162));
  CHECK(ScoreErrors({-1}, {1}, 0).crps == Near(0.6024413576276162));
  CHECK(ScoreErrors({3}, {9}, 0).crps == Near(1.807324072882849));
  // A narrow Gaussian's is the absolute error, less s / sqrt(pi).
  CHECK(ScoreErrors({1}, {0}, 1e-8).crps == Near(1 - 1e-4 / std::sqrt(std::numbers::pi)));
}

TEST_CASE("intervals: coverage and width") {
  // z of 50, 90 and 95 % are 0.674, 1.645 and 1.960.
  const GaussianMetrics metrics = ScoreErrors({0.5f, -1, 1.75f, -3}, {0, 0, 0, 0}, 1);
  const double z[] = {0.6744897501960817, 1.6448536269514722, 1.959963984540054};
  const double coverage[] = {0.25, 0.5, 0.75};
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(metrics.intervals[i].level == kIntervalLevels[i]);
    CHECK(metrics.intervals[i].coverage == coverage[i]);
    CHECK(metrics.intervals[i].mean_width == Near(2 * z[i]));
  }
  // Deviations 1 and 3.
  CHECK(ScoreErrors({0, 0}, {1, 9}, 0).intervals[0].mean_width == Near(4 * z[0]));
}

TEST_CASE("calibration curve: levels from 5 to 95 %, and the gap's mean") {
  const GaussianMetrics low = ScoreErrors({0}, {1}, 0);  // always inside
  REQUIRE(low.curve.size() == 19);
  CHECK(low.curve[0].level == 0.05);
  CHECK(low.curve[18].level == 0.95);
  CHECK(low.curve[0].coverage == 1.0);
  CHECK(low.calibration_error == Near(0.5));
  CHECK(ScoreErrors({100}, {1}, 0).calibration_error == Near(0.5));  // always outside

  Floats errors;  // one between each two levels
  for (int i = 0; i < 20; ++i) {
    const double inside = (i + 0.5) / 20;
    errors.push_back(static_cast<float>(2 * NormalQuantile((1 + inside) / 2)));
  }
  const GaussianMetrics even = ScoreErrors(errors, Floats(20, 3.0f), 1);
  CHECK(even.calibration_error < 1e-15);
}

TEST_CASE("gaussian: noise of each output, or of each input and output") {
  const Floats mean = {1, 2, 3, 4};  // 2 inputs of 2 outputs
  const Floats variance = {1, 2, 3, 4};
  const Floats targets = {0, 0, 0, 0};
  const ValuePredictions predictions{mean, variance, 2};
  const std::vector<GaussianMetrics> same = ScoreGaussian(predictions, targets, Doubles{3, 7});
  const std::vector<GaussianMetrics> each =
      ScoreGaussian(predictions, targets, Doubles{3, 7, 1, 5});
  CHECK(same[0].nll == ScoreErrors({1, 3}, {4, 6}, 0).nll);
  CHECK(same[1].nll == ScoreErrors({2, 4}, {9, 11}, 0).nll);
  CHECK(each[0].nll == ScoreErrors({1, 3}, {4, 4}, 0).nll);
  CHECK(each[1].nll == ScoreErrors({2, 4}, {9, 9}, 0).nll);
}

TEST_CASE("values: another unit") {
  const Floats mean = {3, 0, 2, 5}, mean4 = {12, 0, 8, 20};
  const Floats variance = {4, 1, 2, 16}, variance4 = {64, 16, 32, 256};
  const Floats targets = {1, 1, 2.5f, 2}, targets4 = {4, 4, 10, 8};
  const ValueMetrics a = ScoreValues({mean, variance, 1}, targets)[0];
  const ValueMetrics b = ScoreValues({mean4, variance4, 1}, targets4)[0];
  CHECK(b.rmse == Near(4 * a.rmse));
  CHECK(b.mae == Near(4 * a.mae));
  CHECK(b.bias == Near(4 * a.bias));
  CHECK(*b.r2 == Near(*a.r2));
  CHECK(*b.error_correlation == *a.error_correlation);
  const GaussianMetrics c = ScoreGaussian({mean, variance, 1}, targets, Doubles{0.5})[0];
  const GaussianMetrics d = ScoreGaussian({mean4, variance4, 1}, targets4, Doubles{8})[0];
  CHECK(d.nll == Near(c.nll + std::log(4.0)));
  CHECK(d.crps == Near(4 * c.crps));
  CHECK(d.intervals[1].coverage == c.intervals[1].coverage);
  CHECK(d.intervals[1].mean_width == Near(4 * c.intervals[1].mean_width));
  CHECK(d.calibration_error == c.calibration_error);
}

// What Error says when input 1 of output 0 is this; empty when nothing is thrown.
std::string Refusal(float mean, float target, float variance, double noise) {
  try {
    ScoreGaussian({Floats{0, mean}, Floats{1, variance}, 1}, Floats{0, target}, Doubles{1, noise});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("gaussian: what has no density is refused by name") {
  CHECK(Refusal(0, 0, 0, 0) == "input 1, output 0: without any variance, even of noise");
  CHECK(Refusal(0, 0, kInfinity, 0) == "input 1, output 0: the variance is not finite");
  CHECK(Refusal(0, 0, -1, 2) == "input 1, output 0: the variance is negative or not a number");
  CHECK(Refusal(0, 0, kNan, 2) == "input 1, output 0: the variance is negative or not a number");
  CHECK(Refusal(0, 0, 2, -1) ==
        "input 1, output 0: the noise variance is negative or not a number");
  CHECK(Refusal(kInfinity, 0, 1, 0) == "input 1, output 0: the mean or the target is not finite");
  CHECK(Refusal(0, kNan, 1, 0) == "input 1, output 0: the mean or the target is not finite");
  CHECK(Refusal(0, 0, 1, 0).empty());
  CHECK(Refusal(0, 0, 0, 1).empty());
}

TEST_CASE("gaussian: the largest error over the least variance is still a number") {
  constexpr float kMost = std::numeric_limits<float>::max();
  constexpr float kLeast = std::numeric_limits<float>::denorm_min();
  const Floats mean = {kMost};
  const Floats variance = {kLeast};
  const GaussianMetrics metrics = ScoreGaussian({mean, variance, 1}, Floats{-kMost}, Doubles{0})[0];
  CHECK(std::isfinite(metrics.nll));
  CHECK(std::isfinite(metrics.crps));
  CHECK(std::isfinite(FitNoise({mean, variance, 1}, Floats{-kMost}, kFloor)[0]));
}

TEST_CASE("fit noise: without epistemic variance the mean square of the errors") {
  CHECK(FitErrors({1, -2, 3}, {0, 0, 0}) == Near(14.0 / 3));
  CHECK(FitErrors({1e-3f, -3e-3f}, {0, 0}) == doctest::Approx(5e-6).epsilon(1e-6));
}

TEST_CASE("fit noise: of equal epistemic variances what the errors have beyond them") {
  CHECK(FitErrors({1, -2, 3}, {2, 2, 2}) == Near(14.0 / 3 - 2));
  CHECK(FitErrors({3}, {2}) == Near(7.0));
}

TEST_CASE("fit noise: the floor where errors are no larger than the epistemic variance") {
  CHECK(FitErrors({1, -2, 3}, {9, 9, 9}) == kFloor);
  CHECK(FitErrors({0, 0}, {0, 0}) == kFloor);
  CHECK(FitErrors({1, -2, 3}, {0, 0, 0}, 100.0) == 100.0);
  CHECK(FitErrors({1, -2, 3}, {4, 5, 6}) == kFloor);
}

TEST_CASE("fit noise: the lower of two minima") {
  // `small` times v = 0, error^2 = 1e-6 and once v = 1, error = 10: the derivative of the NLL is
  // small / s + (s - 99) / (1 + s)^2, but for the 1e-6, and 0 at two places beside s = 1e-6.
  const auto fit = [](std::size_t small) {
    Floats errors(small, 1e-3f), variances(small, 0.0f);
    errors.push_back(10.0f), variances.push_back(1.0f);
    return FitErrors(errors, variances);
  };
  // 2 s^2 - 97 s + 1 = 0: NLL 4.9 against 43 at 1e-6.
  CHECK(fit(1) == doctest::Approx((97 + std::sqrt(97.0 * 97 - 8)) / 4).epsilon(1e-7));
  // NLL 17 at 7.05, -14 at 1e-6.
  CHECK(fit(10) == doctest::Approx(1e-6).epsilon(1e-4));
}

TEST_CASE("fit noise: recovers what was put in, and nothing near is likelier") {
  testing::Random random(3);
  const auto normal = [&] { return NormalQuantile(random.Unit() + 1e-10); };
  const Doubles truth = {0.25, 9.0};
  Floats mean, variance, targets;
  for (int i = 0; i < 20000; ++i) {
    for (const double noise : truth) {
      const double epistemic = noise * random.Unit() * 2;
      mean.push_back(static_cast<float>(10 * normal()));
      variance.push_back(static_cast<float>(epistemic));
      targets.push_back(mean.back() + static_cast<float>(std::sqrt(epistemic + noise) * normal()));
    }
  }
  const ValuePredictions predictions{mean, variance, 2};
  const Doubles noise = FitNoise(predictions, targets, kFloor);
  const auto fitted = ScoreGaussian(predictions, targets, noise);
  const auto more = ScoreGaussian(predictions, targets, Doubles{noise[0] * 1.01, noise[1] * 1.01});
  const auto less = ScoreGaussian(predictions, targets, Doubles{noise[0] * 0.99, noise[1] * 0.99});
  for (std::size_t output = 0; output < 2; ++output) {
    CHECK(noise[output] == doctest::Approx(truth[output]).epsilon(0.05));
    CHECK(fitted[output].nll < more[output].nll);
    CHECK(fitted[output].nll < less[output].nll);
    CHECK(fitted[output].calibration_error < 0.01);
    CHECK(fitted[output].intervals[2].coverage == doctest::Approx(0.95).epsilon(0.01));
  }
}

// Mean of ln s^2 + error^2 / s^2: twice the NLL but for a constant.
double Unlikeliness(const Floats& errors, const Floats& variances, double noise) {
  double sum = 0;
  for (std::size_t i = 0; i < errors.size(); ++i) {
    const double variance = static_cast<double>(variances[i]) + noise;
    sum += std::log(variance) + std::pow(static_cast<double>(errors[i]), 2) / variance;
  }
  return sum / static_cast<double>(errors.size());
}

TEST_CASE("fit noise: nothing on a fine grid is likelier, whatever the errors") {
  testing::Random random(5);
  const auto log_uniform = [&] {
    return static_cast<float>(std::pow(10.0, -6 + 12 * random.Unit()));
  };
  for (int round = 0; round < 200; ++round) {
    const int inputs = random.Between(1, 8);
    Floats errors, variances;
    for (int i = 0; i < inputs; ++i) {
      errors.push_back(log_uniform());
      variances.push_back(random.OneIn(3) ? 0.0f : log_uniform());
    }
    const double found = FitErrors(errors, variances, 1e-8);
    double least = std::numeric_limits<double>::infinity();
    for (int step = 0; step <= 1100; ++step) {  // 1e-8 to 1e14
      least = std::min(least, Unlikeliness(errors, variances, std::pow(10.0, -8 + step / 50.0)));
    }
    CHECK_MESSAGE(Unlikeliness(errors, variances, found) <= least + 1e-9,
                  "round " << round << ", " << inputs << " inputs: " << found);
  }
}

TEST_CASE("fit noise: another unit") {
  const Floats variance = {1, 0.5f, 3, 0.25f}, variance4 = {16, 8, 48, 4};
  const double noise = FitErrors({2, -1, 3, 1}, variance);
  CHECK(noise > kFloor);
  CHECK(FitErrors({8, -4, 12, 4}, variance4, 16 * kFloor) == Near(16 * noise));
}

TEST_CASE("fit noise: refuses a floor that is no variance, and infinite variances") {
  for (const double floor :
       {0.0, -1.0, 1e-60, static_cast<double>(kInfinity), static_cast<double>(kNan)}) {
    CHECK_THROWS_AS(FitErrors({1}, {0}, floor), Error);
  }
  CHECK_THROWS_WITH_AS(FitErrors({1, 2}, {0, kInfinity}),
                       "input 1, output 0: the variance is not finite", Error);
}

}  // namespace
}  // namespace mu8::host
