// Queries of the converter's Network and the checks that every importer's result must pass.
#include "converters/network/network.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "converters/host/error.h"
#include "converters/host/shape_text.h"

namespace mu8::convert {
namespace {

using Problems = std::vector<std::string>;

// Weights of one output channel: kernel_h * kernel_w * c_in / groups, or the flattened input.
std::size_t WeightsPerOutput(const Network& network, const Node& node) {
  const Value& input = network.values[static_cast<std::size_t>(node.inputs[0])];
  if (node.op == Op::kDense) return input.size();
  return static_cast<std::size_t>(node.window.kernel_h) *
         static_cast<std::size_t>(node.window.kernel_w) *
         static_cast<std::size_t>(input.channels / node.groups);
}

void CheckSize(const Node& node, std::string_view tensor, std::size_t found, std::size_t expected,
               Problems* problems) {
  if (found == expected) return;
  problems->push_back(NodePlace(node) + std::string(tensor) + " has " + std::to_string(found) +
                      " values, expected " + std::to_string(expected));
}

// Sizes of one tensor: mu as the shape says, sigma the same or absent.
void CheckGaussianSize(const Node& node, std::string_view tensor, const GaussianTensor& gaussian,
                       std::size_t expected, Problems* problems) {
  CheckSize(node, std::string(tensor) + ".mu", gaussian.mu.size(), expected, problems);
  if (gaussian.sigma.empty()) return;
  CheckSize(node, std::string(tensor) + ".sigma", gaussian.sigma.size(), expected, problems);
}

bool CheckIndices(const Network& network, const Node& node, Problems* problems) {
  const auto in_range = [&](int index) {
    return index >= 0 && static_cast<std::size_t>(index) < network.values.size();
  };
  bool good = !node.inputs.empty() && node.output != network.input && in_range(node.output);
  for (const int input : node.inputs) good = good && in_range(input);
  if (!good) problems->push_back(NodePlace(node) + "reads or writes a value that does not exist");
  return good;
}

void CheckNodeSizes(const Network& network, const Node& node, Problems* problems) {
  if (!CheckIndices(network, node, problems)) return;
  const std::string why = WhyShapesDiffer(network, node);
  if (!why.empty()) problems->push_back(NodePlace(node) + why);
  const Value& input = network.values[static_cast<std::size_t>(node.inputs[0])];
  const Value& output = network.values[static_cast<std::size_t>(node.output)];
  const std::size_t channels = static_cast<std::size_t>(output.channels);
  if (IsWeighted(node.op)) {
    if (node.op != Op::kDense && (node.groups < 1 || input.channels % node.groups != 0 ||
                                  output.channels % node.groups != 0)) {
      problems->push_back(NodePlace(node) + std::to_string(node.groups) + " groups do not divide " +
                          std::to_string(input.channels) + " input and " +
                          std::to_string(output.channels) + " output channels");
      return;
    }
    CheckGaussianSize(node, "weights", node.weights, channels * WeightsPerOutput(network, node),
                      problems);
    if (!node.bias.mu.empty() || !node.bias.sigma.empty()) {
      CheckGaussianSize(node, "bias", node.bias, channels, problems);
    }
  } else {
    CheckGaussianSize(node, "weights", node.weights, 0, problems);
    CheckGaussianSize(node, "bias", node.bias, 0, problems);
  }
  const std::size_t affine = node.op == Op::kAffine ? channels : 0;
  CheckSize(node, "scale", node.scale.size(), affine, problems);
  CheckSize(node, "offset", node.offset.size(), affine, problems);
}

// One line per tensor, however many of its values are wrong: models have millions of them.
template <typename IsBad>
void CheckEach(const Node& node, std::string_view tensor, const std::vector<float>& values,
               std::string_view what, IsBad is_bad, Problems* problems) {
  std::size_t count = 0, first = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!is_bad(values[i])) continue;
    if (count == 0) first = i;
    ++count;
  }
  if (count == 0) return;
  problems->push_back(NodePlace(node) + std::string(tensor) + " has " + std::to_string(count) +
                      " " + std::string(what) + " of " + std::to_string(values.size()) +
                      " values, the first is " + std::to_string(values[first]) + " at index " +
                      std::to_string(first));
}

