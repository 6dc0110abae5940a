// A convolution or dense layer at work. weighted_layer.cpp runs it, draw.cpp draws its panels.
#pragma once

#include <cstdint>

#include "engine/src/operators.h"
#include "engine/src/panel.h"
#include "engine/src/panel_place.h"
#include "formats/arithmetic.h"
#include "formats/runs.h"
#include "formats/stream.h"
#include "kernels/kernel_table.h"

namespace mu8 {

// What all panels of a layer share, and what convolutions need of the one at hand.
struct WeightedLayer {
  const Layer& layer;
  PassContext* context;
  LayerMemory memory;
  Parameters parameters;
  format::RunLayout runs;
  format::WeightedScales scales;
  kernels::ConvolveArgs convolve{};
  std::int32_t bias[kernels::kPanelWidth];
  float multiplier[kernels::kPanelWidth];
  std::int32_t residual_factor[kernels::kPanelWidth];

  WeightedLayer(const Layer& l, PassContext* c)
      : layer(l),
        context(c),
        memory(FindMemory(l, c)),
        parameters(c->view, l.record, staged()),
        runs(format::MakeRunLayout(l.record, l.input)),
        scales(l.input.scale, l.logits ? 1.0F : l.output.scale, l.input2.scale) {}

  // Panels that are used where the file has them.
  bool as_they_lie() const {
    return !parameters.is_staged() && !parameters.bayesian && layer.record.mu_bits == 8;
  }
  format::StagedSlots* staged() const {
    return reinterpret_cast<format::StagedSlots*>(memory.staged);
  }
  // The weight_scale of a channel of the panel at hand.
  float Scale(std::uint32_t panel, std::uint32_t channel) const {
    return parameters.Slots<float>(parameters.layout.weight_scale, panel)[channel];
  }
};

// What all panels share. False, and context->failed: the layer cannot run.
bool Prepare(LayerCursor* at, WeightedLayer* work);
// What `convolve` needs of a panel, for any image.
void SetChannels(std::uint32_t panel, WeightedLayer* work);
// Where `convolve` finds an image's input and puts its output.
void SetImage(std::uint32_t panel, std::uint32_t image, WeightedLayer* work);

// All these: false, and context->failed, where the layer cannot run to its end.

// Draws, unpacks or finds blocks [first, end) of the panel at `mu`, as far as there are any, for
// `convolve`; the biases with the last.
inline constexpr std::size_t kAllBlocks = ~std::size_t{0};
bool DrawBlocks(const format::MuCursor& mu, std::size_t first, std::size_t end,
                WeightedLayer* work);

// Draws the panel at `mu` a piece at a time, each of piece_bytes, and runs `convolve` over them,
// for the image that it is set to.
bool RunInPieces(const format::MuCursor& mu, WeightedLayer* work);

// What the kernel does with `convolve`, by SessionOptions::check_products.
bool ConvolveCheckedProducts(const WeightedLayer& work);

}  // namespace mu8
