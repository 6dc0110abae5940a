#include "engine/src/panel_place.h"

#include "engine/src/workspace.h"
#include "formats/recheck.h"

namespace mu8 {
namespace {

using format::LayerRecord;
using format::TensorRecord;

// Whether a layer's kernels can add up one window in pieces.
bool HasOnePosition(const LayerRecord& layer, const format::Operands& operands) {
  const bool depthwise = (layer.flags & format::kLayerDepthwise) != 0;
  return !depthwise && operands.output.height == 1 && operands.output.width == 1;
}

}  // namespace

std::uint32_t PieceBytes(const LayerRecord& layer, const format::Operands& operands,
                         std::uint32_t most) {
  const auto panel = static_cast<std::uint32_t>(format::PanelScratch(layer));
  if (panel <= most + sizeof(kernels::LaneStates) || !HasOnePosition(layer, operands)) return panel;
  return most - most % static_cast<std::uint32_t>(format::kAlignment);
}

std::uint32_t PanelMemory(const LayerRecord& layer, std::uint32_t piece_bytes) {
  const bool is_part = piece_bytes < format::PanelScratch(layer);
  return piece_bytes + (is_part ? std::uint32_t{sizeof(kernels::LaneStates)} : 0);
}

std::uint64_t PanelPlace(const format::View& view, std::uint32_t layer, std::uint32_t bytes) {
  const std::uint32_t first_pass_layer = view.first_pass_layer();
  std::uint64_t place = 0;
  // What lies in the way moves the panel behind it, until nothing does.
  for (std::uint32_t i = 0; i < view.tensor_count(); ++i) {
    const TensorRecord tensor = view.tensor(i);
    const std::uint64_t end = std::uint64_t{tensor.offset} + tensor.bytes;
    if (place + bytes <= tensor.offset || end <= place) continue;
    if (!view.IsAlive(i, layer, first_pass_layer)) continue;
    place = end;
    i = ~std::uint32_t{0};
  }
  return place;
}

std::uint64_t BytesWithPanels(const format::View& view, std::uint32_t most) {
  std::uint64_t bytes = view.model.activation_bytes;
  for (std::uint32_t i = 0; i < view.layer_count(); ++i) {
    LayerRecord layer;
    format::Operands operands;
    if (!format::LoadLayer(view, i, &layer, &operands, nullptr)) continue;
    const std::uint32_t piece = PieceBytes(layer, operands, most);
    if (piece == 0) continue;
    const std::uint32_t memory = PanelMemory(layer, piece);
    const std::uint64_t end = PanelPlace(view, i, memory) + memory + sizeof(std::uint32_t);
    if (end > bytes) bytes = end;
  }
  return format::RoundUp(bytes, kArenaAlignment);
}

}  // namespace mu8
