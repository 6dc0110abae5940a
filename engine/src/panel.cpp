#include "engine/src/panel.h"

namespace mu8 {

Panel DrawPanel(const Parameters& parameters, const format::LayerRecord& record,
                const format::MuCursor& mu, kernels::StreamId stream,
                const kernels::KernelTable& kernels, kernels::LaneStates* lanes,
                std::int8_t* weights, std::int32_t* bias) {
  const format::PanelLayout& panels = parameters.panels;
  const format::ParameterLayout& layout = parameters.layout;
  const std::uint32_t index = mu.panel();
  const std::uint8_t* codes = parameters.base + layout.mu + mu.offset();
  const auto* bias_mu = parameters.Slots<std::int32_t>(layout.bias_mu, index);
  if (!parameters.bayesian && record.mu_bits == 8) {
    return {reinterpret_cast<const std::int8_t*>(codes), bias_mu};
  }
  kernels::SampleArgs sample{};
  sample.width = panels.width(index);
  sample.runs = panels.runs;
  sample.run_length = panels.run_length;
  sample.padded_run = panels.padded_run;
  sample.mu_bits = mu.bits();
  sample.mu = codes;
  sample.mu_table = reinterpret_cast<const std::int8_t*>(parameters.base + layout.mu_table) +
                    std::size_t{format::kMuTableEntries} * index;
  sample.end_block = kernels::BlockCount(sample);
  sample.lanes = lanes;
  sample.weights = weights;
  if (!parameters.bayesian) {
    kernels.unpack_panel(sample);
    return {weights, bias_mu};
  }
  const std::uint32_t sigma_bits = record.sigma_bits;
  const std::uint8_t* codebook = parameters.base + layout.codebook;
  sample.stream = stream;
  sample.stream.panel = index;
  sample.sigma_bits = sigma_bits;
  sample.sigma = parameters.base + layout.sigma + panels.panel_offset(index) * sigma_bits / 8;
  sample.codebook = codebook + (sigma_bits == 4 ? std::size_t{16} * index : panels.slot(index));
  sample.codebook_stride = panels.padded_channels;
  sample.shift = parameters.Slots<std::uint8_t>(layout.shift, index);
  sample.bias_mu = bias_mu;
  sample.bias_level = parameters.Slots<std::uint16_t>(layout.bias_level, index);
  sample.bias_shift = parameters.Slots<std::uint8_t>(layout.bias_shift, index);
  sample.bias = bias;
  kernels.sample_panel(sample);
  return {weights, bias};
}

}  // namespace mu8
