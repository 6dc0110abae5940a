#include "tools/mu8/metrics.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace mu8::tool {

std::size_t TopClass(std::span<const float> row) {
  return static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

double Accuracy(const Probabilities& probabilities, std::span<const int> labels) {
  std::size_t correct = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    correct += TopClass(probabilities.row(i)) == static_cast<std::size_t>(labels[i]);
  }
  return static_cast<double>(correct) / static_cast<double>(labels.size());
}

double NegativeLogLikelihood(const Probabilities& probabilities, std::span<const int> labels) {
  double sum = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const float p = probabilities.row(i)[static_cast<std::size_t>(labels[i])];
    sum -= std::log(std::max(static_cast<double>(p), kNllFloor));
  }
  return sum / static_cast<double>(labels.size());
}

double BrierScore(const Probabilities& probabilities, std::span<const int> labels) {
  double sum = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> row = probabilities.row(i);
    for (std::size_t c = 0; c < row.size(); ++c) {
      const double truth = c == static_cast<std::size_t>(labels[i]) ? 1.0 : 0.0;
      const double error = static_cast<double>(row[c]) - truth;
      sum += error * error;
    }
  }
  return sum / static_cast<double>(labels.size());
}

double ExpectedCalibrationError(const Probabilities& probabilities, std::span<const int> labels,
                                std::size_t bins) {
  // Per bin the sum of (1[correct] - confidence): n_b (accuracy_b - confidence_b).
  std::vector<double> gaps(bins, 0.0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> row = probabilities.row(i);
    const std::size_t top = TopClass(row);
    const auto confidence = static_cast<double>(row[top]);
    // A float32 is either exactly on an edge or far (in double's terms) from it, so the product
    // rounds to the right side of each edge.
    const double bin_end = std::ceil(confidence * static_cast<double>(bins));
    const double bin = std::clamp(bin_end, 1.0, static_cast<double>(bins)) - 1.0;
    const double correct = top == static_cast<std::size_t>(labels[i]) ? 1.0 : 0.0;
    gaps[static_cast<std::size_t>(bin)] += correct - confidence;
  }
  double sum = 0;
  for (const double gap : gaps) sum += std::abs(gap);
  return sum / static_cast<double>(labels.size());
}

double Entropy(std::span<const float> row) {
  double sum = 0;
  for (const float value : row) {
    const auto p = static_cast<double>(value);
    if (p > 0) sum -= p * std::log(p);
  }
  return sum;
}

double MeanEntropy(const Probabilities& probabilities) {
  double sum = 0;
  for (std::size_t i = 0; i < probabilities.images(); ++i) sum += Entropy(probabilities.row(i));
  return sum / static_cast<double>(probabilities.images());
}

double MeanKl(const Probabilities& p, const Probabilities& q) {
  double sum = 0;
  for (std::size_t i = 0; i < p.values.size(); ++i) {
    const double p_value = std::max(static_cast<double>(p.values[i]), kKlFloor);
    const double q_value = std::max(static_cast<double>(q.values[i]), kKlFloor);
    sum += p_value * std::log(p_value / q_value);
  }
  return sum / static_cast<double>(p.images());
}

double Mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double Auroc(std::span<const double> negatives, std::span<const double> positives) {
  std::vector<std::pair<double, bool>> scores;  // score, is positive
  for (const double score : negatives) scores.emplace_back(score, false);
  for (const double score : positives) scores.emplace_back(score, true);
  std::sort(scores.begin(), scores.end());

  // Sum of the positives' ranks, 1 for the lowest score; equal scores share their mean rank.
  double rank_sum = 0;
  for (std::size_t first = 0; first < scores.size();) {
    std::size_t end = first;
    std::size_t positive_count = 0;
    for (; end < scores.size() && scores[end].first == scores[first].first; ++end) {
      positive_count += scores[end].second;
    }
    const double mean_rank = 0.5 * static_cast<double>(first + 1 + end);
    rank_sum += mean_rank * static_cast<double>(positive_count);
    first = end;
  }
  const auto p = static_cast<double>(positives.size());
  const auto n = static_cast<double>(negatives.size());
  return (rank_sum - 0.5 * p * (p + 1.0)) / (p * n);
}

}  // namespace mu8::tool
