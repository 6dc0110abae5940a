#include "converters/judge/ensemble_quantized.h"

#include <algorithm>
#include <chrono>

namespace mu8::convert {

namespace {

void Add(const Prediction& prediction, EnsembleResult* result) {
  result->mean.insert(result->mean.end(), prediction.mean.begin(), prediction.mean.end());
  result->variance.insert(result->variance.end(), prediction.variance.begin(),
                          prediction.variance.end());
  result->clamped.push_back(prediction.clamped_inputs);
  result->noise.insert(result->noise.end(), prediction.noise_variance.begin(),
                       prediction.noise_variance.end());
  if (result->head == Head::kReconstruction) {
    result->error.push_back(prediction.error);
    result->error_variance.push_back(prediction.error_variance);
  }
  if (result->has_numbers()) return;
  if (result->head == Head::kSoftmax && result->positions > 1) {
    for (std::size_t i = 0; i < result->positions; ++i) {
      const float total = prediction.output_entropy[i];
      const float aleatoric = prediction.output_expected_entropy[i];
      result->uncertainty.push_back({total, aleatoric, std::max(total - aleatoric, 0.0F)});
    }
    return;
  }
  const float entropy = result->head == Head::kSoftmax
                            ? static_cast<float>(host::Entropy(prediction.mean))
                            : prediction.predictive_entropy;
  result->uncertainty.push_back({.entropy = entropy,
                                 .aleatoric = prediction.expected_entropy,
                                 .mutual_information = prediction.mutual_information});
}

}  // namespace

EnsembleResult RunQuantized(const host::ModelFile& file, const SessionOptions& options,
                            const host::Dataset& data, const host::Progress& progress) {
  using Clock = std::chrono::steady_clock;
  SessionOptions session_options = options;
  session_options.batch =
      static_cast<std::uint32_t>(std::min<std::size_t>(options.batch, data.count));
  host::Runner runner(file, session_options);

  EnsembleResult result;
  result.head = static_cast<Head>(file.model.head());
  result.classes = file.model.class_count();
  result.positions = file.model.output_size() / result.classes;
  result.kernels = runner.kernels();
  result.method = options.method;
  result.samples = options.method == Method::kMoments ? 0 : options.mc_samples;
  result.mean.reserve(data.count * result.classes);
  result.variance.reserve(data.count * result.classes);
  std::vector<Prediction> predictions(session_options.batch);
  const bool may_abstain = file.model.abstain_measure() != AbstainMeasure::kNone;
  Clock::duration time{};
  for (std::size_t first = 0; first < data.count; first += session_options.batch) {
    const std::size_t count = std::min<std::size_t>(session_options.batch, data.count - first);
    const std::span<Prediction> chunk = std::span(predictions).first(count);
    const Clock::time_point start = Clock::now();
    runner.Predict(file.path, data, first, chunk);
    time += Clock::now() - start;
    for (const Prediction& prediction : chunk) {
      Add(prediction, &result);
      if (may_abstain) result.abstains.push_back(prediction.abstains ? 1 : 0);
      if (options.stop.rule == StopRule::kNone && options.method != Method::kAuto) continue;
      result.used.push_back(prediction.samples_used);
      if (prediction.ended == Ended::kMoments) ++result.by_moments;
      const bool may_decide = options.stop.rule != StopRule::kNone;
      if (may_decide && prediction.ended == Ended::kAllSamples) ++result.undecided;
      result.clipped += prediction.clipped_passes;
      for (const Decision decision : prediction.decisions) {
        if (decision == Decision::kAbove) ++result.outputs_above;
        if (decision == Decision::kBelow) ++result.outputs_below;
        if (decision == Decision::kUndecided) ++result.outputs_undecided;
      }
    }
    if (progress) {
      progress("predicting", static_cast<double>(first + count) / static_cast<double>(data.count));
    }
  }
  result.seconds = std::chrono::duration<double>(time).count();
  return result;
}

}  // namespace mu8::convert
