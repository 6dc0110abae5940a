#include "converters/quantize/weight_quantizer.h"

#include <algorithm>
#include <cmath>

#include "converters/quantize/coarse_means.h"
#include "converters/quantize/noise_moments.h"
#include "converters/quantize/quantizer_report.h"
#include "converters/quantize/quantizer_work.h"
#include "converters/quantize/round_means.h"
#include "converters/quantize/sigma_codes.h"
#include "formats/layout.h"

namespace mu8::convert {
namespace {

// Every weight counts with at least this fraction of its channel's mean importance: inputs that are
// silent in distribution speak out of distribution. Less costs OOD AUROC at 1 bit, more costs KL.
constexpr double kImportanceFloor = 0.05;
constexpr float kLeastRelativeScale = 1.0F / 4096;
constexpr float kLeastOutputScale = 0x1p-40F;

// A depthwise layer's panels hold 16 of its channels; others do not straddle groups.
std::size_t PanelChannels(const Node& node, std::size_t channels) {
  const auto groups = static_cast<std::size_t>(node.groups);
  const auto taps = static_cast<std::size_t>(node.window.kernel_h) *
                    static_cast<std::size_t>(node.window.kernel_w);
  const bool depthwise =
      groups > 1 && groups == channels && node.weights.mu.size() == channels * taps;
  return depthwise ? channels : channels / groups;
}

// How much an error of each weight matters, [channel][K]; the scale within a channel is free.
// An error dw_k changes the channel's output by dw_k x_k, and the prediction by the channel's
// gradient g times that: the right weight is the Fisher information E[g^2 x_k^2]. E[x_k^2] is
// measured on the calibration data; of the rest the posterior itself tells: where variational
// training has converged, 1 / sigma^2 = 1 / sigma_prior^2 + N E[g^2 x^2] (Khan et al. 2018, "Fast
// and scalable Bayesian deep learning by weight-perturbation in Adam", eq. 4), so
//   importance = E[x^2] * sqrt(1 / sigma^2 - 1 / sigma_max^2),
// the geometric middle between power alone and power times that Fisher information, with
// sigma_max, the layer's largest sigma, for the prior's. Where sigmas still show how they were
// initialized (0.1 |mu|, say), power alone is right.
std::vector<double> Importance(const Node& node, const InputStatistics& statistics,
                               SigmaImportance importance_rule, std::size_t channels,
                               std::size_t k) {
  const std::vector<float>& sigma = node.weights.sigma;
  const std::size_t group_channels = channels / static_cast<std::size_t>(node.groups);
  double largest = 0.0;
  for (const float s : sigma) largest = std::max(largest, double{s});
  std::vector<double> importance(channels * k);
  for (std::size_t c = 0; c < channels; ++c) {
    double mean = 0.0;
    for (std::size_t i = 0; i < k; ++i) {
      double value = statistics.power[c / group_channels * k + i];
      const bool fisher = importance_rule == SigmaImportance::kFisher;
      if (fisher && !sigma.empty() && sigma[c * k + i] > 0.0F) {
        const double ratio = largest / double{sigma[c * k + i]};
        value *= std::sqrt(ratio * ratio - 1.0 + kImportanceFloor);
      }
      importance[c * k + i] = value;
      mean += value / static_cast<double>(k);
    }
    // A channel whose input is always zero still gets a metric.
    const double floor = mean > 0.0 ? kImportanceFloor * mean : 1.0;
    for (std::size_t i = 0; i < k; ++i) importance[c * k + i] += floor;
  }
  return importance;
}

double MaxSigma(const LayerWork& work, std::size_t c) {
  double largest = 0.0;
  for (std::size_t i = 0; i < work.k; ++i) largest = std::max(largest, work.Sigma(c, i));
  return largest;
}

// A mean that is replaced by the centre of its neighbourhood loses power: sum Q^2 falls short of
// sum mu^2 by the error of the quantizer (for Lloyd's, E[Q mu] = E[Q^2]), and thirteen layers of
// few bits leave logits, and so confidence, far too small. Where no covariance tells how to round
// together, the nearest values are chosen and their channel's scale is stretched until sum power
// Q^2 is what it was.
void KeepPower(const InputStatistics& statistics, LayerWork* work) {
  constexpr double kMostStretch = 1.25;
  work->chosen.resize(work->node.weights.mu.size());
  for (std::size_t c = 0; c < work->channels; ++c) {
    const std::vector<std::int8_t> allowed = AllowedMeans(*work, c);
    const double* power = statistics.power.data() + c / work->group_channels * work->k;
    double wanted = 0.0;
    double given = 0.0;
    for (std::size_t i = 0; i < work->k; ++i) {
      const double mu = work->Mu(c, i);
      const std::int8_t q = allowed[NearestMean(allowed, mu)];
      work->chosen[c * work->k + i] = q;
      wanted += power[i] * mu * mu;
      given += power[i] * q * q;
    }
    if (!(given > 0.0)) continue;
    const double stretch = std::clamp(std::sqrt(wanted / given), 1.0, kMostStretch);
    work->out.weight_scale[c] = static_cast<float>(double{work->out.weight_scale[c]} * stretch);
  }
}

// The least scale of channel c of a layer whose largest is `largest`, below which the integers do
// not hold what the layer computes, and above which nothing is lost that its result shows:
//   - channels next to nothing (pruned ones) take one of their layer's order: the factors of a
//     residual share one shift (FORMAT.md 6.6). Outputs may be numbers in units of their own;
//   - the bias takes at most half of the accumulator that products leave, its noise an eighth;
//   - the residual's factor is below 2^20;
//   - one accumulator step is at least 2^-30 of an output step, and all numbers are normal.
float LeastScale(const LayerWork& work, std::size_t c, float largest, const LayerPlace& place) {
  const float of_layer = largest * kLeastRelativeScale;
  const auto at = [c](const std::vector<float>& values) {
    return values.empty() ? 0.0 : std::fabs(static_cast<double>(values[c]));
  };
  const double accumulator = 0x1p31 - 255.0 * 127.0 * static_cast<double>(work.k);
  const double most_bias = std::min(1e9, accumulator / 2.0);
  const double most_deviation = std::min(1e6, accumulator / 8.0);
  double unit =
      std::max(at(work.node.bias.mu) / most_bias, at(work.node.bias.sigma) / most_deviation);
  unit = std::max(unit, 1.0001 * 0x1p-20 * static_cast<double>(place.residual_scale));
  unit = std::max(unit, 0x1p-30 * static_cast<double>(place.output_scale));
  unit = std::max(unit, 0x1p-120);
  const double floor = std::max(unit / static_cast<double>(place.input_scale), 0x1p-120);
  const auto least = static_cast<float>(floor);
  if (!place.is_output) return std::max(of_layer, least);
  return std::min(std::max(of_layer, least), std::max(least, largest * kLeastOutputScale));
}

void ChooseWeightScales(const InputStatistics& statistics, const LayerPlace& place,
                        LayerWork* work) {
  float largest = 0.0F;
  for (const float mu : work->node.weights.mu) largest = std::max(largest, std::abs(mu));
  const float fallback = largest > 0.0F ? largest / 127.0F : 1e-3F;
  for (std::size_t c = 0; c < work->channels; ++c) {
    const ChannelView channel = work->Channel(c);
    float scale = 0.0F;
    if (work->settings.sigma_quantizer == SigmaQuantizer::kAffine) {
      // The paper samples with mu's own calibration.
      for (const float mu : channel.mu) scale = std::max(scale, std::abs(mu) / 127.0F);
      if (!(scale > 0.0F)) scale = fallback;
    } else {
      // Tables of means start from their channel's own spread: see ChooseCoarseScales.
      const bool table = work->mu_bits <= static_cast<int>(format::kMostTableBits);
      const bool zero =
          std::all_of(channel.mu.begin(), channel.mu.end(), [](float mu) { return mu == 0.0F; });
      scale = table && !zero ? fallback : ChooseWeightScale(channel, fallback);
    }
    work->out.weight_scale[c] = scale;
  }
  if (work->mu_bits < 8) {
    ChooseCoarseScales(work);
    const bool weighted = work->settings.sigma_quantizer == SigmaQuantizer::kWeighted;
    if (weighted && statistics.covariance.empty()) KeepPower(statistics, work);
  }
  const float most =
      *std::max_element(work->out.weight_scale.begin(), work->out.weight_scale.end());
  for (std::size_t c = 0; c < work->channels; ++c) {
    float& scale = work->out.weight_scale[c];
    scale = std::max(scale, LeastScale(*work, c, most, place));
    work->out.shift[c] =
        static_cast<std::uint8_t>(work->bayesian() ? ChooseShift(MaxSigma(*work, c)) : kMaxShift);
  }
}

// Rounds each channel's means together where the inputs' covariance is known. Weights that the
// clamp touches stay as fitted.
void RoundChannels(LayerWork* work, const std::vector<double>& covariance) {
  for (std::size_t c = 0; c < work->channels; ++c) {
    const std::uint8_t shift = work->out.shift[c];
    const std::vector<std::int8_t> allowed = AllowedMeans(*work, c);
    std::vector<double> target(work->k);
    std::vector<double> produced(work->k);
    std::vector<std::uint8_t> free(work->k);
    for (std::size_t i = 0; i < work->k; ++i) {
      const int mu = work->out.mu[c * work->k + i];
      const int level = work->Level(c, i);
      target[i] = work->Mu(c, i);
      produced[i] = WeightMoments(mu, level, shift).mean;
      const int noise =
          work->bayesian() ? Levels(shift).max_noise[static_cast<std::size_t>(level)] : 0;
      // The mean on the other side of the target, where there is one, must not be clamped either.
      const auto at = NearestMean(allowed, mu);
      const auto other =
          produced[i] > target[i] ? (at > 0 ? at - 1 : at) : std::min(at + 1, allowed.size() - 1);
      const bool clamped =
          std::abs(mu) + noise >= kMaxWeight || std::abs(int{allowed[other]}) + noise > kMaxWeight;
      const double gap = std::abs(int{allowed[other]} - mu);
      free[i] = !clamped && std::abs(produced[i] - target[i]) <= 0.5 * gap;
    }
    const std::size_t square = work->k * work->k;
    RoundTogether({.covariance = {covariance.data() + c / work->group_channels * square, square},
                   .target = target,
                   .free = free,
                   .allowed = allowed,
                   .produced = produced,
                   .mu = {work->out.mu.data() + c * work->k, work->k}});
  }
}

// Means that are stored with fewer than 8 bits take the nearest value that they may have.
void CoarsenMeans(LayerWork* work) {
  if (!work->chosen.empty()) {
    work->out.mu = work->chosen;
    return;
  }
  for (std::size_t c = 0; c < work->channels; ++c) {
    const std::vector<std::int8_t> allowed = AllowedMeans(*work, c);
    for (std::size_t i = c * work->k; i < (c + 1) * work->k; ++i) {
      work->out.mu[i] = allowed[NearestMean(allowed, work->out.mu[i])];
    }
  }
}

// mu rounded to the nearest step, as the paper does.
void RoundMeans(LayerWork* work) {
  for (std::size_t c = 0; c < work->channels; ++c) {
    for (std::size_t i = 0; i < work->k; ++i) {
      work->out.mu[c * work->k + i] =
          static_cast<std::int8_t>(std::clamp(std::nearbyint(work->Mu(c, i)), -127.0, 127.0));
    }
  }
}

// Bias in accumulator units, which LeastScale has made coarse enough; the weighted quantizer also
// returns to it what rounding took from the layer's mean output on the calibration data.
void QuantizeBias(LayerWork* work, const InputStatistics& statistics, float input_scale) {
  const bool correct = work->settings.sigma_quantizer == SigmaQuantizer::kWeighted;
  for (std::size_t c = 0; c < work->channels; ++c) {
    const double scale = double{work->out.weight_scale[c]};
    const double unit = scale * double{input_scale};
    double bias = work->node.bias.mu.empty() ? 0.0 : double{work->node.bias.mu[c]};
    const double* mean = statistics.mean.data() + c / work->group_channels * work->k;
    for (std::size_t i = 0; correct && i < work->k; ++i) {
      const std::int8_t mu = work->out.mu[c * work->k + i];
      const double produced = WeightMoments(mu, work->Level(c, i), work->out.shift[c]).mean;
      bias += (work->Mu(c, i) - produced) * scale * mean[i];
    }
    work->out.bias_mu[c] = static_cast<std::int32_t>(std::nearbyint(bias / unit));
    const double sigma =
        work->node.bias.sigma.empty() ? 0.0 : double{work->node.bias.sigma[c]} / unit;
    // sigma = level * 2^(5 - shift), as for weights but with 16-bit levels.
    const double shift =
        sigma > 0.0 ? std::clamp(std::floor(5.0 + std::log2(65000.0 / sigma)), 1.0, 15.0) : 15.0;
    auto level = static_cast<std::int32_t>(
        std::clamp(std::nearbyint(std::ldexp(sigma, static_cast<int>(shift) - 5)), 0.0, 65535.0));
    if (IsTieLevel(level, static_cast<std::int32_t>(shift))) --level;
    work->out.bias_shift[c] = static_cast<std::uint8_t>(shift);
    work->out.bias_level[c] = static_cast<std::uint16_t>(level);
  }
}

LayerWork MakeWork(const Node& node, int output_channels, const QuantizerSettings& settings) {
  const auto channels = static_cast<std::size_t>(output_channels);
  return {.node = node,
          .settings = settings,
          .channels = channels,
          .group_channels = channels / static_cast<std::size_t>(node.groups),
          .panel_channels = PanelChannels(node, channels),
          .k = node.weights.mu.size() / channels,
          .mu_bits = 8,
          .importance = {},
          .out = {},
          .chosen = {}};
}

// Elements of each channel, `width` of them, from the quantization that the channel comes from.
template <typename T>
void JoinArrays(const std::vector<const QuantizedWeights*>& by_channel,
                std::vector<T> QuantizedWeights::*array, std::size_t width, QuantizedWeights* out) {
  std::vector<T>& joined = out->*array;
  for (std::size_t c = 0; c < by_channel.size(); ++c) {
    const auto begin = (by_channel[c]->*array).begin() + static_cast<std::ptrdiff_t>(c * width);
    joined.insert(joined.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
}

// Arrays by panel; a quantization without one counts as zeros.
template <typename T>
void JoinPanelArrays(const std::vector<const QuantizedWeights*>& by_panel,
                     std::vector<T> QuantizedWeights::*array, std::size_t width,
                     QuantizedWeights* out) {
  std::vector<T>& joined = out->*array;
  joined.assign(by_panel.size() * width, T{0});
  for (std::size_t p = 0; p < by_panel.size(); ++p) {
    const std::vector<T>& own = by_panel[p]->*array;
    if (own.empty()) continue;
    std::copy_n(own.begin() + static_cast<std::ptrdiff_t>(p * width), width,
                joined.begin() + static_cast<std::ptrdiff_t>(p * width));
  }
}

}  // namespace

QuantizedWeights QuantizeWeights(const Node& node, int output_channels,
                                 const InputStatistics& statistics, const LayerPlace& place,
                                 int mu_bits, const QuantizerSettings& settings,
                                 LayerReport* report) {
  LayerWork work = MakeWork(node, output_channels, settings);
  work.mu_bits = mu_bits;
  work.importance = Importance(node, statistics, settings.importance, work.channels, work.k);
  work.out.weight_scale.resize(work.channels);
  work.out.shift.resize(work.channels);
  work.out.mu.resize(node.weights.mu.size());
  work.out.code.assign(node.weights.mu.size(), 0);
  work.out.bias_mu.resize(work.channels);
  work.out.bias_level.resize(work.channels);
  work.out.bias_shift.resize(work.channels);
  ChooseWeightScales(statistics, place, &work);
  if (work.bayesian()) FitSigmas(&work);
  if (!work.bayesian() || settings.sigma_quantizer == SigmaQuantizer::kAffine) RoundMeans(&work);
  if (mu_bits < 8) CoarsenMeans(&work);
  if (settings.sigma_quantizer == SigmaQuantizer::kWeighted && !statistics.covariance.empty()) {
    RoundChannels(&work, statistics.covariance);
  }
  work.out.mu_bits = {work.mu_bits};
  QuantizeBias(&work, statistics, place.input_scale);
  ReportWeights(work, statistics, report);
  return work.out;
}

QuantizedWeights JoinPanels(const Node& node, int output_channels,
                            const InputStatistics& statistics,
                            const std::vector<const QuantizedWeights*>& by_panel,
                            const QuantizerSettings& settings, LayerReport* report) {
  LayerWork work = MakeWork(node, output_channels, settings);
  std::vector<const QuantizedWeights*> by_channel;
  for (std::size_t c = 0; c < work.channels; ++c) by_channel.push_back(by_panel[work.PanelOf(c)]);
  QuantizedWeights& out = work.out;
  JoinArrays(by_channel, &QuantizedWeights::weight_scale, 1, &out);
  JoinArrays(by_channel, &QuantizedWeights::shift, 1, &out);
  JoinArrays(by_channel, &QuantizedWeights::mu, work.k, &out);
  JoinArrays(by_channel, &QuantizedWeights::code, work.k, &out);
  JoinArrays(by_channel, &QuantizedWeights::bias_mu, 1, &out);
  JoinArrays(by_channel, &QuantizedWeights::bias_level, 1, &out);
  JoinArrays(by_channel, &QuantizedWeights::bias_shift, 1, &out);
  out.mu_bits.clear();
  for (const QuantizedWeights* from : by_panel) out.mu_bits.push_back(from->mu_bits.front());
  const int most = *std::max_element(out.mu_bits.begin(), out.mu_bits.end());
  const int least = *std::min_element(out.mu_bits.begin(), out.mu_bits.end());
  if (least <= static_cast<int>(format::kMostTableBits)) {
    JoinPanelArrays(by_panel, &QuantizedWeights::mu_table, format::kMuTableEntries, &out);
  }
  if (work.bayesian() && settings.sigma_bits == 4) {
    JoinPanelArrays(by_panel, &QuantizedWeights::codebook, 16, &out);
  } else if (work.bayesian() && settings.sigma_bits < 4) {
    JoinArrays(by_channel, &QuantizedWeights::codebook, std::size_t{1} << settings.sigma_bits,
               &out);
  }
  if (most == least) out.mu_bits = {most};
  ReportWeights(work, statistics, report);
  return out;
}

}  // namespace mu8::convert
