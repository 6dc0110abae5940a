#include "converters/quantize/round_means.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace mu8::convert {
namespace {

constexpr int kMaxSweeps = 20;
// Inputs that calibration saw as constant still count: a fraction of the mean variance is added to
// the diagonal, which also keeps the descent from piling errors on silent inputs.
constexpr double kRidge = 0.05;

// The allowed value next to `mu` on the other side of the target, which lies `error` below the mean
// that mu produces; mu itself at the ends.
std::int8_t OtherSide(std::span<const std::int8_t> allowed, std::int8_t mu, double error) {
  const auto at = std::lower_bound(allowed.begin(), allowed.end(), mu);
  if (error > 0.0) return at == allowed.begin() ? mu : *(at - 1);
  return at + 1 == allowed.end() ? mu : *(at + 1);
}

}  // namespace

void RoundTogether(const RoundingProblem& problem) {
  const std::size_t k = problem.target.size();
  double ridge = 0.0;
  for (std::size_t i = 0; i < k; ++i) ridge += problem.covariance[i * k + i];
  ridge *= kRidge / static_cast<double>(k);
  // gradient = (C + ridge) d
  std::vector<double> gradient(k, 0.0);
  for (std::size_t i = 0; i < k; ++i) {
    const double error = problem.produced[i] - problem.target[i];
    for (std::size_t j = 0; j < k; ++j) gradient[j] += error * problem.covariance[i * k + j];
    gradient[i] += ridge * error;
  }
  for (int sweep = 0; sweep < kMaxSweeps; ++sweep) {
    bool changed = false;
    for (std::size_t i = 0; i < k; ++i) {
      if (problem.free[i] == 0) continue;
      const double error = problem.produced[i] - problem.target[i];
      const std::int8_t other = OtherSide(problem.allowed, problem.mu[i], error);
      const double step = int{other} - int{problem.mu[i]};
      const double curvature = problem.covariance[i * k + i] + ridge;
      if (step * (2.0 * gradient[i] + step * curvature) >= 0.0) continue;
      problem.produced[i] += step;
      problem.mu[i] = other;
      for (std::size_t j = 0; j < k; ++j) gradient[j] += step * problem.covariance[i * k + j];
      gradient[i] += step * ridge;
      changed = true;
    }
    if (!changed) break;
  }
}

}  // namespace mu8::convert
