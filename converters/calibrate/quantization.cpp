#include "converters/calibrate/quantization.h"

#include <algorithm>
#include <cmath>

namespace mu8::convert {
namespace {

// Mean squared error of quantizing to `levels` steps of `scale` from `low` up.
double RangeError(const ValueStatistics& statistics, double scale, double low) {
  const double high = low + 255.0 * scale;
  const double width = (double{statistics.greatest} - double{statistics.least}) / kHistogramBins;
  double error = 0.0;
  for (std::size_t bin = 0; bin < kHistogramBins; ++bin) {
    if (!(statistics.histogram[bin] > 0.0)) continue;
    const double x = double{statistics.least} + (static_cast<double>(bin) + 0.5) * width;
    const double outside = x > high ? x - high : x < low ? low - x : 0.0;
    error += statistics.histogram[bin] * (outside > 0.0 ? outside * outside : scale * scale / 12.0);
  }
  return error;
}

}  // namespace

Quantization ChooseRange(const ValueStatistics& statistics, bool non_negative) {
  constexpr int kSteps = 100;
  const double low = non_negative ? 0.0 : std::min(0.0, double{statistics.least});
  const double high = std::max(0.0, double{statistics.greatest});
  constexpr double kLeastRange = 0x1p-110;            // scales of sums and products stay normal
  if (!(high - low > kLeastRange)) return {1.0F, 0};  // always zero, or as good as that
  Quantization best;
  double best_error = -1.0;
  for (int step = kSteps; step >= kSteps / 4; --step) {
    const double shrink = static_cast<double>(step) / kSteps;
    const double scale = (high - low) * shrink / 255.0;
    const double zero_point = std::nearbyint(-low * shrink / scale);
    const double error = RangeError(statistics, scale, -zero_point * scale);
    if (best_error < 0.0 || error < best_error) {
      best_error = error;
      best = {static_cast<float>(scale), static_cast<std::uint8_t>(zero_point)};
    }
  }
  return best;
}

}  // namespace mu8::convert
