// The passes of one call: dealt to workers or run step by step, added up in exact integers, ended
// early where asked.
#pragma once

#include <cstdint>

#include "engine/src/layer_work.h"
#include "engine/src/workspace.h"
#include "formats/reader.h"
#include "kernels/kernel_table.h"
#include "mu8/options.h"
#include "mu8/run_state.h"

namespace mu8 {

// What a run is about, beside its state.
struct Run {
  const format::View& view;
  const kernels::KernelTable& kernels;
  const SessionOptions& options;
  const Workspace& space;
  LayerWork& layer;  // of a single worker
};

// Images lie in the activations of pass group 0. Once the state is `done` its sums hold every pass,
// and images of sessions that end early have their Progress.
RunState BeginRun(const Run& run, std::uint32_t images);
// Of a single worker: one panel of one layer, or one layer without weights. `*fault` has kOk, and
// afterwards why the run cannot go on, if it cannot: there are no results then.
void StepRun(const Run& run, RunState* state, Diagnostic* fault);
// All that is left; kTasksNotRun is a fault, too. Several workers begin here, without steps before
// it.
void FinishRun(const Run& run, RunState* state, Diagnostic* fault);

}  // namespace mu8
