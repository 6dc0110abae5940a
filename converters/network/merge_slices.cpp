// MergeSlices: framework exports write one subsampled, zero-padded shortcut as Slice, Slice and
// Pad, and padding apart from its convolution. Here they become one copy, or none. Every rewrite is
// checked index by index, axis by axis: an element is zero as soon as one of its axes is outside.
#include "converters/network/merge_slices.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>
#include <vector>

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

// The first i >= 0 with i * stride + offset >= bound.
std::int64_t FirstAt(const Axis& axis, std::int64_t bound) {
  return bound <= axis.offset ? 0 : (bound - axis.offset + axis.stride - 1) / axis.stride;
}

// Both slices as one, if every element of the second one's output stays what it is.
bool Join(const Axis& first, const Axis& second, Axis* joined) {
  *joined = {first.stride * second.stride, second.offset * first.stride + first.offset, first.input,
             second.output};
  constexpr std::int64_t kMost = 1 << 30;  // what a Node holds
  if (joined->stride > kMost || std::abs(joined->offset) > kMost) return false;
  // Inside the middle value both rules name the same source. Where the second slice found zeros,
  // before `begin` and from `end` on, the joined one must not find the input, which it does between
  // `from` and `to`.
  const std::int64_t begin = FirstAt(second, 0), end = FirstAt(second, first.output);
  const std::int64_t from = FirstAt(*joined, 0), to = FirstAt(*joined, first.input);
  return from >= std::min({begin, to, second.output}) &&
         std::max(end, from) >= std::min(to, second.output);
}

// Who writes and who reads each value. A slice that is joined hands its input to its only reader:
// no other count changes.
class Links {
 public:
  explicit Links(Network* network)
      : network_(network),
        producer_(network->values.size(), nullptr),
        readers_(network->values.size(), 0) {
    for (Node& node : network->nodes) producer_[Index(node.output)] = &node;
    const std::vector<std::vector<int>> consumers = AllConsumers(*network);
    for (std::size_t i = 0; i < consumers.size(); ++i) readers_[i] = consumers[i].size();
  }

  // The producer of `value`, when it is a kSlice and one node alone reads it.
  const Node* SoleSlice(int value) const {
    if (value == network_->output || readers_[Index(value)] != 1) return nullptr;
    const Node* producer = producer_[Index(value)];
    return producer != nullptr && producer->op == Op::kSlice ? producer : nullptr;
  }

 private:
  static std::size_t Index(int value) { return static_cast<std::size_t>(value); }

  const Network* network_;
  std::vector<Node*> producer_;
  std::vector<std::size_t> readers_;
};

bool JoinWithProducer(const Network& network, const Links& links, Node* node) {
  const Node* before = links.SoleSlice(node->inputs[0]);
  if (before == nullptr) return false;
  const Axes first = AxesOf(network, *before), second = AxesOf(network, *node);
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
bool FoldPadding(const Network& network, const Links& links, Node* conv) {
  const Node* pad = links.SoleSlice(conv->inputs[0]);
  if (pad == nullptr) return false;
  const Axes axes = AxesOf(network, *pad);
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

// Whoever reads a copy reads what it copies.
void SkipCopies(Network* network) {
  std::vector<int> source(network->values.size());
  std::iota(source.begin(), source.end(), 0);
  for (Node& node : network->nodes) {
    for (int& input : node.inputs) input = source[static_cast<std::size_t>(input)];
    if (Copies(*network, node)) source[static_cast<std::size_t>(node.output)] = node.inputs[0];
  }
  DropUnread(network);
}

}  // namespace

void MergeSlices(Network* network) {
  SkipCopies(network);
  const Links links(network);
  // Producers come first and are as joined as they can be: each node looks back until nothing fits.
  for (Node& node : network->nodes) {
    if (node.op == Op::kSlice) {
      while (JoinWithProducer(*network, links, &node)) continue;
    } else if (node.op == Op::kConv2d) {
      while (FoldPadding(*network, links, &node)) continue;
    }
  }
  DropUnread(network);
}

}  // namespace mu8::convert
