#include "engine/src/panel_place.h"

#include "engine/src/workspace.h"

namespace mu8 {
namespace {

using format::LayerRecord;
using format::TensorRecord;

// Whether a layer's kernels can add up one window in pieces.
bool HasOnePosition(const format::View& view, const LayerRecord& layer) {
  if ((layer.flags & format::kLayerDepthwise) != 0) return false;
  if (layer.output == format::kNoTensor) return view.output_height() * view.output_width() == 1;
  const TensorRecord output = view.tensor(layer.output);
  return output.height == 1 && output.width == 1;
}

}  // namespace

std::uint32_t PieceBytes(const format::View& view, std::uint32_t layer, std::uint32_t most) {
  const LayerRecord record = view.layer(layer);
  const auto panel = static_cast<std::uint32_t>(format::PanelScratch(record));
  if (panel <= most || !HasOnePosition(view, record)) return panel;
  return most - most % static_cast<std::uint32_t>(format::kAlignment);
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
    const std::uint32_t piece = PieceBytes(view, i, most);
    if (piece == 0) continue;
    const std::uint32_t memory = PanelMemory(piece);
    const std::uint64_t end = PanelPlace(view, i, memory) + memory + sizeof(std::uint32_t);
    if (end > bytes) bytes = end;
  }
  return format::RoundUp(bytes, kArenaAlignment);
}

}  // namespace mu8
