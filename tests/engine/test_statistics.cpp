// Predictive statistics against the textbook formulas in double precision, from the kept logits.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/src/statistics.h"
#include "tests/support/effort.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

// Tolerances: a float probability is good to about 3e-7 of itself, and at most 2^-40 is cut off per
// pass. Entropies add `classes` such terms; the variance is a difference of two squares.
constexpr double kMeanTolerance = 4e-7;
constexpr double kVarianceTolerance = 8e-7;
constexpr double kEntropyTolerance = 3e-6;

struct Expected {
  std::vector<double> mean, variance;
  double predictive = 0;
  double expected = 0;
};

std::vector<double> Softmax(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p;
  double sum = 0;
  for (const float logit : logits) sum += p.emplace_back(std::exp(logit - top));
  for (double& value : p) value /= sum;
  return p;
}

double Entropy(std::span<const double> p) {
  double entropy = 0;
  for (const double value : p) entropy -= value > 0 ? value * std::log(value) : 0;
  return entropy;
}

// passes[t] are the logits of pass t.
Expected Formulas(std::span<const std::vector<float>> passes) {
  const auto samples = static_cast<double>(passes.size());
  Expected result;
  result.mean.resize(passes[0].size());
  result.variance.resize(passes[0].size());
  for (const std::vector<float>& logits : passes) {
    const std::vector<double> p = Softmax(logits);
    for (std::size_t c = 0; c < p.size(); ++c) result.mean[c] += p[c] / samples;
    result.expected += Entropy(p) / samples;
  }
  for (const std::vector<float>& logits : passes) {
    const std::vector<double> p = Softmax(logits);
    for (std::size_t c = 0; c < p.size(); ++c) {
      result.variance[c] += (p[c] - result.mean[c]) * (p[c] - result.mean[c]) / samples;
    }
  }
  result.predictive = Entropy(result.mean);
  return result;
}

void Compare(const Prediction& prediction, std::span<const std::vector<float>> passes) {
  const Expected expected = Formulas(passes);
  std::size_t top = 0;
  for (std::size_t c = 0; c < expected.mean.size(); ++c) {
    CHECK(std::abs(prediction.mean[c] - expected.mean[c]) <= kMeanTolerance);
    CHECK(std::abs(prediction.variance[c] - expected.variance[c]) <= kVarianceTolerance);
    CHECK(prediction.variance[c] >= 0);
    if (expected.mean[c] > expected.mean[top]) top = c;
  }
  CHECK(std::abs(prediction.predictive_entropy - expected.predictive) <= kEntropyTolerance);
  CHECK(std::abs(prediction.expected_entropy - expected.expected) <= kEntropyTolerance);
  CHECK(std::abs(prediction.mutual_information - (expected.predictive - expected.expected)) <=
        2 * kEntropyTolerance);
  CHECK(prediction.mutual_information >= 0);
  CHECK(prediction.samples_used == passes.size());
  CHECK(std::abs(expected.mean[prediction.label] - expected.mean[top]) <= 1e-6);
}

TEST_CASE("statistics: equal the formulas for random models") {
  Random random(101);
  const int count = Effort(200, 30);
  for (int i = 0; i < count; ++i) {
    const AlignedBytes file = RandomModel(&random).File();
    Engine engine;
    const SessionOptions options{.mc_samples = 1 + random.Below(40), .keep_logits = true};
    REQUIRE(engine.Open(file.span(), options) == Status::kOk);
    const auto pixels = RandomPixels(engine.model, 1, random.Next());
    Prediction prediction;
    REQUIRE(engine.session.Predict(pixels, {&prediction, 1}) == Status::kOk);
    std::vector<std::vector<float>> passes;
    for (std::size_t t = 0; t < options.mc_samples; ++t) {
      const auto row =
          prediction.logits.subspan(t * prediction.logits_stride, engine.model.class_count());
      passes.emplace_back(row.begin(), row.end());
    }
    CAPTURE(i);
    Compare(prediction, passes);
  }
  MESSAGE("predictions compared: " << count);
}

