// The metrics of labels, each true or not, against values worked out by hand.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "converters/host/metrics_labels.h"
#include "converters/host/metrics_ranking.h"
#include "tests/support/random.h"

namespace mu8::host {
namespace {

using Floats = std::vector<float>;

// Compares to about double precision; doctest's Approx is relative.
doctest::Approx Near(double value) { return doctest::Approx(value).epsilon(1e-12); }

LabelMetrics ScoreOne(const Floats& probabilities, const Floats& targets) {
  const std::vector<LabelMetrics> labels = ScoreLabels({probabilities, 1}, targets);
  REQUIRE(labels.size() == 1);
  return labels[0];
}

TEST_CASE("labels: one label, worked out by hand") {
  // By p: 0.75 true, 0.5 false, 0.25 true, 0.125 false.
  const LabelMetrics metrics = ScoreOne({0.75f, 0.5f, 0.25f, 0.125f}, {1, 0, 1, 0});
  CHECK(metrics.prevalence == 0.5);
  CHECK(metrics.accuracy == 0.5);  // the first and the last: 0.5 counts as true
  // -ln of 3/4, 1/2, 1/4, 7/8.
  CHECK(metrics.nll == Near(std::log(4.0 / 3 * 2 * 4 * 8 / 7) / 4));
  CHECK(metrics.brier == Near((0.0625 + 0.25 + 0.5625 + 0.015625) / 4));
  // Four of the 15 bins: 0.25 + 0.5 + 0.75 + 0.125.
  CHECK(metrics.ece == Near(1.625 / 4));
  CHECK(*metrics.auroc == 0.75);  // 3 of 4 pairs
  CHECK(*metrics.average_precision == Near((1 + 2.0 / 3) / 2));
}

TEST_CASE("labels: each column is scored by itself") {
  const Floats values = {0.75f, 0.25f, 0.5f, 0.875f, 0.25f, 1.0f};  // 3 images of 2 labels
  const Floats targets = {1, 0, 0, 1, 1, 1};
  const std::vector<LabelMetrics> labels = ScoreLabels({values, 2}, targets);
  REQUIRE(labels.size() == 2);
  const LabelMetrics first = ScoreOne({0.75f, 0.5f, 0.25f}, {1, 0, 1});
  const LabelMetrics second = ScoreOne({0.25f, 0.875f, 1.0f}, {0, 1, 1});
  CHECK(labels[0].nll == first.nll);
  CHECK(labels[1].nll == second.nll);
  CHECK(labels[0].accuracy == Near(1.0 / 3));
  CHECK(labels[1].accuracy == 1.0);
  CHECK(labels[1].ece == second.ece);
  CHECK(*labels[0].auroc == 0.5);
  CHECK(*labels[1].auroc == 1.0);
}

TEST_CASE("labels: the nll of a sure mistake is -ln 1e-12, of either kind") {
  CHECK(ScoreOne({0.0f}, {1}).nll == Near(12 * std::log(10.0)));
  CHECK(ScoreOne({1.0f}, {0}).nll == Near(12 * std::log(10.0)));
  CHECK(ScoreOne({1.0f, 0.0f}, {1, 0}).nll == 0.0);
}

TEST_CASE("labels: brier is half of what two classes have") {
  const Floats p = {0.75f, 0.5f, 0.125f};
  const Floats classes = {0.25f, 0.75f, 0.5f, 0.5f, 0.875f, 0.125f};
  const double two = BrierScore({classes, 2}, std::vector<int>{1, 0, 1});
  CHECK(ScoreOne(p, {1, 0, 1}).brier == Near(two / 2));
}

TEST_CASE("labels: ece takes the probability of the label, not of the decision") {
  // One bin holds 0.25 twice, true once: |1 - 0.5|. By the confidence 0.75, right once, it would be
  // the same only by chance: |1 - 1.5|.
  CHECK(ScoreOne({0.25f, 0.25f}, {1, 0}).ece == Near(0.25));
  CHECK(ScoreOne({0.25f, 0.25f, 0.25f, 0.25f}, {1, 0, 0, 0}).ece == 0.0);
  // 0.75 true and 0.25 false share a bin of confidence but not one of p: 0.25 each.
  CHECK(ScoreOne({0.75f, 0.25f}, {1, 1}).ece == Near((0.25 + 0.75) / 2));
  CHECK(ScoreOne({0.0f, 1.0f}, {0, 1}).ece == 0.0);
}

TEST_CASE("labels: nothing to rank where a label is always or never true") {
  for (const float target : {0.0f, 1.0f}) {
    const LabelMetrics metrics = ScoreOne({0.75f, 0.25f}, {target, target});
    CHECK_FALSE(metrics.auroc);
    CHECK_FALSE(metrics.average_precision);
    CHECK(metrics.prevalence == static_cast<double>(target));
    CHECK(metrics.accuracy == 0.5);
  }
}

TEST_CASE("labels: one image") {
  const LabelMetrics metrics = ScoreOne({0.875f}, {1});
  CHECK(metrics.accuracy == 1.0);
  CHECK(metrics.nll == Near(std::log(8.0 / 7)));
  CHECK(metrics.ece == Near(0.125));
  CHECK_FALSE(metrics.auroc);
}

TEST_CASE("labels: macro average of what there is") {
  std::vector<LabelMetrics> labels(3);
  labels[0] = {0.5, 1.0, 0.25, 0.125, 0.5, 0.75, 0.5};
  labels[1] = {0.25, 0.5, 0.5, 0.25, 0.25, 1.0, 0.25};
  labels[2] = {0.0, 0.0, 1.5, 0.75, 0.0, std::nullopt, std::nullopt};
  const LabelMetrics macro = MacroAverage(labels);
  CHECK(macro.prevalence == 0.25);
  CHECK(macro.accuracy == 0.5);
  CHECK(macro.nll == 0.75);
  CHECK(macro.brier == 0.375);
  CHECK(macro.ece == 0.25);
  CHECK(*macro.auroc == 0.875);
  CHECK(*macro.average_precision == 0.375);
  CHECK_FALSE(MacroAverage(std::vector<LabelMetrics>{labels[2]}).auroc);
}

TEST_CASE("exact match: an image counts when all of its labels are right") {
  const Floats values = {0.75f, 0.25f, 0.75f, 0.75f, 0.5f, 0.0f};
  CHECK(ExactMatch({values, 2}, Floats{1, 0, 1, 0, 1, 0}) == Near(2.0 / 3));
  CHECK(ExactMatch({values, 2}, Floats{0, 1, 0, 0, 0, 1}) == 0.0);
  CHECK(ExactMatch({values, 1}, Floats{1, 0, 1, 0, 1, 0}) ==
        ScoreOne(values, {1, 0, 1, 0, 1, 0}).accuracy);
}

TEST_CASE("bernoulli kl: sum over the labels, mean over the images") {
  const Floats p = {0.5f, 0.25f, 0.5f, 0.5f};
  const Floats q = {0.25f, 0.25f, 0.5f, 0.5f};
  // 0.5 ln 2 + 0.5 ln(2 / 3) of the first label; all others are equal.
  CHECK(MeanBernoulliKl({p, 2}, {q, 2}) == Near((0.5 * std::log(4.0 / 3)) / 2));
  CHECK(MeanBernoulliKl({p, 2}, {p, 2}) == 0.0);
  // As the KL of two classes.
  CHECK(MeanBernoulliKl({Floats{0.75f}, 1}, {Floats{0.125f}, 1}) ==
        Near(MeanKl({Floats{0.75f, 0.25f}, 2}, {Floats{0.125f, 0.875f}, 2})));
}

TEST_CASE("bernoulli kl: both sides are clipped to [1e-9, 1 - 1e-9]") {
  // 1 - (1 - 1e-9) is 1e-9 to 8 digits.
  const auto expected = doctest::Approx((1 - 2e-9) * std::log((1 - 1e-9) / 1e-9)).epsilon(1e-8);
  CHECK(MeanBernoulliKl({Floats{1.0f}, 1}, {Floats{0.0f}, 1}) == expected);
  CHECK(MeanBernoulliKl({Floats{0.0f}, 1}, {Floats{1.0f}, 1}) == expected);
}

TEST_CASE("labels: the opposite of a label is judged as the label is") {
  testing::Random random(1);
  Floats p, target, not_p, not_target;
  for (int i = 0; i < 200; ++i) {
    // Sixteenths, so that 1 - p is exact; not 0.5, which counts as true either way.
    const int sixteenths = random.Between(0, 15);
    p.push_back(static_cast<float>(sixteenths < 8 ? sixteenths : sixteenths + 1) / 16);
    target.push_back(random.Unit() < static_cast<double>(p.back()) ? 1.0f : 0.0f);
    not_p.push_back(1 - p.back());
    not_target.push_back(1 - target.back());
  }
  const LabelMetrics metrics = ScoreOne(p, target);
  const LabelMetrics opposite = ScoreOne(not_p, not_target);
  CHECK(opposite.prevalence == Near(1 - metrics.prevalence));
  CHECK(opposite.accuracy == metrics.accuracy);
  CHECK(opposite.nll == Near(metrics.nll));
  CHECK(opposite.brier == Near(metrics.brier));
  CHECK(opposite.ece == Near(metrics.ece));
  CHECK(*opposite.auroc == Near(*metrics.auroc));
}

}  // namespace
}  // namespace mu8::host
