// How good the probabilities of labels are, each true or not by itself (head `sigmoid`): per label,
// their macro average, and over whole label sets. With one label these are the metrics of a binary
// classifier. Doubles over float32 rows and natural logarithms as in metrics.h; METRICS.md lists
// the sources.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "converters/host/metrics.h"

namespace mu8::host {

// A label counts as predicted from this probability on.
inline constexpr double kLabelThreshold = 0.5;

// Of one label over all images; p is its probability, y its target.
struct LabelMetrics {
  double prevalence = 0;  // share of the targets that are 1
  double accuracy = 0;    // share of images with (p >= kLabelThreshold) = y
  // Mean of -[y ln max(p, kNllFloor) + (1 - y) ln max(1 - p, kNllFloor)], nats: binary
  // cross-entropy, the logarithmic score (Gneiting and Raftery 2007, sec. 4.1).
  double nll = 0;
  double brier = 0;  // mean of (p - y)^2, 0 to 1: half of what BrierScore gives two classes
  // sum_b n_b / N |mean y - mean p| over kCalibrationBins equal-width bins of p, closed on the
  // right (Naeini et al. 2015, whose case is this one).
  double ece = 0;
  // Of the images where y = 1 against those where y = 0 by p, as Auroc and AveragePrecision in
  // metrics_ranking.h; nothing where all targets are the same.
  std::optional<double> auroc;
  std::optional<double> average_precision;
};

// The functions with `targets` want [images x labels] of them, as the probabilities are, each 0 or
// 1, and at least one image. `classes` of Probabilities is the number of labels, and a row need not
// add up to 1.

// One for each label.
std::vector<LabelMetrics> ScoreLabels(const Probabilities& probabilities,
                                      std::span<const float> targets);

// Each figure's mean over the labels, at least one, all counting the same (Zhang and Zhou 2014:
// macro-averaging). AUROC and average precision: over the labels that have them; nothing if none
// has. 1 - accuracy is then the Hamming loss.
LabelMetrics MacroAverage(std::span<const LabelMetrics> labels);

// Share of the images whose labels are all predicted right (Zhang and Zhou 2014: subset accuracy).
double ExactMatch(const Probabilities& probabilities, std::span<const float> targets);

// Mean over the images of the sum over the labels of KL(p || q) as BernoulliDivergence has it:
// between independent labels, nats. Both arguments have the same size; p is what q is held against.
double MeanBernoulliKl(const Probabilities& p, const Probabilities& q);

}  // namespace mu8::host
