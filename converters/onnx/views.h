// Reshapes and transposes that split an axis or mix parts of axes, as channel shuffles, unflattened
// vectors and pixel shuffles written in steps do. An activation is then seen through a View, until
// a node reads it that wants an image; one kGather, or two, make that image.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "converters/onnx/importer.h"

namespace mu8::convert {

// Dimensions after the batch, and for each element in their order (the last one fastest) its place
// in the value's memory.
struct View {
  std::vector<std::int64_t> dims;
  std::vector<std::uint32_t> order;
};

// `activation` seen with other dimensions of the same elements in the same order. Throws
// NodeProblem when it is too large.
Activation Reshaped(OnnxImporter* importer, const Activation& activation,
                    std::vector<std::int64_t> dims);

// The view with its dimensions in another order: dimension i is `order[i]` of what is there.
Activation Permuted(const Activation& activation, const std::vector<std::size_t>& order);

// Makes an image, a sequence or a vector of the activation `name`, if it is seen through a view,
// and keeps it under that name. Throws NodeProblem when it has more dimensions.
void ResolveView(OnnxImporter* importer, const std::string& name);

// The same of `activation`, which is `name`, where its dimensions are whole axes in another order
// than (C, H, W) or (C, W).
void Reorder(OnnxImporter* importer, const std::string& name, const Activation& activation);

// `activation` of two or three dimensions with the last one as its channels in memory; the
// dimensions stay what they are. `name` is for the value.
Activation LastAsChannels(OnnxImporter* importer, const std::string& name,
                          const Activation& activation);

// Whether a node of that operator takes an activation through its view.
bool KeepsView(const std::string& op);

}  // namespace mu8::convert
