// Turns a calibrated Network into the records and arrays of a .mu8 file: quantizes activations and
// every layer, and packs its panels. What needs no calibration is in records.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "converters/calibrate/calibration.h"
#include "converters/calibrate/input_quantization.h"
#include "converters/network/network.h"
#include "converters/network/steps.h"
#include "converters/quantize/weight_quantizer.h"
#include "formats/writer.h"

namespace mu8::convert {

struct Lowered {
  format::FileContent content;  // without metadata
  std::vector<LayerReport> reports;
};

// What a weighted layer's bits and the scale of its input decide.
struct QuantizedLayer {
  QuantizedWeights weights;
  LayerReport report;  // of the weights alone
};

// Layers that Lower has quantized before, by step, mu bits and the scales of input and residual: of
// one network with one calibration and one choice of settings.
using QuantizedLayers = std::map<std::tuple<std::size_t, int, float, float>, QuantizedLayer>;

// `mu_bits`: by step; of steps without weights anything. Empty: 8 for all. A layer with a width for
// each panel is put together from quantizations of the whole layer with each of them. With `known`,
// those found there are taken from it, and others are added to it.
Lowered Lower(const Network& network, const std::vector<Step>& steps,
              const Calibration& calibration, const InputQuantization& input,
              const QuantizerSettings& settings, const std::vector<MuBits>& mu_bits,
              QuantizedLayers* known = nullptr);

}  // namespace mu8::convert
