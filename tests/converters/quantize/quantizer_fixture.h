// Random layers for the weight quantizer's tests, and what their stored numbers amount to. Moments
// are taken by enumeration (noise_moments.h, held against the formula by its own test).
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "converters/quantize/noise_moments.h"
#include "converters/quantize/weight_quantizer.h"
#include "tests/support/random.h"

namespace mu8::convert::testing {

using mu8::testing::Random;

inline constexpr int kBits[] = {8, 4, 2, 1, 0};
inline constexpr float kInputScale = 0.01F;

inline double Normal(Random* random) {  // Irwin-Hall: variance 1
  double sum = -6.0;
  for (int i = 0; i < 12; ++i) sum += random->Unit();
  return sum;
}

struct Layer {
  Node node{};
  int channels = 0;
  std::size_t k = 0;  // weights per channel
  InputStatistics inputs;
};

// sigma: about `spread` times the layer's typical |mu|, log-normal. Inputs as after a ReLU: powers
// over three decades, some always zero.
inline Layer MakeLayer(std::uint64_t seed, int channels, int k, double spread, int groups = 1) {
  Random random(seed);
  Layer layer;
  layer.channels = channels;
  layer.k = static_cast<std::size_t>(k);
  layer.node.op = groups == 1 ? Op::kDense : Op::kConv2d;
  layer.node.name = "layer";
  layer.node.groups = groups;
  for (int i = 0; i < channels * k; ++i) {
    layer.node.weights.mu.push_back(static_cast<float>(0.1 * Normal(&random)));
    if (spread == 0.0) continue;
    const double sigma = 0.1 * spread * std::exp(0.7 * Normal(&random) - 0.25);
    layer.node.weights.sigma.push_back(static_cast<float>(sigma));
  }
  for (int c = 0; c < channels; ++c) {
    layer.node.bias.mu.push_back(static_cast<float>(Normal(&random)));
    if (spread > 0.0) layer.node.bias.sigma.push_back(static_cast<float>(0.3 * random.Unit()));
  }
  for (int i = 0; i < groups * k; ++i) {
    const double power = random.OneIn(10) ? 0.0 : std::exp(2.0 * Normal(&random) - 2.0);
    layer.inputs.power.push_back(power);
    layer.inputs.mean.push_back(0.6 * std::sqrt(power));
  }
  return layer;
}

// One positive definite covariance per group: independent parts and one that all inputs share.
inline void AddCovariance(Layer* layer) {
  const auto groups = static_cast<std::size_t>(layer->node.groups);
  for (std::size_t g = 0; g < groups; ++g) {
    for (std::size_t i = 0; i < layer->k; ++i) {
      for (std::size_t j = 0; j < layer->k; ++j) {
        const double product =
            layer->inputs.power[g * layer->k + i] * layer->inputs.power[g * layer->k + j];
        layer->inputs.covariance.push_back((i == j ? 0.6 : 0.3) * std::sqrt(product));
      }
    }
  }
}

// The stored numbers of one weight.
struct Stored {
  int mu, level, shift;
  double scale;
  ClampedMoments moments() const { return WeightMoments(mu, level, shift); }
  bool clipped() const { return moments().clipped > 0; }
};

struct Result {
  const Layer& layer;
  int bits;
  QuantizedWeights weights;
  LayerReport report;

