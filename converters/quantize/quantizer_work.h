// Internal to the weight quantizer: one layer on its way from Gaussians to integers.
#pragma once

#include <cstddef>
#include <vector>

#include "converters/quantize/weight_quantizer.h"
#include "converters/quantize/weight_scale.h"

namespace mu8::convert {

inline constexpr std::size_t kCodebookChannels = 16;  // a panel's, which 4-bit codebooks serve

// The state while one layer is quantized. All sigmas below are in steps of their channel.
struct LayerWork {
  const Node& node;
  const QuantizerSettings& settings;
  std::size_t channels;
  std::size_t group_channels;  // output channels that share their inputs
  std::size_t panel_channels;  // output channels that panels do not straddle
  std::size_t k;               // weights per channel
  int mu_bits;
  std::vector<double> importance;  // [channel][K]: see Importance()
  QuantizedWeights out;
  std::vector<std::int8_t> chosen;  // [channel][K], means that KeepPower has chosen; else empty

  bool bayesian() const { return !node.weights.sigma.empty(); }
  ChannelView Channel(std::size_t c) const {
    ChannelView view;
    view.mu = {node.weights.mu.data() + c * k, k};
    if (bayesian()) view.sigma = {node.weights.sigma.data() + c * k, k};
    view.importance = {importance.data() + c * k, k};
    return view;
  }
  double Sigma(std::size_t c, std::size_t i) const {
    return double{node.weights.sigma[c * k + i]} / double{out.weight_scale[c]};
  }
  double Mu(std::size_t c, std::size_t i) const {
    return double{node.weights.mu[c * k + i]} / double{out.weight_scale[c]};
  }
  // The level that weight i of channel c draws its noise with.
  int Level(std::size_t c, std::size_t i) const {
    if (!bayesian()) return 0;
    const std::uint8_t code = out.code[c * k + i];
    switch (settings.sigma_bits) {
      case 8:
        return code;
      case 4:
        return out.codebook[PanelOf(c) * 16 + code];
      default:
        return out.codebook[(c << settings.sigma_bits) + code];
    }
  }
  std::size_t PanelOf(std::size_t c) const {
    const std::size_t per_group = (panel_channels + kCodebookChannels - 1) / kCodebookChannels;
    return c / panel_channels * per_group + c % panel_channels / kCodebookChannels;
  }
};

}  // namespace mu8::convert
