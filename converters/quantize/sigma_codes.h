// The levels, codes and codebooks that stand for a Bayesian layer's sigmas.
#pragma once

#include "converters/quantize/quantizer_work.h"

namespace mu8::convert {

// Fills out.shift, out.code, out.codebook; the means follow the levels.
void FitSigmas(LayerWork* work);

}  // namespace mu8::convert
