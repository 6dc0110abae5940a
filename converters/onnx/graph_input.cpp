#include "converters/onnx/graph_input.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "converters/onnx/functions.h"

namespace mu8::convert {
namespace {

using Dims = std::vector<std::int64_t>;
using Readers = std::vector<const OnnxNode*>;

// Whether each element of the result follows from the one at the same place: preprocessing does not
// show what the axes are.
bool KeepsPlaces(const OnnxGraph& graph, const OnnxNode& node) {
  static const std::set<std::string> others = {"Cast", "Clip", "Dropout", "Identity"};
  if (IsUnary(node.op) || others.contains(node.op)) return true;
  if (FindBinaryFunction(node.op) == nullptr) return false;
  return std::ranges::count_if(node.proto->input(), [&](const std::string& name) {
           return !graph.constants.contains(name);
         }) == 1;
}

// The nodes that first look at the axes of the tensor `name`.
Readers FirstReaders(const OnnxGraph& graph, const std::string& name) {
  std::map<std::string, Readers> all;
  for (const OnnxNode& node : graph.nodes) {
    for (const std::string& input : node.proto->input()) all[input].push_back(&node);
  }
  Readers first;
  std::set<std::string> seen;
  std::vector<std::string> names = {name};
  while (!names.empty()) {
    const std::string next = names.back();
    names.pop_back();
    if (!seen.insert(next).second) continue;
    for (const OnnxNode* node : all[next]) {
      if (KeepsPlaces(graph, *node)) {
        names.push_back(OutputName(*node, 0));
      } else if (node->op != "Shape") {
        first.push_back(node);
      }
    }
  }
  return first;
}

bool IsConstant(const OnnxImporter& importer, const OnnxNode& node, int i) {
  return importer.graph.constants.contains(InputName(node, i));
}

// Of a Reshape, if it is a constant.
std::optional<Dims> ConstantTarget(const OnnxImporter& importer, const OnnxNode& node) {
  if (!IsConstant(importer, node, 1)) return std::nullopt;
  return ReadIntegers(importer, node, 1).values;
}

// Whether a node shows that the last of `dims` are channels: a Transpose that moves them to the
// front, or, when there is one, a Reshape; a product along them.
bool PutsChannelsFirst(const OnnxImporter& importer, const OnnxNode& node, const Dims& dims) {
  const std::size_t rank = dims.size();
  if (node.op == "Transpose") {
    Dims expected = {0, static_cast<std::int64_t>(rank) - 1};
    for (std::size_t i = 1; i + 1 < rank; ++i) expected.push_back(static_cast<std::int64_t>(i));
    const onnx::AttributeProto* perm = FindAttribute(*node.proto, "perm");
    return perm != nullptr &&
           std::equal(expected.begin(), expected.end(), perm->ints().begin(), perm->ints().end());
  }
  if (node.op == "MatMul") return IsConstant(importer, node, 1);
  if (node.op != "Reshape" || dims.back() != 1) return false;
  const std::optional<Dims> target = ConstantTarget(importer, node);
  Dims image = dims;
  std::rotate(image.begin() + 1, image.end() - 1, image.end());
  return target && target->size() == rank &&
         std::equal(target->begin() + 1, target->end(), image.begin() + 1);
}

// Whether an input (N, H, W, C) or (N, W, C) is meant.
bool IsChannelsLast(const OnnxImporter& importer, const Readers& readers, const Dims& dims) {
  return !readers.empty() && (dims.size() == 3 || dims.size() == 4) &&
         std::ranges::all_of(readers, [&](const OnnxNode* node) {
           return PutsChannelsFirst(importer, *node, dims);
         });
}

// Tensors that are computed as two numbers: targets of a Reshape as x.view(x.size(0), -1) exports.
std::set<std::string> Pairs(const OnnxGraph& graph) {
  std::set<std::string> pairs;
  for (const OnnxNode& node : graph.nodes) {
    if (node.op == "Concat" && node.proto->input_size() == 2) pairs.insert(OutputName(node, 0));
  }
  return pairs;
}

// Whether an input (N, H, W) is a picture without an axis for its one channel: all that reads it
// flattens it or adds the axis in front of it.
bool IsPictureWithoutChannels(const OnnxImporter& importer, const Readers& readers,
                              const Dims& dims) {
  const std::set<std::string> pairs = Pairs(importer.graph);
  for (const OnnxNode* reader : readers) {
    const OnnxNode& node = *reader;
    if (node.op == "Flatten") continue;
    if (node.op == "Unsqueeze") {
      const auto axes = IntegerList(importer, node, 1, "axes");
      if (axes == Dims{1} || axes == Dims{-3}) continue;
      return false;
    }
    if (node.op != "Reshape") return false;
    const std::optional<Dims> target = ConstantTarget(importer, node);
    const bool is_flat = target ? target->size() == 2 : pairs.contains(InputName(node, 1));
    const bool adds_channel =
        target && target->size() == 4 && (*target)[1] == 1 && (*target)[2] == dims[1];
    if (!is_flat && !adds_channel) return false;
  }
  return !readers.empty();
}

// Whether a node makes a sequence (N, 1, F) of an input (N, F), for layers that slide along it.
bool MakesSequence(const OnnxImporter& importer, const OnnxNode& node, const Dims& dims) {
  static const std::set<std::string> sliding = {"AveragePool", "Conv", "ConvTranspose", "MaxPool"};
  if (node.op == "Unsqueeze") {
    const auto axes = IntegerList(importer, node, 1, "axes");
    if (axes != Dims{1} && axes != Dims{-2}) return false;
  } else {
    const auto target =
        node.op == "Reshape" ? ConstantTarget(importer, node) : std::optional<Dims>();
    if (!target || target->size() != 3 || (*target)[1] != 1) return false;
    if ((*target)[2] != -1 && (*target)[2] != dims[1]) return false;
  }
  const Readers readers = FirstReaders(importer.graph, OutputName(node, 0));
  return !readers.empty() && std::ranges::all_of(readers, [&](const OnnxNode* reader) {
    return sliding.contains(reader->op);
  });
}

// Channels, height and width of an input (N, F) that all readers reshape to one picture of one
// channel, or to one sequence: the order of its elements is the same in both.
std::optional<std::array<std::int64_t, 3>> FlatPicture(const OnnxImporter& importer,
                                                       const Readers& readers, const Dims& dims) {
  std::optional<std::array<std::int64_t, 3>> picture;
  if (dims.size() != 2) return std::nullopt;
  const bool is_sequence =
      !readers.empty() && std::ranges::all_of(readers, [&](const OnnxNode* node) {
        return MakesSequence(importer, *node, dims);
      });
  if (is_sequence) return std::array<std::int64_t, 3>{1, 1, dims[1]};
  for (const OnnxNode* node : readers) {
    if (node->op != "Reshape") return std::nullopt;
    const std::optional<Dims> target = ConstantTarget(importer, *node);
    if (!target || target->size() != 4 || (*target)[1] != 1) return std::nullopt;
    std::array<std::int64_t, 3> found = {1, (*target)[2], (*target)[3]};
    for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
      const std::int64_t other = found[3 - i];
      if (found[i] == -1 && other > 0 && dims[1] % other == 0) found[i] = dims[1] / other;
    }
    if (found[1] < 1 || found[2] < 1 || found[1] > dims[1] || found[1] * found[2] != dims[1] ||
        (picture && *picture != found)) {
      return std::nullopt;
    }
    picture = found;
  }
  return picture;
}

std::string LayoutName(const std::vector<std::vector<Axis>>& dims) {
  std::string name = "n";
  for (const std::vector<Axis>& dim : dims) {
    name += dim[0] == Axis::kChannels ? 'c' : dim[0] == Axis::kHeight ? 'h' : 'w';
  }
  return name == "nc" ? "nf" : name;
}

}  // namespace

