// A pass over a model's layers by a kernel table of the test's own, without a session.
#pragma once

#include <doctest/doctest.h>

#include <vector>

#include "engine/src/input.h"
#include "engine/src/layers.h"
#include "formats/reader.h"
#include "tests/support/model_builder.h"

namespace mu8::testing {

// Of one black image.
struct OnePass {
  OnePass(const TestModel& model, const kernels::KernelTable& table)
      : file(model.File()),
        view(Opened(file)),
        arena(view.model.arena_bytes),
        panel(view.model.panel_bytes),
        accumulators(64),
        logits(view.model.class_count),
        context{.view = view,
                .kernels = table,
                .stream = {.seed = 1},
                .images = {nullptr, 0, 1},
                .activations = reinterpret_cast<std::uint8_t*>(arena.data()),
                .panel = panel.data(),
                .accumulators = accumulators.data(),
                .logits = logits.data(),
                .logits_stride = view.model.class_count} {
    const format::TensorRecord input = view.tensor(0);
    const std::vector<std::uint8_t> pixels(std::size_t{input.height} * input.width *
                                           input.channels);
    LoadPixels(view, pixels.data(), context.activations);
  }
  OnePass(const OnePass&) = delete;
  OnePass& operator=(const OnePass&) = delete;

  static format::View Opened(const AlignedBytes& file) {
    format::View view;
    REQUIRE(format::Open(file.span(), &view) == Status::kOk);
    return view;
  }

  AlignedBytes file;
  format::View view;
  AlignedBytes arena;
  std::vector<std::int8_t> panel;
  std::vector<std::int32_t> accumulators;
  std::vector<float> logits;
  PassContext context;
};

}  // namespace mu8::testing
