#include "engine/src/layers.h"

#include "engine/src/layer_work.h"
#include "engine/src/moments.h"
#include "engine/src/operators.h"
#include "engine/src/panel_place.h"
#include "engine/src/tensor.h"
#include "formats/recheck.h"
#include "formats/stream.h"
#include "mu8/config.h"

namespace mu8 {
namespace {

using format::OpCode;

// True: the layer is done. Only those with weights have more than one part.
bool RunPart(PassContext* context, std::uint32_t panels, LayerCursor* at, LayerWork* work) {
  const Layer& layer = work->layer;
  if (config::kMoments && context->variances != nullptr &&
      layer.index >= context->view.first_pass_layer()) {
    RunMoments(layer, context);
    return true;
  }
  switch (static_cast<OpCode>(layer.record.op)) {
    case OpCode::kConv2d:
    case OpCode::kDense:
      return RunWeighted(layer, context, panels, at, work->weighted);
    case OpCode::kMaxPool:
    case OpCode::kAveragePool:
      if constexpr (config::kMaxPool || config::kAveragePool) RunPool(layer, context);
      break;
    case OpCode::kLookup:
      if constexpr (config::kLookup) RunLookup(layer, context);
      break;
    case OpCode::kAdd:
      if constexpr (config::kAdd) RunAdd(layer, context);
      break;
    case OpCode::kMultiply:
      if constexpr (config::kMultiply) RunMultiply(layer, context);
      break;
    case OpCode::kSlice:
      if constexpr (config::kSlice) RunSlice(layer, context);
      break;
    case OpCode::kConcat:
      if constexpr (config::kConcat) RunConcat(layer, context);
      break;
    case OpCode::kGather:
      if constexpr (config::kGather) RunGather(layer, context);
      break;
    case OpCode::kMaximum:
    case OpCode::kMinimum:
      if constexpr (config::kExtremum) RunExtremum(layer, context);
      break;
    case OpCode::kConstant:
      if constexpr (config::kConstant) RunConstant(layer, context);
      break;
  }
  return true;
}

void Tell(const PassContext& context, std::uint32_t layer, bool begins) {
  if (context.profile == nullptr) return;
  context.profile(context.profile_context, layer, context.pass, begins);
}

// Where a layer without weights finds its tables: in the file, or as they are staged.
bool FindParameters(PassContext* context, Layer* layer) {
  const format::View& view = context->view;
  if (!view.is_streamed()) {
    layer->parameters = view.layer_parameters(layer->record);
    return true;
  }
  if (layer->record.mu_bits != 0 || layer->record.parameter_bytes == 0) return true;
  std::uint8_t* const staged = FindMemory(*layer, context).staged;
  layer->parameters = staged;
  return !context->failed &&
         ReadParameters(*layer, 0, staged, layer->record.parameter_bytes, context);
}

void RunLayers(std::uint32_t begin, std::uint32_t end, PassContext* context) {
  LayerWork work;
  // At most once a layer: all panels of one are done.
  for (LayerCursor at{.layer = begin}; at.layer < end && !context->failed;) {
    RunNext(context, kAllPanels, &at, &work);
  }
}

}  // namespace

bool FailParameters(const Layer& layer, PassContext* context) {
  context->failed = true;
  if (context->fault != nullptr) {
    *context->fault = {.status = Status::kModelChanged,
                       .offset = context->view.parameters_at(layer.record),
                       .layer = static_cast<std::int32_t>(layer.index)};
  }
  return false;
}

bool FailRead(const Layer& layer, PassContext* context) {
  context->failed = true;
  if (context->fault != nullptr) context->fault->layer = static_cast<std::int32_t>(layer.index);
  return false;
}

bool ReadParameters(const Layer& layer, std::uint64_t offset, void* to, std::size_t bytes,
                    PassContext* context) {
  const std::uint64_t at = context->view.parameters_at(layer.record) + offset;
  return format::ReadSource(context->view, at, to, bytes, context->fault) ||
         FailRead(layer, context);
}

bool RunNext(PassContext* context, std::uint32_t panels, LayerCursor* at, LayerWork* work) {
  if (at->panel == 0) Tell(*context, at->layer, true);
  Layer& layer = work->layer;
  layer.index = at->layer;
  if (!format::LoadLayer(context->view, at->layer, &layer.record, &layer, context->fault)) {
    context->failed = true;
    return true;
  }
  if (!FindParameters(context, &layer)) return true;
  if (at->panel == 0 && !layer.logits) {
    ForImages(*context, [&](std::uint8_t* activations) { FillPadding(layer.output, activations); });
  }
  if (!RunPart(context, panels, at, work)) return false;
  if (context->failed) return true;
  Tell(*context, at->layer, false);
  *at = {.layer = at->layer + 1};
  return true;
}

void RunOnce(PassContext* context) { RunLayers(0, context->view.first_pass_layer(), context); }

void RunPass(PassContext* context) {
  RunLayers(context->view.first_pass_layer(), context->view.layer_count(), context);
}

}  // namespace mu8
