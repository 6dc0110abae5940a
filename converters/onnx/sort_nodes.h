// The order of a graph's nodes: files may have any.
#pragma once

#include <string>
#include <vector>

#include "converters/onnx/graph.h"

namespace mu8::convert {

// The nodes so that each comes after those that it reads, else in the file's order. What reads
// itself, by whatever way, is a problem; it comes last and counts as failed.
void SortNodes(OnnxGraph* graph, std::vector<std::string>* problems);

}  // namespace mu8::convert
