#include "converters/lower/records.h"

#include <algorithm>

#include "converters/host/error.h"
#include "converters/lower/placement.h"
#include "formats/runs.h"

namespace mu8::convert {
namespace {

using format::LayerRecord;
using format::OpCode;
using format::TensorRecord;

const Value& At(const Network& network, int value) {
  return network.values[static_cast<std::size_t>(value)];
}
const Node& NodeOf(const Network& network, const Step& step) {
  return network.nodes[static_cast<std::size_t>(step.node)];
}

OpCode CodeOf(const Step& step, const Node& node) {
  switch (node.op) {
    case Op::kConv2d:
      return OpCode::kConv2d;
    case Op::kDense:
      return step.spatial ? OpCode::kConv2d : OpCode::kDense;
    case Op::kMaxPool:
      return OpCode::kMaxPool;
    case Op::kAveragePool:
      return OpCode::kAveragePool;
    case Op::kAdd:
      return OpCode::kAdd;
    case Op::kMultiply:
      return OpCode::kMultiply;
    case Op::kConcat:
      return OpCode::kConcat;
    case Op::kSlice:
      return OpCode::kSlice;
    case Op::kGather:
      return OpCode::kGather;
    case Op::kMaximum:
      return OpCode::kMaximum;
    case Op::kMinimum:
      return OpCode::kMinimum;
    case Op::kConstant:
      return OpCode::kConstant;
    case Op::kClip:
    case Op::kLookup:
      return OpCode::kLookup;
    case Op::kAffine:
    case Op::kConvTranspose:
      break;
  }
  throw host::Error(NodePlace(node) + "is left, the network was not prepared");
}

std::size_t FirstPassLayer(const Network& network, const std::vector<Step>& steps) {
  std::size_t index = 0;
  while (index + 1 < steps.size() && !IsBayesian(NodeOf(network, steps[index]))) ++index;
  return index;
}

TensorRecord MakeTensor(const Network& network, int value) {
  const Value& shape = At(network, value);
  const Window padding = PaddingOf(network, value);
  TensorRecord tensor{};
  tensor.height = static_cast<std::uint32_t>(shape.height);
  tensor.width = static_cast<std::uint32_t>(shape.width);
  tensor.channels = static_cast<std::uint32_t>(shape.channels);
  tensor.pad_top = static_cast<std::uint16_t>(padding.pad_top);
  tensor.pad_bottom = static_cast<std::uint16_t>(padding.pad_bottom);
  tensor.pad_left = static_cast<std::uint16_t>(padding.pad_left);
  tensor.pad_right = static_cast<std::uint16_t>(padding.pad_right);
  tensor.row_stride = (tensor.pad_left + tensor.width + tensor.pad_right) * tensor.channels;
  tensor.bytes = static_cast<std::uint32_t>(format::TensorBytes(tensor));
  return tensor;
}

void SetWindow(const Window& window, LayerRecord* layer) {
  layer->kernel_h = static_cast<std::uint16_t>(window.kernel_h);
  layer->kernel_w = static_cast<std::uint16_t>(window.kernel_w);
  layer->stride_h = static_cast<std::uint16_t>(window.stride_h);
  layer->stride_w = static_cast<std::uint16_t>(window.stride_w);
  layer->dilation_h = static_cast<std::uint16_t>(window.dilation_h);
  layer->dilation_w = static_cast<std::uint16_t>(window.dilation_w);
  layer->pad_top = static_cast<std::uint16_t>(window.pad_top);
  layer->pad_left = static_cast<std::uint16_t>(window.pad_left);
}

void SetRuns(const Value& in, LayerRecord* layer) {
  TensorRecord input{};
  input.height = static_cast<std::uint32_t>(in.height);
  input.width = static_cast<std::uint32_t>(in.width);
  input.channels = static_cast<std::uint32_t>(in.channels);
  format::SetRuns(input, layer);
}

}  // namespace

bool IsBayesian(const Node& node) {
  return !node.weights.sigma.empty() || !node.bias.sigma.empty();
}

Window WindowOf(const Network& network, const Step& step) {
  if (!step.spatial) return NodeOf(network, step).window;
  Window window;
  window.kernel_h = At(network, step.input).height;
  window.kernel_w = At(network, step.input).width;
  return window;
}

Window PaddingOf(const Network& network, int value) {
  Window padding;
  for (const int consumer : network.Consumers(value)) {
    const Window read = ReadPadding(network, network.nodes[static_cast<std::size_t>(consumer)]);
    padding.pad_top = std::max(padding.pad_top, read.pad_top);
    padding.pad_left = std::max(padding.pad_left, read.pad_left);
    padding.pad_bottom = std::max(padding.pad_bottom, read.pad_bottom);
    padding.pad_right = std::max(padding.pad_right, read.pad_right);
  }
  return padding;
}

LayerRecord LayerShape(const Network& network, const Step& step) {
  const Node& node = NodeOf(network, step);
  LayerRecord layer{};
  layer.op = static_cast<std::uint8_t>(CodeOf(step, node));
  layer.groups = static_cast<std::uint32_t>(node.groups);
  layer.output_channels = static_cast<std::uint32_t>(At(network, step.output).channels);
  SetWindow(WindowOf(network, step), &layer);
  if (IsWeighted(node.op)) {
    layer.mu_bits = 8;
    SetRuns(At(network, step.input), &layer);
    if (IsBayesian(node)) layer.flags |= format::kLayerBayesian;
  }
  if (node.op == Op::kAveragePool && node.count_include_pad) {
    layer.flags = format::kLayerCountPadding;
  }
  if (!node.functions.empty()) layer.flags = format::kLayerByChannel;
  layer.offset_h = node.offset_h;
  layer.offset_w = node.offset_w;
  layer.offset_c = node.offset_c;
  return layer;
}

TensorRecords MakeTensorRecords(const Network& network, const std::vector<Step>& steps) {
  TensorRecords tensors;
  std::vector<TensorRecord>& records = tensors.records;
  std::vector<std::uint16_t>& of_value = tensors.of_value;
  const auto tensor_of = [&](int value) { return of_value[static_cast<std::size_t>(value)]; };
  const auto add = [&](int value, std::uint16_t first_layer) {
    of_value[static_cast<std::size_t>(value)] = static_cast<std::uint16_t>(records.size());
    records.push_back(MakeTensor(network, value));
    records.back().first_layer = first_layer;
  };
  of_value.assign(network.values.size(), format::kNoTensor);
  add(network.input, format::kNoTensor);
  std::vector<ResidualUse> residuals;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    const auto layer = static_cast<std::uint16_t>(i);
    const std::uint16_t input = tensor_of(step.input);
    records[input].last_layer = layer;
    if (step.input2 >= 0) {
      const std::uint16_t input2 = tensor_of(step.input2);
      records[input2].last_layer = layer;
      if (CodeOf(step, NodeOf(network, step)) == OpCode::kConv2d) {
        residuals.push_back({i, input, input2});
      }
    }
    if (i + 1 < steps.size()) add(step.output, layer);
  }
  std::vector<bool> is_vector(records.size());
  for (const Step& step : steps) {
    if (CodeOf(step, NodeOf(network, step)) != OpCode::kDense) continue;
    is_vector[tensor_of(step.input)] = true;
  }
  tensors.first_pass_layer = FirstPassLayer(network, steps);
  AlignResiduals(tensors.first_pass_layer, residuals, is_vector, &records);
  tensors.last_offset = PlaceTensors(tensors.first_pass_layer, residuals, &records);
  return tensors;
}

}  // namespace mu8::convert
