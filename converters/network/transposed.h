// Transposed convolutions as what the engine has: gathers and plain convolutions.
#pragma once

#include "converters/network/network.h"

namespace mu8::convert {

// The place of column `column`, channel `channel` in a row of `value`, for kGather.
format::GatherPlace PlaceInRow(const Value& value, int column, int channel);

// Makes of every kConvTranspose either
//   a convolution with the outputs of stride_h * stride_w neighbouring pixels as channels, each
//   weight in one of them, and a gather that puts them side by side; or
//   a gather that puts zeros between the input's pixels, and a convolution of the mirrored kernel.
// The first needs no products with zeros. It serves an axis without dilation whose kernel is a
// multiple of the stride, so that every phase has as many taps; not a random bias, which would be
// drawn for each phase on its own, nor the network's output, which ends in a layer with weights.
//
// A kClip that alone reads a gather moves before it, where the layer before can take it over.
void ExpandTransposed(Network* network);

}  // namespace mu8::convert
