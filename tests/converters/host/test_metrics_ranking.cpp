// Detection, selective prediction and conformal sets against values worked out by hand.
#include <doctest/doctest.h>

#include <vector>

#include "converters/host/metrics_conformal.h"
#include "converters/host/metrics_ranking.h"

namespace mu8::host {
namespace {

using Doubles = std::vector<double>;

// Compares to about double precision; doctest's Approx is relative.
doctest::Approx Near(double value) { return doctest::Approx(value).epsilon(1e-12); }

TEST_CASE("auroc: separated, reversed and interleaved scores") {
  CHECK(Auroc(Doubles{0.1, 0.2}, Doubles{0.3, 0.4}) == 1.0);
  CHECK(Auroc(Doubles{0.3, 0.4}, Doubles{0.1, 0.2}) == 0.0);
  // Pairs (positive above negative): 0.2 beats 0.1; 0.4 beats 0.1 and 0.3. Three of four.
  CHECK(Auroc(Doubles{0.3, 0.1}, Doubles{0.4, 0.2}) == 0.75);
}

TEST_CASE("auroc: ties count half") {
  CHECK(Auroc(Doubles{0.5, 0.5}, Doubles{0.5}) == 0.5);
  // Against {0, 1, 1}, 1 scores 1 + 0.5 + 0.5 and 2 scores 3: five of six.
  CHECK(Auroc(Doubles{1, 0, 1}, Doubles{2, 1}) == Near(5.0 / 6.0));
}

TEST_CASE("auroc: sets of different sizes") {
  CHECK(Auroc(Doubles{0, 1, 2, 3}, Doubles{2.5}) == 0.75);
}

TEST_CASE("average precision: precision at each positive, from the highest score") {
  // From the top: P (1/1), N, P (2/3), N.
  CHECK(AveragePrecision(Doubles{0.1, 0.3}, Doubles{0.2, 0.4}) == Near((1 + 2.0 / 3) / 2));
  CHECK(AveragePrecision(Doubles{0.1, 0.2}, Doubles{0.3, 0.4}) == 1.0);
}

TEST_CASE("average precision: equal scores are one threshold") {
  // One group: precision is the share of positives, whatever the order in it.
  CHECK(AveragePrecision(Doubles{1, 1, 1}, Doubles{1}) == Near(0.25));
  // 2: one of each (1/2); 1: one more positive (2/3).
  CHECK(AveragePrecision(Doubles{2}, Doubles{2, 1}) == Near((0.5 + 2.0 / 3) / 2));
}

TEST_CASE("false positive rate: the highest threshold that reaches the recall") {
  const Doubles negatives = {0, 1, 2, 3};
  CHECK(FalsePositiveRate(negatives, Doubles{2.5, 3.5}, 0.5) == 0.0);
  CHECK(FalsePositiveRate(negatives, Doubles{2.5, 3.5}, 1.0) == 0.25);
  CHECK(FalsePositiveRate(negatives, Doubles{2.5, 3.5}, 0.51) == 0.25);
  CHECK(FalsePositiveRate(negatives, Doubles{2, 2}, 0.95) == 0.5);  // a tie is an alarm
  // 19 of 20 positives are enough for 95 %: the one below all negatives is not needed.
  Doubles positives(19, 10.0);
  positives.push_back(-1);
  CHECK(FalsePositiveRate(negatives, positives) == 0.0);
  CHECK(FalsePositiveRate(negatives, positives, 0.96) == 1.0);
}

TEST_CASE("detect: the same figures at once, and those of the score turned around") {
  const Doubles negatives = {0.1, 0.3, 0.3};
  const Doubles positives = {0.2, 0.3, 0.4};
  const auto found = Detect(negatives, positives);
  REQUIRE(found);
  CHECK(found->auroc == Auroc(negatives, positives));
  CHECK(found->aupr_positive == AveragePrecision(negatives, positives));
  CHECK(found->aupr_negative ==
        AveragePrecision(Doubles{-0.2, -0.3, -0.4}, Doubles{-0.1, -0.3, -0.3}));
  CHECK(found->fpr95 == FalsePositiveRate(negatives, positives));
}

TEST_CASE("detect: nothing to tell apart") {
  CHECK_FALSE(Detect(Doubles{}, Doubles{1}));
  CHECK_FALSE(Detect(Doubles{1}, Doubles{}));
  const auto ties = Detect(Doubles{0, 0, 0}, Doubles{0});  // a network without mutual information
  REQUIRE(ties);
  CHECK(ties->auroc == 0.5);
  CHECK(ties->aupr_positive == 0.25);
  CHECK(ties->aupr_negative == 0.75);
  CHECK(ties->fpr95 == 1.0);
}

TEST_CASE("risk-coverage: errors among the most confident") {
  // By confidence: right, wrong, right, wrong.
  const Doubles risk = RiskCoverage(Doubles{0.5, 0.9, 0.8, 0.6}, Doubles{0, 1, 0, 1});
  REQUIRE(risk.size() == 4);
  CHECK(risk[0] == 0.0);
  CHECK(risk[1] == 0.5);
  CHECK(risk[2] == Near(1.0 / 3));
  CHECK(risk[3] == 0.5);
  CHECK(Aurc(risk) == Near((0.5 + 1.0 / 3 + 0.5) / 4));
  CHECK(RiskAtCoverage(risk, 0.5) == 0.5);
  CHECK(RiskAtCoverage(risk, 0.51) == Near(1.0 / 3));
  CHECK(RiskAtCoverage(risk, 0.001) == 0.0);
  CHECK(RiskAtCoverage(risk, 1.0) == 0.5);
}

TEST_CASE("risk-coverage: the order of equal confidences has no say") {
  for (const Doubles& correct : {Doubles{1, 1, 0, 0}, {1, 0, 1, 0}, {1, 0, 0, 1}}) {
    const Doubles risk = RiskCoverage(Doubles{1, 0.5, 0.5, 0.5}, correct);
    CHECK(risk[1] == Near((2.0 / 3) / 2));
    CHECK(risk[2] == Near((4.0 / 3) / 3));
    CHECK(risk[3] == Near(0.5));
  }
}

TEST_CASE("count of: rounds up, forgiving what arithmetic adds") {
  CHECK(CountOf(0.55, 400) == 220);  // 220.00000000000003
  CHECK(CountOf(0.9, 10) == 9);
  CHECK(CountOf(0.901, 10) == 10);
}

TEST_CASE("accuracy by confidence: at the threshold counts") {
  const Doubles confidence = {0.5, 0.75, 1.0};
  const Doubles correct = {0, 1, 1};
  CHECK(AtConfidence(confidence, correct, 0.75).images == 2);
  CHECK(AtConfidence(confidence, correct, 0.5).correct == 2.0);
  CHECK(AtConfidence(confidence, correct, 1.1).images == 0);
}

// Two classes; p[label] of each image.
std::vector<float> Rows(const std::vector<float>& of_label) {
  std::vector<float> values;
  for (const float p : of_label) values.insert(values.end(), {p, 1 - p});
  return values;
}

TEST_CASE("conformal: the threshold is the ceil((n + 1)(1 - alpha))-th smallest score") {
  // Even images: scores 0.5, 0.125, 0.25, 0.375; at alpha 0.4 the third smallest: 0.375.
  const std::vector<float> values =
      Rows({0.5f, 0.625f, 0.875f, 0.5f, 0.75f, 0.9375f, 0.625f, 0.25f});
  const ConformalSets sets = SplitConformal({values, 2}, std::vector<int>(8, 0), 0.4);
  CHECK(sets.calibration_images == 4);
  CHECK(sets.test_images == 4);
  REQUIRE(sets.threshold);
  CHECK(*sets.threshold == 0.375);
  // Odd images: 0.625 is in (at the threshold), 0.5 has an empty set, 0.9375 is in, and of the
  // last only the other class, 0.75.
  CHECK(sets.coverage == 0.5);
  CHECK(sets.mean_set_size == 0.75);
}

TEST_CASE("conformal: too few calibration images for alpha mean every class") {
  const std::vector<float> values = Rows({0.5f, 0.5f, 0.5f, 0.5f, 0.5f});
  const ConformalSets sets = SplitConformal({values, 2}, std::vector<int>(5, 0), 0.1);
  CHECK(sets.calibration_images == 3);
  CHECK_FALSE(sets.threshold);
  CHECK(sets.coverage == 1.0);
  CHECK(sets.mean_set_size == 2.0);
}

}  // namespace
}  // namespace mu8::host
