#include "converters/round_means.h"

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
      const double step = error > 0.0 ? -1.0 : 1.0;  // the integer on the other side
      const double curvature = problem.covariance[i * k + i] + ridge;
      if (2.0 * step * gradient[i] + curvature >= 0.0) continue;
      problem.produced[i] += step;
      problem.mu[i] = static_cast<std::int8_t>(problem.mu[i] + static_cast<int>(step));
      for (std::size_t j = 0; j < k; ++j) gradient[j] += step * problem.covariance[i * k + j];
      gradient[i] += step * ridge;
      changed = true;
    }
    if (!changed) break;
  }
}

}  // namespace mu8::convert
