// MergeSlices: framework exports write one subsampled, zero-padded shortcut as Slice, Slice and
// Pad, and padding apart from its convolution. Here they become one copy, or none. Every rewrite is
// checked index by index, axis by axis: an element is zero as soon as one of its axes is outside.
#include "converters/network/merge_slices.h"

#include <algorithm>
#include <array>

namespace mu8::convert {
namespace {

// One axis of a kSlice: y(i) = x(i * stride + offset) for 0 <= i < output, 0 outside [0, input).
struct Axis {
  std::int64_t stride, offset, input, output;
};
using Axes = std::array<Axis, 3>;  // height, width, channels

const Value& ValueAt(const Network& network, int index) {
  return network.values[static_cast<std::size_t>(index)];
}

Axes AxesOf(const Network& network, const Node& node) {
  const Value& in = ValueAt(network, node.inputs[0]);
  const Value& out = ValueAt(network, node.output);
  return {{{node.window.stride_h, node.offset_h, in.height, out.height},
           {node.window.stride_w, node.offset_w, in.width, out.width},
           {1, node.offset_c, in.channels, out.channels}}};
}

// Both slices as one, if every element of the second one's output stays what it is.
bool Join(const Axis& first, const Axis& second, Axis* joined) {
  *joined = {first.stride * second.stride, second.offset * first.stride + first.offset, first.input,
             second.output};
  for (std::int64_t i = 0; i < second.output; ++i) {
    const std::int64_t middle = i * second.stride + second.offset;
    const std::int64_t source = i * joined->stride + joined->offset;
    const bool was_zero = middle < 0 || middle >= first.output;
    // Inside the middle value both rules name the same source.
    if (was_zero && source >= 0 && source < first.input) return false;
  }
  return true;
}

// The producer of `value` and its only reader, when it is a kSlice.
Node* SoleSlice(Network* network, int value) {
  if (value == network->output || network->Consumers(value).size() != 1) return nullptr;
  for (Node& node : network->nodes) {
    if (node.output == value) return node.op == Op::kSlice ? &node : nullptr;
  }
  return nullptr;
}

bool JoinWithProducer(Network* network, Node* node) {
  const Node* before = SoleSlice(network, node->inputs[0]);
  if (before == nullptr) return false;
  const Axes first = AxesOf(*network, *before), second = AxesOf(*network, *node);
  Axes joined{};
  for (std::size_t i = 0; i < joined.size(); ++i) {
    if (!Join(first[i], second[i], &joined[i])) return false;
  }
  node->inputs = before->inputs;
  node->window.stride_h = static_cast<int>(joined[0].stride);
  node->window.stride_w = static_cast<int>(joined[1].stride);
  node->offset_h = static_cast<int>(joined[0].offset);
  node->offset_w = static_cast<int>(joined[1].offset);
  node->offset_c = static_cast<int>(joined[2].offset);
  return true;
}

// Zeros around the image that `conv` alone reads: its window may reach over them by itself.
bool FoldPadding(Network* network, Node* conv) {
  const Node* pad = SoleSlice(network, conv->inputs[0]);
  if (pad == nullptr) return false;
  const Axes axes = AxesOf(*network, *pad);
  std::array<std::int64_t, 2> after{};
  for (std::size_t i = 0; i < 2; ++i) {
    after[i] = axes[i].output - axes[i].input + axes[i].offset;
    if (axes[i].stride != 1 || axes[i].offset > 0 || after[i] < 0) return false;
  }
  if (axes[2].offset != 0 || axes[2].input != axes[2].output) return false;
  conv->inputs = pad->inputs;
  conv->window.pad_top -= pad->offset_h;
  conv->window.pad_left -= pad->offset_w;
  conv->window.pad_bottom += static_cast<int>(after[0]);
  conv->window.pad_right += static_cast<int>(after[1]);
  return true;
}

bool Copies(const Network& network, const Node& node) {
  if (node.op != Op::kSlice || node.output == network.output) return false;
  const Axes axes = AxesOf(network, node);
  return std::all_of(axes.begin(), axes.end(), [](const Axis& axis) {
    return axis.stride == 1 && axis.offset == 0 && axis.input == axis.output;
  });
}

}  // namespace

void MergeSlices(Network* network) {
  for (Node& node : network->nodes) {
    if (!Copies(*network, node)) continue;
    for (Node& reader : network->nodes) {
      std::replace(reader.inputs.begin(), reader.inputs.end(), node.output, node.inputs[0]);
    }
  }
  // A slice that was joined reads what its producer read: that may be joined, too. The producer is
  // dropped at once, so that readers are counted without it.
  for (bool changed = true; changed;) {
    DropUnread(network);
    changed = false;
    for (Node& node : network->nodes) {
      if (node.op == Op::kSlice) changed = JoinWithProducer(network, &node);
      if (node.op == Op::kConv2d) changed = FoldPadding(network, &node);
      if (changed) break;
    }
  }
}

}  // namespace mu8::convert
