// A session's arena cut into parts, in two regions: what the inner loops touch (activations,
// panels, accumulators), and the rest; the slow region may lie right behind the fast one. They are
// smaller than the file's arena_bytes (formats/arena.h): parts begin at multiples of 16, and where
// one image is run by one worker, panels lie in activations that are dead in their layer
// (panel_place.h). What more workers and early endings need is added to each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/src/moments_scratch.h"
#include "engine/src/statistics.h"
#include "engine/src/stopping.h"
#include "formats/arena.h"
#include "formats/reader.h"
#include "mu8/config.h"
#include "mu8/options.h"
#include "mu8/status.h"

namespace mu8 {

inline constexpr std::size_t kArenaAlignment = 16;  // of the arena's start

// Workers form a grid: `pass_groups` that share the passes, each with activations of its own, times
// `image_groups` that share the images of a group.
struct Grid {
  std::uint32_t pass_groups, image_groups;
  std::uint32_t workers() const { return config::kWorkers ? pass_groups * image_groups : 1; }
};

// Passes first: they cost no weight twice. Images where there are more workers than passes.
Grid MakeGrid(const SessionOptions& options);

// Whether predictions by moments are made, of some images at least; whether others are sampled.
inline bool HasMoments(const SessionOptions& options) {
  return config::kMoments && options.method != Method::kSampling;
}
inline bool IsAuto(const SessionOptions& options) {
  return config::kMoments && config::kEarlyEndings && options.method == Method::kAuto;
}

// Whether images can have different numbers of passes.
inline bool EndsEarly(const SessionOptions& options) {
  return config::kEarlyEndings &&
         (options.stop.rule != StopRule::kNone || options.keep_going != nullptr || IsAuto(options));
}

// Whether a session runs one image by one worker, so that panels can lie among its activations.
inline bool SharesActivations(const SessionOptions& options) {
  return options.batch == 1 && (options.workers == 1 || options.method == Method::kMoments);
}

// How far one image has come.
struct Progress {
  StopState stop;
  std::uint32_t samples;
  Ended ended;
};

// Of an image's activations: the file's activation_bytes, or more where panels lie there, too; then
// it asks the file's records where they find gaps.
std::uint64_t ImageBytes(const format::View& view, const SessionOptions& options);

class Workspace {
 public:
  Workspace() = default;  // there is none
  // `image_bytes`: ImageBytes. The regions are still to be set.
  Workspace(const format::View& view, const SessionOptions& options, std::uint64_t image_bytes);
  void SetRegions(std::byte* fast, std::byte* slow) {
    fast_ = fast;
    slow_ = slow;
  }

  // Of the regions: multiples of 16.
  std::uint64_t fast_bytes() const { return fast_bytes_; }
  std::uint64_t slow_bytes() const { return slow_bytes_; }
  const Grid& grid() const { return grid_; }
  Head head() const { return BuiltHead(head_); }
  std::size_t positions() const { return positions_; }  // of the output
  std::size_t outputs() const { return outputs_; }      // of a prediction, at all positions
  std::size_t logits() const { return logits_; }        // of a pass, at all positions
  std::size_t slots() const { return slots_; }          // of one position's accumulators
  std::size_t image_bytes() const { return image_bytes_; }

  // Of a pass group: u8 [batch][image_bytes], s32 [batch][positions][slots], sums of an image.
  // The last 4 bytes of an image's activations, which no layer writes, hold its clamped inputs
  // (input.h); those of group 0 are the image's own, the other groups have copies.
  std::uint8_t* Activations(std::uint32_t group) const;
  std::int32_t* Accumulators(std::uint32_t group) const;
  Sums SumsOf(std::uint32_t group, std::size_t image) const;
  // Where there are moments, else null: u8 [batch][image_bytes] beside the activations.
  std::uint8_t* Variances() const;
  // What its layers have in place of a panel (moments.h), where that has a part of its own.
  const MomentsScratch& scratch() const { return scratch_; }
  // Null where panels lie among the activations.
  std::int8_t* Panel(std::uint32_t group, std::uint32_t image_group) const;

  Results ResultsOf(std::size_t image) const;
  std::span<float> Targets(std::size_t image) const;  // [outputs], kReconstruction
  float* Logits(std::size_t pass) const;              // [batch][logits], when kept by sampling
  // When kept by moments, else empty: [logits], [positions][CovariancesOf].
  std::span<float> LogitMeans(std::size_t image) const;
  std::span<float> LogitCovariance(std::size_t image) const;
  // f32 [slots] of the last layer, of a streamed file whose outputs are numbers.
  std::uint8_t* OutputScales() const;

  // [workers], only of sessions with more than one: 1 where a worker has finished its task.
  std::uint32_t* TasksDone() const;
  Diagnostic* Faults() const;  // [workers] of these: why one has ended before its time

  // Only of sessions that end early.
  Progress& ProgressOf(std::size_t image) const;
  std::uint32_t* ActiveImages() const;  // [batch]
  float* Probabilities() const;         // [outputs], of one pass and image
  // [outputs], only of StopRule::kThresholds; else empty.
  std::span<Bets> BetsOf(std::size_t image) const;
  std::span<Decision> DecisionsOf(std::size_t image) const;

 private:
  // What there is beside format::ArenaPart, whose first three are the fast ones.
  enum Part : std::uint32_t {
    kFastGroupsPart = format::kArenaParts,  // fast parts of pass groups past the first
    kPanelsPart,                            // fast: of image groups past the first
    kVariancesPart,                         // fast
    kSlowGroupsPart,                        // sums of pass groups past the first
    kOutputScalesPart,
    kProgressPart,
    kActivePart,
    kProbabilitiesPart,
    kBetsPart,
    kDecisionsPart,
    kTasksPart,
    kFaultsPart,
    kParts
  };

  void PlaceProgress(const SessionOptions& options);
  // Takes the next bytes of a region for a part.
  void Place(std::uint32_t part, std::uint64_t size, std::uint64_t* region);
  template <typename T>
  T* Fast(std::size_t offset) const {
    return reinterpret_cast<T*>(fast_ + offset);
  }
  template <typename T>
  T* Slow(std::size_t offset) const {
    return reinterpret_cast<T*>(slow_ + offset);
  }

  std::byte *fast_ = nullptr, *slow_ = nullptr;
  Grid grid_{};
  Head head_{};
  bool shares_activations_ = false, has_variances_ = false;
  std::size_t positions_ = 0, outputs_ = 0, logits_ = 0, slots_ = 0, batch_ = 0, panel_bytes_ = 0,
              image_bytes_ = 0;
  std::size_t covariances_ = 0;      // of an image's logits, where they are kept by moments
  std::size_t decided_outputs_ = 0;  // outputs_ of StopRule::kThresholds, else 0
  std::uint64_t fast_bytes_ = 0, slow_bytes_ = 0;
  MomentsScratch scratch_;
  // Right where the regions are sizes that the target can address.
  std::size_t at_[kParts] = {};
};

}  // namespace mu8
