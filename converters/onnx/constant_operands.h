// Constants beside activations in elementwise nodes: one number for each channel, or for each
// element.
#pragma once

#include <vector>

#include "converters/onnx/importer.h"

namespace mu8::convert {

// The shape, without leading ones, of a constant that holds one number per channel. Throws
// NodeProblem where the channels are a part of a flattened axis.
std::vector<std::int64_t> PerChannelShape(const Activation& input);

// Whether input i, a constant, is one number, or one for each channel of `input`.
bool IsPerChannel(const OnnxImporter& importer, const OnnxNode& node, int i,
                  const Activation& input);

// Input i, a constant that broadcasts to `input`, an image in memory: a number for each of its
// elements, in their order there. Throws NodeProblem, also where the constant has a sigma.
std::vector<float> ElementValues(OnnxImporter* importer, const OnnxNode& node, int i,
                                 const Activation& input);

// The same for each channel of `input`.
std::vector<float> ChannelValues(OnnxImporter* importer, const OnnxNode& node, int i,
                                 const Activation& input);

// A kConstant of those values and of the shape of `like`; the activation that stands for it.
Activation AddConstant(OnnxImporter* importer, const OnnxNode& node, const Activation& like,
                       std::vector<float> values);

}  // namespace mu8::convert
