// Parameters of ONNX nodes as Gaussians: mu from the initializer, sigma from the posterior.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

// Input i of `node`, which must be a floating-point constant, in its own layout. Registers the
// sigma as read; reports one that another node reads, too. Throws NodeProblem.
GaussianTensor ReadGaussian(OnnxImporter* importer, const OnnxNode& node, int i);

// The same for a parameter that cannot have a sigma: reports `why` if there is one.
std::vector<float> ReadDeterministic(OnnxImporter* importer, const OnnxNode& node, int i,
                                     const std::string& why);

bool HasSigma(OnnxImporter* importer, const OnnxNode& node, int i);

// Input i of `node` as one Gaussian per output channel. `per_channel` is the shape, without leading
// ones, that broadcasts along the channels alone; a single value is repeated.
GaussianTensor ReadBias(OnnxImporter* importer, const OnnxNode& node, int i,
                        const std::vector<std::int64_t>& per_channel, std::size_t max_rank);

// Sum of independent Gaussians: means add, variances add.
void AddTo(GaussianTensor* bias, const GaussianTensor& more);

// Reports, for every sigma, a missing initializer, another shape, values that are no standard
// deviation.
void CheckPosterior(OnnxImporter* importer);

// After all nodes: reports each sigma that no layer took as its own.
void CheckSigmasRead(OnnxImporter* importer);

}  // namespace mu8::convert
