// One layer's Gaussian weights -> INT8 mu, coded sigma and per-channel scales, so that the
// *sampled* weight has the right mean and variance (ARCHITECTURE, "the weight and noise
// arithmetic").
#pragma once

#include <cstdint>
#include <vector>

#include "converters/calibrate/input_statistics.h"
#include "converters/network/network.h"
#include "converters/report.h"
#include "converters/settings.h"

namespace mu8::convert {

struct QuantizerSettings {
  int sigma_bits = 8;
  SigmaQuantizer sigma_quantizer = SigmaQuantizer::kWeighted;
  SigmaImportance importance = SigmaImportance::kFisher;
  double noise_gain = 1.0;  // codebooks of 4 bits and fewer: variances are fitted to so many times
                            // the posterior's
};

// Arrays indexed by output channel, or [channel][K] with K = weights per channel.
struct QuantizedWeights {
  std::vector<float> weight_scale;     // s_w
  std::vector<std::uint8_t> shift;     // 1..15
  std::vector<std::int8_t> mu;         // [channel][K]
  MuBits mu_bits = {8};                // as asked for, or 4: see coarse_means.h
  std::vector<std::int8_t> mu_table;   // [panel][16], if a panel has 1 to 4 bits; else empty
  std::vector<std::uint8_t> code;      // [channel][K]; the level itself for 8 bits, 0 for 0 bits
  std::vector<std::uint8_t> codebook;  // [channel][2^bits], for 4 bits [panel][16]; 8: empty
  std::vector<std::int32_t> bias_mu;   // in units of s_w * input_scale
  std::vector<std::uint16_t> bias_level;
  std::vector<std::uint8_t> bias_shift;
};

// Where a layer stands.
struct LayerPlace {
  float input_scale = 1.0F;  // s_x of its input
  bool is_output = false;  // nothing is stored behind it, so its channels may differ by any factor
  float output_scale = 0.0F;    // s_y that calibration asks for; 0 where nothing is stored
  float residual_scale = 0.0F;  // s_r of the residual; 0: there is none
};

// Panels, which 4-bit codebooks follow, never straddle the groups of a convolution. `mu_bits`: 1
// to 8. Fills the fields of `report` that tell of weights.
QuantizedWeights QuantizeWeights(const Node& node, int output_channels,
                                 const InputStatistics& statistics, const LayerPlace& place,
                                 int mu_bits, const QuantizerSettings& settings,
                                 LayerReport* report);

// A layer whose panels come from several quantizations of it: panel p from *by_panel[p].
QuantizedWeights JoinPanels(const Node& node, int output_channels,
                            const InputStatistics& statistics,
                            const std::vector<const QuantizedWeights*>& by_panel,
                            const QuantizerSettings& settings, LayerReport* report);

}  // namespace mu8::convert
