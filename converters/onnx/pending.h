// Functions of one value that are not applied yet (Pending), as elementwise nodes make them.
#pragma once

#include <functional>
#include <string>

#include "converters/onnx/functions.h"
#include "converters/onnx/importer.h"

namespace mu8::convert {

// What an activation is of the value that it stands for: the function and its text, "x" where there
// is none.
TermIndex FunctionOf(const Activation& activation);
std::string TextOf(const Activation& activation);

// The node's output is that function of the value of `activation`.
void SetPending(OnnxImporter* importer, const OnnxNode& node, Activation activation,
                TermIndex function, std::string text);

// function(what `input` is). `text` gives the function's text from its argument's.
using FunctionText = std::function<std::string(const std::string& argument)>;
void Compose(OnnxImporter* importer, const OnnxNode& node, Activation input, Function function,
             const FunctionText& text);

}  // namespace mu8::convert
