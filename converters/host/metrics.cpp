#include "converters/host/metrics.h"

#include <algorithm>
#include <cmath>

namespace mu8::host {

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

double MeanIou(const Probabilities& probabilities, std::span<const int> labels) {
  std::vector<double> both(probabilities.classes, 0.0), either(probabilities.classes, 0.0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::size_t found = TopClass(probabilities.row(i));
    const auto label = static_cast<std::size_t>(labels[i]);
    ++either[label];
    if (found == label) {
      ++both[label];
    } else {
      ++either[found];
    }
  }
  double sum = 0.0, classes = 0.0;
  for (std::size_t c = 0; c < both.size(); ++c) {
    if (either[c] > 0.0) sum += both[c] / either[c], ++classes;
  }
  return sum / classes;
}

double MeanEntropy(const Probabilities& probabilities) {
  double sum = 0;
  for (std::size_t i = 0; i < probabilities.images(); ++i) sum += Entropy(probabilities.row(i));
  return sum / static_cast<double>(probabilities.images());
}

double MeanKl(const Probabilities& p, const Probabilities& q) {
  double sum = 0;
  AddDivergence(p.values, q.values, &sum);
  return sum / static_cast<double>(p.images());
}

double LabelAgreement(const Probabilities& p, const Probabilities& q) {
  std::size_t same = 0;
  for (std::size_t i = 0; i < p.images(); ++i) same += TopClass(p.row(i)) == TopClass(q.row(i));
  return static_cast<double>(same) / static_cast<double>(p.images());
}

double Mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace mu8::host
