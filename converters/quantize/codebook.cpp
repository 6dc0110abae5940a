#include "converters/quantize/codebook.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mu8::convert {
namespace {

// Running sums of w, w v and w v^2, so that a cluster's cost takes constant time.
struct Prefix {
  std::vector<double> w, wv, wvv;

  Prefix(std::span<const double> values, std::span<const double> weights)
      : w(values.size() + 1), wv(values.size() + 1), wvv(values.size() + 1) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      w[i + 1] = w[i] + weights[i];
      wv[i + 1] = wv[i] + weights[i] * values[i];
      wvv[i + 1] = wvv[i] + weights[i] * values[i] * values[i];
    }
  }
  // Cost of bins [begin, end) at their RMS r: sum w (v - r)^2 = 2 (sum w v^2 - r sum w v).
  double Cost(std::size_t begin, std::size_t end) const {
    const double weight = w[end] - w[begin];
    if (!(weight > 0.0)) return 0.0;
    const double squares = wvv[end] - wvv[begin];
    const double rms = std::sqrt(std::max(0.0, squares / weight));
    return std::max(0.0, 2.0 * (squares - rms * (wv[end] - wv[begin])));
  }
};

}  // namespace

std::vector<std::size_t> ClusterSigmas(std::span<const double> values,
                                       std::span<const double> weights, std::size_t count) {
  const Prefix prefix(values, weights);
  const std::size_t bins = values.size();
  // best[end]: least cost of bins [0, end) in the clusters so far; start[k][end]: where the last
  // of k + 1 clusters begins.
  std::vector<double> best(bins + 1);
  for (std::size_t end = 0; end <= bins; ++end) best[end] = prefix.Cost(0, end);
  std::vector<std::vector<std::size_t>> start(count, std::vector<std::size_t>(bins + 1, 0));
  for (std::size_t k = 1; k < count; ++k) {
    std::vector<double> next(bins + 1, std::numeric_limits<double>::infinity());
    for (std::size_t end = 0; end <= bins; ++end) {
      for (std::size_t begin = 0; begin <= end; ++begin) {
        const double cost = best[begin] + prefix.Cost(begin, end);
        if (cost < next[end]) {
          next[end] = cost;
          start[k][end] = begin;
        }
      }
    }
    best = std::move(next);
  }
  std::vector<std::size_t> first(count);
  std::size_t end = bins;
  for (std::size_t k = count; k-- > 0;) {
    first[k] = k == 0 ? 0 : start[k][end];
    end = first[k];
  }
  return first;
}

std::vector<double> AffineLevels(std::span<const double> values, std::size_t count) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  std::vector<double> levels(count);
  for (std::size_t i = 0; i < count; ++i) {
    levels[i] = *low + (*high - *low) * static_cast<double>(i) / static_cast<double>(count - 1);
  }
  return levels;
}

}  // namespace mu8::convert
