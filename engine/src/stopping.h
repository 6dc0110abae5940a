// When an image has had enough passes: bets against the opposite of a decision. The wealth of a
// fair or unfavourable game never exceeds 1 / error with probability above `error`, however long it
// is watched (Ville 1939); the bets follow Waudby-Smith and Ramdas 2024. engine/STOPPING.md has the
// rule, its theorem and proof. Float additions, multiplications and divisions in a fixed order, so
// every target ends at the same pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/src/real.h"
#include "engine/src/statistics.h"
#include "mu8/mu8.h"

namespace mu8 {

// One output's bets. `sum` and `square` are those of the advantages seen so far.
struct Bets {
  float sum = 0, square = 0;
  float wealth[2] = {1, 1};  // kLabel: the first only. Thresholds: for above, for below
  float first_of_pair = 0;
};

// One image's, of a rule about one output.
struct StopState {
  Bets bets;
  std::uint32_t leader = 0;  // kLabel: the label of pass 0, the only one that can be decided
  // kWithin, of values x, passes or pairs, with their weights l: sums of l, l x, v psi(l) and x.
  Real weights{}, weighted{}, spent{}, total{};
  std::uint32_t steps = 0;
  std::uint32_t clipped = 0;  // of values: passes outside the range
};

// Of values: shares of an output's range, 0 to 1, which the rule takes as it takes probabilities.
struct Share {
  float low, high;

  float operator()(float value) const {
    return ((value < low ? low : value > high ? high : value) - low) / (high - low);
  }
  bool clips(float value) const { return value < low || value > high; }
};

// `stop` in shares of the range.
Stop InShares(const Stop& stop, const Share& share);

// Takes pass `pass` (from 0, none left out) with its probabilities; `sums` hold it already. Returns
// kAllSamples as long as nothing is decided.
Ended WatchPass(const Stop& stop, Noise noise, std::uint32_t pass,
                std::span<const float> probabilities, const Sums& sums, StopState* state);

// Method::kAuto: whether a prediction by moments leaves its image to sampling. `stop` is in shares
// of the range, where there is one, and `share` what makes those of `mean`.
bool LeavesDoubt(const Stop& stop, const Doubt& doubt, const Share* share,
                 std::span<const float> mean, float predictive_entropy);
// kThresholds: on which side of the threshold each chosen output's mean lies.
void DecideByMean(const Stop& stop, std::span<const float> mean, std::span<Decision> decisions);

// kThresholds: how many of `outputs` are to be decided about.
std::uint32_t ChosenCount(const Stop& stop, std::size_t outputs);

// kThresholds, before the first pass.
void ClearDecisions(const Stop& stop, std::span<Bets> bets, std::span<Decision> decisions);

// kThresholds: WatchPass for each output that is not decided, where `stop.error` is that of one:
// the whole error divided by ChosenCount.
Ended WatchOutputs(const Stop& stop, Noise noise, std::uint32_t pass,
                   std::span<const float> probabilities, std::span<Bets> bets,
                   std::span<Decision> decisions);

}  // namespace mu8
