// Factors of channels that move between layers: a layer's output channel times 2^e and what reads
// it times 2^-e is the same network, exactly, in real numbers and, for powers of two, in floats
// that neither overflow nor become subnormal (cross-layer equalization; Nagel et al. 2019,
// "Data-free quantization through weight equalization and bias correction", section 4.1). ReLUs,
// pools, slices, concatenations and sums hand a positive factor on; so channels form groups of one
// factor each.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "converters/network/network.h"
#include "converters/network/steps.h"

namespace mu8::convert {

class ChannelGroups {
 public:
  explicit ChannelGroups(const Network& network);

  // The group of a value's channel; -1: its factor is 1 (the network's input or output, what a
  // product or another function reads or writes).
  int Of(int value, int channel) const {
    const int place = first_[static_cast<std::size_t>(value)] + channel;
    return groups_[static_cast<std::size_t>(place)];
  }
  std::size_t count() const { return count_; }

 private:
  std::vector<int> first_;   // of each value, where its channels begin
  std::vector<int> groups_;  // of each channel of all values
  std::size_t count_ = 0;
};

// Calls visit(output channel, input channel, index of the weight) for all weights of a convolution
// or dense layer.
template <typename Visit>
void ForEachWeight(const Network& network, const Node& node, const Visit& visit) {
  const auto in =
      static_cast<std::size_t>(network.values[static_cast<std::size_t>(node.inputs[0])].channels);
  const auto out =
      static_cast<std::size_t>(network.values[static_cast<std::size_t>(node.output)].channels);
  const auto groups = static_cast<std::size_t>(node.groups);
  const std::size_t in_group = in / groups, k = node.weights.mu.size() / out;
  for (std::size_t o = 0; o < out; ++o) {
    const std::size_t first = o / (out / groups) * in_group;
    for (std::size_t i = 0; i < k; ++i) {
      visit(static_cast<int>(o), static_cast<int>(first + i % in_group), o * k + i);
    }
  }
}

// `exponents`: of each group, so that the values of its channels are 2^exponent times as large.
void ScaleChannels(const ChannelGroups& groups, std::span<const int> exponents, Network* network);

// The exponents as a file's metadata keep them, so that its layers can be compared with those of
// the network it was made from: a line "2: 0,-3,.." for each layer (from 0) with weights whose
// output channels were scaled. Empty: none was.
std::string EqualizationText(const Network& network, const std::vector<Step>& steps,
                             std::span<const int> exponents);

// Scales a network by such a text. Throws Error where it does not fit the network.
void EqualizeLikeText(std::string_view text, const std::vector<Step>& steps, Network* network);

}  // namespace mu8::convert
