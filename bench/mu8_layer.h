// One layer on a kernel table, as the engine runs it: panels of the file's layout, drawn one by one
// and used. The codebook's levels are 0, so a drawn weight is its mean and the result can be
// checked; the kernels do the same work for every level.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/layer_data.h"
#include "converters/host/aligned_buffer.h"
#include "formats/layout.h"
#include "kernels/kernel_table.h"

namespace mu8::bench {

class Mu8Layer {
 public:
  // 8, 4, 2, 1 or 0 bits of sigma.
  Mu8Layer(const LayerData& data, const kernels::KernelTable& table, std::uint32_t sigma_bits);

  void Sample();    // draws all panels, each into its own place
  void Convolve();  // with the panels drawn last
  // Draws a panel and convolves with it, then the next: what a pass does.
  void Pass();

  std::vector<std::uint8_t> Output() const;
  std::size_t stored_weights() const { return panels_.mu_bytes(); }  // with padding

 private:
  void SamplePanel(std::uint32_t index, std::int8_t* weights, std::int32_t* bias);
  void ConvolvePanel(std::uint32_t index, const std::int8_t* weights, const std::int32_t* bias);

  Shape shape_;
  const kernels::KernelTable& table_;
  std::uint32_t sigma_bits_;
  std::uint32_t pass_ = 0;
  format::PanelLayout panels_;
  host::AlignedBuffer input_, output_, mu_, sigma_, drawn_, panel_;
  std::vector<std::int32_t> bias_mu_, drawn_bias_;
  std::vector<float> multiplier_;
};

}  // namespace mu8::bench
