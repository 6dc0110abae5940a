// The range of a value that only functions read: what they do not tell apart needs no bytes.
#pragma once

#include <cstddef>
#include <vector>

#include "converters/calibrate/calibration.h"
#include "converters/calibrate/quantization.h"

namespace mu8::convert {

// Where bin `edge` of the histogram begins; kHistogramBins: where the last one ends.
double BinEdge(const ValueStatistics& statistics, std::size_t edge);

// What a function makes of a value, in steps of what stores it: there it is rounded.
struct ResultBehind {
  double weight = 1.0;     // of its errors
  std::vector<double> at;  // [kHistogramBins + 1], at the edges of the bins
};

// Scale and zero point of least mean squared error of the results: of their own rounding, of the
// value's, step^2 / 12 times the square of the slope, and of its clamps, which count 16 times. All
// that calibration has seen where that costs hardly more.
Quantization ChooseRangeBefore(const ValueStatistics& statistics,
                               const std::vector<ResultBehind>& results);

}  // namespace mu8::convert