  bool bayesian() const { return !layer.node.weights.sigma.empty(); }
  Stored At(int channel, std::size_t i) const {
    const auto c = static_cast<std::size_t>(channel);
    const std::size_t at = c * layer.k + i;
    Stored stored{weights.mu[at], 0, weights.shift[c], double{weights.weight_scale[c]}};
    if (!bayesian()) return stored;
    const std::size_t code = weights.code[at];
    // Panels of 16 channels, which do not straddle groups.
    const int group_channels = layer.channels / layer.node.groups;
    const int panel =
        channel / group_channels * ((group_channels + 15) / 16) + channel % group_channels / 16;
    if (bits == 8) stored.level = static_cast<int>(code);
    if (bits == 4) stored.level = weights.codebook[static_cast<std::size_t>(panel) * 16 + code];
    if (bits < 4) stored.level = weights.codebook[(c << bits) + code];
    return stored;
  }
  double Input(const std::vector<double>& moments, int channel, std::size_t i) const {
    const int group = channel / (layer.channels / layer.node.groups);
    return moments[static_cast<std::size_t>(group) * layer.k + i];
  }
};

inline Result Quantize(const Layer& layer, int bits,
                       SigmaQuantizer rule = SigmaQuantizer::kWeighted, int mu_bits = 8) {
  Result result{layer, bits, {}, {}};
  result.weights =
      QuantizeWeights(layer.node, layer.channels, layer.inputs, {.input_scale = kInputScale},
                      mu_bits, {bits, rule}, &result.report);
  return result;
}

// What holds for every file: ranges, sizes, no level whose rounding ties move the mean.
inline void CheckStored(const Result& result) {
  const QuantizedWeights& w = result.weights;
  const auto channels = static_cast<std::size_t>(result.layer.channels);
  REQUIRE(w.mu.size() == channels * result.layer.k);
  REQUIRE(w.code.size() == w.mu.size());
  for (std::size_t c = 0; c < channels; ++c) {
    REQUIRE(std::isnormal(w.weight_scale[c]));
    REQUIRE(w.weight_scale[c] > 0.0F);
    REQUIRE(w.shift[c] >= kMinShift);
    REQUIRE(w.shift[c] <= kMaxShift);
    REQUIRE(w.bias_shift[c] >= kMinShift);
    REQUIRE(w.bias_shift[c] <= kMaxShift);
    REQUIRE_FALSE(IsTieLevel(w.bias_level[c], w.bias_shift[c]));
    for (std::size_t i = 0; i < result.layer.k; ++i) {
      const Stored stored = result.At(static_cast<int>(c), i);
      REQUIRE(stored.mu >= -127);
      REQUIRE_FALSE(IsTieLevel(stored.level, stored.shift));
      const int code = w.code[c * result.layer.k + i];
      if (result.bits > 0) REQUIRE(code < (1 << result.bits));
    }
  }
}

// The mean of a weight that no draw clips is the true one, rounded: to the nearest step alone, to
// one of the two around it where a channel's means are rounded together.
inline void CheckMeans(const Result& result) {
  const double bound = result.layer.inputs.covariance.empty() ? 0.5 : 1.0;
  for (int c = 0; c < result.layer.channels; ++c) {
    for (std::size_t i = 0; i < result.layer.k; ++i) {
      const Stored stored = result.At(c, i);
      const double mu =
          double{result.layer.node.weights.mu[static_cast<std::size_t>(c) * result.layer.k + i]};
      // A step may cut the largest means of a channel where that is the lesser error.
      if (stored.clipped() || std::abs(mu) > 127.0 * stored.scale) continue;
      CAPTURE(c);
      CAPTURE(i);
      REQUIRE(std::abs(stored.moments().mean - mu / stored.scale) <= bound + 1e-6);
    }
  }
}

// sum E[x^2] Var[w] over sum E[x^2] sigma^2, from the stored numbers.
inline double VarianceKept(const Result& result) {
  double produced = 0, wanted = 0;
  for (int c = 0; c < result.layer.channels; ++c) {
    for (std::size_t i = 0; i < result.layer.k; ++i) {
      const Stored stored = result.At(c, i);
      const double power = result.Input(result.layer.inputs.power, c, i);
      const double sigma =
          double{result.layer.node.weights.sigma[static_cast<std::size_t>(c) * result.layer.k + i]};
      produced += power * stored.moments().variance * stored.scale * stored.scale;
      wanted += power * sigma * sigma;
    }
  }
  return produced / wanted;
}

// E[output] of a channel in real units, bias included: true, or as stored.
inline double MeanOutput(const Result& result, int channel, bool stored) {
  const auto c = static_cast<std::size_t>(channel);
  const double scale = double{result.weights.weight_scale[c]};
  double sum = stored ? result.weights.bias_mu[c] * scale * double{kInputScale}
                      : double{result.layer.node.bias.mu[c]};
  for (std::size_t i = 0; i < result.layer.k; ++i) {
    const double weight = stored ? result.At(channel, i).moments().mean * scale
                                 : double{result.layer.node.weights.mu[c * result.layer.k + i]};
    sum += weight * result.Input(result.layer.inputs.mean, channel, i);
  }
  return sum;
}

}  // namespace mu8::convert::testing
