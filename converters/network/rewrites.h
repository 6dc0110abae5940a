// All that a network goes through before it has an order of layers.
#pragma once

#include "converters/network/network.h"

namespace mu8::convert {

// Replaces every concatenation of more than two values by a chain of concatenations of two.
void SplitConcats(Network* network);

// Everything that a network must go through before MakeSteps: FoldAffine, ExpandTransposed,
// MergeSlices, SplitConcats, NameLayers.
void PrepareNetwork(Network* network);

}  // namespace mu8::convert
