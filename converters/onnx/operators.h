// The ONNX operators that become something: which function imports each, and the attributes that it
// understands. converters/README.md says what becomes of them; test_operators.cpp compares the two.
#pragma once

#include <set>
#include <string>

#include "converters/onnx/importer.h"

namespace mu8::convert {

// Converts one node of the graph. Throws NodeProblem.
void ImportNode(OnnxImporter* importer, const OnnxNode& node);

// Of all that ImportNode converts; and of those that are only computed, of constants or shapes.
std::set<std::string> ImportedOperators();
std::set<std::string> ComputedOperators();

}  // namespace mu8::convert
