#include "converters/network/channel_scales.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "converters/host/error.h"

namespace mu8::convert {
namespace {

// Disjoint sets of channels.
class Sets {
 public:
  explicit Sets(std::size_t count) : parent_(count), fixed_(count, 0) {
    std::iota(parent_.begin(), parent_.end(), 0);
  }
  int Find(int at) {
    while (parent_[static_cast<std::size_t>(at)] != at) {
      int& up = parent_[static_cast<std::size_t>(at)];
      up = parent_[static_cast<std::size_t>(up)];
      at = up;
    }
    return at;
  }
  void Join(int a, int b) {
    a = Find(a), b = Find(b);
    parent_[static_cast<std::size_t>(b)] = a;
    fixed_[static_cast<std::size_t>(a)] |= fixed_[static_cast<std::size_t>(b)];
  }
  void Fix(int at) { fixed_[static_cast<std::size_t>(Find(at))] = 1; }
  bool is_fixed(int at) { return fixed_[static_cast<std::size_t>(Find(at))] != 0; }

 private:
  std::vector<int> parent_;
  std::vector<char> fixed_;
};

// f(2 x) = 2 f(x), looked at over 120 binades on both sides (a function may be thousands of nodes,
// so not at each): LeakyReLU, Abs, Neg.
bool IsHomogeneous(const std::function<double(double)>& function) {
  for (const double mantissa : {1.0, 1.3, 1.7}) {
    for (int exponent = -60; exponent < 60; exponent += 5) {
      for (const double sign : {-1.0, 1.0}) {
        const double x = sign * std::ldexp(mantissa, exponent);
        if (function(2.0 * x) != 2.0 * function(x)) return false;
      }
    }
  }
  return true;
}

bool IsRelu(const Node& node) {
  return node.low == 0.0F && node.high == std::numeric_limits<float>::infinity();
}

// Whether a factor of the inputs' channels is one of the output's.
bool HandsOn(const Node& node) {
  switch (node.op) {
    case Op::kClip:
      return IsRelu(node);
    case Op::kLookup:
      return node.functions.empty() ? IsHomogeneous(node.function)
                                    : std::ranges::all_of(node.functions, IsHomogeneous);
    case Op::kAdd:
    case Op::kMaximum:
    case Op::kMinimum:
    case Op::kConcat:
    case Op::kSlice:
    case Op::kMaxPool:
    case Op::kAveragePool:
      return true;
    case Op::kConv2d:
    case Op::kConvTranspose:
    case Op::kDense:
    case Op::kAffine:
    case Op::kMultiply:
    case Op::kGather:
    case Op::kConstant:
      break;
  }
  return false;
}

}  // namespace

ChannelGroups::ChannelGroups(const Network& network) {
  const auto channels_of = [&](int value) {
    return network.values[static_cast<std::size_t>(value)].channels;
  };
  int total = 0;
  for (const Value& value : network.values) {
    first_.push_back(total);
    total += value.channels;
  }
  Sets sets(static_cast<std::size_t>(total));
  const auto place = [&](int value, int channel) {
    return first_[static_cast<std::size_t>(value)] + channel;
  };
  const auto fix = [&](int value) {
    for (int c = 0; c < channels_of(value); ++c) sets.Fix(place(value, c));
  };
  fix(network.input);
  fix(network.output);
  for (const Node& node : network.nodes) {
    if (IsWeighted(node.op)) continue;
    int offset = node.op == Op::kSlice ? -node.offset_c : 0;
    for (const int input : node.inputs) {
      if (!HandsOn(node)) {
        fix(input);
        fix(node.output);
        continue;
      }
      for (int c = 0; c < channels_of(input); ++c) {
        const int to = c + offset;
        if (to >= 0 && to < channels_of(node.output)) {
          sets.Join(place(input, c), place(node.output, to));
        }
      }
      if (node.op == Op::kConcat) offset += channels_of(input);
    }
  }
  groups_.assign(static_cast<std::size_t>(total), -1);
  std::vector<int> numbers(static_cast<std::size_t>(total), -1);
  for (int at = 0; at < total; ++at) {
    if (sets.is_fixed(at)) continue;
    int& number = numbers[static_cast<std::size_t>(sets.Find(at))];
    if (number < 0) number = static_cast<int>(count_++);
    groups_[static_cast<std::size_t>(at)] = number;
  }
}

void ScaleChannels(const ChannelGroups& groups, std::span<const int> exponents, Network* network) {
  const auto exponent = [&](int value, int channel) {
    const int group = groups.Of(value, channel);
    return group < 0 ? 0 : exponents[static_cast<std::size_t>(group)];
  };
  for (Node& node : network->nodes) {
    if (!IsWeighted(node.op)) continue;
    for (std::vector<float>* weights : {&node.weights.mu, &node.weights.sigma}) {
      if (weights->empty()) continue;
      ForEachWeight(*network, node, [&](int out, int in, std::size_t i) {
        const int by = exponent(node.output, out) - exponent(node.inputs[0], in);
        (*weights)[i] = std::ldexp((*weights)[i], by);
      });
    }
    for (std::vector<float>* biases : {&node.bias.mu, &node.bias.sigma}) {
      for (std::size_t c = 0; c < biases->size(); ++c) {
        (*biases)[c] = std::ldexp((*biases)[c], exponent(node.output, static_cast<int>(c)));
      }
    }
  }
}

std::string EqualizationText(const Network& network, const std::vector<Step>& steps,
                             std::span<const int> exponents) {
  if (exponents.empty()) return "";
  const ChannelGroups groups(network);
  std::string text;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Node& node = network.nodes[static_cast<std::size_t>(steps[i].node)];
    if (!IsWeighted(node.op)) continue;
    std::string line;
    bool scaled = false;
    for (int c = 0; c < network.values[static_cast<std::size_t>(node.output)].channels; ++c) {
      const int group = groups.Of(node.output, c);
      const int exponent = group < 0 ? 0 : exponents[static_cast<std::size_t>(group)];
      scaled = scaled || exponent != 0;
      line += (c == 0 ? "" : ",") + std::to_string(exponent);
    }
    if (!scaled) continue;
    text += (text.empty() ? "" : "\n") + std::to_string(i) + ": " + line;
  }
  return text;
}

void EqualizeLikeText(std::string_view text, const std::vector<Step>& steps, Network* network) {
  const ChannelGroups groups(*network);
  std::vector<int> exponents(groups.count(), 0);
  const auto refuse = [] {
    throw host::Error(
        "the file's metadata \"equalization\" does not fit the given network, expected the file "
        "made from it");
  };
  const auto number = [&](int least, int most) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || value < least || value > most) refuse();
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
  };
  const auto skip = [&](std::string_view expected) {
    if (!text.starts_with(expected)) refuse();
    text.remove_prefix(expected.size());
  };
  while (!text.empty()) {
    const int step = number(0, static_cast<int>(steps.size()) - 1);
    const Node& node =
        network->nodes[static_cast<std::size_t>(steps[static_cast<std::size_t>(step)].node)];
    const int channels = network->values[static_cast<std::size_t>(node.output)].channels;
    for (int c = 0; c < channels; ++c) {
      skip(c == 0 ? ": " : ",");
      constexpr int kMost = 300;  // of float32's binades
      const int exponent = number(-kMost, kMost), group = groups.Of(node.output, c);
      if (group >= 0) exponents[static_cast<std::size_t>(group)] = exponent;
      if (group < 0 && exponent != 0) refuse();
    }
    if (!text.empty()) skip("\n");
  }
  ScaleChannels(groups, exponents, network);
}

}  // namespace mu8::convert
