// Whether a forecast means what it says: of the images that it calls 80 % sure, are 80 % right?
// Images fall into bins of what was predicted, and each bin's mean prediction is held against what
// was observed in it. One bin table serves the confidence (ECE, MCE, adaptive ECE) and the
// uncertainty (UCE), and reliability diagrams are drawn from it. METRICS.md compares definitions.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "converters/host/metrics.h"

namespace mu8::host {

inline constexpr std::size_t kCalibrationBins = 15;

// Equal-width bins of [0, 1], closed on the right: (b / bins, (b + 1) / bins]; values up to 0 fall
// into the first, values above 1 into the last (as numpy.digitize(right=True) in
// uq_benchmark_2019's metrics_lib.py). For a float32 the product is exact enough to be on the right
// side of every edge.
std::size_t BinOf(double value, std::size_t bins);

struct Bin {
  std::size_t count = 0;
  double predicted = 0;  // sums over the bin's images
  double observed = 0;

  double mean_predicted() const { return predicted / static_cast<double>(count); }
  double mean_observed() const { return observed / static_cast<double>(count); }
};

// One value of each span per image.
std::vector<Bin> EqualWidthBins(std::span<const double> predicted, std::span<const double> observed,
                                std::size_t bins);

// As many images in each: sorted by `predicted`, the first N mod bins bins hold one more (as
// numpy.array_split; torch-uncertainty's adaptive calibration error). Images of equal `predicted`
// count with their mean `observed`: their order in the data has no say.
std::vector<Bin> EqualMassBins(std::span<const double> predicted, std::span<const double> observed,
                               std::size_t bins);

// sum_b n_b / N |observed_b - predicted_b|.
double ExpectedGap(std::span<const Bin> bins);

// max_b |observed_b - predicted_b| over the bins that hold an image.
double LargestGap(std::span<const Bin> bins);

// Of each image the probability of its top class, and 1 where that is the label, else 0.
struct TopPredictions {
  std::vector<double> confidence;
  std::vector<double> correct;
};
TopPredictions FindTopPredictions(const Probabilities& probabilities, std::span<const int> labels);

// H(p) / ln C of each image, 0 to 1; 0 with one class (Laves et al. 2019).
std::vector<double> NormalizedEntropy(const Probabilities& probabilities);

// What reliability diagrams show: predicted is the confidence, observed the accuracy.
std::vector<Bin> ReliabilityBins(const Probabilities& probabilities, std::span<const int> labels,
                                 std::size_t bins = kCalibrationBins);

// Predicted is the normalized entropy, observed the error.
std::vector<Bin> UncertaintyBins(const Probabilities& probabilities, std::span<const int> labels,
                                 std::size_t bins = kCalibrationBins);

// ECE: sum_b n_b / N |accuracy_b - confidence_b| over equal-width bins of the top probability
// (Guo et al. 2017, eq. 3; Naeini et al. 2015).
double ExpectedCalibrationError(const Probabilities& probabilities, std::span<const int> labels,
                                std::size_t bins = kCalibrationBins);

// MCE: the largest gap of those bins (Guo et al. 2017, eq. 5).
double MaximumCalibrationError(const Probabilities& probabilities, std::span<const int> labels,
                               std::size_t bins = kCalibrationBins);

// ECE over bins of equal mass (Nguyen and O'Connor 2015; Nixon et al. 2019, of the top class
// alone).
double AdaptiveCalibrationError(const Probabilities& probabilities, std::span<const int> labels,
                                std::size_t bins = kCalibrationBins);

// UCE: sum_b n_b / N |error_b - u_b|, u = H(p) / ln C (Laves et al. 2019; as their uceloss).
double UncertaintyCalibrationError(const Probabilities& probabilities, std::span<const int> labels,
                                   std::size_t bins = kCalibrationBins);

}  // namespace mu8::host
