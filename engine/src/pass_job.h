// What the tasks of one call share, for passes.cpp and the pass of moments before or instead of
// them.
#pragma once

#include <cstdint>

#include "engine/src/layers.h"
#include "engine/src/passes.h"
#include "mu8/config.h"

namespace mu8 {

// Passes [first_pass, last_pass) are this round's.
struct Job {
  const format::View& view;
  const kernels::KernelTable& kernels;
  const SessionOptions& options;
  const Workspace& space;
  LayerWork& layer;
  ImageList images;  // those that take part in this round
  std::uint32_t first_pass = 0, last_pass = 0;
  // Under a stop rule passes must be added in order, so the workers leave their logits.
  bool has_stop_rule = false;
  bool by_moments = false;
  bool add_in_order() const { return config::kEarlyEndings && has_stop_rule; }
  Diagnostic* faults = nullptr;  // [workers]
};

// Of a worker's group of passes and of images.
PassContext MakeContext(const Job& job, std::uint32_t group, std::uint32_t image_group);

// The rule as one output is watched by it: in shares of a value's range, with its share of the
// error.
Stop RuleOfOne(const Job& job);

// A layer of a prediction by moments; the last one makes the predictions and, of Method::kAuto,
// leaves the images in doubt to sampling. In moments_pass.cpp.
void AdvanceMoments(Job* job, RunState* state);

}  // namespace mu8
