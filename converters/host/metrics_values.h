// How good predicted values are, and the uncertainty that comes with them (head `values`:
// regression). Without the noise of observations only the errors can be judged, and whether they
// are larger where the networks disagree; with it a prediction is a Gaussian, and proper scores and
// intervals can be. FitNoise estimates the noise. Doubles over float32 rows, one row per input,
// natural logarithms; METRICS.md lists the sources.
//
// All functions throw Error, which names the input and the output, where a mean or a target is not
// finite, or a variance negative or NaN.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace mu8::host {

// inputs x outputs, one row per input.
struct ValuePredictions {
  std::span<const float> mean;      // over the passes, in the unit of the output
  std::span<const float> variance;  // of the passes' values: epistemic, in the unit's square
  std::size_t outputs = 1;

  std::size_t inputs() const { return mean.size() / outputs; }
};

// `targets` are [inputs x outputs] everywhere, of at least one input; an error is mean - target.

struct ValueMetrics {
  double rmse = 0;  // square root of the mean of error^2
  double mae = 0;   // mean of |error|
  double bias = 0;  // mean error: above 0 where predictions are too high
  // 1 - sum error^2 / sum (target - mean target)^2, the share of variance explained: 0 for always
  // predicting the mean target, below 0 for worse. Nothing when all targets are equal.
  std::optional<double> r2;
  // SpearmanCorrelation of |error| and the epistemic standard deviation. An infinite one is the
  // largest.
  std::optional<double> error_correlation;
};

// One for each output.
std::vector<ValueMetrics> ScoreValues(const ValuePredictions& predictions,
                                      std::span<const float> targets);

// Pearson's correlation of the ranks, equal values having their mean rank (Spearman 1904), -1 to 1.
// Nothing when all values on one side are equal. Both spans have the same size, without NaN.
std::optional<double> SpearmanCorrelation(std::span<const double> a, std::span<const double> b);

// ---- With the noise of observations (aleatoric). The prediction is taken for the Gaussian
// N(mean, epistemic + noise variance): moment-matched to the mixture over the passes of
// N(value of the pass, noise), which need not be Gaussian itself (Lakshminarayanan et al. 2017,
// sec. 2.4; Kendall and Gal 2017 on the sum of the variances).

// Central intervals [mean - z s, mean + z s], z = Phi^-1((1 + level) / 2), s the standard
// deviation.
struct IntervalMetrics {
  double level = 0;       // what should lie inside
  double coverage = 0;    // share of the targets inside; the ends are inside
  double mean_width = 0;  // mean of 2 z s, in the unit of the output
};

inline constexpr std::array<double, 3> kIntervalLevels = {0.5, 0.9, 0.95};

// Levels of the calibration curve: 0.05, 0.10, ..., 0.95.
inline constexpr std::size_t kCurveLevels = 19;

struct GaussianMetrics {
  // Mean of [ln(2 pi s^2) + error^2 / s^2] / 2, nats: logarithmic score of the density (Gneiting
  // and Raftery 2007, sec. 4.1). It depends on the unit and may be below 0.
  double nll = 0;
  // Mean of s [z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)], z = error / s: the integral over x of
  // (Phi_s(x - mean) - 1[x >= target])^2 in closed form, in the unit of the output (Gneiting and
  // Raftery 2007, sec. 4.2, turned around so that less is better; Gneiting et al. 2005).
  double crps = 0;
  std::array<IntervalMetrics, kIntervalLevels.size()> intervals;
  std::array<IntervalMetrics, kCurveLevels> curve;
  // Mean of |coverage - level| over the curve (Kuleshov, Fenner and Ermon 2018, who sum squares,
  // and over one-sided intervals).
  double calibration_error = 0;
};

// One for each output. `noise` holds variances: one per output [outputs], or one per input and
// output [inputs x outputs]. Throws Error where a noise is negative or NaN, or epistemic + noise
// variance not finite or below the smallest float above 0, as where both are 0: such a prediction
// has no density.
std::vector<GaussianMetrics> ScoreGaussian(const ValuePredictions& predictions,
                                           std::span<const float> targets,
                                           std::span<const double> noise);

// The noise variance of each output, at least `floor`, of the least mean nll in GaussianMetrics:
// maximum likelihood. `floor` itself where nothing above it is likelier, as where the epistemic
// variances alone exceed the errors; never above the largest of error^2 - epistemic variance, or
// `floor`. Where several are equally likely, one of them. `floor` is a variance: outputs of
// different units had better be given one by one. Throws Error where `floor` or an epistemic
// variance is not finite, or `floor` below the smallest float above 0.
std::vector<double> FitNoise(const ValuePredictions& predictions, std::span<const float> targets,
                             double floor);

}  // namespace mu8::host
