// Several outputs of a graph taken for one: `--output-name mean,log_variance`.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

// The node kJoinNode: joins the outputs along the channels. Dense layers that read the same value
// become one layer with all of their rows, so that nothing is rounded in between. What the last one
// ends in (Exp, Softplus) is left out, and said in network.scale_end. Throws NodeProblem.
void ImportJoin(OnnxImporter* importer, const OnnxNode& node);

}  // namespace mu8::convert
