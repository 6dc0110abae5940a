#include "converters/network/transposed.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace mu8::convert {
namespace {

using format::GatherPlace;

// One axis of a transposed convolution: y(o) = sum of x(i) * w(k) with o + pad = i * stride + k *
// dilation. `phases` is the stride where each of them is computed apart, else 1.
struct Axis {
  int kernel, stride, dilation, pad, in, out;
  int phases = 1;

  // Of the convolution.
  int taps() const { return kernel / phases; }
  // Phases apart: output o is in phase (o + pad) % stride at place (o + pad) / stride, counted from
  // the first place that is computed.
  int first_place() const { return std::min(pad / stride, taps() - 1); }
  int place(int o) const { return phases == 1 ? o : (o + pad) / stride - first_place(); }
  int phase(int o) const { return phases == 1 ? 0 : (o + pad) % stride; }
  // The convolution's padding and output; none is negative. Where much is cut off at the end, it
  // computes more places than are read.
  int pad_before() const {
    return phases == 1 ? std::max((kernel - 1) * dilation - pad, 0) : taps() - 1 - first_place();
  }
  int pad_after() const {
    return places() + (taps() - 1) * (phases == 1 ? dilation : 1) - pad_before() - reads();
  }
  int places() const {
    return phases == 1 ? out : std::max(place(out - 1) + 1, in + pad_before() - taps() + 1);
  }
  // The tap of the kernel that tap j of the convolution in that phase is.
  int tap(int j, int phase) const { return (taps() - 1 - j) * phases + phase; }

  // Zeros in between: input elements that the convolution reads from this one of the image on.
  int first_read() const { return std::max(pad - (kernel - 1) * dilation, 0); }
  int reads() const {
    if (phases != 1) return in;
    return std::max(std::min((in - 1) * stride + 1, out + pad) - first_read(), 1);
  }
  bool reads_as_it_is() const {
    return phases != 1 || (stride == 1 && first_read() == 0 && reads() == in);
  }
  // The input's element at place i of what is read; -1: a zero.
  int source(int i) const {
    if (phases != 1) return i;
    const int place = i + first_read();
    return place % stride == 0 && place / stride < in ? place / stride : -1;
  }
};

struct Axes {
  Axis h, w;
};

class Expansion {
 public:
  explicit Expansion(Network* network) : network_(network) {}

  void Run() {
    for (Node& node : network_->nodes) {
      if (node.op != Op::kConvTranspose) {
        nodes_.push_back(std::move(node));
        continue;
      }
      Expand(node);
    }
    network_->nodes = std::move(nodes_);
  }

 private:
  const Value& ValueAt(int index) const {
    return network_->values[static_cast<std::size_t>(index)];
  }

  int AddValue(const std::string& name, int height, int width, int channels) {
    network_->values.push_back(
        {.name = name, .height = height, .width = width, .channels = channels});
    return static_cast<int>(network_->values.size()) - 1;
  }

  Axes AxesOf(const Node& node) const {
    const Value& in = ValueAt(node.inputs[0]);
    const Value& out = ValueAt(node.output);
    const Window& w = node.window;
    Axes axes{{w.kernel_h, w.stride_h, w.dilation_h, w.pad_top, in.height, out.height},
              {w.kernel_w, w.stride_w, w.dilation_w, w.pad_left, in.width, out.width}};
    const bool apart = node.bias.sigma.empty() && node.output != network_->output;
    for (Axis* axis : {&axes.h, &axes.w}) {
      if (apart && axis->dilation == 1 && axis->kernel % axis->stride == 0) {
        axis->phases = axis->stride;
      }
    }
    return axes;
  }

