#include "converters/host/metrics_calibration.h"

#include <algorithm>
#include <cmath>

#include "converters/host/metrics_ranking.h"

namespace mu8::host {

std::size_t BinOf(double value, std::size_t bins) {
  const double end = std::ceil(value * static_cast<double>(bins));
  return static_cast<std::size_t>(std::clamp(end, 1.0, static_cast<double>(bins))) - 1;
}

std::vector<Bin> EqualWidthBins(std::span<const double> predicted, std::span<const double> observed,
                                std::size_t bins) {
  std::vector<Bin> result(bins);
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    Bin& bin = result[BinOf(predicted[i], bins)];
    ++bin.count;
    bin.predicted += predicted[i];
    bin.observed += observed[i];
  }
  return result;
}

std::vector<Bin> EqualMassBins(std::span<const double> predicted, std::span<const double> observed,
                               std::size_t bins) {
  const std::vector<Ranked> sorted = SortDescending(predicted, observed);
  const std::size_t images = sorted.size();
  std::vector<Bin> result(bins);
  std::size_t next = images;  // from the lowest
  for (std::size_t b = 0; b < bins; ++b) {
    result[b].count = images / bins + (b < images % bins ? 1 : 0);
    for (std::size_t i = 0; i < result[b].count; ++i) {
      const Ranked& image = sorted[--next];
      result[b].predicted += image.score;
      result[b].observed += image.value;
    }
  }
  return result;
}

double ExpectedGap(std::span<const Bin> bins) {
  double sum = 0;
  std::size_t images = 0;
  for (const Bin& bin : bins) {
    sum += std::abs(bin.observed - bin.predicted);
    images += bin.count;
  }
  return sum / static_cast<double>(images);
}

double LargestGap(std::span<const Bin> bins) {
  double largest = 0;
  for (const Bin& bin : bins) {
    if (bin.count == 0) continue;
    largest = std::max(largest, std::abs(bin.mean_observed() - bin.mean_predicted()));
  }
  return largest;
}

TopPredictions FindTopPredictions(const Probabilities& probabilities, std::span<const int> labels) {
  TopPredictions result;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> row = probabilities.row(i);
    const std::size_t top = TopClass(row);
    result.confidence.push_back(static_cast<double>(row[top]));
    result.correct.push_back(top == static_cast<std::size_t>(labels[i]) ? 1.0 : 0.0);
  }
  return result;
}

std::vector<double> NormalizedEntropy(const Probabilities& probabilities) {
  const double highest = std::log(static_cast<double>(probabilities.classes));
  std::vector<double> result;
  for (std::size_t i = 0; i < probabilities.images(); ++i) {
    result.push_back(highest > 0 ? Entropy(probabilities.row(i)) / highest : 0.0);
  }
  return result;
}

std::vector<Bin> ReliabilityBins(const Probabilities& probabilities, std::span<const int> labels,
                                 std::size_t bins) {
  const TopPredictions top = FindTopPredictions(probabilities, labels);
  return EqualWidthBins(top.confidence, top.correct, bins);
}

std::vector<Bin> UncertaintyBins(const Probabilities& probabilities, std::span<const int> labels,
                                 std::size_t bins) {
  std::vector<double> wrong = FindTopPredictions(probabilities, labels).correct;
  for (double& value : wrong) value = 1.0 - value;
  return EqualWidthBins(NormalizedEntropy(probabilities), wrong, bins);
}

double ExpectedCalibrationError(const Probabilities& probabilities, std::span<const int> labels,
                                std::size_t bins) {
  return ExpectedGap(ReliabilityBins(probabilities, labels, bins));
}

double MaximumCalibrationError(const Probabilities& probabilities, std::span<const int> labels,
                               std::size_t bins) {
  return LargestGap(ReliabilityBins(probabilities, labels, bins));
}

double AdaptiveCalibrationError(const Probabilities& probabilities, std::span<const int> labels,
                                std::size_t bins) {
  const TopPredictions top = FindTopPredictions(probabilities, labels);
  return ExpectedGap(EqualMassBins(top.confidence, top.correct, bins));
}

double UncertaintyCalibrationError(const Probabilities& probabilities, std::span<const int> labels,
                                   std::size_t bins) {
  return ExpectedGap(UncertaintyBins(probabilities, labels, bins));
}

}  // namespace mu8::host
