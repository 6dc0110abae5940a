#include "engine/src/panel_place.h"

#include "engine/src/workspace.h"
#include "formats/limits.h"
#include "formats/recheck.h"
#include "formats/stream.h"

namespace mu8 {
namespace {

using format::LayerRecord;
using format::TensorRecord;

// Whether a layer's kernels can add up one window in pieces.
bool HasOnePosition(const LayerRecord& layer, const format::Operands& operands) {
  const bool depthwise = (layer.flags & format::kLayerDepthwise) != 0;
  return !depthwise && operands.output.height == 1 && operands.output.width == 1;
}

std::uint32_t StagingBytes(const format::View& view, const LayerRecord& layer) {
  return view.is_streamed() ? format::StagingBytes(layer) : 0;
}

// Of the lanes' states, where panels are drawn in parts: pieces, or what is staged at a time.
std::uint32_t LaneBytes(const format::View& view, const LayerRecord& layer, std::uint32_t piece) {
  const std::uint64_t panel = view.PanelBytes(layer);
  const bool in_parts =
      piece < panel ||
      (view.is_streamed() && panel > std::uint64_t{format::kSliceBlocks} * kernels::kBlockBytes);
  return in_parts ? sizeof(kernels::LaneStates) : 0;
}

// Where a layer's memory lies among the activations: lanes' states and weights, and, apart, so that
// each finds a gap of its own, what is staged.
struct Places {
  std::uint64_t panel, staged = 0, end;
};

Places FindPlaces(const format::View& view, std::uint32_t index, const LayerRecord& layer,
                  std::uint32_t piece) {
  const std::uint32_t panel_bytes = LaneBytes(view, layer, piece) + piece;
  Places places{.panel = 0, .end = 0};
  if (panel_bytes != 0) {
    places.panel = PanelPlace(view, index, panel_bytes, {});
    places.end = places.panel + panel_bytes;
  }
  if (const std::uint32_t staging_bytes = StagingBytes(view, layer); staging_bytes != 0) {
    places.staged = PanelPlace(view, index, staging_bytes, {places.panel, places.end});
    const std::uint64_t end = places.staged + staging_bytes;
    if (end > places.end) places.end = end;
  }
  return places;
}

}  // namespace

std::uint32_t PieceBytes(const format::View& view, const LayerRecord& layer,
                         const format::Operands& operands, std::uint32_t most) {
  const auto panel = static_cast<std::uint32_t>(view.PanelBytes(layer));
  if (panel <= std::uint64_t{most} + sizeof(kernels::LaneStates) ||
      !HasOnePosition(layer, operands)) {
    return panel;
  }
  return most - most % static_cast<std::uint32_t>(format::kAlignment);
}

std::uint64_t PanelPlace(const format::View& view, std::uint32_t layer, std::uint64_t bytes,
                         const ByteRange& taken) {
  // Tensors past the layer's output are not written yet. Of a file that has changed since Open more
  // may seem alive than fit: it predicts something else either way.
  const std::uint32_t written = layer + 2 < view.tensor_count() ? layer + 2 : view.tensor_count();
  const std::uint32_t first_pass_layer = view.first_pass_layer();
  std::uint16_t alive[format::kMaxLiveTensors];
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < written && count < format::kMaxLiveTensors; ++i) {
    if (view.IsAlive(i, layer, first_pass_layer)) alive[count++] = static_cast<std::uint16_t>(i);
  }
  // What lies in the way moves the panel behind it, each once, until nothing does.
  std::uint64_t place = 0;
  bool moved = true;
  for (std::uint32_t round = 0; moved && round < count + 2; ++round) {
    moved = false;
    const auto avoid = [&](std::uint64_t begin, std::uint64_t end) {
      if (place + bytes <= begin || end <= place) return;
      place = end;
      moved = true;
    };
    avoid(taken.begin, taken.end);
    for (std::uint32_t i = 0; i < count; ++i) {
      const TensorRecord tensor = view.tensor(alive[i]);
      avoid(tensor.offset, std::uint64_t{tensor.offset} + tensor.bytes);
    }
  }
  return place;
}

LayerMemory FindMemory(const Layer& layer, PassContext* context) {
  const format::View& view = context->view;
  LayerMemory memory;
  std::uint8_t* panel = reinterpret_cast<std::uint8_t*>(context->panel);
  memory.staged = panel;
  std::uint32_t piece = memory.piece_bytes;
  if (panel != nullptr) {
    panel += StagingBytes(view, layer.record);
  } else {  // of a session's single image
    piece = memory.piece_bytes = PieceBytes(view, layer.record, layer, context->panel_bytes);
    const Places places = FindPlaces(view, layer.index, layer.record, piece);
    // The arena was made for it, but tensors of other layers may have changed since.
    if ((places.panel | places.staged) % format::kAlignment != 0 ||
        places.end + sizeof(std::uint32_t) > view.model.activation_bytes) {
      FailParameters(layer, context);
      return memory;
    }
    memory.staged = context->activations + places.staged;
    panel = context->activations + places.panel;
  }
  const std::uint32_t lane_bytes = LaneBytes(view, layer.record, piece);
  if (lane_bytes != 0) memory.lanes = reinterpret_cast<kernels::LaneStates*>(panel);
  memory.weights = reinterpret_cast<std::int8_t*>(panel + lane_bytes);
  return memory;
}

std::uint64_t BytesWithPanels(const format::View& view, std::uint32_t most) {
  std::uint64_t bytes = view.model.activation_bytes;
  for (std::uint32_t i = 0; i < view.layer_count(); ++i) {
    LayerRecord layer;
    format::Operands operands;
    if (!format::LoadLayer(view, i, &layer, &operands, nullptr)) continue;
    const Places places = FindPlaces(view, i, layer, PieceBytes(view, layer, operands, most));
    if (places.end == 0) continue;
    const std::uint64_t end = places.end + sizeof(std::uint32_t);
    if (end > bytes) bytes = end;
  }
  return format::RoundUp(bytes, kArenaAlignment);
}

}  // namespace mu8
