// Dense layers, and BatchNormalization.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

void ImportGemm(OnnxImporter* importer, const OnnxNode& node);
void ImportMatMul(OnnxImporter* importer, const OnnxNode& node);
void ImportBatchNormalization(OnnxImporter* importer, const OnnxNode& node);

}  // namespace mu8::convert
