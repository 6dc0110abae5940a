// Nodes that change how a value is seen, not what it holds; and Concat.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

// Identity: another ONNX name for input 0. Softmax's result may pass through, to be found at the
// output.
void ImportAlias(OnnxImporter* importer, const OnnxNode& node);
// Deals the axes, in ONNX's order, to dimensions of the given sizes; false if one would have to be
// split.
bool Regroup(Activation* activation, const std::vector<std::int64_t>& sizes);

void ImportFlatten(OnnxImporter* importer, const OnnxNode& node);
void ImportReshape(OnnxImporter* importer, const OnnxNode& node);
void ImportExpand(OnnxImporter* importer, const OnnxNode& node);
void ImportSqueeze(OnnxImporter* importer, const OnnxNode& node);
void ImportUnsqueeze(OnnxImporter* importer, const OnnxNode& node);
void ImportTranspose(OnnxImporter* importer, const OnnxNode& node);
void ImportConcat(OnnxImporter* importer, const OnnxNode& node);

}  // namespace mu8::convert
