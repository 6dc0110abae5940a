// Turns a calibrated Network into the records and arrays of a .mu8 file: plans padding, lifetimes
// and memory, quantizes every layer and packs its panels.
#pragma once

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
  // By node: the weights and biases as the engine draws them; empty for nodes without weights.
  std::vector<GaussianTensor> produced_weights, produced_biases;
};

// `mu_bits`: by step, 1 to 8; of steps without weights anything. Empty: 8 for all.
Lowered Lower(const Network& network, const std::vector<Step>& steps,
              const Calibration& calibration, const InputQuantization& input,
              const QuantizerSettings& settings, const std::vector<int>& mu_bits);

}  // namespace mu8::convert
