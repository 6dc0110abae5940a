// Resize and Upsample.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

// Nearest neighbours are a kGather. Linear interpolation, at any ratio, is a product with a matrix
// along each axis that changes: the axis becomes the channels (a kGather), a deterministic 1 x 1
// convolution mixes them, and so on; a last kGather gives the axes their places again. Throws
// NodeProblem.
void ImportResize(OnnxImporter* importer, const OnnxNode& node);

}  // namespace mu8::convert
