#include "engine/src/panel.h"

#include <cstddef>
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

// Where StagedSlots has what a layer's arrays are.
void PlaceStaged(ArrayPlaces* layout) {
  using format::StagedSlots;
  layout->weight_scale = offsetof(StagedSlots, weight_scale);
  layout->bias_mu = offsetof(StagedSlots, bias_mu);
  layout->bias_level = offsetof(StagedSlots, bias_level);
  layout->bias_shift = offsetof(StagedSlots, bias_shift);
  layout->shift = offsetof(StagedSlots, shift);
  layout->codebook = offsetof(StagedSlots, codebook);
  layout->mu_table = offsetof(StagedSlots, mu_table);
}

// Has `sample` take copies that have been looked at.
bool CopyShifts(Shifts* copies, kernels::SampleArgs* sample) {
  const std::uint8_t* const weight = sample->shift;
  const std::uint8_t* const bias = sample->bias_shift;
  sample->shift = copies->weight;
  sample->bias_shift = copies->bias;
  return CopyShifts(weight, sample->width, copies->weight) &&
         CopyShifts(bias, sample->width, copies->bias);
}

}  // namespace

ArrayPlaces MakeArrayPlaces(const format::LayerRecord& record) {
  const format::ParameterLayout layout = format::ParametersOf(record);
  const auto place = [](std::uint64_t offset) { return static_cast<std::uint32_t>(offset); };
  return {place(layout.weight_scale), place(layout.bias_mu),  place(layout.bias_level),
          place(layout.bias_shift),   place(layout.shift),    place(layout.codebook),
          place(layout.panel_bits),   place(layout.mu_table), place(layout.mu),
          place(layout.sigma)};
}

Parameters::Parameters(const format::View& view, const format::LayerRecord& record,
                       const format::StagedSlots* staged_slots)
    : panels(format::MakePanelLayout(record)),
      base(reinterpret_cast<const std::uint8_t*>(staged_slots)),
      bayesian((record.flags & format::kLayerBayesian) != 0),
      staged_(view.is_streamed()) {
  layout = MakeArrayPlaces(record);
  if (is_staged()) {
    PlaceStaged(&layout);
  } else {
    base = view.layer_parameters(record);
  }
}

bool StagePanel(const format::View& view, const format::LayerRecord& record,
                const format::PanelLayout& panels, format::MuCursor* mu, format::StagedSlots* slots,
                Diagnostic* fault) {
  const ArrayPlaces layout = MakeArrayPlaces(record);
  const std::uint64_t at = view.parameters_at(record);
  const std::uint32_t index = mu->panel(), slot = panels.slot(index), width = panels.width(index);
  const auto read = [&](std::uint32_t offset, void* to, std::size_t bytes) {
    return format::ReadSource(view, at + offset, to, bytes, fault);
  };
  std::uint8_t bits = record.mu_bits;
  if (bits == format::kMuBitsByPanel && !read(layout.panel_bits + index, &bits, 1)) return false;
  mu->Take(bits);
  if (!read(layout.weight_scale + slot * 4, slots->weight_scale, width * std::size_t{4}) ||
      !read(layout.bias_mu + slot * 4, slots->bias_mu, width * std::size_t{4}) ||
      (bits <= format::kMostTableBits && !read(layout.mu_table + format::kMuTableEntries * index,
                                               slots->mu_table, format::kMuTableEntries))) {
    return false;
  }
  if ((record.flags & format::kLayerBayesian) == 0) return true;
  if (!read(layout.bias_level + slot * 2, slots->bias_level, width * std::size_t{2}) ||
      !read(layout.bias_shift + slot, slots->bias_shift, width) ||
      !read(layout.shift + slot, slots->shift, width)) {
    return false;
  }
  if (record.sigma_bits == 4) {
    return read(layout.codebook + 16 * index, slots->codebook, 16);
  }
  const std::uint32_t codes = record.sigma_bits == 8 ? 0 : 1U << record.sigma_bits;
  for (std::uint32_t code = 0; code < codes; ++code) {
    if (!read(layout.codebook + code * panels.padded_channels + slot,
              slots->codebook + code * format::kPanelChannels, width)) {
      return false;
    }
  }
  return true;
}

bool SetPanel(const Parameters& parameters, const format::LayerRecord& record,
              const format::MuCursor& mu, Shifts* shifts, kernels::SampleArgs* sample) {
  const format::PanelLayout& panels = parameters.panels;
  const ArrayPlaces& layout = parameters.layout;
  const std::uint32_t index = mu.panel();
  if constexpr (config::kRecheck) {
    const std::uint64_t end = layout.mu + mu.offset() + panels.panel_bytes(index) * mu.bits() / 8;
    if (mu.bits() - 1 >= format::kMaxMuBits || end > layout.sigma) return false;
  }
  sample->width = panels.width(index);
  sample->runs = panels.runs;
  sample->run_length = panels.run_length;
  sample->padded_run = panels.padded_run;
  sample->mu_bits = mu.bits();
  sample->mu_table = reinterpret_cast<const std::int8_t*>(parameters.base + layout.mu_table) +
                     std::size_t{format::kMuTableEntries} * (parameters.is_staged() ? 0 : index);
  if (!parameters.is_staged()) sample->mu = parameters.base + layout.mu + mu.offset();
  sample->bias_mu = parameters.Slots<std::int32_t>(layout.bias_mu, index);
  sample->first_block = 0;
  sample->end_block = kernels::BlockCount(*sample);
  if (!parameters.bayesian) return true;
  const std::uint32_t sigma_bits = record.sigma_bits;
  const std::uint8_t* codebook = parameters.base + layout.codebook;
  sample->stream.panel = index;
  sample->sigma_bits = sigma_bits;
  if (parameters.is_staged()) {
    sample->codebook = codebook;
    sample->codebook_stride = format::kPanelChannels;
  } else {
    // A file has at most 2^31 bytes.
    const auto before = static_cast<std::uint32_t>(panels.panel_offset(index));
    sample->sigma = parameters.base + layout.sigma + before / 8 * sigma_bits;
    sample->codebook = codebook + (sigma_bits == 4 ? std::size_t{16} * index : panels.slot(index));
    sample->codebook_stride = panels.padded_channels;
  }
  sample->bias_level = parameters.Slots<std::uint16_t>(layout.bias_level, index);
  sample->shift = parameters.Slots<std::uint8_t>(layout.shift, index);
  sample->bias_shift = parameters.Slots<std::uint8_t>(layout.bias_shift, index);
  return !config::kRecheck || CopyShifts(shifts, sample);
}

}  // namespace mu8
