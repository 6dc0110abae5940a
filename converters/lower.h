// Turns a calibrated Network into the records and arrays of a .mu8 file: plans padding, lifetimes
// and memory, quantizes every layer and packs its panels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "converters/calibration.h"
#include "converters/convert.h"
#include "converters/network.h"
#include "converters/plan.h"
#include "converters/weight_quantizer.h"
#include "formats/writer.h"

namespace mu8::convert {

// The record's fields that follow from the network's shapes alone: operator, window, groups, runs,
// flags. Tensors, sigma bits and clamp are left 0.
format::LayerRecord LayerShape(const Network& network, const Step& step);

struct Lowered {
  format::FileContent content;  // without metadata
  std::vector<LayerReport> reports;
};

// What a weighted layer's bits and the scale of its input decide.
struct StoredLayer {
  int mu_bits = 8;
  std::vector<std::uint8_t> parameters;
  float largest_step = 0;
  LayerReport report;  // of the weights alone
};

// Layers that Lower has quantized before, by step, mu bits and input scale: of one network with
// one calibration and one choice of settings.
using StoredLayers = std::map<std::tuple<std::size_t, int, float>, StoredLayer>;

// `mu_bits`: by step, 1 to 8; of steps without weights anything. Empty: 8 for all. With `stored`,
// layers found there are taken from it, and others are added to it.
Lowered Lower(const Network& network, const std::vector<Step>& steps,
              const Calibration& calibration, const InputQuantization& input,
              const QuantizerSettings& settings, const std::vector<int>& mu_bits,
              StoredLayers* stored = nullptr);

}  // namespace mu8::convert
