// Ranges of what only functions read: beyond 3 a Tanh hardly changes, so the bytes before it are
// better spent on what lies between.
#pragma once

#include <optional>
#include <vector>

#include "converters/calibrate/calibration.h"
#include "converters/calibrate/quantization.h"
#include "converters/calibrate/range_before.h"
#include "converters/network/network.h"

namespace mu8::convert {

// How each value is stored. Where all readers are look-ups or clips, behind pools, slices and
// gathers too, the range is that of least mean squared error behind them, in steps of what they
// store; else, and of the network's output, that of least error of the value itself.
class FunctionRanges {
 public:
  // Both must outlive it.
  FunctionRanges(const Network& network, const Calibration& calibration)
      : network_(network), calibration_(calibration), chosen_(network.values.size()) {}

  Quantization Of(int value);

  // Fraction of the value's calibration outputs above the range that `stored` gives it; where
  // functions alone read it, of those that one of them tells from the range's end by a step.
  double Saturation(int value, const Quantization& stored);

 private:
  std::optional<std::vector<ResultBehind>> Behind(int value, const ValueStatistics& seen);

  const Network& network_;
  const Calibration& calibration_;
  std::vector<std::optional<Quantization>> chosen_;  // by value, once it has been asked for
};

}  // namespace mu8::convert
