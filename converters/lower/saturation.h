// Ranges of what only functions read that no longer change far out: Tanh beyond 3 is the same
// stored byte, so the bytes before it need not reach further.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "converters/calibrate/calibration.h"
#include "converters/calibrate/quantization.h"
#include "converters/network/network.h"

namespace mu8::convert {

// Of each value: least, greatest, histogram and zeros, what lies beyond its readers' reach moved to
// the edge of that, and a step of a 255th further, which rounding may need. The reach of a look-up
// or a clip ends where its output, as it will be stored, stays the same over the rest of what
// calibration has seen; pools, slices and gathers hand on what is read behind them. As calibrated
// where any reader is another operator, and of the network's output.
class Reaches {
 public:
  // Both must outlive it.
  Reaches(const Network& network, const Calibration& calibration)
      : network_(network), calibration_(calibration), stored_(network.values.size()) {}

  ValueStatistics Of(int value);

 private:
  struct Reach {
    double low, high;
  };
  static Reach Union(const Reach& a, const Reach& b);
  static Reach ReachOf(const std::function<double(double)>& function, const Quantization& stored,
                       const Reach& all);
  Quantization StoredOf(int value);
  std::optional<Reach> NeededOf(int value, const Reach& all);

  const Network& network_;
  const Calibration& calibration_;
  std::vector<std::optional<Quantization>> stored_;  // by value, once it has been asked for
};

}  // namespace mu8::convert
