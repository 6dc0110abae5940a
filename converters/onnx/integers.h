// Integers that the graph computes from shapes.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

// Computes what such a node writes; false when it is none.
bool ImportIntegers(OnnxImporter* importer, const OnnxNode& node);

}  // namespace mu8::convert
