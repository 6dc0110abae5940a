// The layer at hand: what running it needs beside the arena. Too much for a small stack, so of a
// single worker the session has the place for it.
#pragma once

#include <cstddef>

#include "engine/src/operators.h"
#include "engine/src/weighted_layer.h"

namespace mu8 {

struct LayerWork {
  Layer layer;
  alignas(WeightedLayer) std::byte weighted[sizeof(WeightedLayer)];  // made by RunWeighted
};

}  // namespace mu8
