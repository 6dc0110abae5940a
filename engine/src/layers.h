// One pass over the layers of a model. layers.cpp is the only place that switches on the operator.
#pragma once

#include <cstdint>

#include "engine/src/moments_scratch.h"
#include "formats/reader.h"
#include "kernels/kernel_table.h"
#include "mu8/options.h"
#include "mu8/run_state.h"

namespace mu8 {

// Images of a batch by their index: `count` entries of `list` from `first` on, or first, first + 1,
// ... where there is no list.
struct ImageList {
  const std::uint32_t* list;
  std::uint32_t first, count;

  std::uint32_t operator[](std::uint32_t i) const {
    return list == nullptr ? first + i : list[first + i];
  }
};

// Rows of a batch are indexed by image, whichever of them a pass runs.
struct PassContext {
  const format::View& view;
  const kernels::KernelTable& kernels;
  kernels::StreamId stream;  // seed, pass and flip
  ImageList images;
  std::uint8_t* activations;  // [batch][activation_bytes]
  std::int8_t* panel;  // [panel_bytes], of a streamed file after [staging_bytes] and LaneStates; or
                       // null: panels lie among the activations
  std::int32_t* accumulators;  // [batch][positions][slots of the last layer]
  float* logits;  // [batch][positions][classes], rows `logits_stride` floats apart; may be the
  std::size_t logits_stride;  // accumulators' memory, each row within its image's accumulators,
                              // or null where nobody wants them
  std::uint32_t pass = 0;     // for `profile`; two passes of a pair have one stream
  Profile profile = nullptr;
  void* profile_context = nullptr;
  std::uint32_t panel_bytes = 0;  // SessionOptions::panel_bytes, where `panel` is null
  bool check_products = false;    // SessionOptions::check_products
  bool failed = false;            // a layer could not run to its end; none may follow
  Diagnostic* fault = nullptr;    // why; may be null
  // Of a prediction by moments (moments.h): u8 [batch][activation_bytes] beside `activations`, and
  // the pieces of memory in place of `panel`, unless that is null. Null: weights are drawn.
  std::uint8_t* variances = nullptr;
  const MomentsScratch* scratch = nullptr;
};

struct LayerWork;  // layer_work.h

// For RunNext: a layer to its end.
inline constexpr std::uint32_t kAllPanels = 0xffffffff;

// Runs layer at->layer for the images, or of one with weights `panels` panels at most, and moves
// `at` to what is next. True: the layer is done, or context->failed. `work` is free between calls.
bool RunNext(PassContext* context, std::uint32_t panels, LayerCursor* at, LayerWork* work);

// Runs the layers that are the same in every pass: those before the first Bayesian one.
void RunOnce(PassContext* context);
// Runs the others, after RunOnce; afterwards, unless context->failed, context->logits holds this
// pass's logits.
void RunPass(PassContext* context);

}  // namespace mu8
