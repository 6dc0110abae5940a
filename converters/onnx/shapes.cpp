// Nodes that change how a value is seen, not what it holds: Flatten, Reshape, Squeeze, Unsqueeze,
// Transpose; and Concat. A dimension is a list of axes (Activation::dims), so that all of them but
// Concat only regroup or reorder those lists; whoever reads the value looks where its axes are.
// What splits an axis is kept as a View (views.h).
#include "converters/onnx/shapes.h"

#include <algorithm>

#include "converters/onnx/functions.h"
#include "converters/onnx/views.h"

namespace mu8::convert {
namespace {

// `axis` counted from the batch on, as an index into Activation::dims of a tensor of `rank`.
std::size_t DimIndex(std::int64_t axis, int rank) {
  const std::int64_t index = (axis < 0 ? axis + rank : axis) - 1;
  if (index < 0 || index + 1 >= rank) {
    throw NodeProblem{"axis " + std::to_string(axis) + " is not supported, only 1 to " +
                      std::to_string(rank - 1) + " (0 is the batch)"};
  }
  return static_cast<std::size_t>(index);
}

// The batch size the file fixes; 0 when it is symbolic.
std::int64_t StaticBatch(const OnnxGraph& graph) {
  if (graph.input == nullptr) return 0;
  const onnx::TensorShapeProto& shape = graph.input->type().tensor_type().shape();
  return shape.dim_size() > 0 ? shape.dim(0).dim_value() : 0;
}

void Alias(OnnxImporter* importer, const OnnxNode& node, Activation activation) {
  importer->activations[OutputName(node, 0)] = std::move(activation);
}

// Reshape's 0 (the same dimension of the input) and -1 (whatever is left) resolved, without the
// batch; empty when the target does not keep the batch or has another number of elements.
std::vector<std::int64_t> ResolveTarget(const Activation& input, std::vector<std::int64_t> target,
                                        std::int64_t batch, bool zero_copies) {
  if (target.size() < 2 || target.size() > kMostRank) return {};
  const std::int64_t rows = target[0];
  const auto all = static_cast<std::int64_t>(input.flat_size());
  std::int64_t known = 1, inferred = 0;
  for (std::size_t i = 1; i < target.size(); ++i) {
    if (target[i] == 0 && zero_copies && i <= input.dims.size()) {
      target[i] = DimSize(input, i - 1);
    }
    if (target[i] == -1) {
      ++inferred;
    } else if (target[i] < 1 || target[i] > all) {
      return {};
    } else {
      known *= target[i];
      if (known > all) return {};
    }
  }
  // A batch of 1 is what tracing with one image leaves behind.
  const bool rows_good = rows == kBatchSize || rows == 1 || (rows == 0 && zero_copies) ||
                         (rows > 0 && rows == batch) || (rows == -1 && inferred == 0);
  if (!rows_good || inferred > 1 || all % known != 0 || (inferred == 0 && known != all)) return {};
  std::replace(target.begin() + 1, target.end(), std::int64_t{-1}, all / known);
  return {target.begin() + 1, target.end()};
}

// The same elements in dimensions of other sizes.
void See(OnnxImporter* importer, Activation* activation, const std::vector<std::int64_t>& sizes) {
  if (activation->view == nullptr && Regroup(activation, sizes)) return;
  *activation = Reshaped(importer, *activation, sizes);
}

// Input 1 of Reshape and Expand.
std::vector<std::int64_t> TargetShape(const OnnxImporter& importer, const OnnxNode& node) {
  const std::string name = InputName(node, 1);
  if (importer.activations.contains(name)) {
    throw NodeProblem{
        "its target shape is computed from an activation's values; expected a constant "
        "or what follows from shapes"};
  }
  std::optional<std::vector<std::int64_t>> shape = ShapeList(importer, node, 1, "shape");
  if (!shape) throw NodeProblem{"has neither input 1 nor an attribute shape, expected one of them"};
  return std::move(*shape);
}

// For messages: the batch is N.
std::string TargetText(const std::vector<std::int64_t>& target) {
  std::string text;
  for (const std::int64_t size : target) {
    text += (text.empty() ? "" : ", ") + (size == kBatchSize ? "N" : std::to_string(size));
  }
  return "[" + text + "]";
}

}  // namespace

bool Regroup(Activation* activation, const std::vector<std::int64_t>& sizes) {
  std::vector<Axis> axes;
  for (const std::vector<Axis>& dim : activation->dims) {
    axes.insert(axes.end(), dim.begin(), dim.end());
  }
  std::vector<std::vector<Axis>> dims;
  std::size_t next = 0;
  for (const std::int64_t size : sizes) {
    dims.emplace_back();
    std::int64_t product = 1;
    // A dimension of one element takes one axis of one element, if that is next: (C, 1, 1) stays
    // {{C}, {H}, {W}}.
    while (next < axes.size() && (product < size || (size == 1 && dims.back().empty()))) {
      if (size == 1 && activation->size(axes[next]) != 1) break;
      product *= activation->size(axes[next]);
      dims.back().push_back(axes[next++]);
    }
    if (product != size) return false;
  }
  for (; next < axes.size(); ++next) {
    if (activation->size(axes[next]) != 1) return false;
    dims.back().push_back(axes[next]);
  }
  activation->dims = std::move(dims);
  return true;
}

// Another ONNX name for input 0. Softmax's result may pass through, to be found at the output.
void ImportAlias(OnnxImporter* importer, const OnnxNode& node) {
  const auto found = importer->activations.find(InputName(node, 0));
  Alias(importer, node,
        found != importer->activations.end() && found->second.probabilities
            ? found->second
            : PeekActivation(*importer, node, 0, 0));
}

void ImportFlatten(OnnxImporter* importer, const OnnxNode& node) {
  Activation flat = PeekActivation(*importer, node, 0, 0);
  const std::int64_t axis = IntAttribute(node, "axis", 1);
  if ((axis < 0 ? axis + flat.rank() : axis) != 1) {
    Report(importer, node, "axis " + std::to_string(axis) + " is not supported, only 1");
  }
  See(importer, &flat, {static_cast<std::int64_t>(flat.flat_size())});
  Alias(importer, node, std::move(flat));
}

void ImportReshape(OnnxImporter* importer, const OnnxNode& node) {
  Activation shaped = PeekActivation(*importer, node, 0, 0);
  const std::vector<std::int64_t> target = TargetShape(*importer, node);
  if (target == std::vector<std::int64_t>{-1} && shaped.flat_size() == 1 &&
      shaped.view == nullptr) {
    shaped.dims.clear();  // (N,): one number for each input
    return Alias(importer, node, std::move(shaped));
  }
  const std::vector<std::int64_t> sizes = ResolveTarget(
      shaped, target, StaticBatch(importer->graph), IntAttribute(node, "allowzero", 0) == 0);
  if (sizes.empty()) {
    throw NodeProblem{
        "target shape " + TargetText(target) + " is not supported: expected the batch, then the " +
        std::to_string(shaped.flat_size()) + " elements of an image, such as (N, -1)"};
  }
  See(importer, &shaped, sizes);
  Alias(importer, node, std::move(shaped));
}

// Only to the shape that the input has, as exports of expand_as leave it.
void ImportExpand(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = PeekActivation(*importer, node, 0, 0);
  const std::vector<std::int64_t> target = TargetShape(*importer, node);
  const std::int64_t batch = StaticBatch(importer->graph);
  bool same = target.size() <= input.dims.size() + 1;
  for (std::size_t i = 0; same && i < target.size(); ++i) {
    const std::size_t dim = i + input.dims.size() + 1 - target.size();  // 0: the batch
    same =
        target[i] == 1 || (dim == 0 ? target[i] == kBatchSize || (batch > 0 && target[i] == batch)
                                    : target[i] == DimSize(input, dim - 1));
  }
  if (!same) {
    throw NodeProblem{"to " + TargetText(target) + " repeats elements of " + LayoutText(input) +
                      ", which is not supported"};
  }
  Alias(importer, node, input);
}

void ImportSqueeze(OnnxImporter* importer, const OnnxNode& node) {
  Activation squeezed = PeekActivation(*importer, node, 0, 0);
  const std::optional<std::vector<std::int64_t>> axes = IntegerList(*importer, node, 1, "axes");
  // One number for each input: whatever the batch, it is the same numbers.
  if (!axes && squeezed.flat_size() == 1 && squeezed.view == nullptr) {
    squeezed.dims.clear();
    return Alias(importer, node, std::move(squeezed));
  }
  if (!axes) throw NodeProblem{"without axes it would drop a batch of one image, too"};
  std::vector<char> dropped(squeezed.dims.size(), 0);
  for (const std::int64_t axis : *axes) {
    const std::size_t dim = DimIndex(axis, squeezed.rank());
    if (DimSize(squeezed, dim) != 1) {
      throw NodeProblem{"axis " + std::to_string(axis) + " has " +
                        std::to_string(DimSize(squeezed, dim)) + " elements, expected 1"};
    }
    dropped[dim] = 1;
  }
  std::vector<std::vector<Axis>> dims;
  for (std::size_t dim = 0; dim < dropped.size(); ++dim) {
    if (dropped[dim] == 0) dims.push_back(std::move(squeezed.dims[dim]));
  }
  if (squeezed.view != nullptr) {
    if (dims.empty()) throw NodeProblem{"nothing but the batch is left"};
    std::vector<std::int64_t> sizes;
    for (std::size_t dim = 0; dim < dropped.size(); ++dim) {
      if (dropped[dim] == 0) sizes.push_back(squeezed.view->dims[dim]);
    }
    return Alias(importer, node, Reshaped(importer, squeezed, std::move(sizes)));
  }
  squeezed.dims = std::move(dims);
  Alias(importer, node, std::move(squeezed));
}

void ImportUnsqueeze(OnnxImporter* importer, const OnnxNode& node) {
  Activation unsqueezed = PeekActivation(*importer, node, 0, 0);
  const std::vector<std::int64_t> axes =
      IntegerList(*importer, node, 1, "axes").value_or(std::vector<std::int64_t>{});
  if (unsqueezed.dims.size() + axes.size() >= kMostRank) {
    throw NodeProblem{"its output has more than " + std::to_string(kMostRank) + " dimensions"};
  }
  std::vector<char> added(unsqueezed.dims.size() + axes.size(), 0);
  for (const std::int64_t axis : axes) {
    added[DimIndex(axis, static_cast<int>(added.size()) + 1)] = 1;
  }
  std::vector<std::vector<Axis>> dims;
  std::vector<std::int64_t> sizes;
  std::size_t next = 0;
  for (const char is_added : added) {
    // An axis given twice leaves fewer places than there are new dimensions.
    if (is_added == 0 && next == unsqueezed.dims.size())
      throw NodeProblem{"an axis is given twice"};
    sizes.push_back(is_added != 0 ? 1 : DimSize(unsqueezed, next));
    dims.push_back(is_added != 0 ? std::vector<Axis>{} : unsqueezed.dims[next++]);
  }
  if (unsqueezed.view != nullptr) {
    return Alias(importer, node, Reshaped(importer, unsqueezed, std::move(sizes)));
  }
  unsqueezed.dims = std::move(dims);
  Alias(importer, node, std::move(unsqueezed));
}

void ImportTranspose(OnnxImporter* importer, const OnnxNode& node) {
  Activation transposed = PeekActivation(*importer, node, 0, 0);
  const onnx::AttributeProto* attribute = FindAttribute(*node.proto, "perm");
  std::vector<std::int64_t> order;
  if (attribute != nullptr) order.assign(attribute->ints().begin(), attribute->ints().end());
  std::vector<std::int64_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  bool good = static_cast<int>(order.size()) == transposed.rank() && order[0] == 0;
  for (std::size_t i = 0; good && i < sorted.size(); ++i) {
    good = sorted[i] == static_cast<std::int64_t>(i);
  }
  if (!good) {
    throw NodeProblem{"perm " + DimsText(order) + " is not supported: a permutation of " +
                      std::to_string(transposed.rank()) + " axes that keeps the batch first"};
  }
  if (transposed.view != nullptr) {
    std::vector<std::size_t> places;
    for (std::size_t i = 1; i < order.size(); ++i) {
      places.push_back(static_cast<std::size_t>(order[i] - 1));
    }
    return Alias(importer, node, Permuted(transposed, places));
  }
  const std::vector<std::vector<Axis>> dims = transposed.dims;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    transposed.dims[i] = dims[static_cast<std::size_t>(order[i + 1] - 1)];
  }
  Alias(importer, node, std::move(transposed));
}

