// Ranges of what only functions read that no longer change far out: Tanh beyond 3 is the same
// stored byte, so the bytes before it need not reach further.
#pragma once

#include "converters/calibrate/calibration.h"
#include "converters/network/network.h"

namespace mu8::convert {

// Least, greatest, histogram and zeros of a value, what lies beyond its readers' reach moved to the
// edge of that, and a step of a 255th further, which rounding may need. The reach of a look-up or a
// clip ends where its output, as it will be stored, stays the same over the rest of what
// calibration has seen; pools and slices hand on what is read behind them. As calibrated where any
// reader is another operator, and of the network's output.
ValueStatistics ReachedStatistics(const Network& network, const Calibration& calibration,
                                  int value);

}  // namespace mu8::convert
