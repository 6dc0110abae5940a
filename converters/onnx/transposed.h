// Transposed convolutions.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

// ConvTranspose-11, of images and sequences. Throws NodeProblem.
void ImportConvTranspose(OnnxImporter* importer, const OnnxNode& node);

}  // namespace mu8::convert
