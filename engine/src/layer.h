// What the operators share: the layer at hand, and where a tensor's pixels lie.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/src/layers.h"
#include "formats/layout.h"

namespace mu8 {

// Everything about the layer at hand that does not depend on panel or image.
struct Layer {
  std::uint32_t index;
  format::LayerRecord record;
  format::TensorRecord input;
  format::TensorRecord input2;  // zero if there is none
  format::TensorRecord output;  // zero for the logits
  bool logits;

  bool has_input2() const { return record.input2 != format::kNoTensor; }
};

// Calls run(activations) for every image.
template <typename Run>
void ForImages(const PassContext& context, const Run& run) {
  for (std::uint32_t i = 0; i < context.images.count; ++i) {
    run(context.activations + context.images[i] * context.view.model.activation_bytes);
  }
}

inline std::uint8_t* FirstPixel(std::uint8_t* activations, const format::TensorRecord& tensor) {
  return activations + tensor.offset + std::size_t{tensor.pad_top} * tensor.row_stride +
         std::size_t{tensor.pad_left} * tensor.channels;
}

// conv2d and dense: draws each panel once and uses it for all images.
void RunWeighted(const Layer& layer, PassContext* context);

}  // namespace mu8
