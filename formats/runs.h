// How the window of a convolution or dense layer is cut into runs, pieces of contiguous input
// (FORMAT.md 5.3, 5.4). The one place that knows the rule: the converter sets a record's fields by
// it, Open compares them, the engine walks the window by it.
#pragma once

#include <cstdint>

#include "formats/layout.h"

namespace mu8::format {

struct RunLayout {
  bool depthwise;
  // The window as rows of pieces: of depthwise layers its taps, else its runs.
  std::uint32_t outer, inner;
  std::uint32_t runs, run_length;  // the record's fields
};

// As many groups as channels, in and out: each output channel reads the input channel of its own.
constexpr bool IsDepthwise(const LayerRecord& layer, std::uint32_t input_channels) {
  return layer.groups > 1 && layer.groups == input_channels &&
         layer.groups == layer.output_channels;
}

// Of `input` the height, width and channels count; `layer` has op, kernel, dilation, groups and
// output_channels. groups divides the channels. Nothing overflows: a tensor has at most 2^30 bytes.
constexpr RunLayout MakeRunLayout(const LayerRecord& layer, const TensorRecord& input) {
  const std::uint32_t kernel_h = layer.kernel_h;
  const std::uint32_t kernel_w = layer.kernel_w;
  if (static_cast<OpCode>(layer.op) == OpCode::kDense) {
    return {false, 1, 1, 1, input.height * input.width * input.channels};
  }
  if (IsDepthwise(layer, input.channels)) {
    return {true, kernel_h, kernel_w, 1, kernel_h * kernel_w};
  }
  if (layer.groups == 1 && layer.dilation_w == 1) {  // whole rows of the window
    return {false, kernel_h, 1, kernel_h, kernel_w * input.channels};
  }
  return {false, kernel_h, kernel_w, kernel_h * kernel_w, input.channels / layer.groups};
}

// Sets runs, run_length and kLayerDepthwise.
constexpr void SetRuns(const TensorRecord& input, LayerRecord* layer) {
  const RunLayout runs = MakeRunLayout(*layer, input);
  if (runs.depthwise) layer->flags |= kLayerDepthwise;
  layer->runs = runs.runs;
  layer->run_length = runs.run_length;
}

}  // namespace mu8::format