  void Expand(const Node& node) {
    const Axes axes = AxesOf(node);
    const int phases = axes.h.phases * axes.w.phases;
    Node conv = Convolution(node, axes);
    if (!axes.h.reads_as_it_is() || !axes.w.reads_as_it_is()) {
      conv.inputs = {Spread(node, axes)};
    }
    if (phases == 1) {
      nodes_.push_back(std::move(conv));
      return;
    }
    const Value out = ValueAt(node.output);
    conv.name = node.name + "/phases";
    conv.output = AddValue(conv.name, axes.h.places(), axes.w.places(), phases * out.channels);
    const int places = conv.output;
    nodes_.push_back(std::move(conv));
    nodes_.push_back(Join(node, axes, ValueAt(places), places));
  }

  // The input with zeros between its elements; the value that holds it.
  int Spread(const Node& node, const Axes& axes) {
    const Value in = ValueAt(node.inputs[0]);
    Node gather{.op = Op::kGather, .name = node.name + "/spread"};
    gather.inputs = node.inputs;
    for (int i = 0; i < axes.h.reads(); ++i) {
      const int row = axes.h.source(i);
      gather.rows.push_back({row < 0 ? format::kOutside : static_cast<std::uint32_t>(row), 0});
    }
    for (int i = 0; i < axes.w.reads(); ++i) {
      const int column = axes.w.source(i);
      gather.columns.push_back(column < 0 ? GatherPlace{format::kOutside, 0}
                                          : PlaceInRow(in, column, 0));
    }
    for (int c = 0; c < in.channels; ++c) gather.channels.push_back(PlaceInRow(in, 0, c));
    const int spread = AddValue(gather.name, axes.h.reads(), axes.w.reads(), in.channels);
    gather.output = spread;
    nodes_.push_back(std::move(gather));
    return spread;
  }

  // Channels are ordered by group, phase, channel of the group.
  Node Convolution(const Node& node, const Axes& axes) const {
    Node conv{.op = Op::kConv2d, .name = node.name};
    conv.inputs = node.inputs;
    conv.output = node.output;
    conv.groups = node.groups;
    const auto dilation = [](const Axis& axis) { return axis.phases == 1 ? axis.dilation : 1; };
    conv.window = {.kernel_h = axes.h.taps(),
                   .kernel_w = axes.w.taps(),
                   .dilation_h = dilation(axes.h),
                   .dilation_w = dilation(axes.w),
                   .pad_top = axes.h.pad_before(),
                   .pad_left = axes.w.pad_before(),
                   .pad_bottom = axes.h.pad_after(),
                   .pad_right = axes.w.pad_after()};
    const auto in = static_cast<std::size_t>(ValueAt(node.inputs[0]).channels / node.groups);
    conv.weights.mu = Rearranged(node.weights.mu, node, axes, in);
    conv.weights.sigma = Rearranged(node.weights.sigma, node, axes, in);
    conv.bias = node.bias;
    conv.bias.mu = Repeated(node.bias.mu, node, axes);
    return conv;
  }

  // Calls visit(channel of the transposed convolution, phases) for each channel of the other.
  template <typename Visit>
  void ForChannels(const Node& node, const Axes& axes, const Visit& visit) const {
    const int in_group = ValueAt(node.output).channels / node.groups;
    for (int group = 0; group < node.groups; ++group) {
      for (int phase_h = 0; phase_h < axes.h.phases; ++phase_h) {
        for (int phase_w = 0; phase_w < axes.w.phases; ++phase_w) {
          for (int c = 0; c < in_group; ++c) {
            const int channel = group * in_group + c;
            visit(static_cast<std::size_t>(channel), phase_h, phase_w);
          }
        }
      }
    }
  }

  std::vector<float> Rearranged(const std::vector<float>& weights, const Node& node,
                                const Axes& axes, std::size_t inputs) const {
    std::vector<float> rearranged;
    if (weights.empty()) return rearranged;
    rearranged.reserve(weights.size());
    ForChannels(node, axes, [&](std::size_t channel, int phase_h, int phase_w) {
      for (int y = 0; y < axes.h.taps(); ++y) {
        for (int x = 0; x < axes.w.taps(); ++x) {
          const std::size_t tap = (channel * static_cast<std::size_t>(axes.h.kernel) +
                                   static_cast<std::size_t>(axes.h.tap(y, phase_h))) *
                                      static_cast<std::size_t>(axes.w.kernel) +
                                  static_cast<std::size_t>(axes.w.tap(x, phase_w));
          const auto first = weights.begin() + static_cast<std::ptrdiff_t>(tap * inputs);
          rearranged.insert(rearranged.end(), first, first + static_cast<std::ptrdiff_t>(inputs));
        }
      }
    });
    return rearranged;
  }

