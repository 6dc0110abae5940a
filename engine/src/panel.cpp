#include "engine/src/panel.h"

namespace mu8 {

void SetPanel(const Parameters& parameters, const format::LayerRecord& record,
              const format::MuCursor& mu, kernels::SampleArgs* sample) {
  const format::PanelLayout& panels = parameters.panels;
  const format::ParameterLayout& layout = parameters.layout;
  const std::uint32_t index = mu.panel();
  sample->width = panels.width(index);
  sample->runs = panels.runs;
  sample->run_length = panels.run_length;
  sample->padded_run = panels.padded_run;
  sample->mu_bits = mu.bits();
  sample->mu = parameters.base + layout.mu + mu.offset();
  sample->mu_table = reinterpret_cast<const std::int8_t*>(parameters.base + layout.mu_table) +
                     std::size_t{format::kMuTableEntries} * index;
  sample->bias_mu = parameters.Slots<std::int32_t>(layout.bias_mu, index);
  sample->first_block = 0;
  sample->end_block = kernels::BlockCount(*sample);
  if (!parameters.bayesian) return;
  const std::uint32_t sigma_bits = record.sigma_bits;
  const std::uint8_t* codebook = parameters.base + layout.codebook;
  sample->stream.panel = index;
  sample->sigma_bits = sigma_bits;
  sample->sigma = parameters.base + layout.sigma + panels.panel_offset(index) * sigma_bits / 8;
  sample->codebook = codebook + (sigma_bits == 4 ? std::size_t{16} * index : panels.slot(index));
  sample->codebook_stride = panels.padded_channels;
  sample->shift = parameters.Slots<std::uint8_t>(layout.shift, index);
  sample->bias_level = parameters.Slots<std::uint16_t>(layout.bias_level, index);
  sample->bias_shift = parameters.Slots<std::uint8_t>(layout.bias_shift, index);
}

}  // namespace mu8
