#include "converters/calibrate/equalize.h"

#include <algorithm>
#include <cmath>

#include "converters/fp32/executor.h"
#include "converters/network/channel_scales.h"
#include "converters/network/input.h"

namespace mu8::convert {
namespace {

constexpr std::size_t kMostInputs = 64;
constexpr std::size_t kBatch = 16;
constexpr std::uint32_t kPasses = 2;
// Channels and weights smaller than this part of the largest are next to nothing.
constexpr double kLeastPart = 0x1p-20;
// A tensor whose numbers are all smaller, or one larger, is scaled whole.
constexpr double kLeastRange = 0x1p-60, kMostRange = 0x1p60;

// One value's channels, over the inputs.
struct ChannelRange {
  double greatest = 0.0;  // |x|
  double power = 0.0;     // E[x^2]
};
using Ranges = std::vector<std::vector<ChannelRange>>;  // by value and channel

// Adds the values of one batch, `size` floats, each of which is `part` of a channel's.
void AddBatch(const float* x, std::size_t size, double part, std::vector<ChannelRange>* channels) {
  for (std::size_t i = 0; i < size; ++i) {
    const auto value = std::fabs(static_cast<double>(x[i]));
    ChannelRange& channel = (*channels)[i % channels->size()];
    channel.greatest = std::max(channel.greatest, value);
    channel.power += value * value * part;
  }
}

// Value by value as they are computed: none is kept.
Ranges Measure(const Network& network, const host::Dataset& data, std::uint64_t seed) {
  Ranges ranges;
  for (const Value& value : network.values) {
    ranges.emplace_back(static_cast<std::size_t>(value.channels));
  }
  const std::size_t batch = std::min(kBatch, data.count);
  const std::size_t batches = std::min(kMostInputs, data.count) / batch;
  const auto add = [&](int value, const float* x) {
    const auto v = static_cast<std::size_t>(value);
    const std::size_t size = batch * network.values[v].size();
    const auto all = static_cast<double>(size * batches * std::size_t{kPasses});
    AddBatch(x, size, static_cast<double>(ranges[v].size()) / all, &ranges[v]);
  };
  Fp32Executor executor(network, static_cast<int>(batch), false);
  SampledWeights weights;
  for (std::uint32_t pass = 0; pass < kPasses; ++pass) {
    SampleGaussian(network, seed, pass, &weights);
    executor.SetWeights(weights);
    for (std::size_t b = 0; b < batches; ++b) {
      // Spread over the data: they may be sorted by class.
      const std::size_t first = batches == 1 ? 0 : b * (data.count - batch) / (batches - 1);
      const std::vector<float> input = Normalize(network, data, first, batch);
      add(network.input, input.data());
      executor.Run(input.data(), [&](int value, const float* x, std::size_t) { add(value, x); });
    }
  }
  return ranges;
}

double Greatest(const std::vector<ChannelRange>& channels) {
  double greatest = 0.0;
  for (const ChannelRange& channel : channels) greatest = std::max(greatest, channel.greatest);
  return greatest;
}

// The mean over the outputs of what is lost of their power by rounding the input and the weights of
// each output channel to 8 bits.
double PredictedLoss(const Network& network, const Node& node,
                     const std::vector<ChannelRange>& inputs) {
  struct Output {
    double signal = 0.0, weight_square = 0.0, input_square = 0.0, largest = 0.0;
  };
  const auto count =
      static_cast<std::size_t>(network.values[static_cast<std::size_t>(node.output)].channels);
  std::vector<Output> outputs(count);
  ForEachWeight(network, node, [&](int out, int in, std::size_t i) {
    const double w = std::fabs(static_cast<double>(node.weights.mu[i]));
    const double power = inputs[static_cast<std::size_t>(in)].power;
    Output& output = outputs[static_cast<std::size_t>(out)];
    output.signal += w * w * power;
    output.weight_square += w * w;
    output.input_square += power;
    output.largest = std::max(output.largest, w);
  });
  const double input_step = Greatest(inputs) / 255.0;
  double lost = 0.0, alive = 0.0;
  for (const Output& output : outputs) {
    if (!(output.signal > 0.0)) continue;
    const double weight_step = output.largest / 127.0;
    const double noise = (input_step * input_step * output.weight_square +
                          weight_step * weight_step * output.input_square) /
                         12.0;
    lost += std::min(noise / output.signal, 1.0);
    alive += 1.0;
  }
  return alive > 0.0 ? lost / alive : 0.0;
}

// What the choice needs of one group.
struct Group {
  double greatest = 0.0;  // of its channels
  double weight = 0.0;    // the largest of its readers' weights, in the largest of their output
                          // channel that reads something
  bool chosen = false;
};

class Equalizer {
 public:
  Equalizer(const Network& network, const Ranges& ranges)
      : network_(network), ranges_(ranges), channels_(network), groups_(channels_.count()) {
    for (std::size_t v = 0; v < ranges.size(); ++v) {
      ForGroups(v, [&](Group& group, std::size_t c) {
        group.greatest = std::max(group.greatest, ranges[v][c].greatest);
      });
    }
    for (const Node& node : network.nodes) {
      if (IsWeighted(node.op)) AddWeights(node);
    }
  }

