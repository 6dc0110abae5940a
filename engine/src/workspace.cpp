#include "engine/src/workspace.h"

#include "engine/src/moments.h"
#include "engine/src/panel_place.h"

namespace mu8 {
namespace {

using format::RoundUp;

std::uint32_t Least(std::uint32_t a, std::uint32_t b) { return a < b ? a : b; }

}  // namespace

Grid MakeGrid(const SessionOptions& options) {
  // Moments are one pass, which one worker makes.
  if (!config::kWorkers || options.method == Method::kMoments) return {1, 1};
  const std::uint32_t pass_groups = Least(options.workers, options.mc_samples);
  return {pass_groups, Least(options.workers / pass_groups, options.batch)};
}

std::uint64_t ImageBytes(const format::View& view, const SessionOptions& options) {
  if (!SharesActivations(options)) return view.model.activation_bytes;
  const std::uint64_t bytes = BytesWithPanels(view, options.panel_bytes);
  return HasMoments(options) ? BytesWithMoments(view, bytes) : bytes;
}

Workspace::Workspace(const format::View& view, const SessionOptions& options,
                     std::uint64_t image_bytes)
    : grid_(MakeGrid(options)),
      head_(static_cast<Head>(view.model.head)),
      shares_activations_(SharesActivations(options)),
      has_variances_(HasMoments(options)),
      positions_(static_cast<std::size_t>(format::OutputPositions(view.model))),
      outputs_(positions_ *
               (head() == Head::kGaussian ? view.model.class_count / 2 : view.model.class_count)),
      logits_(positions_ * view.model.class_count),
      slots_(view.output_slots),
      batch_(options.batch),
      decided_outputs_(EndsEarly(options) && options.stop.rule == StopRule::kThresholds ? outputs_
                                                                                        : 0) {
  format::ModelRecord model = view.model;
  model.head = static_cast<std::uint32_t>(head());
  format::ArenaSizes sizes =
      format::MakeArenaSizes(model, view.output_slots, options.batch,
                             options.keep_logits ? options.mc_samples : 0, view.has_stored_noise());
  if (config::kMoments && options.keep_logits && has_variances_) {
    const std::uint64_t covariances = std::uint64_t{positions_} * CovariancesOf(view);
    covariances_ = static_cast<std::size_t>(covariances);
    sizes[format::kLogitsPart] = batch_ * (logits_ + covariances) * sizeof(float);
  }
  std::uint64_t panel_bytes =
      RoundUp(view.model.panel_bytes, format::kAlignment) + StagingMemory(view);
  if (has_variances_ && !shares_activations_) {
    scratch_ = MomentsScratchBytes(view);
    panel_bytes = 0;
    for (const std::uint64_t piece : scratch_.bytes) panel_bytes += piece;  // a drawn panel's, too
  }
  panel_bytes_ = static_cast<std::size_t>(panel_bytes);
  sizes[format::kPanelPart] = panel_bytes;
  if (shares_activations_) {
    sizes[format::kActivationsPart] = image_bytes;
    sizes[format::kPanelPart] = 0;
  }
  image_bytes_ = static_cast<std::size_t>(image_bytes);
  for (std::uint32_t part = 0; part < format::kArenaParts; ++part) {
    Place(part, sizes[part], part < format::kSumPart ? &fast_bytes_ : &slow_bytes_);
  }
  const std::uint64_t more_groups = grid_.pass_groups - 1;
  Place(kFastGroupsPart, more_groups * fast_bytes_, &fast_bytes_);
  Place(kPanelsPart, std::uint64_t{grid_.pass_groups} * (grid_.image_groups - 1) * panel_bytes,
        &fast_bytes_);
  Place(kVariancesPart, has_variances_ ? sizes[format::kActivationsPart] : 0, &fast_bytes_);
  Place(kSlowGroupsPart, more_groups * at_[format::kMeanPart], &slow_bytes_);
  Place(kOutputScalesPart, view.is_streamed() && HasNumbers(head()) ? slots_ * sizeof(float) : 0,
        &slow_bytes_);
  PlaceProgress(options);
  const std::uint32_t workers = grid_.workers();
  Place(kTasksPart, workers > 1 ? workers * sizeof(std::uint32_t) : 0, &slow_bytes_);
  Place(kFaultsPart, workers > 1 ? workers * sizeof(Diagnostic) : 0, &slow_bytes_);
}

void Workspace::Place(std::uint32_t part, std::uint64_t size, std::uint64_t* region) {
  at_[part] = static_cast<std::size_t>(*region);
  // Several workers' parts share no line of a cache.
  *region += RoundUp(size, grid_.workers() > 1 ? format::kAlignment : kArenaAlignment);
}

void Workspace::PlaceProgress(const SessionOptions& options) {
  const bool ends_early = EndsEarly(options);
  Place(kProgressPart, ends_early ? batch_ * sizeof(Progress) : 0, &slow_bytes_);
  Place(kActivePart, ends_early ? batch_ * sizeof(std::uint32_t) : 0, &slow_bytes_);
  // Of several positions there is no rule that would look at probabilities.
  const bool watched = ends_early && positions_ == 1;
  Place(kProbabilitiesPart, watched ? outputs_ * sizeof(float) : 0, &slow_bytes_);
  const std::uint64_t decided = std::uint64_t{batch_} * decided_outputs_;
  Place(kBetsPart, decided * sizeof(Bets), &slow_bytes_);
  Place(kDecisionsPart, decided * sizeof(Decision), &slow_bytes_);
}

std::uint8_t* Workspace::Activations(std::uint32_t group) const {
  return Fast<std::uint8_t>(group * at_[kFastGroupsPart] + at_[format::kActivationsPart]);
}
std::uint8_t* Workspace::Variances() const {
  return has_variances_ ? Fast<std::uint8_t>(at_[kVariancesPart]) : nullptr;
}
std::int32_t* Workspace::Accumulators(std::uint32_t group) const {
  return Fast<std::int32_t>(group * at_[kFastGroupsPart] + at_[format::kAccumulatorsPart]);
}
Sums Workspace::SumsOf(std::uint32_t group, std::size_t image) const {
  const std::size_t base =
      group == 0 ? 0 : at_[kSlowGroupsPart] + (group - 1) * at_[format::kMeanPart];
  const auto row = [&](std::size_t offset, std::size_t size) {
    return std::span<std::uint64_t>(Slow<std::uint64_t>(base + offset) + image * size, size);
  };
  const bool numbers = HasNumbers(head()), gaussian = head() == Head::kGaussian;
  const std::size_t entropies = numbers ? 0 : head() == Head::kSigmoid ? outputs_ : positions_;
  return {.sum = row(at_[format::kSumPart], outputs_),
          .square = row(at_[format::kSumSquaresPart], numbers ? 2 * outputs_ : outputs_),
          .entropy = row(at_[format::kEntropyPart], entropies),
          .noise = row(at_[format::kNoisePart], gaussian ? 2 * outputs_ : 0),
          .clamped_scales = row(at_[format::kClampedScalesPart], gaussian ? 1 : 0),
          .error = row(at_[format::kErrorPart], head() == Head::kReconstruction ? 3 : 0)};
}
Results Workspace::ResultsOf(std::size_t image) const {
  const auto row = [&](std::uint32_t part, std::size_t elements) {
    const std::size_t size = at_[part] == at_[part + 1] ? 0 : elements;  // of a part that there is
    return std::span<float>(Slow<float>(at_[part]) + image * size, size);
  };
  const std::size_t entropies = head() == Head::kSoftmax ? positions_ : outputs_;
  return {.mean = row(format::kMeanPart, outputs_),
          .variance = row(format::kVariancePart, outputs_),
          .output_entropy = row(format::kOutputEntropyPart, entropies),
          .output_expected_entropy = row(format::kOutputExpectedEntropyPart, entropies),
          .noise_variance = row(format::kNoiseVariancePart, outputs_)};
}
std::span<float> Workspace::Targets(std::size_t image) const {
  return {Slow<float>(at_[format::kTargetPart]) + image * outputs_, outputs_};
}
std::int8_t* Workspace::Panel(std::uint32_t group, std::uint32_t image_group) const {
  if (shares_activations_) return nullptr;
  if (image_group == 0)
    return Fast<std::int8_t>(group * at_[kFastGroupsPart] + at_[format::kPanelPart]);
  const std::size_t index = std::size_t{group} * (grid_.image_groups - 1) + image_group - 1;
  return Fast<std::int8_t>(at_[kPanelsPart] + index * panel_bytes_);
}
float* Workspace::Logits(std::size_t pass) const {
  return Slow<float>(at_[format::kLogitsPart]) + pass * batch_ * logits_;
}
std::span<float> Workspace::LogitMeans(std::size_t image) const {
  return {Slow<float>(at_[format::kLogitsPart]) + image * (logits_ + covariances_),
          covariances_ == 0 ? 0 : logits_};
}
std::span<float> Workspace::LogitCovariance(std::size_t image) const {
  return {LogitMeans(image).data() + logits_, covariances_};
}
std::uint8_t* Workspace::OutputScales() const { return Slow<std::uint8_t>(at_[kOutputScalesPart]); }
std::uint32_t* Workspace::TasksDone() const { return Slow<std::uint32_t>(at_[kTasksPart]); }
Diagnostic* Workspace::Faults() const { return Slow<Diagnostic>(at_[kFaultsPart]); }
Progress& Workspace::ProgressOf(std::size_t image) const {
  return Slow<Progress>(at_[kProgressPart])[image];
}
std::uint32_t* Workspace::ActiveImages() const { return Slow<std::uint32_t>(at_[kActivePart]); }
float* Workspace::Probabilities() const { return Slow<float>(at_[kProbabilitiesPart]); }
std::span<Bets> Workspace::BetsOf(std::size_t image) const {
  return {Slow<Bets>(at_[kBetsPart]) + image * decided_outputs_, decided_outputs_};
}
std::span<Decision> Workspace::DecisionsOf(std::size_t image) const {
  return {Slow<Decision>(at_[kDecisionsPart]) + image * decided_outputs_, decided_outputs_};
}

}  // namespace mu8
