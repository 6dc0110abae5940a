// Nodes whose inputs are all constants are constants: `x @ W.t()`, weight_norm, scaled weights,
// target shapes written as lists. They are computed before the import, so that whoever reads a
// parameter finds one.
#pragma once

#include <string>
#include <vector>

#include "converters/onnx/graph.h"
#include "converters/posterior/posterior.h"

namespace mu8::convert {

// Moves the results of such nodes to graph->constants. A random parameter's sigma follows through
// what moves elements (Transpose, Reshape, Slice, Concat), scales them by numbers or adds numbers
// to them; where something else is computed of it, the result's Origin says why it has none. What
// cannot be computed is a problem, and its outputs are in graph->failed.
void FoldConstants(const Posterior& posterior, OnnxGraph* graph,
                   std::vector<std::string>* problems);

}  // namespace mu8::convert