  // The exponents of the values that need it and all that shares a group with them.
  std::vector<int> Choose() {
    std::vector<char> chosen(ranges_.size(), 0);
    for (const Node& node : network_.nodes) {
      if (!IsWeighted(node.op)) continue;
      const auto input = static_cast<std::size_t>(node.inputs[0]);
      const double greatest = Greatest(ranges_[input]);
      const bool extreme = greatest > 0.0 && (greatest < kLeastRange || greatest > kMostRange);
      if (extreme || PredictedLoss(network_, node, ranges_[input]) > kMostPredictedLoss) {
        chosen[input] = 1;
      }
    }
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t v = 0; v < chosen.size(); ++v) {
        bool shares = chosen[v] != 0;
        ForGroups(v, [&](const Group& group, std::size_t) { shares = shares || group.chosen; });
        if (!shares) continue;
        ForGroups(v, [&](Group& group, std::size_t) {
          changed = changed || !group.chosen;
          group.chosen = true;
        });
      }
    }
    return Exponents();
  }

  const ChannelGroups& channels() const { return channels_; }

 private:
  template <typename Visit>
  void ForGroups(std::size_t value, const Visit& visit) {
    for (std::size_t c = 0; c < ranges_[value].size(); ++c) {
      const int group = channels_.Of(static_cast<int>(value), static_cast<int>(c));
      if (group >= 0) visit(groups_[static_cast<std::size_t>(group)], c);
    }
  }

  void AddWeights(const Node& node) {
    std::vector<double> largest(ranges_[static_cast<std::size_t>(node.output)].size(), 0.0);
    const auto weight = [&](std::size_t i) {
      return std::fabs(static_cast<double>(node.weights.mu[i]));
    };
    ForEachWeight(network_, node, [&](int out, int in, std::size_t i) {
      double& most = largest[static_cast<std::size_t>(out)];
      if (ranges_[static_cast<std::size_t>(node.inputs[0])][static_cast<std::size_t>(in)].power >
          0.0) {
        most = std::max(most, weight(i));
      }
    });
    ForEachWeight(network_, node, [&](int out, int in, std::size_t i) {
      const int group = channels_.Of(node.inputs[0], in);
      const double most = largest[static_cast<std::size_t>(out)];
      if (group < 0 || !(most > 0.0)) return;
      double& part = groups_[static_cast<std::size_t>(group)].weight;
      part = std::max(part, weight(i) / most);
    });
  }

