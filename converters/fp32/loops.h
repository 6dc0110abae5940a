// Nodes of the FP32 reference that no oneDNN primitive is worth: copies and elementwise loops.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "converters/network/network.h"

namespace mu8::convert {

// Computes `images` images from the node's inputs, all NHWC.
using Loop =
    std::function<void(std::size_t images, std::span<const float* const> inputs, float* output)>;

// For nodes without weights that are no pools; nullptr for all others. The node must have passed
// WhyShapesDiffer.
Loop MakeLoop(const Network& network, const Node& node);

}  // namespace mu8::convert
