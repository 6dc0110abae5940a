// When an image has had enough passes: bets against the opposite of a decision. The wealth of a
// fair or unfavourable game never exceeds 1 / error with probability above `error`, however long it
// is watched (Ville 1939); the bets follow Waudby-Smith and Ramdas 2024. engine/STOPPING.md has the
// rule, its theorem and proof. Float additions, multiplications and divisions in a fixed order, so
// every target ends at the same pass.
#pragma once

#include <cstdint>
#include <span>

#include "engine/src/statistics.h"
#include "mu8/mu8.h"

namespace mu8 {

// One image's bets. `sum` and `square` are those of the advantages seen so far.
struct StopState {
  float sum = 0, square = 0;
  float wealth[2] = {1, 1};  // kLabel: the first only. kThreshold: for above, for below
  // kWithin, of values x, passes or pairs, with their weights l: sums of l, l x, v psi(l) and x.
  double weights = 0, weighted = 0, spent = 0, total = 0;
  std::uint32_t steps = 0;
  std::uint32_t clipped = 0;  // of values: passes outside the range
  float first_of_pair = 0;
  std::uint32_t leader = 0;  // kLabel: the label of pass 0, the only one that can be decided
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

}  // namespace mu8
