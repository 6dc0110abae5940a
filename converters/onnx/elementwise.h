// Functions of one activation, arithmetic with constants, sums and products of two activations.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

bool IsElementwise(const std::string& op);
void ImportElementwise(OnnxImporter* importer, const OnnxNode& node);

}  // namespace mu8::convert
