// The operators: each runs one layer for the images of a pass. layers.cpp chooses among them.
#pragma once

#include <cstdint>

#include "engine/src/layers.h"
#include "formats/layout.h"
#include "formats/reader.h"
#include "mu8/config.h"

namespace mu8 {

// Everything about the layer at hand that does not depend on panel or image.
// Copies of the file's records, which fit each other, the file and the arena (formats/recheck.h).
struct Layer : format::Operands {
  std::uint32_t index;
  format::LayerRecord record;
  const std::uint8_t* parameters;  // of layers without weights

  bool has_input2() const { return record.input2 != format::kNoTensor; }
  // Of a conv2d.
  bool has_residual() const { return config::kResidual && has_input2(); }
};

// Calls run(activations) for every image.
template <typename Run>
void ForImages(const PassContext& context, const Run& run) {
  for (std::uint32_t i = 0; i < context.images.count; ++i) {
    run(context.activations + context.images[i] * context.view.model.activation_bytes);
  }
}

// The layer's parameters, or tensors of other layers, have changed since Open so that it cannot
// run; or what it reads could not be read: context->fault says where. Both return false.
bool FailParameters(const Layer& layer, PassContext* context);
bool FailRead(const Layer& layer, PassContext* context);

// Of a streamed file: bytes of the layer's parameters, `offset` from their start. False after
// FailRead.
bool ReadParameters(const Layer& layer, std::uint64_t offset, void* to, std::size_t bytes,
                    PassContext* context);

// conv2d and dense: draws each panel once and uses it for all images (weighted_layer.cpp). Runs
// `panels` panels at most, from the one that `at` stands at, which it moves on; true: it was the
// last. `memory` is a WeightedLayer's.
bool RunWeighted(const Layer& layer, PassContext* context, std::uint32_t panels, LayerCursor* at,
                 void* memory);

// What turns an accumulator of the last layer into an output (FORMAT.md 6.5); 0 where the file has
// changed since Open so that nothing would.
class OutputMultipliers {
 public:
  explicit OutputMultipliers(const format::View& view);
  float operator()(std::uint32_t output) const;

 private:
  format::PanelLayout panels_{};
  float input_scale_ = 0.0F;
  const std::uint8_t* weight_scale_ = nullptr;
};

// Of a streamed file, what OutputMultipliers need: f32 [view.output_slots].
bool ReadOutputScales(const format::View& view, std::uint8_t* to, Diagnostic* fault);

// Without weights: operators.cpp.
void RunPool(const Layer& layer, PassContext* context);  // max-pool, average-pool
void RunAdd(const Layer& layer, PassContext* context);
void RunMultiply(const Layer& layer, PassContext* context);
void RunLookup(const Layer& layer, PassContext* context);
void RunSlice(const Layer& layer, PassContext* context);
void RunConcat(const Layer& layer, PassContext* context);
// Those that no kernel is for: tables.cpp.
void RunLookupByChannel(const Layer& layer, PassContext* context);
void RunGather(const Layer& layer, PassContext* context);
void RunExtremum(const Layer& layer, PassContext* context);  // maximum, minimum
void RunConstant(const Layer& layer, PassContext* context);

}  // namespace mu8
