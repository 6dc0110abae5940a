// The parameters of a convolution or dense layer as they lie in the file, and one panel of them
// as a kernel draws it.
#pragma once

#include <cstdint>

#include "formats/reader.h"
#include "formats/stream.h"
#include "kernels/kernel_table.h"

namespace mu8 {

// format::ParameterLayout of a layer that has been checked: a file has at most 2^31 bytes.
struct ArrayPlaces {
  std::uint32_t weight_scale, bias_mu, bias_level, bias_shift, shift, codebook, panel_bits,
      mu_table;
  std::uint32_t mu, sigma;
};
ArrayPlaces MakeArrayPlaces(const format::LayerRecord& record);

// The arrays of one weighted layer, or, of a streamed file, those of the panel at hand (staged):
// then mu and sigma are not among them (DrawStaged of draw.cpp).
struct Parameters {
  format::PanelLayout panels;
  ArrayPlaces layout;
  const std::uint8_t* base;
  bool bayesian;

  Parameters(const format::View& view, const format::LayerRecord& record,
             const format::StagedSlots* staged_slots = nullptr);
  format::MuCursor FirstMu(const format::LayerRecord& record) const {
    return {record, panels, is_staged() ? nullptr : base + layout.panel_bits};
  }
  bool is_staged() const { return config::kStreamed && staged_; }
  // The panel's first element of arrays [slots].
  std::uint32_t slot(std::uint32_t panel) const { return is_staged() ? 0 : panels.slot(panel); }
  // The panel's elements of such an array. Sections start at multiples of 64 in 16-byte aligned
  // memory, so typed access is aligned.
  template <typename T>
  const T* Slots(std::uint64_t offset, std::uint32_t panel) const {
    return reinterpret_cast<const T*>(base + offset) + slot(panel);
  }

 private:
  bool staged_;
};

// A panel's shifts, copied from the file where that may change (config::kRecheck): SampleArgs says
// where they are.
struct Shifts {
  std::uint8_t weight[kernels::kPanelWidth], bias[kernels::kPanelWidth];
};

// Reads the panel at `mu` of a streamed layer: what it has for each slot, and for itself; tells
// `mu` its width. False, and `fault` says so, if the source could not.
bool StagePanel(const format::View& view, const format::LayerRecord& record,
                const format::PanelLayout& panels, format::MuCursor* mu, format::StagedSlots* slots,
                Diagnostic* fault);

// Sets what `sample` needs to draw or unpack the panel at `mu`, all of it: the pass and layer are
// those of sample->stream. The caller gives memory: lanes, weights, bias, and for copies of the
// shifts. False if these or the width of mu have changed since Open so that no kernel may have
// them.
bool SetPanel(const Parameters& parameters, const format::LayerRecord& record,
              const format::MuCursor& mu, Shifts* shifts, kernels::SampleArgs* sample);

}  // namespace mu8
