// Rounding a channel's means together instead of one by one.
#pragma once

#include <cstdint>
#include <span>

namespace mu8::convert {

// Chooses for each free weight between the two allowed values around its true mean so that the
// variance of the channel's output error, d^T C d with d = produced - true mean and C the inputs'
// covariance, is locally least: coordinate descent from the nearest values (the discrete problem
// of Nagel et al. 2020, "Up or down? Adaptive rounding", eq. 13, in one layer and without
// training). All means in weight steps.
struct RoundingProblem {
  std::span<const double> covariance;    // [K][K], symmetric
  std::span<const double> target;        // [K] true means
  std::span<const std::uint8_t> free;    // [K] 0: leave this weight as it is
  std::span<const std::int8_t> allowed;  // ascending; each free mu is one of them
  std::span<double> produced;            // [K] in: E[w] of the stored weights; out: updated
  std::span<std::int8_t> mu;             // [K] in and out
};
void RoundTogether(const RoundingProblem& problem);

}  // namespace mu8::convert
