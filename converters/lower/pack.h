// Quantized weights -> the parameter bytes of one layer (FORMAT.md section 6).
#pragma once

#include <cstdint>
#include <vector>

#include "converters/quantize/weight_quantizer.h"
#include "formats/layout.h"

namespace mu8::convert {

// The record's mu_bits and mu_bytes.
void SetMuBits(const QuantizedWeights& weights, format::LayerRecord* layer);

std::vector<std::uint8_t> PackParameters(const format::LayerRecord& layer,
                                         const QuantizedWeights& weights);

}  // namespace mu8::convert