  std::vector<float> Repeated(const std::vector<float>& bias, const Node& node,
                              const Axes& axes) const {
    std::vector<float> repeated;
    if (bias.empty()) return repeated;
    ForChannels(node, axes,
                [&](std::size_t channel, int, int) { repeated.push_back(bias[channel]); });
    return repeated;
  }

  // The phases, side by side.
  Node Join(const Node& node, const Axes& axes, const Value& places, int input) const {
    const Value& out = ValueAt(node.output);
    const int in_group = out.channels / node.groups;
    const int phases = axes.h.phases * axes.w.phases;
    Node gather{.op = Op::kGather, .name = node.name};
    gather.inputs = {input};
    gather.output = node.output;
    for (int y = 0; y < out.height; ++y) {
      GatherPlace place = PlaceInRow(places, 0, axes.h.phase(y) * axes.w.phases * in_group);
      place.row = static_cast<std::uint32_t>(axes.h.place(y));
      gather.rows.push_back(place);
    }
    for (int x = 0; x < out.width; ++x) {
      gather.columns.push_back(PlaceInRow(places, axes.w.place(x), axes.w.phase(x) * in_group));
    }
    for (int c = 0; c < out.channels; ++c) {
      gather.channels.push_back(
          PlaceInRow(places, 0, c / in_group * phases * in_group + c % in_group));
    }
    return gather;
  }

  Network* network_;
  std::vector<Node> nodes_;
};

bool HasOutside(const Node& gather) {
  for (const auto* places : {&gather.rows, &gather.columns, &gather.channels}) {
    for (const GatherPlace& place : *places) {
      if (place.row == format::kOutside) return true;
    }
  }
  return false;
}

// Clip of a gather: a gather of the clipped. Zeros from outside must stay what they are.
void HoistClips(Network* network) {
  const std::vector<std::vector<int>> consumers = AllConsumers(*network);
  for (std::size_t i = 0; i < network->nodes.size(); ++i) {
    Node& gather = network->nodes[i];
    const auto& readers = consumers[static_cast<std::size_t>(gather.output)];
    if (gather.op != Op::kGather || gather.output == network->output || readers.size() != 1 ||
        consumers[static_cast<std::size_t>(gather.inputs[0])].size() != 1) {
      continue;
    }
    Node& clip = network->nodes[static_cast<std::size_t>(readers[0])];
    const bool keeps_zero = clip.low <= 0.0F && clip.high >= 0.0F;
    if (clip.op != Op::kClip || (HasOutside(gather) && !keeps_zero)) continue;
    // The value between the two takes the shape of what is clipped now. The nodes change places:
    // none between them reads what either writes.
    const Value source = network->values[static_cast<std::size_t>(gather.inputs[0])];
    Value& between = network->values[static_cast<std::size_t>(gather.output)];
    between.height = source.height;
    between.width = source.width;
    between.channels = source.channels;
    std::swap(gather.inputs, clip.inputs);
    std::swap(gather.output, clip.output);
    std::swap(gather, clip);
  }
}

}  // namespace

GatherPlace PlaceInRow(const Value& value, int column, int channel) {
  return {0, static_cast<std::uint32_t>(column) * static_cast<std::uint32_t>(value.channels) +
                 static_cast<std::uint32_t>(channel)};
}

void ExpandTransposed(Network* network) {
  Expansion(network).Run();
  HoistClips(network);
}

}  // namespace mu8::convert
