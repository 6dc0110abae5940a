#include "engine/src/layers.h"

#include "engine/src/operators.h"
#include "engine/src/tensor.h"

namespace mu8 {
namespace {

using format::OpCode;

void RunLayer(std::uint32_t index, PassContext* context) {
  Layer layer{index, context->view.layer(index), {}, {}, {}, false};
  layer.input = context->view.tensor(layer.record.input);
  if (layer.has_input2()) layer.input2 = context->view.tensor(layer.record.input2);
  layer.logits = layer.record.output == format::kNoTensor;
  layer.output.height = context->view.output_height();
  layer.output.width = context->view.output_width();
  if (!layer.logits) {
    layer.output = context->view.tensor(layer.record.output);
    ForImages(*context, [&](std::uint8_t* activations) { FillPadding(layer.output, activations); });
  }
  switch (static_cast<OpCode>(layer.record.op)) {
    case OpCode::kConv2d:
    case OpCode::kDense:
      return RunWeighted(layer, context);
    case OpCode::kMaxPool:
    case OpCode::kAveragePool:
      return RunPool(layer, context);
    case OpCode::kLookup:
      return RunLookup(layer, context);
    case OpCode::kAdd:
      return RunAdd(layer, context);
    case OpCode::kMultiply:
      return RunMultiply(layer, context);
    case OpCode::kSlice:
      return RunSlice(layer, context);
    case OpCode::kConcat:
      return RunConcat(layer, context);
    case OpCode::kGather:
      return RunGather(layer, context);
    case OpCode::kMaximum:
    case OpCode::kMinimum:
      return RunExtremum(layer, context);
    case OpCode::kConstant:
      return RunConstant(layer, context);
  }
}

}  // namespace

void RunOnce(PassContext* context) {
  const std::uint32_t end = context->view.first_pass_layer();
  for (std::uint32_t i = 0; i < end; ++i) RunLayer(i, context);
}

bool RunPass(PassContext* context) {
  const std::uint32_t begin = context->view.first_pass_layer();
  const std::uint32_t end = context->view.layer_count();
  for (std::uint32_t i = begin; i < end; ++i) {
    if (i > begin && context->keep_going != nullptr &&
        !context->keep_going(context->keep_going_context)) {
      return false;
    }
    RunLayer(i, context);
  }
  return true;
}

}  // namespace mu8
