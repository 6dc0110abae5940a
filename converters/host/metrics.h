// How good predictive probabilities are: accuracy, proper scores, entropy and divergence.
// Everything is natural logarithms and double arithmetic over float32 rows, the same for the engine
// and for the FP32 reference, so that figures can be compared and recomputed from the file that
// `mu8 eval
// --predictions` writes. Calibration, ranking and prediction sets have files of their own;
// METRICS.md lists all of them with their sources.
#pragma once

#include <cstddef>
#include <span>

#include "converters/host/probabilities.h"

namespace mu8::host {

// -ln p is taken of max(p, kNllFloor): a class that no pass gave any probability costs 27.6 nats.
inline constexpr double kNllFloor = 1e-12;

// images x classes, one row per image.
struct Probabilities {
  std::span<const float> values;
  std::size_t classes = 1;

  std::size_t images() const { return values.size() / classes; }
  std::span<const float> row(std::size_t image) const {
    return values.subspan(image * classes, classes);
  }
};

// The most probable class; the lowest index among equals.
std::size_t TopClass(std::span<const float> row);

// The functions with `labels` want one label per image, each in [0, classes), and at least one
// image.

// Fraction of images whose top class is the label.
double Accuracy(const Probabilities& probabilities, std::span<const int> labels);

// Fraction of images whose label is among the k most probable classes; the lower index goes first
// among equals, so that k = 1 is Accuracy (Russakovsky et al. 2015, as one minus the top-5
// error). 1 when there are at most k classes.
double TopKAccuracy(const Probabilities& probabilities, std::span<const int> labels, std::size_t k);

// Mean of -ln max(p[label], kNllFloor): the logarithmic score (Gneiting and Raftery 2007,
// sec. 4.1).
double NegativeLogLikelihood(const Probabilities& probabilities, std::span<const int> labels);

// Mean of sum_c (p_c - 1[c = label])^2: the sum form, 0 to 2 (Brier 1950, eq. 2). Ovadia et al.
// 2019 print sum_c p_c^2 - 2 p[label], which is this minus 1; some libraries divide by the classes.
double BrierScore(const Probabilities& probabilities, std::span<const int> labels);

// The mean over the classes that occur, in labels or predictions, of |both| / |either|, rows where
// the class is the label and the most probable one (Everingham et al. 2010, for segmentation).
double MeanIou(const Probabilities& probabilities, std::span<const int> labels);

// Mean over the images of the entropy of each row: total uncertainty when rows are mean
// predictions.
double MeanEntropy(const Probabilities& probabilities);

// Mean over the images of KL(p || q) as AddDivergence has it. Both arguments have the same size.
double MeanKl(const Probabilities& p, const Probabilities& q);

// Share of the images whose most probable class is the same in both; the lowest index among equals.
double LabelAgreement(const Probabilities& p, const Probabilities& q);

double Mean(std::span<const double> values);

}  // namespace mu8::host
