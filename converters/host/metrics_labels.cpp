#include "converters/host/metrics_labels.h"

#include <algorithm>
#include <cmath>

#include "converters/host/metrics_calibration.h"
#include "converters/host/metrics_ranking.h"

namespace mu8::host {
namespace {

// One label of all images.
struct Column {
  std::vector<double> probabilities;
  std::vector<double> targets;  // 0 or 1
};

Column ColumnOf(const Probabilities& probabilities, std::span<const float> targets,
                std::size_t label) {
  Column column;
  for (std::size_t i = label; i < targets.size(); i += probabilities.classes) {
    column.probabilities.push_back(static_cast<double>(probabilities.values[i]));
    column.targets.push_back(static_cast<double>(targets[i]));
  }
  return column;
}

bool IsRight(double probability, double target) {
  return (probability >= kLabelThreshold) == (target == 1.0);
}

// Fills what asks how well p tells the images with the label from those without.
void ScoreRanking(const Column& column, LabelMetrics* metrics) {
  std::vector<double> without, with;
  for (std::size_t i = 0; i < column.targets.size(); ++i) {
    (column.targets[i] == 1.0 ? with : without).push_back(column.probabilities[i]);
  }
  if (without.empty() || with.empty()) return;
  metrics->auroc = Auroc(without, with);
  metrics->average_precision = AveragePrecision(without, with);
}

LabelMetrics ScoreLabel(const Column& column) {
  LabelMetrics metrics;
  for (std::size_t i = 0; i < column.targets.size(); ++i) {
    const double p = column.probabilities[i];
    const double target = column.targets[i];
    const double of_target = target == 1.0 ? p : 1.0 - p;
    metrics.accuracy += IsRight(p, target) ? 1.0 : 0.0;
    metrics.nll -= std::log(std::max(of_target, kNllFloor));
    metrics.brier += (p - target) * (p - target);
  }
  const auto images = static_cast<double>(column.targets.size());
  metrics.accuracy /= images;
  metrics.nll /= images;
  metrics.brier /= images;
  metrics.prevalence = Mean(column.targets);
  metrics.ece = ExpectedGap(EqualWidthBins(column.probabilities, column.targets, kCalibrationBins));
  ScoreRanking(column, &metrics);
  return metrics;
}

double MeanOf(std::span<const LabelMetrics> labels, double LabelMetrics::*figure) {
  double sum = 0;
  for (const LabelMetrics& label : labels) sum += label.*figure;
  return sum / static_cast<double>(labels.size());
}

std::optional<double> MeanOf(std::span<const LabelMetrics> labels,
                             std::optional<double> LabelMetrics::*figure) {
  std::vector<double> values;
  for (const LabelMetrics& label : labels) {
    if (label.*figure) values.push_back(*(label.*figure));
  }
  if (values.empty()) return std::nullopt;
  return Mean(values);
}

}  // namespace

std::vector<LabelMetrics> ScoreLabels(const Probabilities& probabilities,
                                      std::span<const float> targets) {
  std::vector<LabelMetrics> labels;
  for (std::size_t label = 0; label < probabilities.classes; ++label) {
    labels.push_back(ScoreLabel(ColumnOf(probabilities, targets, label)));
  }
  return labels;
}

LabelMetrics MacroAverage(std::span<const LabelMetrics> labels) {
  return {.prevalence = MeanOf(labels, &LabelMetrics::prevalence),
          .accuracy = MeanOf(labels, &LabelMetrics::accuracy),
          .nll = MeanOf(labels, &LabelMetrics::nll),
          .brier = MeanOf(labels, &LabelMetrics::brier),
          .ece = MeanOf(labels, &LabelMetrics::ece),
          .auroc = MeanOf(labels, &LabelMetrics::auroc),
          .average_precision = MeanOf(labels, &LabelMetrics::average_precision)};
}

double ExactMatch(const Probabilities& probabilities, std::span<const float> targets) {
  std::size_t matches = 0;
  for (std::size_t image = 0; image < probabilities.images(); ++image) {
    const std::span<const float> row = probabilities.row(image);
    const std::span<const float> truth = targets.subspan(image * row.size(), row.size());
    matches += std::equal(row.begin(), row.end(), truth.begin(),
                          [](double p, double target) { return IsRight(p, target); });
  }
  return static_cast<double>(matches) / static_cast<double>(probabilities.images());
}

double MeanBernoulliKl(const Probabilities& p, const Probabilities& q) {
  double sum = 0;
  for (std::size_t i = 0; i < p.values.size(); ++i) {
    sum += BernoulliDivergence(static_cast<double>(p.values[i]), static_cast<double>(q.values[i]));
  }
  return sum / static_cast<double>(p.images());
}

}  // namespace mu8::host