void ImportInput(OnnxImporter* importer) {
  if (importer->graph.input == nullptr) return;
  const onnx::ValueInfoProto& input = *importer->graph.input;
  const std::string where = importer->graph.path + ": input \"" + input.name() + "\": ";
  const onnx::TypeProto::Tensor& type = input.type().tensor_type();
  bool is_static = type.has_shape();
  std::vector<std::int64_t> dims;
  std::string text;  // with the names of those that are not static
  for (const onnx::TensorShapeProto::Dimension& dim : type.shape().dim()) {
    text += (text.empty() ? "" : ", ") + (dim.dim_value() > 0 || dim.dim_param().empty()
                                              ? std::to_string(dim.dim_value())
                                              : dim.dim_param());
    is_static = is_static && (dims.empty() || dim.dim_value() > 0);
    dims.push_back(dim.dim_value());
  }
  const bool rank_good = dims.size() >= 2 && dims.size() <= 4;
  importer->failed.insert(input.name());
  if (!rank_good || !is_static) {
    importer->problems.push_back(
        where + "shape [" + text + "] " +
        (rank_good
             ? "is not static: only the batch dimension may be symbolic; export with an input "
               "of one size (dynamic_axes for the batch alone), or set it with "
               "onnx.tools.update_model_dims"
             : "is not supported; expected (N, C, H, W), (N, C, W) or (N, F)"));
    return;
  }
  if (!IsFloatType(type.elem_type())) {
    importer->problems.push_back(
        where + "element type " +
        (onnx::TensorProto::DataType_IsValid(type.elem_type())
             ? onnx::TensorProto::DataType_Name(type.elem_type())
             : std::to_string(type.elem_type())) +
        " is not supported, expected floating-point numbers (FLOAT); export the network that "
        "follows the conversion to floats");
  }
  Activation activation;
  activation.dims = {{Axis::kChannels}, {Axis::kHeight}, {Axis::kWidth}};
  if (dims.size() == 3) activation.dims = {{Axis::kChannels}, {Axis::kWidth}};
  if (dims.size() == 2) activation.dims = {{Axis::kChannels}};
  try {
    const std::vector<const OnnxNode*> readers = FirstReaders(importer->graph, input.name());
    std::int64_t sizes[3] = {1, 1, 1};
    if (IsChannelsLast(*importer, readers, dims)) {
      std::rotate(activation.dims.begin(), activation.dims.begin() + 1, activation.dims.end());
    } else if (dims.size() == 3 && IsPictureWithoutChannels(*importer, readers, dims)) {
      activation.dims = {{Axis::kHeight}, {Axis::kWidth}};
    } else if (const auto picture = FlatPicture(*importer, readers, dims)) {
      activation.dims = {{Axis::kChannels, Axis::kHeight, Axis::kWidth}};
      std::copy_n(picture->begin(), 3, sizes);
    }
    for (std::size_t dim = 0; dim < activation.dims.size(); ++dim) {
      if (activation.dims[dim].size() > 1) continue;
      sizes[static_cast<std::size_t>(activation.dims[dim][0])] = dims[dim + 1];
    }
    activation.value = AddValue(importer, input.name(), sizes[1], sizes[2], sizes[0]);
  } catch (const NodeProblem& problem) {
    importer->problems.push_back(where + problem.message);
    return;
  }
  const Value& value = importer->network.values.back();
  activation.channels = value.channels;
  activation.height = value.height;
  activation.width = value.width;
  importer->network.input = activation.value;
  importer->network.input_layout = LayoutName(activation.dims);
  importer->network.input_dims.assign(dims.begin() + 1, dims.end());
  importer->activations[input.name()] = activation;
  importer->failed.erase(input.name());
}

}  // namespace mu8::convert
