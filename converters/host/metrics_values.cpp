#include "converters/host/metrics_values.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <string>

#include "converters/host/error.h"
#include "converters/host/metrics.h"
#include "converters/host/normal.h"

namespace mu8::host {
namespace {

// Errors are below 1e39, so that error^2 over this is still a double.
constexpr double kLeastVariance = std::numeric_limits<float>::denorm_min();

// One output of all inputs.
struct Column {
  std::vector<double> targets;
  std::vector<double> errors;     // mean - target
  std::vector<double> variances;  // epistemic, or with the noise
};

[[noreturn]] void Refuse(std::size_t input, std::size_t output, const std::string& problem) {
  throw Error("input " + std::to_string(input) + ", output " + std::to_string(output) + ": " +
              problem);
}

void MustBeFinite(double variance, std::size_t input, std::size_t output) {
  if (!std::isfinite(variance)) Refuse(input, output, "the variance is not finite");
}

Column ColumnOf(const ValuePredictions& predictions, std::span<const float> targets,
                std::size_t output) {
  Column column;
  for (std::size_t input = 0; input < predictions.inputs(); ++input) {
    const std::size_t at = input * predictions.outputs + output;
    const auto target = static_cast<double>(targets[at]);
    const double error = static_cast<double>(predictions.mean[at]) - target;
    const auto variance = static_cast<double>(predictions.variance[at]);
    if (!std::isfinite(error)) Refuse(input, output, "the mean or the target is not finite");
    if (!(variance >= 0.0)) Refuse(input, output, "the variance is negative or not a number");
    column.targets.push_back(target);
    column.errors.push_back(error);
    column.variances.push_back(variance);
  }
  return column;
}

// ---- Errors.

double MeanSquare(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return sum / static_cast<double>(values.size());
}

std::vector<double> Magnitudes(std::vector<double> values) {
  for (double& value : values) value = std::abs(value);
  return values;
}

std::vector<double> Deviations(std::vector<double> values) {
  const double mean = Mean(values);
  for (double& value : values) value -= mean;
  return values;
}

std::optional<double> ExplainedVariance(const Column& column) {
  const auto [least, most] = std::minmax_element(column.targets.begin(), column.targets.end());
  if (*least == *most) return std::nullopt;
  return 1.0 - MeanSquare(column.errors) / MeanSquare(Deviations(column.targets));
}

// 1 for the least; equal values have the mean of their ranks.
std::vector<double> MeanRanks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t end = first;
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    const double rank = 0.5 * static_cast<double>(first + 1 + end);
    for (; first < end; ++first) ranks[order[first]] = rank;
  }
  return ranks;
}

// ---- Gaussian predictions.

// Mean negative log-likelihood of the errors under N(0, variance + noise), nats.
double GaussianNll(const Column& column, double noise) {
  double sum = 0;
  for (std::size_t i = 0; i < column.errors.size(); ++i) {
    const double variance = column.variances[i] + noise;
    const double error = column.errors[i];
    sum += std::log(2.0 * std::numbers::pi * variance) + error * error / variance;
  }
  return 0.5 * sum / static_cast<double>(column.errors.size());
}

double MeanCrps(const Column& column) {
  double sum = 0;
  for (std::size_t i = 0; i < column.errors.size(); ++i) {
    const double deviation = std::sqrt(column.variances[i]);
    const double z = column.errors[i] / deviation;
    sum += deviation *
           (z * (2.0 * NormalCdf(z) - 1.0) + 2.0 * NormalDensity(z) - std::numbers::inv_sqrtpi);
  }
  return sum / static_cast<double>(column.errors.size());
}

IntervalMetrics CentralIntervals(const Column& column, double level) {
  const double z = NormalQuantile(0.5 * (1.0 + level));
  IntervalMetrics metrics{.level = level};
  for (std::size_t i = 0; i < column.errors.size(); ++i) {
    const double half_width = z * std::sqrt(column.variances[i]);
    metrics.coverage += std::abs(column.errors[i]) <= half_width ? 1.0 : 0.0;
    metrics.mean_width += 2.0 * half_width;
  }
  metrics.coverage /= static_cast<double>(column.errors.size());
  metrics.mean_width /= static_cast<double>(column.errors.size());
  return metrics;
}

GaussianMetrics ScoreColumn(const Column& column) {
  GaussianMetrics metrics;
  metrics.nll = GaussianNll(column, 0.0);
  metrics.crps = MeanCrps(column);
  for (std::size_t i = 0; i < kIntervalLevels.size(); ++i) {
    metrics.intervals[i] = CentralIntervals(column, kIntervalLevels[i]);
  }
  for (std::size_t i = 0; i < kCurveLevels; ++i) {
    const double level = static_cast<double>(i + 1) / (kCurveLevels + 1);
    metrics.curve[i] = CentralIntervals(column, level);
    metrics.calibration_error += std::abs(metrics.curve[i].coverage - level) / kCurveLevels;
  }
  return metrics;
}

