// Bit budgets: never exceeded, spent where it pays, the same plan for the same seed.
#include <doctest/doctest.h>

#include <cmath>

#include "converters/bit_allocation.h"
#include "tests/support/random.h"

namespace mu8::convert {
namespace {

using mu8::testing::Random;

// Errors fall to a quarter with each bit, from a height of the layer's own.
std::vector<LayerCosts> RandomLayers(Random* random, std::size_t count) {
  std::vector<LayerCosts> layers;
  for (std::size_t l = 0; l < count; ++l) {
    LayerCosts layer{"layer " + std::to_string(l), 1 + random->Below(5000), {}};
    const double height = std::exp(6.0 * random->Unit()) * static_cast<double>(layer.weights);
    for (int b = 1; b <= kMostMuBits; ++b) {
      layer.error[static_cast<std::size_t>(b)] = height * std::pow(0.25, b);
    }
    layers.push_back(layer);
  }
  return layers;
}

Budget RandomBudget(Random* random) {
  Budget budget;
  budget.least = 1 + static_cast<int>(random->Below(3));
  budget.most =
      budget.least +
      static_cast<int>(random->Below(static_cast<std::uint32_t>(kMostMuBits - budget.least + 1)));
  budget.average = budget.least + random->Unit() * (kMostMuBits - budget.least);
  return budget;
}

// Within bounds and budget, and no single layer could have one bit more.
void CheckPlan(const std::vector<LayerCosts>& layers, const Budget& budget, const Plan& plan) {
  REQUIRE(plan.size() == layers.size());
  double weights = 0;
  for (const LayerCosts& layer : layers) weights += static_cast<double>(layer.weights);
  const double average = AverageBits(layers, plan);
  CHECK(average <= budget.average * (1 + 1e-9));
  for (std::size_t l = 0; l < plan.size(); ++l) {
    CHECK(plan[l] >= budget.least);
    CHECK(plan[l] <= budget.most);
    const double more = average + static_cast<double>(layers[l].weights) / weights;
    if (plan[l] < budget.most) CHECK(more > budget.average * (1 - 1e-9));
  }
}

TEST_CASE("bit allocation: bits that are not stored cost nothing") {
  // The first layer has 4 bits where it may use 5, 6 or 7, and gains much from 8.
  std::vector<LayerCosts> layers = {{"wide", 100, {0, 90, 80, 70, 60, 60, 60, 60, 0}},
                                    {"narrow", 100, {0, 60, 50, 40, 30, 20, 10, 5, 1}}};
  layers[0].stored = {0, 1, 2, 3, 4, 4, 4, 4, 8};
  CHECK(AverageBits(layers, {7, 4}) == 4.0);
  CHECK(AverageBits(layers, {8, 4}) == 6.0);
  const Plan plan = Fill(layers, {6.0, 1, 8}, {7, 1});  // 7 costs 4, so 8 can be paid
  CHECK(plan == Plan{8, 4});
  CHECK(Repair(layers, {4.0, 1, 8}, {8, 4}) == Plan{7, 4});
  CHECK(FromScores(layers, {4.0, 1, 8}, {7.0, 4.0}) == Plan{7, 4});
}

TEST_CASE("bit allocation: every plan keeps the budget and leaves nothing that would fit") {
  Random random(3);
  int plans = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const std::vector<LayerCosts> layers = RandomLayers(&random, 1 + random.Below(12));
    const Budget budget = RandomBudget(&random);
    CAPTURE(trial);
    CheckPlan(layers, budget, Fill(layers, budget, Plan(layers.size(), budget.least)));
    std::vector<double> scores;
    Plan wild;
    for (std::size_t l = 0; l < layers.size(); ++l) {
      scores.push_back(20 * random.Unit() - 10);
      wild.push_back(budget.least + static_cast<int>(random.Below(static_cast<std::uint32_t>(
                                        budget.most - budget.least + 1))));
    }
    CheckPlan(layers, budget, FromScores(layers, budget, scores));
    CheckPlan(layers, budget, Repair(layers, budget, wild));
    plans += 3;
  }
  CHECK(plans == 600);
}

TEST_CASE("bit allocation: equal layers in size get bits in the order of their scores") {
  const std::vector<LayerCosts> layers = {{"a", 100, {0, 8, 4, 2, 1, .5, .2, .1, 0}},
                                          {"b", 100, {0, 8, 4, 2, 1, .5, .2, .1, 0}},
                                          {"c", 100, {0, 8, 4, 2, 1, .5, .2, .1, 0}}};
  CHECK(FromScores(layers, {4, 1, 8}, {1.0, 3.0, 2.0}) == Plan{3, 5, 4});
  CHECK(FromScores(layers, {1, 1, 8}, {1.0, 3.0, 2.0}) == Plan{1, 1, 1});
  CHECK(FromScores(layers, {8, 1, 8}, {1.0, 3.0, 2.0}) == Plan{8, 8, 8});
  CHECK(FromScores(layers, {2, 2, 3}, {1.0, 30.0, 2.0}) == Plan{2, 2, 2});
}

TEST_CASE("bit allocation: Fill takes the steepest descent") {
  const std::vector<LayerCosts> layers = {{"steep", 10, {0, 100, 20, 10, 9, 9, 9, 9, 9}},
                                          {"flat", 10, {0, 30, 20, 15, 12, 11, 10, 9, 9}}};
  CHECK(Fill(layers, {1.5, 1, 8}, {1, 1}) == Plan{2, 1});
  CHECK(Fill(layers, {2.5, 1, 8}, {1, 1}) == Plan{3, 2});
  CHECK(PosteriorError(layers, {3, 2}) == 30);
}

// The best of all plans within the budget, by trying each.
double BestLoss(const std::vector<LayerCosts>& layers, const Budget& budget, const Loss& loss) {
  double best = 1e300;
  Plan plan(layers.size(), budget.least);
  while (true) {
    if (AverageBits(layers, plan) <= budget.average) best = std::min(best, loss(plan));
    std::size_t l = 0;
    while (l < plan.size() && plan[l] == budget.most) plan[l++] = budget.least;
    if (l == plan.size()) return best;
    ++plan[l];
  }
}

TEST_CASE("bit allocation: random bits find what the greedy rule misses") {
  Random random(9);
  int best = 0, not_worse_than_chance = 0;
  constexpr int kTrials = 20;
  for (int trial = 0; trial < kTrials; ++trial) {
    const std::vector<LayerCosts> layers = RandomLayers(&random, 5);
    const Budget budget{2.5, 1, 5};
    // Not the greedy rule's errors: every layer matters in its own measure.
    std::vector<double> measure;
    for (int l = 0; l < 5; ++l) measure.push_back(std::exp(4.0 * random.Unit()));
    int calls = 0;
    const Loss loss = [&](const Plan& plan) {
      ++calls;
      double sum = 0;
      for (std::size_t l = 0; l < 5; ++l) {
        sum += measure[l] * layers[l].error[static_cast<std::size_t>(plan[l])] / layers[l].error[1];
      }
      return sum;
    };
    const Plan start = Fill(layers, budget, Plan(5, 1));
    const SearchOptions options{150, 8, static_cast<std::uint64_t>(trial)};
    const Plan found = RandomBits(layers, budget, start, options, loss);
    CheckPlan(layers, budget, found);
    CHECK(calls <= 150 + options.samples);
    CHECK(loss(found) <= loss(start));
    CHECK(found == RandomBits(layers, budget, start, options, loss));
    const Plan chance = RandomSearch(layers, budget, options, loss);
    CheckPlan(layers, budget, chance);
    not_worse_than_chance += loss(found) <= loss(chance) * (1 + 1e-9) ? 1 : 0;
    best += loss(found) <= BestLoss(layers, budget, loss) * 1.02 ? 1 : 0;
  }
  MESSAGE("the best of all plans: " << best << " of " << kTrials << "; at least as good as random "
                                    << "search: " << not_worse_than_chance);
  CHECK(best >= kTrials / 2);
  CHECK(not_worse_than_chance >= kTrials / 2);
}

}  // namespace
}  // namespace mu8::convert
