// What an export spreads over several cuts and paddings becomes one, or part of a convolution.
#pragma once

#include "converters/network/network.h"

namespace mu8::convert {

// Joins chains of kSlice whose intermediate value nothing else reads, where that is exact; drops
// those that copy; turns zeros padded around an image that one convolution alone reads into that
// convolution's own padding.
void MergeSlices(Network* network);

}  // namespace mu8::convert
