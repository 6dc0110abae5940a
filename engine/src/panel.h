// The parameters of a convolution or dense layer as they lie in the file, and one panel of them
// drawn for a pass.
#pragma once

#include <cstdint>

#include "formats/reader.h"
#include "kernels/kernel_table.h"

namespace mu8 {

// The arrays of one weighted layer.
struct Parameters {
  format::PanelLayout panels;
  format::ParameterLayout layout;
  const std::uint8_t* base;
  bool bayesian;

  Parameters(const format::View& view, const format::LayerRecord& record)
      : panels(format::MakePanelLayout(record)),
        base(view.layer_parameters(record)),
        bayesian((record.flags & format::kLayerBayesian) != 0) {
    layout = format::MakeParameterLayout(record);
  }
  format::MuCursor FirstMu(const format::LayerRecord& record) const {
    return {record, panels, base + layout.panel_bits};
  }
  // The panel's elements of an array [slots]. Sections start at multiples of 64 in 64-byte aligned
  // memory, so typed access is aligned.
  template <typename T>
  const T* Slots(std::uint64_t offset, std::uint32_t panel) const {
    return reinterpret_cast<const T*>(base + offset) + panels.slot(panel);
  }
};

// Weights in panel order and their biases, in accumulator units.
struct Panel {
  const std::int8_t* weights;
  const std::int32_t* bias;
};

// Draws the panel at `mu` of the pass and layer in `stream` into `weights` [panel_bytes] and `bias`
// [16], with `lanes` as memory of the draw. Of a deterministic layer it unpacks the weights, or
// returns the file's own.
Panel DrawPanel(const Parameters& parameters, const format::LayerRecord& record,
                const format::MuCursor& mu, kernels::StreamId stream,
                const kernels::KernelTable& kernels, kernels::LaneStates* lanes,
                std::int8_t* weights, std::int32_t* bias);

}  // namespace mu8
