#include "converters/host/normal.h"

#include <cmath>
#include <numbers>

namespace mu8::host {

double NormalDensity(double z) {
  return std::exp(-0.5 * z * z) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
}

double NormalCdf(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

double NormalQuantile(double probability) {
  // Phi(-40) is below the smallest double, Phi(40) is 1; 80 / 2^100 is nothing beside any quantile.
  double low = -40.0;
  double high = 40.0;
  for (int i = 0; i < 100; ++i) {
    const double middle = 0.5 * (low + high);
    (NormalCdf(middle) < probability ? low : high) = middle;
  }
  return high;
}

}  // namespace mu8::host