void CheckNodeValues(const Node& node, Problems* problems) {
  const auto not_finite = [](float x) { return !std::isfinite(x); };
  const auto negative = [](float x) { return x < 0.0f; };
  CheckEach(node, "weights.mu", node.weights.mu, "not finite", not_finite, problems);
  CheckEach(node, "weights.sigma", node.weights.sigma, "not finite", not_finite, problems);
  CheckEach(node, "weights.sigma", node.weights.sigma, "negative", negative, problems);
  CheckEach(node, "bias.mu", node.bias.mu, "not finite", not_finite, problems);
  CheckEach(node, "bias.sigma", node.bias.sigma, "not finite", not_finite, problems);
  CheckEach(node, "bias.sigma", node.bias.sigma, "negative", negative, problems);
  CheckEach(node, "scale", node.scale, "not finite", not_finite, problems);
  CheckEach(node, "offset", node.offset, "not finite", not_finite, problems);
  CheckEach(node, "values", node.values, "not finite", not_finite, problems);
}

}  // namespace

std::size_t OutputCount(const Network& network) {
  const std::size_t outputs = network.values[static_cast<std::size_t>(network.output)].size();
  return network.head == Head::kGaussian ? outputs / 2 : outputs;
}

host::InputSpec InputSpecOf(const Network& network) {
  const Value& input = network.values[static_cast<std::size_t>(network.input)];
  return {.size = {input.height, input.width, input.channels},
          .layout = network.input_layout,
          .dims = network.input_dims};
}

