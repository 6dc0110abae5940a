#include "tools/mu8/metrics.h"

#include <algorithm>
#include <cmath>

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

double TopKAccuracy(const Probabilities& probabilities, std::span<const int> labels,
                    std::size_t k) {
  std::size_t hits = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> row = probabilities.row(i);
    const auto label = static_cast<std::size_t>(labels[i]);
    std::size_t ahead = 0;  // classes that come before the label
    for (std::size_t c = 0; c < row.size(); ++c) {
      ahead += row[c] > row[label] || (row[c] == row[label] && c < label);
    }
    hits += ahead < k;
  }
  return static_cast<double>(hits) / static_cast<double>(labels.size());
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

double LabelAgreement(const Probabilities& p, const Probabilities& q) {
  std::size_t same = 0;
  for (std::size_t i = 0; i < p.images(); ++i) {
    const auto label = [i](const Probabilities& of) {
      const auto row = of.values.begin() + static_cast<std::ptrdiff_t>(i * of.classes);
      const auto end = row + static_cast<std::ptrdiff_t>(of.classes);
      return std::max_element(row, end) - row;
    };
    if (label(p) == label(q)) ++same;
  }
  return static_cast<double>(same) / static_cast<double>(p.images());
}

double Mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace mu8::tool
