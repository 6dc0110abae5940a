// Pools of the FP32 reference.
#pragma once

#include "converters/fp32/loops.h"
#include "converters/network/network.h"

namespace mu8::convert {

// kMaxPool or kAveragePool. Throws Error where its window does not fit the shapes.
Loop MakePool(const Network& network, const Node& node);

}  // namespace mu8::convert
