#include "converters/onnx/constant_operands.h"

#include <algorithm>
#include <utility>

#include "converters/onnx/parameters.h"

namespace mu8::convert {
namespace {

constexpr const char* kOnlyWeights = "only weights and biases of layers can be random";

std::vector<std::int64_t> WithoutLeadingOnes(std::vector<std::int64_t> dims) {
  const auto first =
      std::find_if(dims.begin(), dims.end(), [](std::int64_t dim) { return dim != 1; });
  dims.erase(dims.begin(), first);
  return dims;
}

bool IsOneAxisEach(const Activation& input) {
  for (std::size_t dim = 0; dim < input.dims.size(); ++dim) {
    if (LongAxes(input, dim).size() > 1) return false;
  }
  return true;
}

// How far an element of a broadcast constant lies from the next one along an axis of the image, in
// the order of Axis; 0 along axes that it is repeated over.
struct Steps {
  std::int64_t of[3] = {0, 0, 0};
};

Steps StepsOf(const OnnxConstant& constant, const Activation& input) {
  const std::string problem = "constant " + DimsText(constant.dims) +
                              " is not one value per channel and does not broadcast to " +
                              LayoutText(input) + " of " + std::to_string(input.channels) + " x " +
                              std::to_string(input.height) + " x " + std::to_string(input.width) +
                              " (C x H x W)";
  const std::size_t rank = constant.dims.size();
  if (rank > input.dims.size() + 1) throw NodeProblem{problem};
  Steps steps;
  std::int64_t step = 1;
  for (std::size_t back = 0; back < rank; ++back) {  // from the last dimension
    const std::int64_t size = constant.dims[rank - 1 - back];
    if (back == input.dims.size()) {  // the batch
      if (size != 1) throw NodeProblem{problem};
      continue;
    }
    const std::size_t dim = input.dims.size() - 1 - back;
    if (size != 1 && size != DimSize(input, dim)) throw NodeProblem{problem};
    if (size == 1) continue;
    const std::vector<Axis>& axes = input.dims[dim];
    std::int64_t inner = step;
    for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {  // the fastest first
      steps.of[static_cast<int>(*axis)] = inner;
      inner *= input.size(*axis);
    }
    step *= size;
  }
  return steps;
}

}  // namespace

std::vector<std::int64_t> PerChannelShape(const Activation& input) {
  std::vector<std::int64_t> shape;
  for (std::size_t dim = 0; dim < input.dims.size(); ++dim) {
    std::vector<Axis> axes = LongAxes(input, dim);
    if (axes.size() > 1) {
      throw NodeProblem{"a constant along the axis of a flattened image " + LayoutText(input) +
                        " is not supported, only one value per channel"};
    }
    const bool is_channels = axes == std::vector<Axis>{Axis::kChannels};
    if (is_channels || !shape.empty()) shape.push_back(is_channels ? input.channels : 1);
  }
  if (shape.empty()) shape.push_back(1);  // one channel
  return shape;
}

bool IsPerChannel(const OnnxImporter& importer, const OnnxNode& node, int i,
                  const Activation& input) {
  const OnnxConstant& constant = ReadConstant(importer, node, i);
  if (constant.count == 1) return true;
  return IsOneAxisEach(input) &&
         WithoutLeadingOnes(constant.dims) == WithoutLeadingOnes(PerChannelShape(input));
}

std::vector<float> ElementValues(OnnxImporter* importer, const OnnxNode& node, int i,
                                 const Activation& input) {
  const OnnxConstant& constant = ReadConstant(*importer, node, i);
  const Steps steps = StepsOf(constant, input);
  if (!IsImageInMemory(*importer, input)) {
    throw NodeProblem{"constant " + DimsText(constant.dims) +
                      " for each element of a flattened image is not supported"};
  }
  const std::vector<float> values = ReadDeterministic(importer, node, i, kOnlyWeights);
  SpendBytes(importer, sizeof(float) * input.flat_size());
  std::vector<float> elements;
  elements.reserve(input.flat_size());
  for (std::int64_t y = 0; y < input.height; ++y) {
    for (std::int64_t x = 0; x < input.width; ++x) {
      for (std::int64_t c = 0; c < input.channels; ++c) {
        const std::int64_t at = y * steps.of[static_cast<int>(Axis::kHeight)] +
                                x * steps.of[static_cast<int>(Axis::kWidth)] +
                                c * steps.of[static_cast<int>(Axis::kChannels)];
        elements.push_back(values[static_cast<std::size_t>(at)]);
      }
    }
  }
  return elements;
}

std::vector<float> ChannelValues(OnnxImporter* importer, const OnnxNode& node, int i,
                                 const Activation& input) {
  std::vector<float> values = ReadDeterministic(importer, node, i, kOnlyWeights);
  values.resize(static_cast<std::size_t>(input.channels), values[0]);
  return values;
}

Activation AddConstant(OnnxImporter* importer, const OnnxNode& node, const Activation& like,
                       std::vector<float> values) {
  Node constant{.op = Op::kConstant, .values = std::move(values)};
  AddLayer(importer, node, std::move(constant), {like.value}, NewLike(importer, node, like));
  Activation made = importer->activations[OutputName(node, 0)];
  importer->network.nodes.back().name = node.name + "/constant";
  importer->network.values[static_cast<std::size_t>(made.value)].name = node.name + "/constant";
  return made;
}

}  // namespace mu8::convert
