#include "converters/judge/abstain.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "converters/host/error.h"
#include "converters/host/model_file.h"

namespace mu8::convert {
namespace {

using Measure = format::AbstainMeasure;
constexpr Measure kMeasures[] = {Measure::kPredictiveEntropy, Measure::kMutualInformation,
                                 Measure::kVariance, Measure::kTotalVariance, Measure::kError};

// The largest value of each output of a position; of other measures the one value.
std::vector<float> ValuesOf(Measure measure, const Prediction& p, std::size_t count) {
  switch (measure) {
    case Measure::kPredictiveEntropy:
      return {p.predictive_entropy};
    case Measure::kMutualInformation:
      return {p.mutual_information};
    case Measure::kError:
      return {p.error};
    case Measure::kVariance:
    case Measure::kTotalVariance:
      break;
  }
  std::vector<float> values(count, 0.0F);
  for (std::size_t i = 0; i < p.variance.size(); ++i) {
    const float noise = measure == Measure::kTotalVariance ? p.noise_variance[i] : 0.0F;
    values[i % count] = std::max(values[i % count], p.variance[i] + noise);
  }
  return values;
}

// [inputs][count]
std::vector<std::vector<float>> Predicted(const AbstainOptions& options, std::uint64_t seed,
                                          const std::vector<std::byte>& bytes, std::size_t count,
                                          const host::Dataset& data,
                                          const host::Progress& progress) {
  const host::ModelFile file = host::OpenBytes("the new file", bytes);
  host::Runner runner(file, {.mc_samples = options.mc_samples, .seed = seed});
  std::vector<std::vector<float>> values;
  for (std::size_t i = 0; i < data.count; ++i) {
    Prediction prediction;
    runner.Predict("calibration", data, i, {&prediction, 1});
    values.push_back(ValuesOf(options.measure, prediction, count));
    if (progress) {
      progress("abstain", static_cast<double>(i + 1) / static_cast<double>(data.count));
    }
  }
  return values;
}

// Thresholds above which no more than a share of the inputs is.
std::vector<float> Quantiles(const std::vector<std::vector<float>>& values, double fraction) {
  const std::size_t inputs = values.size(), count = values[0].size();
  std::vector<double> unit(count, count == 1 ? 1.0 : 0.0);
  for (std::size_t k = 0; count > 1 && k < count; ++k) {
    for (const auto& one : values) {
      unit[k] += static_cast<double>(one[k]) / static_cast<double>(inputs);
    }
  }
  std::vector<double> scores;
  for (const auto& one : values) {
    double score = 0;
    for (std::size_t k = 0; k < count; ++k) {
      if (unit[k] > 0) score = std::max(score, static_cast<double>(one[k]) / unit[k]);
    }
    scores.push_back(score);
  }
  std::sort(scores.begin(), scores.end());
  const auto above = static_cast<std::size_t>(std::floor(fraction * static_cast<double>(inputs)));
  const double score = scores[inputs - 1 - std::min(above, inputs - 1)];
  std::vector<float> thresholds;
  for (std::size_t k = 0; k < count; ++k) {
    const auto nearest = static_cast<float>(score * unit[k]);
    // A threshold that rounding has lowered would refuse the input that it was made of.
    thresholds.push_back(count == 1 ? nearest
                                    : std::nextafter(nearest, std::numeric_limits<float>::max()));
  }
  return thresholds;
}

double ShareAbove(const std::vector<std::vector<float>>& values,
                  const std::vector<float>& thresholds) {
  const auto above = std::count_if(values.begin(), values.end(), [&](const auto& one) {
    for (std::size_t k = 0; k < one.size(); ++k) {
      if (one[k] > thresholds[k]) return true;
    }
    return false;
  });
  return static_cast<double>(above) / static_cast<double>(values.size());
}

void CheckMeasure(Measure measure, const format::FileContent& content) {
  const bool has_noise =
      content.head == format::Head::kGaussian || !content.outputs.noise_variance.empty();
  if (format::FitsHead(measure, content.head, has_noise)) return;
  std::string others;
  for (const Measure other : kMeasures) {
    if (!format::FitsHead(other, content.head, has_noise)) continue;
    others += (others.empty() ? "" : ", ") + std::string(AbstainMeasureName(other));
  }
  throw host::Error(std::string("--abstain: predictions of this network have no ") +
                    AbstainMeasureName(measure) + ", expected one of " + others);
}

}  // namespace

const char* AbstainMeasureName(Measure measure) {
  switch (measure) {
    case Measure::kPredictiveEntropy:
      return "predictive_entropy";
    case Measure::kMutualInformation:
      return "mutual_information";
    case Measure::kVariance:
      return "variance";
    case Measure::kTotalVariance:
      return "total_variance";
    case Measure::kError:
      return "error";
  }
  return "unknown";
}

std::optional<Measure> ParseAbstainMeasure(std::string_view name) {
  for (const Measure measure : kMeasures) {
    if (name == AbstainMeasureName(measure)) return measure;
  }
  return {};
}

std::optional<double> SetAbstain(const AbstainOptions& options, std::uint64_t seed,
                                 const std::vector<std::byte>& file, const host::Dataset& data,
                                 const host::Progress& progress, format::FileContent* content) {
  CheckMeasure(options.measure, *content);
  const std::uint32_t channels = content->layers.back().output_channels;
  const std::uint32_t outputs = content->head == format::Head::kGaussian ? channels / 2 : channels;
  const std::size_t count = format::AbstainThresholds(options.measure, outputs);
  std::vector<float> thresholds = options.thresholds;
  std::optional<double> share;
  if (thresholds.empty()) {
    const auto values = Predicted(options, seed, file, count, data, progress);
    thresholds = Quantiles(values, options.fraction);
    share = ShareAbove(values, thresholds);
  } else if (thresholds.size() == 1) {
    thresholds.assign(count, thresholds[0]);
  }
  if (thresholds.size() != count) {
    throw host::Error("--abstain: has " + std::to_string(thresholds.size()) +
                      " thresholds, expected 1 or " + std::to_string(count));
  }
  content->outputs.abstain = {static_cast<std::uint32_t>(options.measure),
                              share ? options.mc_samples : 0};
  content->outputs.abstain_thresholds = std::move(thresholds);
  return share;
}

}  // namespace mu8::convert
