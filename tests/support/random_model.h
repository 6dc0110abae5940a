// Random valid models for property tests: a graph of one to six layers over random shapes.
#pragma once

#include "tests/support/model_builder.h"

namespace mu8::testing {

// Everything is drawn: operators, shapes, windows, strides, dilation, groups, padding, gaps between
// rows, sigma widths (8, 4, 2, 1, 0 and none), quantization, parameters, placement and branches
// that end nowhere. Equal generators give equal models on every target.
// With `dense_outputs` the last layer is a convolution, mostly with several positions.
TestModel RandomModel(Random* random, bool dense_outputs = false);

}  // namespace mu8::testing
