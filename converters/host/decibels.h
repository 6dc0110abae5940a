// Signal-to-noise ratios in decibels, as every report gives them.
#pragma once

#include <cmath>
#include <limits>

namespace mu8::host {

// 10 log10(signal / noise) of two powers; infinity without noise, which JSON says as null.
inline double Decibels(double signal, double noise) {
  return noise > 0.0 ? 10.0 * std::log10(signal / noise) : std::numeric_limits<double>::infinity();
}

}  // namespace mu8::host