bool SameShape(const Value& a, const Value& b) {
  return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

std::string ShapeText(const Value& value) {
  return host::ShapeText(value.height, value.width, value.channels);
}

std::string NodePlace(const Node& node) {
  return "node \"" + node.name + "\" (" + OpName(node.op) + "): ";
}

namespace {

// Of one table of a gather: how many places, and the largest row and offset.
bool AddLargest(const std::vector<format::GatherPlace>& places, int count, std::uint64_t* row,
                std::uint64_t* offset) {
  std::uint32_t largest_row = 0, largest_offset = 0;
  for (const format::GatherPlace& place : places) {
    if (place.row == format::kOutside) continue;
    largest_row = std::max(largest_row, place.row);
    largest_offset = std::max(largest_offset, place.offset);
  }
  *row += largest_row;
  *offset += largest_offset;
  return places.size() == static_cast<std::size_t>(count);
}

std::string WhyPlacesDiffer(const Value& in, const Value& out, const Node& node) {
  std::uint64_t row = 0, offset = 0;
  const bool rows = AddLargest(node.rows, out.height, &row, &offset);
  const bool columns = AddLargest(node.columns, out.width, &row, &offset);
  const bool channels = AddLargest(node.channels, out.channels, &row, &offset);
  if (!rows || !columns || !channels) return "its tables do not have the extents of its output";
  const auto width = static_cast<std::uint64_t>(in.width) * static_cast<std::uint64_t>(in.channels);
  if (row >= static_cast<std::uint64_t>(in.height) || offset >= width) {
    return "reads element " + std::to_string(offset) + " of row " + std::to_string(row) + " of " +
           ShapeText(in);
  }
  return {};
}

}  // namespace

std::string WhyShapesDiffer(const Network& network, const Node& node) {
  const auto value = [&](int index) -> const Value& {
    return network.values[static_cast<std::size_t>(index)];
  };
  const Value& first = value(node.inputs[0]);
  const Value& output = value(node.output);
  const bool is_binary = IsBinary(node.op);
  const std::size_t inputs = node.inputs.size();
  if (node.op == Op::kConcat ? inputs < 2 : inputs != (is_binary ? 2U : 1U)) {
    return "has " + std::to_string(inputs) + " inputs";
  }
  if (is_binary) {
    const Value& second = value(node.inputs[1]);
    const bool is_per_channel =
        second.height == 1 && second.width == 1 && second.channels == first.channels;
    if (!SameShape(first, output) || (!is_per_channel && !SameShape(first, second))) {
      return ShapeText(first) + " and " + ShapeText(second) + " do not give " + ShapeText(output);
    }
  } else if (node.op == Op::kConcat) {
    std::int64_t channels = 0;
    for (const int input : node.inputs) {
      const Value& part = value(input);
      channels += part.channels;
      if (part.height != output.height || part.width != output.width) {
        return ShapeText(part) + " cannot be a part of " + ShapeText(output);
      }
    }
    if (channels != output.channels) {
      return "the inputs have " + std::to_string(channels) + " channels, the output " +
             std::to_string(output.channels);
    }
  } else if (node.op == Op::kLookup || node.op == Op::kClip) {
    if (first.size() != output.size()) return "input and output differ in size";
    if (node.op == Op::kLookup && !node.functions.empty()) {
      if (node.functions.size() != static_cast<std::size_t>(output.channels)) {
        return "has " + std::to_string(node.functions.size()) + " functions for " +
               std::to_string(output.channels) + " channels";
      }
    } else if (node.op == Op::kLookup && !node.function) {
      return "has no function";
    }
    if (node.op == Op::kClip && !(node.low <= node.high)) return "low exceeds high";
  } else if (node.op == Op::kGather) {
    return WhyPlacesDiffer(first, output, node);
  } else if (node.op == Op::kConstant && node.values.size() != output.size()) {
    return "has " + std::to_string(node.values.size()) + " values for " + ShapeText(output);
  }
  return {};
}

void DropUnread(Network* network) {
  std::vector<char> read(network->values.size(), 0);
  read[static_cast<std::size_t>(network->output)] = 1;
  std::vector<char> keep(network->nodes.size(), 0);
  for (std::size_t i = network->nodes.size(); i-- > 0;) {  // readers come after what they read
    const Node& node = network->nodes[i];
    keep[i] = read[static_cast<std::size_t>(node.output)];
    if (keep[i] == 0) continue;
    for (const int input : node.inputs) read[static_cast<std::size_t>(input)] = 1;
  }
  std::size_t next = 0;
  std::erase_if(network->nodes, [&](const Node&) { return keep[next++] == 0; });
  DropOrphanValues(network);
}

void DropOrphanValues(Network* network) {
  std::vector<char> keep(network->values.size(), 0);
  keep[static_cast<std::size_t>(network->input)] = 1;
  for (const Node& node : network->nodes) keep[static_cast<std::size_t>(node.output)] = 1;
  std::vector<int> renumbered(network->values.size(), -1);
  std::vector<Value> values;
  for (std::size_t i = 0; i < keep.size(); ++i) {
    if (keep[i] == 0) continue;
    renumbered[i] = static_cast<int>(values.size());
    values.push_back(std::move(network->values[i]));
  }
  const auto renumber = [&](int* index) { *index = renumbered[static_cast<std::size_t>(*index)]; };
  for (Node& node : network->nodes) {
    for (int& input : node.inputs) renumber(&input);
    renumber(&node.output);
  }
  renumber(&network->input);
  renumber(&network->output);
  network->values = std::move(values);
}

const char* HeadName(Head head) {
  switch (head) {
    case Head::kSoftmax:
      return "softmax";
    case Head::kSigmoid:
      return "sigmoid";
    case Head::kValues:
      return "values";
    case Head::kGaussian:
      return "gaussian";
    case Head::kReconstruction:
      return "reconstruction";
  }
  return "unknown";
}

std::optional<Head> FindHead(std::string_view name) {
  for (const Head head :
       {Head::kSoftmax, Head::kSigmoid, Head::kValues, Head::kGaussian, Head::kReconstruction}) {
    if (name == HeadName(head)) return head;
  }
  return std::nullopt;
}

const char* OpName(Op op) {
  switch (op) {
    case Op::kConv2d:
      return "Conv2d";
    case Op::kConvTranspose:
      return "ConvTranspose";
    case Op::kDense:
      return "Dense";
    case Op::kAffine:
      return "Affine";
    case Op::kClip:
      return "Clip";
    case Op::kLookup:
      return "Lookup";
    case Op::kAdd:
      return "Add";
    case Op::kMultiply:
      return "Mul";
    case Op::kConcat:
      return "Concat";
    case Op::kSlice:
      return "Slice";
    case Op::kGather:
      return "Gather";
    case Op::kMaximum:
      return "Max";
    case Op::kMinimum:
      return "Min";
    case Op::kConstant:
      return "Constant";
    case Op::kMaxPool:
      return "MaxPool";
    case Op::kAveragePool:
      return "AveragePool";
  }
  return "unknown";
}

std::size_t Network::ParameterCount() const {
  std::size_t count = 0;
  for (const Node& node : nodes) count += node.weights.mu.size() + node.bias.mu.size();
  return count;
}

std::vector<int> Network::Consumers(int value) const {
  std::vector<int> consumers;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const int read : nodes[i].inputs) {
      if (read != value) continue;
      consumers.push_back(static_cast<int>(i));
      break;
    }
  }
  return consumers;
}

std::vector<std::vector<int>> AllConsumers(const Network& network) {
  std::vector<std::vector<int>> consumers(network.values.size());
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const int index = static_cast<int>(i);
    for (const int read : network.nodes[i].inputs) {
      std::vector<int>& nodes = consumers[static_cast<std::size_t>(read)];
      if (nodes.empty() || nodes.back() != index) nodes.push_back(index);
    }
  }
  return consumers;
}

void CheckShapes(const Network& network) {
  Problems problems;
  for (const Node& node : network.nodes) CheckNodeSizes(network, node, &problems);
  if (!problems.empty()) throw host::Error(problems);
}

void CheckParameters(const Network& network) {
  Problems problems;
  for (const Node& node : network.nodes) {
    CheckNodeSizes(network, node, &problems);
    CheckNodeValues(node, &problems);
  }
  if (!problems.empty()) throw host::Error(problems);
}

}  // namespace mu8::convert