// Adds the noise of `output` to the variances.
void AddNoise(std::span<const double> noise, const ValuePredictions& predictions,
              std::size_t output, Column* column) {
  const std::size_t stride = noise.size() == predictions.outputs ? 0 : predictions.outputs;
  for (std::size_t input = 0; input < predictions.inputs(); ++input) {
    const double more = noise[input * stride + output];
    if (!(more >= 0.0)) Refuse(input, output, "the noise variance is negative or not a number");
    double& variance = column->variances[input];
    variance += more;
    if (variance < kLeastVariance) Refuse(input, output, "without any variance, even of noise");
    MustBeFinite(variance, input, output);
  }
}

// ---- Fitting the noise.

// Twice the derivative of GaussianNll by the noise.
double NllSlope(const Column& column, double noise) {
  double sum = 0;
  for (std::size_t i = 0; i < column.errors.size(); ++i) {
    const double variance = column.variances[i] + noise;
    const double error = column.errors[i];
    sum += (variance - error * error) / (variance * variance);
  }
  return sum / static_cast<double>(column.errors.size());
}

// The slope is below 0 for a noise below every error^2 - variance, and above 0 for one above all of
// them, so that the minimum lies between. There may be several: a grid over ln(noise) finds the
// lowest, and four steps a decade are enough: a term that is a function of ln(variance + noise)
// bends no faster in ln(noise). Bisection on the slope, whose first middle is the grid's best, ends
// it.
double FitColumn(const Column& column, double floor) {
  double least = std::numeric_limits<double>::infinity();
  double most = floor;
  for (std::size_t i = 0; i < column.errors.size(); ++i) {
    const double excess = column.errors[i] * column.errors[i] - column.variances[i];
    least = std::min(least, std::max(excess, floor));
    most = std::max(most, excess);
  }
  const double range = std::log(most / least);
  const auto steps = static_cast<int>(std::ceil(4.0 * range / std::numbers::ln10));
  const auto noise_at = [&](double step) {
    return step == 0.0 ? least : least * std::exp(range * step / steps);
  };
  int best = 0;
  double best_nll = GaussianNll(column, least);
  for (int step = 1; step <= steps; ++step) {
    const double nll = GaussianNll(column, noise_at(step));
    if (nll < best_nll) best = step, best_nll = nll;
  }
  double low = std::max(best - 1, 0);
  double high = std::min(best + 1, steps);
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (NllSlope(column, noise_at(middle)) < 0.0 ? low : high) = middle;
  }
  return noise_at(low);
}

}  // namespace

std::optional<double> SpearmanCorrelation(std::span<const double> a, std::span<const double> b) {
  const std::vector<double> of_a = Deviations(MeanRanks(a));
  const std::vector<double> of_b = Deviations(MeanRanks(b));
  const double squares = MeanSquare(of_a) * MeanSquare(of_b);
  if (squares == 0.0) return std::nullopt;
  const double products = std::inner_product(of_a.begin(), of_a.end(), of_b.begin(), 0.0);
  return products / static_cast<double>(a.size()) / std::sqrt(squares);
}

std::vector<ValueMetrics> ScoreValues(const ValuePredictions& predictions,
                                      std::span<const float> targets) {
  std::vector<ValueMetrics> outputs;
  for (std::size_t output = 0; output < predictions.outputs; ++output) {
    const Column column = ColumnOf(predictions, targets, output);
    const std::vector<double> magnitudes = Magnitudes(column.errors);
    outputs.push_back({.rmse = std::sqrt(MeanSquare(column.errors)),
                       .mae = Mean(magnitudes),
                       .bias = Mean(column.errors),
                       .r2 = ExplainedVariance(column),
                       // Variances rank as standard deviations do.
                       .error_correlation = SpearmanCorrelation(magnitudes, column.variances)});
  }
  return outputs;
}

std::vector<GaussianMetrics> ScoreGaussian(const ValuePredictions& predictions,
                                           std::span<const float> targets,
                                           std::span<const double> noise) {
  std::vector<GaussianMetrics> outputs;
  for (std::size_t output = 0; output < predictions.outputs; ++output) {
    Column column = ColumnOf(predictions, targets, output);
    AddNoise(noise, predictions, output, &column);
    outputs.push_back(ScoreColumn(column));
  }
  return outputs;
}

std::vector<double> FitNoise(const ValuePredictions& predictions, std::span<const float> targets,
                             double floor) {
  if (!(floor >= kLeastVariance) || !std::isfinite(floor)) {
    throw Error("the floor of the noise variance is " + std::to_string(floor) +
                ", not finite and above 0");
  }
  std::vector<double> noise;
  for (std::size_t output = 0; output < predictions.outputs; ++output) {
    const Column column = ColumnOf(predictions, targets, output);
    for (std::size_t input = 0; input < predictions.inputs(); ++input) {
      MustBeFinite(column.variances[input], input, output);
    }
    noise.push_back(FitColumn(column, floor));
  }
  return noise;
}

}  // namespace mu8::host
