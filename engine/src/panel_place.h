// Where drawn weights lie in a session that runs one image by one worker: among the activations,
// where no tensor is alive in that layer. Of a layer of one output position a piece of a panel is
// drawn at a time, which the file's panel_bytes knows nothing of.
#pragma once

#include <cstdint>

#include "engine/src/operators.h"
#include "formats/reader.h"
#include "kernels/kernel_table.h"

namespace mu8 {

// Bytes of a layer's panels that are in memory at a time, a multiple of 64; 0 where panels are used
// as they lie in the file. `most`: SessionOptions::panel_bytes; panels that would need more in
// pieces, with the lanes' states, than as a whole are not cut.
std::uint32_t PieceBytes(const format::View& view, const format::LayerRecord& layer,
                         const format::Operands& operands, std::uint32_t most);

// Bytes of an image's activations.
struct ByteRange {
  std::uint64_t begin = 0, end = 0;
};

// Where `bytes` of memory for a layer's panel go: the lowest multiple of 64 of an image's
// activations at which they meet neither `taken` nor a tensor that is alive in the layer. It may be
// beyond all tensors.
std::uint64_t PanelPlace(const format::View& view, std::uint32_t layer, std::uint64_t bytes,
                         const ByteRange& taken);

// What a layer has beside its tensors; where it has none, nobody looks.
struct LayerMemory {
  std::uint8_t* staged = nullptr;          // [StagingBytes], of a streamed file
  kernels::LaneStates* lanes = nullptr;    // where panels are drawn in parts
  std::int8_t* weights = nullptr;          // drawn ones
  std::uint32_t piece_bytes = 0xffffffff;  // of these, at most
};
// Unless context->failed: there is no longer a place for it.
LayerMemory FindMemory(const Layer& layer, PassContext* context);

// Of a streamed file, in front of a panel that lies in a part of its own.
inline std::uint32_t StagingMemory(const format::View& view) {
  return view.is_streamed() ? view.staging_bytes + std::uint32_t{sizeof(kernels::LaneStates)} : 0;
}

// Bytes of an image's activations with all panels among them, and 4 behind tensors and panels. Of
// layers that have changed since Open so that they cannot run, without theirs.
std::uint64_t BytesWithPanels(const format::View& view, std::uint32_t most);

}  // namespace mu8
