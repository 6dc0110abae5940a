// Spending a budget of bits on the means of units (layers, or panels of them): what the methods of
// allocate.h have in common, without networks.
//
// Average bits count weights only: sum n_l b_l / sum n_l over the units. A file's
// size has sigmas, scales, tables and biases besides.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "formats/limits.h"

namespace mu8::convert {

inline constexpr int kMostMuBits = format::kMaxMuBits;

struct UnitCosts {
  std::string name;
  std::size_t weights = 0;
  // What the unit's weights lose with b bits, in nats: 1/2 sum (E[w] - mu)^2 / sigma^2, the
  // divergence from the posterior of one that has moved but kept its width. [0] is unused.
  std::array<double, kMostMuBits + 1> error{};
  // Bits that the converter stores when it may use b: fewer where they serve better.
  std::array<int, kMostMuBits + 1> stored = {0, 1, 2, 3, 4, 5, 6, 7, 8};
};

struct Budget {
  double average = 8;                 // bits
  int least = 1, most = kMostMuBits;  // of each unit
};

using Plan = std::vector<int>;  // bits by unit

double AverageBits(const std::vector<UnitCosts>& units, const Plan& plan);
double PosteriorError(const std::vector<UnitCosts>& units, const Plan& plan);

// Bits up, one by one, where the error falls most per weight, as long as the budget lasts (a
// knapsack filled greedily).
Plan Fill(const std::vector<UnitCosts>& units, const Budget& budget, Plan plan);

// Bits down, one by one, where the error rises least per weight, until the budget holds; then Fill.
Plan Repair(const std::vector<UnitCosts>& units, const Budget& budget, Plan plan);

// b_l = score_l + offset, rounded and kept within the budget's bounds, with the largest offset that
// the budget allows (by bisection); what is left goes to Fill.
Plan FromScores(const std::vector<UnitCosts>& units, const Budget& budget,
                const std::vector<double>& scores);

// A plan's loss; lower is better.
using Loss = std::function<double(const Plan&)>;

struct SearchOptions {
  int evaluations = 400;  // of the loss; plans seen before cost nothing
  int samples = 8;        // plans per step of RandomBits
  std::uint64_t seed = 1;
};

// Bit-widths as random variables: a categorical distribution for each unit, softmax of logits that
// start at -|b - start_l|. Stochastic gradient descent on the expected loss of the repaired plan
// with the score-function estimator and the mean of the other samples as baseline (Kool et al.
// 2019, "Buy 4 REINFORCE samples, get a baseline for free!"). Returns the best plan that was met;
// the start and the uniform plan are among them.
Plan RandomBits(const std::vector<UnitCosts>& units, const Budget& budget, const Plan& start,
                const SearchOptions& options, const Loss& loss);

// The best of as many uniformly random plans, repaired.
Plan RandomSearch(const std::vector<UnitCosts>& units, const Budget& budget,
                  const SearchOptions& options, const Loss& loss);

}  // namespace mu8::convert