// Summarizes logits that no network made.
struct Manual {
  explicit Manual(std::span<const std::vector<float>> passes)
      : sum(passes[0].size()), square(passes[0].size()), mean(sum.size()), variance(sum.size()) {
    const Sums sums{sum, square, {&entropy, 1}};
    ClearSums(sums);
    for (const auto& logits : passes) AddSoftmax(logits, sums, nullptr);
    SummarizeSoftmax(sums, static_cast<std::uint32_t>(passes.size()), {mean, variance, {}, {}},
                     &prediction);
  }
  std::vector<std::uint64_t> sum, square;
  std::uint64_t entropy = 1;
  std::vector<float> mean, variance;
  Prediction prediction;
};

TEST_CASE("statistics: known cases") {
  const std::vector<std::vector<float>> even = {{0, 0, 0, 0}};
  const Prediction uniform = Manual(even).prediction;
  CHECK(uniform.label == 0);  // the lowest index among equals
  CHECK(uniform.predictive_entropy == doctest::Approx(std::log(4.0)).epsilon(1e-6));
  CHECK(uniform.mutual_information < 1e-6F);

  // Two passes, each sure of another class: ln 2 of disagreement.
  const std::vector<std::vector<float>> torn = {{200, 0}, {0, 200}};
  const Manual split(torn);
  CHECK(split.mean == std::vector<float>{0.5F, 0.5F});
  CHECK(split.variance == std::vector<float>{0.25F, 0.25F});
  CHECK(split.prediction.expected_entropy == 0);
  CHECK(split.prediction.mutual_information == doctest::Approx(std::log(2.0)).epsilon(1e-6));
  CHECK(split.prediction.label == 0);

  const std::vector<std::vector<float>> single = {{3.5F}};
  const Manual one(single);
  CHECK(one.mean[0] == 1.0F);
  CHECK(one.prediction.predictive_entropy == 0);
}

TEST_CASE("statistics: huge and equal logits stay finite") {
  const std::vector<std::vector<float>> passes = {
      {3e38F, -3e38F, 0}, {-3e38F, -3e38F, -3e38F}, {1e-30F, 0, -1e-30F}};
  const Manual manual(passes);
  Compare(manual.prediction, passes);
  for (const float mean : manual.mean) CHECK(std::isfinite(mean));
}

TEST_CASE("statistics: the order of passes does not matter") {
  Random random(102);
  std::vector<std::vector<float>> passes(50, std::vector<float>(10));
  for (auto& logits : passes) {
    for (float& logit : logits) logit = static_cast<float>(20 * random.Unit() - 10);
  }
  const Manual forward(passes);
  Compare(forward.prediction, passes);
  std::reverse(passes.begin(), passes.end());
  const Manual backward(passes);
  CHECK(forward.sum == backward.sum);
  CHECK(forward.square == backward.square);
  CHECK(forward.entropy == backward.entropy);
}

TEST_CASE("statistics: as many passes as an option allows do not overflow") {
  std::vector<std::uint64_t> sum(2);
  std::vector<std::uint64_t> square(2);
  std::uint64_t entropy = 0;
  const Sums sums{sum, square, {&entropy, 1}};
  ClearSums(sums);
  const std::vector<float> logits = {0, 0};
  const int passes = Effort(65536, 4096);
  for (int t = 0; t < passes; ++t) AddSoftmax(logits, sums, nullptr);
  std::vector<float> mean(2);
  std::vector<float> variance(2);
  Prediction prediction;
  SummarizeSoftmax(sums, static_cast<std::uint32_t>(passes), {mean, variance, {}, {}}, &prediction);
  CHECK(mean[0] == 0.5F);
  CHECK(variance[0] == 0.0F);
  CHECK(prediction.expected_entropy == doctest::Approx(std::log(2.0)).epsilon(1e-6));
}

}  // namespace
}  // namespace mu8::testing
