// What the quantized weights of a layer are worth, and how they are distributed.
#pragma once

#include "converters/quantize/quantizer_work.h"

namespace mu8::convert {

// Fills the fields of `report` that tell of weights.
void ReportWeights(const LayerWork& work, const InputStatistics& statistics, LayerReport* report);

}  // namespace mu8::convert