  // k = sqrt(w / x): Nagel's rule, after which the ranges k x and w / k are equal. Channels that
  // were always 0 take the least factor of all, for what they are on other inputs is not known;
  // unless their weights are larger than all others.
  std::vector<int> Exponents() const {
    double greatest = 0.0;
    for (const Group& group : groups_) {
      if (group.chosen) greatest = std::max(greatest, group.greatest);
    }
    std::vector<int> exponents(groups_.size(), 0);
    int least = 0;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const Group& group = groups_[g];
      if (!group.chosen || !(group.greatest > 0.0)) continue;
      const double x = std::max(group.greatest, kLeastPart * greatest);
      exponents[g] =
          static_cast<int>(std::floor(0.5 * std::log2(std::max(group.weight, kLeastPart) / x)));
      least = std::min(least, exponents[g]);
    }
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const Group& group = groups_[g];
      if (!group.chosen || group.greatest > 0.0) continue;
      exponents[g] = least + static_cast<int>(std::ceil(std::log2(std::max(group.weight, 1.0))));
    }
    return exponents;
  }

  const Network& network_;
  const Ranges& ranges_;
  ChannelGroups channels_;
  std::vector<Group> groups_;
};

Ranges Scaled(Ranges ranges, const ChannelGroups& channels, const std::vector<int>& exponents) {
  for (std::size_t v = 0; v < ranges.size(); ++v) {
    for (std::size_t c = 0; c < ranges[v].size(); ++c) {
      const int group = channels.Of(static_cast<int>(v), static_cast<int>(c));
      if (group < 0) continue;
      const int exponent = exponents[static_cast<std::size_t>(group)];
      ranges[v][c].greatest = std::ldexp(ranges[v][c].greatest, exponent);
      ranges[v][c].power = std::ldexp(ranges[v][c].power, 2 * exponent);
    }
  }
  return ranges;
}

// All that is scaled down or up keeps its bits.
bool IsExact(const Network& before, const Network& after) {
  const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (a[i] != 0.0F && !(std::isnormal(b[i]))) return false;
    }
    return true;
  };
  for (std::size_t n = 0; n < before.nodes.size(); ++n) {
    const Node &a = before.nodes[n], &b = after.nodes[n];
    if (!same(a.weights.mu, b.weights.mu) || !same(a.weights.sigma, b.weights.sigma) ||
        !same(a.bias.mu, b.bias.mu) || !same(a.bias.sigma, b.bias.sigma)) {
      return false;
    }
  }
  return true;
}

double TotalLoss(const Network& network, const Ranges& ranges) {
  double total = 0.0;
  for (const Node& node : network.nodes) {
    if (!IsWeighted(node.op)) continue;
    const double loss =
        PredictedLoss(network, node, ranges[static_cast<std::size_t>(node.inputs[0])]);
    if (loss > kMostPredictedLoss) total += loss;
  }
  return total;
}

}  // namespace

std::vector<int> Equalize(const host::Dataset& data, std::uint64_t seed, Network* network,
                          std::vector<std::string>* notices) {
  const Ranges ranges = Measure(*network, data, seed);
  Equalizer equalizer(*network, ranges);
  std::vector<int> exponents = equalizer.Choose();
  const auto moved = std::ranges::count_if(exponents, [](int e) { return e != 0; });
  if (moved == 0) return {};
  Network scaled = *network;
  ScaleChannels(equalizer.channels(), exponents, &scaled);
  const double before = TotalLoss(*network, ranges);
  const double after = TotalLoss(scaled, Scaled(ranges, equalizer.channels(), exponents));
  if (!IsExact(*network, scaled) || (before > 0.0 && after > 0.5 * before)) return {};
  *network = std::move(scaled);
  notices->push_back(
      "the ranges of channels differ so much that 8 bits would lose the small ones: " +
      std::to_string(moved) +
      " channels were scaled by powers of two, and the weights that read them by "
      "their inverses, which changes nothing in FP32");
  return exponents;
}

}  // namespace mu8::convert
