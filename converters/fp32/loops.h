// Nodes of the FP32 reference without weights and windows: copies and elementwise loops.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "converters/network/network.h"

namespace mu8::convert {

// Computes `images` images from the node's inputs, all NHWC.
using Loop =
    std::function<void(std::size_t images, std::span<const float* const> inputs, float* output)>;

// nullptr for nodes with weights and for pools. The node must have passed WhyShapesDiffer. Throws
// Error for an affine whose shapes or numbers do not fit.
Loop MakeLoop(const Network& network, const Node& node);

}  // namespace mu8::convert
