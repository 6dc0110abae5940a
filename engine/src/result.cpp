// What a finished run says of one image: its sums made a prediction, whether it abstains, and the
// record by which it can be computed again.
#include <cstdint>

#include "engine/src/float_state.h"
#include "engine/src/gaussian.h"
#include "engine/src/input.h"
#include "engine/src/model_view.h"
#include "engine/src/moments.h"
#include "engine/src/operators.h"
#include "engine/src/reconstruction.h"
#include "engine/src/session_work.h"
#include "formats/crc32c.h"
#include "mu8/config.h"
#include "mu8/mu8.h"

namespace mu8 {
namespace {

// What the file says of the noise of observations; nothing if it says nothing.
void SetStoredNoise(const format::View& view, const Results& results, Prediction* prediction) {
  for (std::uint32_t i = 0; i < results.noise_variance.size(); ++i) {
    results.noise_variance[i] = view.stored_noise(i % view.model.class_count);
  }
  prediction->noise_variance = results.noise_variance;
}

// Whether any output's variance, of observations if `with_noise`, is above its threshold.
bool AnyAbove(const format::View& view, std::uint32_t outputs, const Prediction& prediction,
              bool with_noise) {
  for (std::size_t i = 0; i < prediction.variance.size(); ++i) {
    const float noise = with_noise ? prediction.noise_variance[i] : 0.0F;
    const float threshold = view.abstain_threshold(static_cast<std::uint32_t>(i % outputs));
    if (prediction.variance[i] + noise > threshold) return true;
  }
  return false;
}

// FORMAT.md 10.6.
bool Abstains(const Model& model, Head head, const format::View& view,
              const Prediction& prediction) {
  const AbstainMeasure measure = model.abstain_measure();
  if (measure > AbstainMeasure::kMutualInformation && !HasNumbers(head)) return false;
  switch (measure) {
    case AbstainMeasure::kNone:
      return false;
    case AbstainMeasure::kPredictiveEntropy:
      return prediction.predictive_entropy > view.abstain_threshold(0);
    case AbstainMeasure::kMutualInformation:
      return prediction.mutual_information > view.abstain_threshold(0);
    case AbstainMeasure::kVariance:
      return AnyAbove(view, model.class_count(), prediction, false);
    case AbstainMeasure::kTotalVariance:
      return AnyAbove(view, model.class_count(), prediction, true);
    case AbstainMeasure::kError:
      return prediction.error > view.abstain_threshold(0);
  }
  return false;
}

// What a run by moments has found already.
void TakeValues(const Results& results, Prediction* prediction) {
  prediction->label = kNoLabel;
  prediction->mean = results.mean;
  prediction->variance = results.variance;
}
void TakeNoise(const Sums& sums, const Results& results, Prediction* prediction) {
  prediction->noise_variance = results.noise_variance;
  prediction->clamped_scales = static_cast<std::uint32_t>(sums.clamped_scales[0]);
}

std::uint32_t ChosenCrc(std::span<const std::uint8_t> chosen) {
  std::uint32_t crc = 0;
  for (const std::uint8_t entry : chosen) {
    const std::byte byte{static_cast<std::uint8_t>(entry != 0 ? 1 : 0)};
    crc = format::Crc32c(&byte, 1, crc);
  }
  return crc;
}

void SetRecord(const Model& model, const SessionOptions& options, Method method,
               Prediction* prediction) {
  ReplayRecord& record = prediction->replay;
  record = {.model_hash = model.hash(),
            .seed = options.seed,
            .mc_samples = options.mc_samples,
            .samples_used = prediction->samples_used,
            .library_version = kLibraryVersion,
            .method = method,
            .noise = options.noise,
            .stop_rule = options.stop.rule,
            .ended = prediction->ended};
  const Stop& stop = options.stop;
  if (!config::kEarlyEndings || stop.rule == StopRule::kNone) return;
  if (method == Method::kMoments) {  // the rule saw no pass
    record.stop_rule = StopRule::kNone;
    return;
  }
  record.stop_error = stop.error;
  if (stop.rule == StopRule::kLabel) return;
  if (stop.rule == StopRule::kThresholds) {
    record.stop_threshold = stop.threshold;
    record.stop_chosen_crc = ChosenCrc(stop.chosen);
    return;
  }
  record.stop_class = stop.class_index;
  const bool within = stop.rule == StopRule::kWithin;
  (within ? record.stop_within : record.stop_threshold) = within ? stop.within : stop.threshold;
}

}  // namespace

SessionOptions ReplayOptions(const ReplayRecord& record, std::span<const std::uint8_t> chosen) {
  const bool out_of_time = record.ended == Ended::kDeadline && record.samples_used != 0;
  return {.mc_samples = out_of_time ? record.samples_used : record.mc_samples,
          .seed = record.seed,
          .method = record.method,
          .noise = record.noise,
          .stop = {.rule = record.stop_rule,
                   .error = record.stop_error,
                   .class_index = record.stop_class,
                   .threshold = record.stop_threshold,
                   .within = record.stop_within,
                   .chosen = chosen}};
}

Prediction Session::Result(std::size_t index) const {
  Prediction prediction;
  if (CheckResult(index) == Status::kOk) Summarize(index, &prediction);
  return prediction;
}

void Session::Summarize(std::size_t index, Prediction* to) const {
  Prediction& prediction = *to;
  prediction = {};
  const FloatState ieee;
  const format::View& view = ViewOf(model_);
  const Workspace& space = work().space;
  std::uint32_t samples = options_.mc_samples;
  bool by_moments = config::kMoments && options_.method == Method::kMoments;
  if (EndsEarly(options_)) {
    const Progress& progress = space.ProgressOf(index);
    samples = progress.samples;
    by_moments = by_moments || (HasMoments(options_) && samples == 0);
    prediction.ended = progress.ended;
    prediction.clipped_passes = progress.stop.clipped;
    prediction.decisions = space.DecisionsOf(index);
  }
  const Sums sums = space.SumsOf(0, index);
  const Results results = space.ResultsOf(index);
  if (by_moments) samples = MomentsRows(model_.class_count());
  const auto summarize_values = [&] {
    if (by_moments) return TakeValues(results, &prediction);
    SummarizeValues(sums, samples, OutputMultipliers(view), model_.class_count(), results,
                    &prediction);
  };
  switch (space.head()) {
    case Head::kSoftmax:
      if constexpr (config::kSoftmax) SummarizeSoftmax(sums, samples, results, &prediction);
      break;
    case Head::kSigmoid:
      if constexpr (config::kSigmoid) SummarizeSigmoid(sums, samples, results, &prediction);
      break;
    case Head::kValues:
      if constexpr (!config::kValues) break;
      summarize_values();
      SetStoredNoise(view, results, &prediction);
      break;
    case Head::kGaussian:
      if constexpr (!config::kGaussian) break;
      summarize_values();
      if (by_moments) {
        TakeNoise(sums, results, &prediction);
      } else {
        SummarizeNoise(view, sums, samples, results, &prediction);
      }
      break;
    case Head::kReconstruction:
      if constexpr (!config::kReconstruction) break;
      summarize_values();
      SummarizeError(view, sums, samples, &prediction);
      prediction.target = space.Targets(index);
      break;
  }
  prediction.clamped_inputs =
      ClampedInputs(view, space.Activations(0) + index * space.image_bytes());
  if (by_moments) {
    prediction.samples_used = 0;
    prediction.logits = space.LogitMeans(index);
    prediction.logits_stride = prediction.logits.size();
    prediction.logit_covariance = space.LogitCovariance(index);
  } else if (options_.keep_logits) {
    const std::size_t stride = std::size_t{options_.batch} * space.logits();
    prediction.logits = {space.Logits(0) + index * space.logits(),
                         (samples - 1) * stride + space.logits()};
    prediction.logits_stride = stride;
  }
  prediction.abstains = Abstains(model_, space.head(), view, prediction);
  SetRecord(model_, options_, by_moments ? Method::kMoments : Method::kSampling, &prediction);
  prediction.replay.format_major = model_.version_major_;
  prediction.replay.format_minor = model_.version_minor_;
}

}  // namespace mu8
