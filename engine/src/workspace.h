// A session's arena cut into parts, in two regions: what the inner loops touch (activations,
// panels, accumulators), and the rest. One worker without a stop rule has format::ArenaLayout,
// whose bytes the file states, the slow region right behind the fast one; what more workers and
// early endings need is added to each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/src/statistics.h"
#include "engine/src/stopping.h"
#include "formats/arena.h"
#include "formats/reader.h"
#include "mu8/options.h"

namespace mu8 {

// Workers form a grid: `pass_groups` that share the passes, each with activations of its own, times
// `image_groups` that share the images of a group.
struct Grid {
  std::uint32_t pass_groups, image_groups;
  std::uint32_t workers() const { return pass_groups * image_groups; }
};

// Passes first: they cost no weight twice. Images where there are more workers than passes.
Grid MakeGrid(const SessionOptions& options);

// Whether images can have different numbers of passes.
inline bool EndsEarly(const SessionOptions& options) {
  return options.stop.rule != StopRule::kNone || options.keep_going != nullptr;
}

// How far one image has come.
struct Progress {
  StopState stop;
  std::uint32_t samples;
  Ended ended;
};

class Workspace {
 public:
  // Both regions may be null to ask for their sizes, multiples of 64.
  Workspace(const format::View& view, const SessionOptions& options, std::byte* fast,
            std::byte* slow);

  std::uint64_t fast_bytes() const { return fast_bytes_; }
  std::uint64_t slow_bytes() const { return slow_bytes_; }
  const Grid& grid() const { return grid_; }
  Head head() const { return head_; }
  std::size_t positions() const { return positions_; }  // of the output
  std::size_t outputs() const { return outputs_; }      // of a prediction, at all positions
  std::size_t logits() const { return logits_; }        // of a pass, at all positions
  std::size_t slots() const { return slots_; }          // of one position's accumulators

  // Of a pass group: u8 [batch][activation_bytes], s32 [batch][positions][slots], sums of an image.
  // The last 4 bytes of an image's activations, which no layer writes, hold its clamped inputs
  // (input.h); those of group 0 are the image's own, the other groups have copies.
  std::uint8_t* Activations(std::uint32_t group) const;
  std::int32_t* Accumulators(std::uint32_t group) const;
  Sums SumsOf(std::uint32_t group, std::size_t image) const;
  std::int8_t* Panel(std::uint32_t group, std::uint32_t image_group) const;

  Results ResultsOf(std::size_t image) const;
  std::span<float> Targets(std::size_t image) const;  // [outputs], kReconstruction
  float* Logits(std::size_t pass) const;              // [batch][logits], when kept

  // [workers], only of sessions with more than one: 1 where a worker has finished its task.
  std::uint32_t* TasksDone() const;

  // Only of sessions that end early.
  Progress& ProgressOf(std::size_t image) const;
  std::uint32_t* ActiveImages() const;  // [batch]
  float* Probabilities() const;         // [outputs], of one pass and image
  // [outputs], only of StopRule::kThresholds; else empty.
  std::span<Bets> BetsOf(std::size_t image) const;
  std::span<Decision> DecisionsOf(std::size_t image) const;

 private:
  template <typename T>
  T* Fast(std::uint64_t offset) const {
    return reinterpret_cast<T*>(fast_ + offset);
  }
  template <typename T>
  T* Slow(std::uint64_t offset) const {
    return reinterpret_cast<T*>(slow_ + offset);
  }
  // `offset`: in the layout, of a part in the slow region.
  template <typename T>
  T* Placed(std::uint64_t offset) const {
    return Slow<T>(offset - layout_.sum);
  }

  std::byte *fast_, *slow_;
  format::ArenaLayout layout_;
  Grid grid_;
  Head head_;
  std::size_t positions_, outputs_, logits_, batch_, slots_;
  std::uint64_t panel_bytes_;
  std::uint64_t panels_;         // fast: of image groups past the first
  std::uint64_t groups_;         // slow: the sums of groups past the first
  std::size_t decided_outputs_;  // outputs_ of StopRule::kThresholds, else 0
  std::uint64_t progress_, active_, probabilities_, bets_, decisions_, tasks_;  // slow
  std::uint64_t fast_bytes_, slow_bytes_;
};

}  // namespace mu8
