// Bit budgets: never exceeded, spent where it pays, the same plan for the same seed.
#include <doctest/doctest.h>

#include <cmath>

#include "converters/allocate/bit_allocation.h"
#include "tests/support/random.h"

namespace mu8::convert {
namespace {

using mu8::testing::Random;

// Errors fall to a quarter with each bit, from a height of the unit's own.
std::vector<UnitCosts> RandomUnits(Random* random, std::size_t count) {
  std::vector<UnitCosts> units;
  for (std::size_t l = 0; l < count; ++l) {
    UnitCosts unit{"unit " + std::to_string(l), 1 + random->Below(5000), {}};
    const double height = std::exp(6.0 * random->Unit()) * static_cast<double>(unit.weights);
    for (int b = 1; b <= kMostMuBits; ++b) {
      unit.error[static_cast<std::size_t>(b)] = height * std::pow(0.25, b);
    }
    units.push_back(unit);
  }
  return units;
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

// Within bounds and budget, and no single unit could have one bit more.
void CheckPlan(const std::vector<UnitCosts>& units, const Budget& budget, const Plan& plan) {
  REQUIRE(plan.size() == units.size());
  double weights = 0;
  for (const UnitCosts& unit : units) weights += static_cast<double>(unit.weights);
  const double average = AverageBits(units, plan);
  CHECK(average <= budget.average * (1 + 1e-9));
  for (std::size_t l = 0; l < plan.size(); ++l) {
    CHECK(plan[l] >= budget.least);
    CHECK(plan[l] <= budget.most);
    const double more = average + static_cast<double>(units[l].weights) / weights;
    if (plan[l] < budget.most) CHECK(more > budget.average * (1 - 1e-9));
  }
}

TEST_CASE("bit allocation: bits that are not stored cost nothing") {
  // The first unit has 4 bits where it may use 5, 6 or 7, and gains much from 8.
  std::vector<UnitCosts> units = {{"wide", 100, {0, 90, 80, 70, 60, 60, 60, 60, 0}},
                                  {"narrow", 100, {0, 60, 50, 40, 30, 20, 10, 5, 1}}};
  units[0].stored = {0, 1, 2, 3, 4, 4, 4, 4, 8};
  CHECK(AverageBits(units, {7, 4}) == 4.0);
  CHECK(AverageBits(units, {8, 4}) == 6.0);
  const Plan plan = Fill(units, {6.0, 1, 8}, {7, 1});  // 7 costs 4, so 8 can be paid
  CHECK(plan == Plan{8, 4});
  CHECK(Repair(units, {4.0, 1, 8}, {8, 4}) == Plan{7, 4});
  CHECK(FromScores(units, {4.0, 1, 8}, {7.0, 4.0}) == Plan{7, 4});
}

TEST_CASE("bit allocation: every plan keeps the budget and leaves nothing that would fit") {
  Random random(3);
  int plans = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const std::vector<UnitCosts> units = RandomUnits(&random, 1 + random.Below(12));
    const Budget budget = RandomBudget(&random);
    CAPTURE(trial);
    CheckPlan(units, budget, Fill(units, budget, Plan(units.size(), budget.least)));
    std::vector<double> scores;
    Plan wild;
    for (std::size_t l = 0; l < units.size(); ++l) {
      scores.push_back(20 * random.Unit() - 10);
      wild.push_back(budget.least + static_cast<int>(random.Below(static_cast<std::uint32_t>(
                                        budget.most - budget.least + 1))));
    }
    CheckPlan(units, budget, FromScores(units, budget, scores));
    CheckPlan(units, budget, Repair(units, budget, wild));
    plans += 3;
  }
  CHECK(plans == 600);
}

TEST_CASE("bit allocation: equal units in size get bits in the order of their scores") {
  const std::vector<UnitCosts> units = {{"a", 100, {0, 8, 4, 2, 1, .5, .2, .1, 0}},
                                        {"b", 100, {0, 8, 4, 2, 1, .5, .2, .1, 0}},
                                        {"c", 100, {0, 8, 4, 2, 1, .5, .2, .1, 0}}};
  CHECK(FromScores(units, {4, 1, 8}, {1.0, 3.0, 2.0}) == Plan{3, 5, 4});
  CHECK(FromScores(units, {1, 1, 8}, {1.0, 3.0, 2.0}) == Plan{1, 1, 1});
  CHECK(FromScores(units, {8, 1, 8}, {1.0, 3.0, 2.0}) == Plan{8, 8, 8});
  CHECK(FromScores(units, {2, 2, 3}, {1.0, 30.0, 2.0}) == Plan{2, 2, 2});
}

TEST_CASE("bit allocation: Fill takes the steepest descent") {
  const std::vector<UnitCosts> units = {{"steep", 10, {0, 100, 20, 10, 9, 9, 9, 9, 9}},
                                        {"flat", 10, {0, 30, 20, 15, 12, 11, 10, 9, 9}}};
  CHECK(Fill(units, {1.5, 1, 8}, {1, 1}) == Plan{2, 1});
  CHECK(Fill(units, {2.5, 1, 8}, {1, 1}) == Plan{3, 2});
  CHECK(PosteriorError(units, {3, 2}) == 30);
}

// The best of all plans within the budget, by trying each.
double BestLoss(const std::vector<UnitCosts>& units, const Budget& budget, const Loss& loss) {
  double best = 1e300;
  Plan plan(units.size(), budget.least);
  while (true) {
    if (AverageBits(units, plan) <= budget.average) best = std::min(best, loss(plan));
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
    const std::vector<UnitCosts> units = RandomUnits(&random, 5);
    const Budget budget{2.5, 1, 5};
    // Not the greedy rule's errors: every unit matters in its own measure.
    std::vector<double> measure;
    for (int l = 0; l < 5; ++l) measure.push_back(std::exp(4.0 * random.Unit()));
    int calls = 0;
    const Loss loss = [&](const Plan& plan) {
      ++calls;
      double sum = 0;
      for (std::size_t l = 0; l < 5; ++l) {
        sum += measure[l] * units[l].error[static_cast<std::size_t>(plan[l])] / units[l].error[1];
      }
      return sum;
    };
    const Plan start = Fill(units, budget, Plan(5, 1));
    const SearchOptions options{150, 8, static_cast<std::uint64_t>(trial)};
    const Plan found = RandomBits(units, budget, start, options, loss);
    CheckPlan(units, budget, found);
    CHECK(calls <= 150 + options.samples);
    CHECK(loss(found) <= loss(start));
    CHECK(found == RandomBits(units, budget, start, options, loss));
    const Plan chance = RandomSearch(units, budget, options, loss);
    CheckPlan(units, budget, chance);
    not_worse_than_chance += loss(found) <= loss(chance) * (1 + 1e-9) ? 1 : 0;
    best += loss(found) <= BestLoss(units, budget, loss) * 1.02 ? 1 : 0;
  }
  MESSAGE("the best of all plans: " << best << " of " << kTrials << "; at least as good as random "
                                    << "search: " << not_worse_than_chance);
  CHECK(best >= kTrials / 2);
  CHECK(not_worse_than_chance >= kTrials / 2);
}

}  // namespace
}  // namespace mu8::convert
