#include "engine/src/layers.h"

#include "engine/src/operators.h"
#include "engine/src/tensor.h"
#include "formats/recheck.h"
#include "mu8/config.h"

namespace mu8 {
namespace {

using format::OpCode;

// True: the layer is done. Only those with weights have more than one part.
bool RunPart(const Layer& layer, PassContext* context, std::uint32_t panels, LayerCursor* at) {
  switch (static_cast<OpCode>(layer.record.op)) {
    case OpCode::kConv2d:
    case OpCode::kDense:
      return RunWeighted(layer, context, panels, at);
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

void RunLayers(std::uint32_t begin, std::uint32_t end, PassContext* context) {
  for (LayerCursor at{.layer = begin}; at.layer < end && !context->failed;) {
    RunNext(context, kAllPanels, &at);
  }
}

}  // namespace

bool RunNext(PassContext* context, std::uint32_t panels, LayerCursor* at) {
  if (at->panel == 0) Tell(*context, at->layer, true);
  Layer layer;
  layer.index = at->layer;
  if (!format::LoadLayer(context->view, at->layer, &layer.record, &layer, context->fault)) {
    context->failed = true;
    return true;
  }
  if (at->panel == 0 && !layer.logits) {
    ForImages(*context, [&](std::uint8_t* activations) { FillPadding(layer.output, activations); });
  }
  if (!RunPart(layer, context, panels, at)) return false;
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
