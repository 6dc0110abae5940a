// Nodes that put elements elsewhere or more than once: each becomes one kGather.
#pragma once

#include <cstdint>
#include <vector>

#include "converters/onnx/importer.h"

namespace mu8::convert {

// Adds a kGather of `input`, an image in memory, that writes what the node's first output names.
// For each dimension after the batch: the indices of its elements in the input, -1 for zero; an
// empty list takes all. Throws NodeProblem where a dimension with a list is not one axis.
void AddSelection(OnnxImporter* importer, const OnnxNode& node, const Activation& input,
                  const std::vector<std::vector<std::int64_t>>& indices);

// Elements of one axis by constant indices; one index alone drops the axis.
void ImportGather(OnnxImporter* importer, const OnnxNode& node);

void ImportDepthToSpace(OnnxImporter* importer, const OnnxNode& node);
void ImportSpaceToDepth(OnnxImporter* importer, const OnnxNode& node);

}  // namespace mu8::convert