// Along the channels of images or vectors; and of flattened images whose channels come first, as
// flattening their concatenation gives the same.
void ImportConcat(OnnxImporter* importer, const OnnxNode& node) {
  if (node.proto->input_size() == 1) return ImportAlias(importer, node);
  std::vector<int> inputs;
  std::int64_t channels = 0;
  Activation first = ReadActivation(importer, node, 0, 0);
  const std::int64_t axis = IntAttribute(node, "axis", 1);
  const std::size_t along = DimIndex(axis, first.rank());
  for (int i = 0; i < node.proto->input_size(); ++i) {
    const Activation part = ReadActivation(importer, node, i, first.rank());
    Activation same = part;
    same.channels = first.channels;
    bool good = part.height == first.height && part.width == first.width &&
                IsImageInMemory(*importer, part);
    for (std::size_t dim = 0; dim < part.dims.size() && good; ++dim) {
      std::vector<Axis> axes = LongAxes(part, dim), expected = LongAxes(first, dim);
      if (dim == along) {
        // Channels of one element may be anywhere: here is where they count.
        std::erase(expected, Axis::kChannels);
        expected.insert(expected.begin(), Axis::kChannels);
        if (part.channels == 1) axes.insert(axes.begin(), Axis::kChannels);
      }
      good = axes == expected;
    }
    if (!good) {
      throw NodeProblem{"input \"" + InputName(node, i) + "\", " + LayoutText(part) +
                        ", cannot be joined along axis " + std::to_string(axis) + " to " +
                        LayoutText(first) +
                        ": only along the channels of images of equal height and width"};
    }
    inputs.push_back(part.value);
    channels += part.channels;
  }
  Activation output = first;
  for (std::vector<Axis>& dim : output.dims) std::erase(dim, Axis::kChannels);
  output.dims[along].insert(output.dims[along].begin(), Axis::kChannels);
  output.value = AddValue(importer, OutputName(node, 0), first.height, first.width, channels);
  output.channels = static_cast<int>(channels);
  AddLayer(importer, node, Node{.op = Op::kConcat}, std::move(inputs), std::move(output));
}

}  // namespace mu8::convert
