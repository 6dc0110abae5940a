// Files whose section 5, the parameters, is not in memory: a Source gives its bytes, a little at a
// time. All other sections are resident, so that records, tables of the input and texts are read as
// of any file. They precede section 5 in the file and follow it (FORMAT.md 3.2), and lie in memory
// in the same order, without a gap (View::Place).
//
// An executor stages what belongs to one panel of a layer, then its codes in slices: memory for a
// panel's codes as a whole would be as much again as the panel takes when it is drawn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/reader.h"

namespace mu8::format {

// One panel's elements of its layer's arrays. Same order and types as in the file.
struct StagedSlots {
  float weight_scale[kPanelChannels];
  std::int32_t bias_mu[kPanelChannels];
  std::uint16_t bias_level[kPanelChannels];
  std::uint8_t bias_shift[kPanelChannels], shift[kPanelChannels];
  std::uint8_t codebook[4 * kPanelChannels];
  std::int8_t mu_table[kMuTableEntries];
};
static_assert(sizeof(StagedSlots) == 272);

// Blocks of 64 codes that are staged at a time. More would cost memory, fewer reads of few bytes.
inline constexpr std::uint32_t kSliceBlocks = 16;

// Memory in which a layer's parameters are staged: StagedSlots, a slice of mu, a slice of sigma; or
// all parameters of a layer without weights. A multiple of 64.
constexpr std::uint32_t StagingBytes(const LayerRecord& layer) {
  if (layer.mu_bits == 0) return layer.parameter_bytes;
  const std::uint64_t blocks = MakePanelLayout(layer).panel_bytes(0) / kAlignment;
  const std::uint64_t slice = blocks < kSliceBlocks ? blocks : kSliceBlocks;
  const std::uint32_t mu_bits = layer.mu_bits == kMuBitsByPanel ? kMaxMuBits : layer.mu_bits;
  return static_cast<std::uint32_t>(
      RoundUp(sizeof(StagedSlots) + slice * 8 * (mu_bits + layer.sigma_bits), kAlignment));
}

// Copies bytes of a streamed file. False, and kReadFailed in `*fault` (may be null, its `layer` is
// left alone), if the source could not.
bool ReadSource(const View& view, std::uint64_t offset, void* to, std::size_t bytes,
                Diagnostic* fault);

}  // namespace mu8::format
