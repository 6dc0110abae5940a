// The parameters of a convolution or dense layer as they lie in the file, and one panel of them
// as a kernel draws it.
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

// A panel's shifts, copied from the file.
struct Shifts {
  std::uint8_t weight[kernels::kPanelWidth], bias[kernels::kPanelWidth];
};

// Sets what `sample` needs to draw or unpack the panel at `mu`, all of it: the pass and layer are
// those of sample->stream. The caller gives memory: lanes, weights, bias, and for copies of the
// shifts. False if these or the width of mu have changed since Open so that no kernel may have
// them.
bool SetPanel(const Parameters& parameters, const format::LayerRecord& record,
              const format::MuCursor& mu, Shifts* shifts, kernels::SampleArgs* sample);

}  // namespace mu8
