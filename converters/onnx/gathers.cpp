#include "converters/onnx/gathers.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "converters/onnx/integer_tensor.h"

namespace mu8::convert {
namespace {

format::GatherPlace Place(std::int64_t row, std::int64_t offset) {
  return {static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(offset)};
}

// Reads a block size and the image that it is about.
std::int64_t ReadBlock(OnnxImporter* importer, const OnnxNode& node, Activation* image) {
  *image = ReadImage(importer, node, 0, 4);
  const std::int64_t block = IntAttribute(node, "blocksize", 0);
  if (block < 1 || block > kMostWindow) {
    throw NodeProblem{"blocksize " + std::to_string(block) + ", expected 1 to " +
                      std::to_string(kMostWindow)};
  }
  return block;
}

// Before a table of so many places is made.
void CheckExtent(std::int64_t extent) {
  if (extent <= kMostExtent) return;
  throw NodeProblem{"its output has " + std::to_string(extent) +
                    " elements along an axis, expected at most " + std::to_string(kMostExtent)};
}

// Adds `gather` and the image that it writes, as many elements as there are places.
void AddGather(OnnxImporter* importer, const OnnxNode& node, Node gather, const Activation& input) {
  Activation output = input;
  output.height = static_cast<int>(gather.rows.size());
  output.width = static_cast<int>(gather.columns.size());
  output.channels = static_cast<int>(gather.channels.size());
  output.value =
      AddValue(importer, OutputName(node, 0), output.height, output.width, output.channels);
  AddLayer(importer, node, std::move(gather), {input.value}, std::move(output));
}

}  // namespace

void AddSelection(OnnxImporter* importer, const OnnxNode& node, const Activation& input,
                  const std::vector<std::vector<std::int64_t>>& indices) {
  if (!IsImageInMemory(*importer, input)) {
    throw NodeProblem{"taking elements of a flattened image is not supported"};
  }
  Node gather{.op = Op::kGather};
  for (const Axis axis : {Axis::kHeight, Axis::kWidth, Axis::kChannels}) {
    std::vector<std::int64_t> all;
    for (std::size_t dim = 0; dim < indices.size(); ++dim) {
      std::vector<Axis> axes = LongAxes(input, dim);
      if (axes.empty()) axes = input.dims[dim];
      if (indices[dim].empty()) continue;
      if (axes.size() != 1) {
        throw NodeProblem{"axis " + std::to_string(dim + 1) + " of " + LayoutText(input) +
                          " is not one axis of an image"};
      }
      if (axes[0] == axis) all = indices[dim];
    }
    if (all.empty()) {
      all.resize(static_cast<std::size_t>(input.size(axis)));
      std::iota(all.begin(), all.end(), std::int64_t{0});
    }
    auto& places = axis == Axis::kHeight  ? gather.rows
                   : axis == Axis::kWidth ? gather.columns
                                          : gather.channels;
    for (const std::int64_t i : all) {
      places.push_back(i < 0                   ? Place(format::kOutside, 0)
                       : axis == Axis::kHeight ? Place(i, 0)
                       : axis == Axis::kWidth  ? Place(0, i * input.channels)
                                               : Place(0, i));
    }
  }
  AddGather(importer, node, std::move(gather), input);
}

void ImportGather(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = ReadActivation(importer, node, 0, 0);
  const std::size_t axis =
      AxisIndex(IntAttribute(node, "axis", 0), static_cast<std::size_t>(input.rank()));
  if (axis == 0) throw NodeProblem{"axis 0, the batch, cannot be selected from"};
  const IntegerTensor wanted = ReadIntegers(*importer, node, 1);
  if (wanted.dims.size() > 1 || wanted.values.empty()) {
    throw NodeProblem{"its indices are of dimensions " + DimsText(wanted.dims) +
                      ", expected one index or a list"};
  }
  std::vector<std::vector<std::int64_t>> indices(input.dims.size());
  const std::int64_t size = DimSize(input, axis - 1);
  for (const std::int64_t index : wanted.values) {
    if (index < -size || index >= size) {
      throw NodeProblem{"index " + std::to_string(index) + " of axis " + std::to_string(axis) +
                        ", which has " + std::to_string(size) + " elements"};
    }
    indices[axis - 1].push_back(index < 0 ? index + size : index);
  }
  AddSelection(importer, node, input, indices);
  if (!wanted.dims.empty()) return;
  Activation& output = importer->activations.at(OutputName(node, 0));
  output.dims.erase(output.dims.begin() + static_cast<std::ptrdiff_t>(axis - 1));
  if (output.dims.empty()) output.dims.push_back({Axis::kChannels});
}

// DCR: channel (i * block + j) * C + c goes to row i and column j of its block; CRD: channel
// c * block^2 + i * block + j does.
void ImportDepthToSpace(OnnxImporter* importer, const OnnxNode& node) {
  Activation input;
  const std::int64_t block = ReadBlock(importer, node, &input);
  const std::string mode = StringAttribute(node, "mode", "DCR");
  if (mode != "DCR" && mode != "CRD") {
    throw NodeProblem{"mode \"" + mode + "\" is unknown (DCR and CRD are)"};
  }
  if (input.channels % (block * block) != 0) {
    throw NodeProblem{"blocksize " + std::to_string(block) + " does not divide " +
                      std::to_string(input.channels) + " channels"};
  }
  CheckExtent(std::max(input.height, input.width) * block);
  const std::int64_t channels = input.channels / (block * block);
  const std::int64_t across = mode == "DCR" ? channels : 1;  // from a column of a block to the next
  const std::int64_t apart = mode == "DCR" ? 1 : block * block;  // from a channel to the next
  Node gather{.op = Op::kGather};
  for (std::int64_t y = 0; y < input.height * block; ++y) {
    gather.rows.push_back(Place(y / block, y % block * block * across));
  }
  for (std::int64_t x = 0; x < input.width * block; ++x) {
    gather.columns.push_back(Place(0, x / block * input.channels + x % block * across));
  }
  for (std::int64_t c = 0; c < channels; ++c) gather.channels.push_back(Place(0, c * apart));
  AddGather(importer, node, std::move(gather), input);
}

void ImportSpaceToDepth(OnnxImporter* importer, const OnnxNode& node) {
  Activation input;
  const std::int64_t block = ReadBlock(importer, node, &input);
  if (input.height % block != 0 || input.width % block != 0) {
    throw NodeProblem{"blocksize " + std::to_string(block) + " does not divide " +
                      std::to_string(input.height) + " x " + std::to_string(input.width)};
  }
  CheckExtent(input.channels * block * block);
  Node gather{.op = Op::kGather};
  for (std::int64_t y = 0; y < input.height; y += block) gather.rows.push_back(Place(y, 0));
  for (std::int64_t x = 0; x < input.width; x += block) {
    gather.columns.push_back(Place(0, x * input.channels));
  }
  for (std::int64_t i = 0; i < block * block; ++i) {
    for (std::int64_t c = 0; c < input.channels; ++c) {
      gather.channels.push_back(Place(i / block, i % block * input.channels + c));
    }
  }
  AddGather(importer, node, std::move(gather), input);
}

}  // namespace mu8::convert
