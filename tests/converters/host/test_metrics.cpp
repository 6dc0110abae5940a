// The proper scores and calibration errors of `mu8 eval` against values worked out by hand.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "converters/host/metrics.h"
#include "converters/host/metrics_calibration.h"

namespace mu8::host {
namespace {

// Compares to about double precision; doctest's Approx is relative.
doctest::Approx Near(double value) { return doctest::Approx(value).epsilon(1e-12); }

TEST_CASE("accuracy: fraction of top classes that are the label") {
  const std::vector<float> values = {0.75f, 0.25f, 0.25f, 0.75f, 0.75f, 0.25f};
  const std::vector<int> labels = {0, 1, 1};
  CHECK(Accuracy({values, 2}, labels) == Near(2.0 / 3.0));
}

TEST_CASE("accuracy: the lowest class wins among equals") {
  const std::vector<float> values = {0.25f, 0.375f, 0.375f};
  CHECK(TopClass(values) == 1);
  CHECK(Accuracy({values, 3}, std::vector<int>{1}) == 1.0);
  CHECK(Accuracy({values, 3}, std::vector<int>{2}) == 0.0);
}

TEST_CASE("top-k accuracy: the lowest classes win among equals") {
  const std::vector<float> values = {0.125f, 0.25f, 0.375f, 0.25f};
  const auto hit = [&](int label, std::size_t k) {
    return TopKAccuracy({values, 4}, std::vector<int>{label}, k);
  };
  CHECK(hit(2, 1) == 1.0);
  CHECK(hit(1, 2) == 1.0);
  CHECK(hit(3, 2) == 0.0);
  CHECK(hit(3, 3) == 1.0);
  CHECK(hit(0, 3) == 0.0);
  CHECK(hit(0, 5) == 1.0);  // fewer classes than k
}

TEST_CASE("nll: mean of -ln p of the label") {
  const std::vector<float> values = {0.5f, 0.5f, 0.125f, 0.875f};
  const std::vector<int> labels = {0, 0};
  CHECK(NegativeLogLikelihood({values, 2}, labels) == Near((std::log(2.0) + std::log(8.0)) / 2));
}

TEST_CASE("nll: a label of probability zero costs -ln 1e-12") {
  const std::vector<float> values = {1.0f, 0.0f};
  CHECK(NegativeLogLikelihood({values, 2}, std::vector<int>{1}) == Near(12 * std::log(10.0)));
}

TEST_CASE("brier: sum form, 0 for perfect and 2 for surely wrong") {
  const std::vector<float> sure = {1.0f, 0.0f, 0.0f};
  CHECK(BrierScore({sure, 3}, std::vector<int>{0}) == 0.0);
  CHECK(BrierScore({sure, 3}, std::vector<int>{2}) == 2.0);
  // (0.5 - 1)^2 + 0.25^2 + 0.25^2 = 0.375
  const std::vector<float> unsure = {0.5f, 0.25f, 0.25f};
  CHECK(BrierScore({unsure, 3}, std::vector<int>{0}) == 0.375);
}

TEST_CASE("all label metrics: perfect predictions") {
  const std::vector<float> values = {1.0f, 0.0f, 0.0f, 1.0f};
  const std::vector<int> labels = {0, 1};
  CHECK(Accuracy({values, 2}, labels) == 1.0);
  CHECK(NegativeLogLikelihood({values, 2}, labels) == 0.0);
  CHECK(BrierScore({values, 2}, labels) == 0.0);
  CHECK(ExpectedCalibrationError({values, 2}, labels) == 0.0);
  CHECK(MeanEntropy({values, 2}) == 0.0);
}

TEST_CASE("ece: gaps within a bin cancel, gaps of different bins add up") {
  // 15 bins: 0.625 and 0.65625 share (9/15, 10/15], 0.9375 lies in the last bin.
  const std::vector<float> values = {0.625f, 0.375f, 0.65625f, 0.34375f, 0.9375f, 0.0625f};
  // Correct, wrong, wrong: |(1 - 0.625) + (0 - 0.65625)| + |0 - 0.9375| = 0.28125 + 0.9375.
  const std::vector<int> labels = {0, 1, 1};
  CHECK(ExpectedCalibrationError({values, 2}, labels) == Near((0.28125 + 0.9375) / 3));
}

TEST_CASE("ece: a confidence on a bin edge belongs to the bin below") {
  // Four bins, closed on the right. 0.75 (wrong) lies in (0.5, 0.75] with 0.625 (correct):
  // |(1 - 0.625) + (0 - 0.75)| = 0.375. Left-closed bins would give 0.375 + 0.75.
  const std::vector<float> values = {0.75f, 0.25f, 0.625f, 0.375f};
  const std::vector<int> labels = {1, 0};
  CHECK(ExpectedCalibrationError({values, 2}, labels, 4) == Near(0.375 / 2));
  // 0.5 lies in (0.25, 0.5], apart from 0.625.
  const std::vector<float> half = {0.5f, 0.5f, 0.625f, 0.375f};
  CHECK(ExpectedCalibrationError({half, 2}, labels, 4) == Near((0.5 + 0.375) / 2));
}

TEST_CASE("ece: confidence one lies in the last bin") {
  const std::vector<float> values = {1.0f, 0.0f, 0.96875f, 0.03125f};
  const std::vector<int> labels = {1, 0};  // wrong, correct: |-1 + 0.03125| in one bin
  CHECK(ExpectedCalibrationError({values, 2}, labels) == Near(0.96875 / 2));
}

TEST_CASE("ece: one class and one bin") {
  const std::vector<float> values = {1.0f};
  CHECK(ExpectedCalibrationError({values, 1}, std::vector<int>{0}, 1) == 0.0);
}

TEST_CASE("entropy: nats, with 0 ln 0 = 0") {
  CHECK(Entropy(std::vector<float>{0.25f, 0.25f, 0.25f, 0.25f}) == Near(std::log(4.0)));
  CHECK(Entropy(std::vector<float>{0.0f, 1.0f, 0.0f}) == 0.0);
  // 0.5 ln 2 + 2 * 0.25 ln 4 = 1.5 ln 2
  CHECK(Entropy(std::vector<float>{0.5f, 0.25f, 0.25f}) == Near(1.5 * std::log(2.0)));
}

TEST_CASE("entropy: mean over the images") {
  const std::vector<float> values = {0.5f, 0.5f, 1.0f, 0.0f};
  CHECK(MeanEntropy({values, 2}) == Near(std::log(2.0) / 2));
}

TEST_CASE("kl: zero for equal rows, p ln(p / q) otherwise") {
  const std::vector<float> p = {0.5f, 0.5f, 0.25f, 0.75f};
  CHECK(MeanKl({p, 2}, {p, 2}) == 0.0);
  const std::vector<float> q = {0.25f, 0.75f, 0.25f, 0.75f};
  // 0.5 ln 2 + 0.5 ln(2 / 3), then a row of zero.
  const double first = 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3.0);
  CHECK(MeanKl({p, 2}, {q, 2}) == Near(first / 2));
}

TEST_CASE("kl: both sides are clipped at 1e-9 and not renormalized") {
  const std::vector<float> p = {1.0f, 0.0f};
  const std::vector<float> q = {0.0f, 1.0f};
  const double expected = 9 * std::log(10.0) - 1e-9 * 9 * std::log(10.0);
  CHECK(MeanKl({p, 2}, {q, 2}) == Near(expected));
  const std::vector<float> half = {0.5f, 0.5f};
  CHECK(MeanKl({p, 2}, {half, 2}) == Near(std::log(2.0) + 1e-9 * std::log(2e-9)));
}

TEST_CASE("mean: arithmetic mean") { CHECK(Mean(std::vector<double>{1.0, 2.0, 6.0}) == 3.0); }

TEST_CASE("bins: closed on the right, the ends take what lies outside") {
  CHECK(BinOf(0.0, 4) == 0);
  CHECK(BinOf(-1e-9, 4) == 0);
  CHECK(BinOf(0.25, 4) == 0);
  CHECK(BinOf(0.2500001, 4) == 1);
  CHECK(BinOf(1.0, 4) == 3);
  CHECK(BinOf(1.0 + 1e-9, 4) == 3);
}

TEST_CASE("mce: the largest gap of the bins that hold an image") {
  // As for the ECE: |(0.375 - 0.65625) / 2| in one bin, 0.9375 in the last.
  const std::vector<float> values = {0.625f, 0.375f, 0.65625f, 0.34375f, 0.9375f, 0.0625f};
  const std::vector<int> labels = {0, 1, 1};
  CHECK(MaximumCalibrationError({values, 2}, labels) == Near(0.9375));
  CHECK(MaximumCalibrationError({values, 2}, std::vector<int>{0, 1, 0}) == Near(0.140625));
}

TEST_CASE("adaptive ece: bins of equal mass, the first ones hold one more") {
  // Sorted: 0.5 right, 0.625 wrong, 0.75 right | 0.875 wrong, 1 right; in the data upside down.
  const std::vector<float> values = {1.0f,  0.0f,   0.875f, 0.125f, 0.75f,
                                     0.25f, 0.625f, 0.375f, 0.5f,   0.5f};
  const std::vector<int> labels = {0, 1, 0, 1, 0};
  const double expected = (std::abs(2 - 1.875) + std::abs(1 - 1.875)) / 5;
  CHECK(AdaptiveCalibrationError({values, 2}, labels, 2) == Near(expected));
}

TEST_CASE("adaptive ece: the order of equal confidences has no say") {
  // Two bins share three images of 0.75, one of them right; one image of 1 is right.
  const std::vector<float> values = {0.75f, 0.25f, 0.75f, 0.25f, 0.75f, 0.25f, 1.0f, 0.0f};
  const double expected = (std::abs(2.0 / 3 - 1.5) + std::abs(1 + 1.0 / 3 - 1.75)) / 4;
  for (const auto& labels : {std::vector<int>{0, 1, 1, 0}, {1, 0, 1, 0}, {1, 1, 0, 0}}) {
    CHECK(AdaptiveCalibrationError({values, 2}, labels, 2) == Near(expected));
  }
}

TEST_CASE("adaptive ece: more bins than images") {
  const std::vector<float> values = {0.75f, 0.25f};
  CHECK(AdaptiveCalibrationError({values, 2}, std::vector<int>{0}) == Near(0.25));
}

TEST_CASE("uce: entropy over ln C against the error") {
  // u = 1 and right; u = 0 and wrong: both gaps are 1, in the last bin and in the first.
  const std::vector<float> values = {0.25f, 0.25f, 0.25f, 0.25f, 1.0f, 0.0f, 0.0f, 0.0f};
  CHECK(UncertaintyCalibrationError({values, 4}, std::vector<int>{0, 1}) == Near(1.0));
  CHECK(UncertaintyCalibrationError({values, 4}, std::vector<int>{1, 0}) == Near(0.0));
  // Two equal of four: u = 1/2.
  const std::vector<float> half = {0.5f, 0.5f, 0.0f, 0.0f};
  CHECK(UncertaintyCalibrationError({half, 4}, std::vector<int>{0}) == Near(0.5));
}

TEST_CASE("uce: one class has no uncertainty") {
  const std::vector<float> values = {1.0f};
  CHECK(UncertaintyCalibrationError({values, 1}, std::vector<int>{0}) == 0.0);
}

}  // namespace
}  // namespace mu8::host
