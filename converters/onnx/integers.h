// Shapes that the graph computes from its own input's shape.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

// Computes a shape; false when the node is none that does so.
bool ImportIntegers(OnnxImporter* importer, const OnnxNode& node);

}  // namespace mu8::convert
