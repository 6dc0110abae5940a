#include "engine/src/panel.h"

#include <cstring>

namespace mu8 {
namespace {

// Copies the shifts of `width` slots, 4, 8 or 16, and looks at the copies: whether all are 1 to 15.
bool CopyShifts(const std::uint8_t* from, std::uint32_t width, std::uint8_t* to) {
  std::uint32_t wrong = 0;
  // The second condition is for g++ 12, which sees more than 16 on a Cortex-M55.
  for (std::uint32_t i = 0; i < width && i < kernels::kPanelWidth; i += 4) {
    std::uint32_t four;
    std::memcpy(&four, from + i, sizeof(four));
    std::memcpy(to + i, &four, sizeof(four));
    // The highest bit of each: above 15, or 0 minus 1. A borrow needs a wrong byte below it.
    wrong |= (four & 0xf0f0f0f0U) | ((four - 0x01010101U) & 0x80808080U);
  }
  return wrong == 0;
}

}  // namespace

bool SetPanel(const Parameters& parameters, const format::LayerRecord& record,
              const format::MuCursor& mu, Shifts* shifts, kernels::SampleArgs* sample) {
  const format::PanelLayout& panels = parameters.panels;
  const format::ParameterLayout& layout = parameters.layout;
  const std::uint32_t index = mu.panel();
  const std::uint64_t end = layout.mu + mu.offset() + panels.panel_bytes(index) * mu.bits() / 8;
  if (mu.bits() - 1 >= format::kMaxMuBits || end > layout.sigma) return false;
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
  if (!parameters.bayesian) return true;
  const std::uint32_t sigma_bits = record.sigma_bits;
  const std::uint8_t* codebook = parameters.base + layout.codebook;
  sample->stream.panel = index;
  sample->sigma_bits = sigma_bits;
  sample->sigma = parameters.base + layout.sigma + panels.panel_offset(index) * sigma_bits / 8;
  sample->codebook = codebook + (sigma_bits == 4 ? std::size_t{16} * index : panels.slot(index));
  sample->codebook_stride = panels.padded_channels;
  sample->shift = shifts->weight;
  sample->bias_level = parameters.Slots<std::uint16_t>(layout.bias_level, index);
  sample->bias_shift = shifts->bias;
  return CopyShifts(parameters.Slots<std::uint8_t>(layout.shift, index), sample->width,
                    shifts->weight) &&
         CopyShifts(parameters.Slots<std::uint8_t>(layout.bias_shift, index), sample->width,
                    shifts->bias);
}

}  // namespace mu8
