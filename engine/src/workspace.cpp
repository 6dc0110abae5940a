#include "engine/src/workspace.h"

namespace mu8 {
namespace {

using format::kAlignment;
using format::RoundUp;

std::uint32_t Least(std::uint32_t a, std::uint32_t b) { return a < b ? a : b; }

}  // namespace

Grid MakeGrid(const SessionOptions& options) {
  const std::uint32_t pass_groups = Least(options.workers, options.mc_samples);
  return {pass_groups, Least(options.workers / pass_groups, options.batch)};
}

Workspace::Workspace(const format::View& view, const SessionOptions& options, std::byte* fast,
                     std::byte* slow)
    : fast_(fast),
      slow_(slow),
      grid_(MakeGrid(options)),
      head_(static_cast<Head>(view.model.head)),
      positions_(static_cast<std::size_t>(format::OutputPositions(view.model))),
      outputs_(positions_ * format::OutputChannels(view.model)),
      logits_(positions_ * view.model.class_count),
      batch_(options.batch),
      panel_bytes_(RoundUp(view.model.panel_bytes, kAlignment)),
      decided_outputs_(options.stop.rule == StopRule::kThresholds ? outputs_ : 0) {
  slots_ = view.output_slots;
  layout_ = format::MakeArenaLayout(view.model, view.output_slots, options.batch,
                                    options.keep_logits ? options.mc_samples : 0,
                                    view.has_stored_noise());
  const std::uint64_t pass_groups = grid_.pass_groups;
  panels_ = pass_groups * layout_.sum;
  fast_bytes_ = panels_ + pass_groups * (grid_.image_groups - 1) * panel_bytes_;
  groups_ = layout_.bytes - layout_.sum;
  progress_ = groups_ + (pass_groups - 1) * (layout_.mean - layout_.sum);
  const bool ends_early = EndsEarly(options);
  active_ = progress_ + (ends_early ? RoundUp(batch_ * sizeof(Progress), kAlignment) : 0);
  probabilities_ = active_ + (ends_early ? RoundUp(batch_ * sizeof(std::uint32_t), kAlignment) : 0);
  // Of several positions there is no rule that would look at probabilities.
  const bool watched = ends_early && positions_ == 1;
  bets_ = probabilities_ + (watched ? RoundUp(outputs_ * sizeof(float), kAlignment) : 0);
  const std::uint64_t decided = std::uint64_t{batch_} * decided_outputs_;
  decisions_ = bets_ + RoundUp(decided * sizeof(Bets), kAlignment);
  tasks_ = decisions_ + RoundUp(decided * sizeof(Decision), kAlignment);
  const std::uint32_t workers = grid_.workers();
  slow_bytes_ = tasks_ + (workers > 1 ? RoundUp(workers * sizeof(std::uint32_t), kAlignment) : 0);
}

std::uint8_t* Workspace::Activations(std::uint32_t group) const {
  return Fast<std::uint8_t>(group * layout_.sum + layout_.activations);
}
std::int32_t* Workspace::Accumulators(std::uint32_t group) const {
  return Fast<std::int32_t>(group * layout_.sum + layout_.accumulators);
}
Sums Workspace::SumsOf(std::uint32_t group, std::size_t image) const {
  const std::uint64_t base = group == 0 ? 0 : groups_ + (group - 1) * (layout_.mean - layout_.sum);
  const auto row = [&](std::uint64_t offset, std::size_t size) {
    return std::span<std::uint64_t>(Placed<std::uint64_t>(base + offset) + image * size, size);
  };
  const bool numbers = HasNumbers(head_), gaussian = head_ == Head::kGaussian;
  const std::size_t entropies = numbers ? 0 : head_ == Head::kSigmoid ? outputs_ : positions_;
  return {.sum = row(layout_.sum, outputs_),
          .square = row(layout_.sum_squares, numbers ? 2 * outputs_ : outputs_),
          .entropy = row(layout_.entropy, entropies),
          .noise = row(layout_.noise, gaussian ? 2 * outputs_ : 0),
          .clamped_scales = row(layout_.clamped_scales, gaussian ? 1 : 0),
          .error = row(layout_.error, head_ == Head::kReconstruction ? 3 : 0)};
}
Results Workspace::ResultsOf(std::size_t image) const {
  const auto row = [&](std::uint64_t offset, std::uint64_t end, std::size_t elements) {
    const std::size_t size = offset == end ? 0 : elements;  // of a part that there is
    return std::span<float>(Placed<float>(offset) + image * size, size);
  };
  const format::ArenaLayout& at = layout_;
  const std::size_t entropies = head_ == Head::kSoftmax ? positions_ : outputs_;
  return {.mean = row(at.mean, at.variance, outputs_),
          .variance = row(at.variance, at.output_entropy, outputs_),
          .output_entropy = row(at.output_entropy, at.output_expected_entropy, entropies),
          .output_expected_entropy = row(at.output_expected_entropy, at.noise_variance, entropies),
          .noise_variance = row(at.noise_variance, at.target, outputs_)};
}
std::span<float> Workspace::Targets(std::size_t image) const {
  return {Placed<float>(layout_.target) + image * outputs_, outputs_};
}
std::int8_t* Workspace::Panel(std::uint32_t group, std::uint32_t image_group) const {
  if (image_group == 0) return Fast<std::int8_t>(group * layout_.sum + layout_.panel);
  const std::uint64_t index = std::uint64_t{group} * (grid_.image_groups - 1) + image_group - 1;
  return Fast<std::int8_t>(panels_ + index * panel_bytes_);
}
float* Workspace::Logits(std::size_t pass) const {
  return Placed<float>(layout_.logits) + pass * batch_ * logits_;
}
std::uint32_t* Workspace::TasksDone() const { return Slow<std::uint32_t>(tasks_); }
Progress& Workspace::ProgressOf(std::size_t image) const {
  return Slow<Progress>(progress_)[image];
}
std::uint32_t* Workspace::ActiveImages() const { return Slow<std::uint32_t>(active_); }
float* Workspace::Probabilities() const { return Slow<float>(probabilities_); }
std::span<Bets> Workspace::BetsOf(std::size_t image) const {
  return {Slow<Bets>(bets_) + image * decided_outputs_, decided_outputs_};
}
std::span<Decision> Workspace::DecisionsOf(std::size_t image) const {
  return {Slow<Decision>(decisions_) + image * decided_outputs_, decided_outputs_};
}

}  // namespace mu8
