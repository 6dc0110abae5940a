// BatchNormalization at inference becomes part of the layer before it.
#pragma once

#include "converters/network/network.h"

namespace mu8::convert {

// Folds every kAffine into the convolution or dense layer whose output it alone reads:
// mu *= scale, sigma *= |scale|, bias = bias * scale + offset. What has no such producer (as in
// pre-activation ResNets) becomes a deterministic depthwise 1 x 1 convolution. Throws Error naming
// each kAffine for which that is impossible, too: one that scales the elements of a flattened image
// one by one.
void FoldAffine(Network* network);

}  // namespace mu8::convert
