// Reads the mean network from an ONNX file (opset 7 to 20) into a Network.
#pragma once

#include <string>

#include "converters/network/network.h"
#include "converters/posterior/posterior.h"

namespace mu8::convert {

// Imports graph and parameters of any directed acyclic graph of the operators that
// converters/README.md lists. Functions of one value compose into a kLookup; flattened vectors are
// permuted to HWC in the columns of the dense layer that reads them. A final Softmax,
// LogSoftmax or Sigmoid is dropped and becomes the head's hint: the engine computes probabilities.
// Where the output is not that of a layer with weights, a deterministic dense layer that copies is
// added, since the engine takes its logits from one. metadata_props "mean", "std" (comma-separated
// floats), "labels" (newline-separated) and "head" fill the fields of the same name. Throws Error
// with ALL problems: unsupported nodes by name and reason, sigmas without an initializer, shape
// mismatches, missing static shapes (only the batch dimension may be symbolic).
// `output` names the one of several outputs that is wanted; empty: there must be one.
Network ImportOnnx(const std::string& path, const Posterior& posterior,
                   const std::string& output = {});

// The same with the posterior file of a model; an empty path: a network without sigmas.
Network ImportWithPosterior(const std::string& path, const std::string& posterior_path,
                            const std::string& output = {});

}  // namespace mu8::convert
