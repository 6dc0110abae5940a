// Convolutions and pools, over images or (height 1) sequences.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

void ImportConv(OnnxImporter* importer, const OnnxNode& node);
void ImportPool(OnnxImporter* importer, const OnnxNode& node, Op op);
// GlobalAveragePool, GlobalMaxPool
void ImportGlobalPool(OnnxImporter* importer, const OnnxNode& node, Op op);
// ReduceMean, ReduceMax
void ImportReduceSum(OnnxImporter* importer, const OnnxNode& node);
void ImportReduce(OnnxImporter* importer, const OnnxNode& node, Op op);

}  // namespace mu8::convert
