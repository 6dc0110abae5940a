// Slice and Pad.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

void ImportSlice(OnnxImporter* importer, const OnnxNode& node);
void ImportPad(OnnxImporter* importer, const OnnxNode& node);
void ImportSplit(OnnxImporter* importer, const OnnxNode& node);

}  // namespace mu8::convert
