// Where drawn weights lie in a session that runs one image by one worker: among the activations,
// where no tensor is alive in that layer. Of a layer of one output position a piece of a panel is
// drawn at a time, which the file's panel_bytes knows nothing of.
#pragma once

#include <cstdint>

#include "formats/reader.h"
#include "kernels/kernel_table.h"

namespace mu8 {

// Bytes of a layer's panels that are in memory at a time, a multiple of 64; 0 where panels are used
// as they lie in the file. `most`: SessionOptions::panel_bytes; panels that would need more in
// pieces, with the lanes' states, than as a whole are not cut.
std::uint32_t PieceBytes(const format::LayerRecord& layer, const format::Operands& operands,
                         std::uint32_t most);

// With the states of the lanes in front, where `piece_bytes` of a layer's panels are a part.
std::uint32_t PanelMemory(const format::LayerRecord& layer, std::uint32_t piece_bytes);

// Where `bytes` of memory for a layer's panel go: the lowest multiple of 64 of an image's
// activations at which they meet no tensor that is alive in the layer. It may be beyond all
// tensors.
std::uint64_t PanelPlace(const format::View& view, std::uint32_t layer, std::uint32_t bytes);

// Bytes of an image's activations with all panels among them, and 4 behind tensors and panels. Of
// layers that have changed since Open so that they cannot run, without theirs.
std::uint64_t BytesWithPanels(const format::View& view, std::uint32_t most);

}  // namespace mu8
