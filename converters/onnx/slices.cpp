// Slice, Split and Pad: a kSlice, which reads a rectangle with steps and finds zeros outside the
// image, where that is enough, else a kGather. MergeSlices joins what an export has spread over
// several slices.
#include "converters/onnx/slices.h"

#include <algorithm>
#include <array>

#include "converters/onnx/gathers.h"
#include "converters/onnx/shapes.h"

namespace mu8::convert {
namespace {

// Along one dimension: y(i) = x(i * step + start), 0 outside x, for `size` elements.
struct Cut {
  std::int64_t start = 0, step = 1, size = 0;
};

// Whether a kSlice can say it: no step back, and none along the channels.
bool FitsSlice(const Activation& input, const std::vector<Cut>& cuts) {
  for (std::size_t dim = 0; dim < cuts.size(); ++dim) {
    const std::vector<Axis> axes = LongAxes(input, dim);
    const bool channels = std::count(axes.begin(), axes.end(), Axis::kChannels) != 0;
    if (cuts[dim].step < 1 || (channels && cuts[dim].step != 1)) return false;
  }
  return true;
}

void AddCutSelection(OnnxImporter* importer, const OnnxNode& node, const Activation& input,
                     const std::vector<Cut>& cuts) {
  std::vector<std::vector<std::int64_t>> indices(cuts.size());
  for (std::size_t dim = 0; dim < cuts.size(); ++dim) {
    const Cut& cut = cuts[dim];
    if (cut.start == 0 && cut.step == 1 && cut.size == DimSize(input, dim)) continue;
    for (std::int64_t i = 0; i < cut.size; ++i) indices[dim].push_back(cut.start + i * cut.step);
  }
  AddSelection(importer, node, input, indices);
}

// Adds a layer with one Cut per dimension after the batch; none if nothing is cut.
void AddSlice(OnnxImporter* importer, const OnnxNode& node, const std::vector<Cut>& cuts) {
  const Activation whole = PeekActivation(*importer, node, 0, 0);
  const auto copies = [&](std::size_t dim) {
    return cuts[dim].start == 0 && cuts[dim].step == 1 && cuts[dim].size == DimSize(whole, dim);
  };
  bool copies_all = true;
  for (std::size_t dim = 0; dim < cuts.size(); ++dim) copies_all = copies_all && copies(dim);
  if (copies_all) return ImportAlias(importer, node);

  const Activation input = ReadActivation(importer, node, 0, 0);
  if (!IsImageInMemory(*importer, input)) {
    throw NodeProblem{"cutting a flattened image is not supported"};
  }
  if (!FitsSlice(input, cuts)) return AddCutSelection(importer, node, input, cuts);
  Node layer{.op = Op::kSlice};
  Activation output = input;
  for (std::size_t dim = 0; dim < cuts.size(); ++dim) {
    if (copies(dim)) continue;
    const Cut& cut = cuts[dim];
    std::vector<Axis> axes = LongAxes(input, dim);
    if (axes.empty()) axes = input.dims[dim];
    if (axes.size() != 1 || cut.size < 1 || cut.size > kMostExtent ||
        std::abs(cut.start) > kMostExtent || cut.step > kMostExtent) {
      throw NodeProblem{"axis " + std::to_string(dim + 1) + " of " + LayoutText(input) +
                        " cannot be cut to " + std::to_string(cut.size) + " elements"};
    }
    const int start = static_cast<int>(cut.start), step = static_cast<int>(cut.step);
    const int size = static_cast<int>(cut.size);
    if (axes[0] == Axis::kHeight) {
      layer.offset_h = start, layer.window.stride_h = step, output.height = size;
    } else if (axes[0] == Axis::kWidth) {
      layer.offset_w = start, layer.window.stride_w = step, output.width = size;
    } else {
      layer.offset_c = start, output.channels = size;
    }
  }
  output.value =
      AddValue(importer, OutputName(node, 0), output.height, output.width, output.channels);
  AddLayer(importer, node, std::move(layer), {input.value}, std::move(output));
}

// Whether padding with `fill` is what a MaxPool skips: all that reads it are MaxPools, and no
// number of the image is less. Of zeros: a slice is as good.
bool IsLeast(const OnnxImporter& importer, const OnnxNode& node, const Activation& input,
             float fill) {
  // -65504 is the least number of networks of halves.
  bool is_least = fill <= -1e30F || fill == -65504.0F;
  const int producer = importer.producers[static_cast<std::size_t>(input.value)];
  if (!is_least && fill != 0.0F && input.pending == nullptr && producer >= 0) {
    const Node& before = importer.network.nodes[static_cast<std::size_t>(producer)];
    is_least = before.op == Op::kClip && before.low >= fill;
  }
  const auto pools = importer.pool_readers.find(OutputName(node, 0));
  return is_least && pools != importer.pool_readers.end() &&
         pools->second == importer.readers.at(OutputName(node, 0));
}

// Leaves the pads for the MaxPools to skip.
void SkipPads(OnnxImporter* importer, const OnnxNode& node, const std::vector<Cut>& cuts) {
  Activation padded = ReadImage(importer, node, 0, cuts.size() == 2 ? 3 : 4);
  std::array<int, 4> pads{};
  for (std::size_t dim = 0; dim < cuts.size(); ++dim) {
    const Cut& cut = cuts[dim];
    const std::int64_t before = -cut.start, after = cut.size + cut.start - DimSize(padded, dim);
    if (before == 0 && after == 0) continue;
    const std::vector<Axis>& axes = padded.dims[dim];
    if (axes.size() != 1 || axes[0] == Axis::kChannels || before < 0 || after < 0 ||
        before > kMostWindow || after > kMostWindow) {
      throw NodeProblem{"padding with the least number is only supported along height and width"};
    }
    const std::size_t first = axes[0] == Axis::kHeight ? 0 : 1;
    pads[first] = static_cast<int>(before);
    pads[first + 2] = static_cast<int>(after);
  }
  // As their readers see them.
  padded.height += pads[0] + pads[2];
  padded.width += pads[1] + pads[3];
  importer->skipped_pads[OutputName(node, 0)] = pads;
  padded.is_shared = false;
  importer->activations[OutputName(node, 0)] = padded;
}

std::vector<Cut> WholeCuts(const Activation& input) {
  std::vector<Cut> cuts;
  for (std::size_t dim = 0; dim < input.dims.size(); ++dim) {
    cuts.push_back({.start = 0, .step = 1, .size = DimSize(input, dim)});
  }
  return cuts;
}

}  // namespace

// ONNX: negative starts and ends count from the end, both are clamped to the dimension.
void ImportSlice(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = PeekActivation(*importer, node, 0, 0);
  const auto starts = ShapeList(*importer, node, 1, "starts");
  const auto ends = ShapeList(*importer, node, 2, "ends");
  if (!starts || !ends || starts->size() != ends->size()) {
    throw NodeProblem{"starts and ends are missing or of different lengths"};
  }
  std::vector<std::int64_t> axes, steps(starts->size(), 1);
  for (std::size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  axes = IntegerList(*importer, node, 3, "axes").value_or(axes);
  steps = IntegerList(*importer, node, 4, "steps").value_or(steps);
  if (axes.size() != starts->size() || steps.size() != starts->size()) {
    throw NodeProblem{"axes or steps have another length than starts"};
  }
  std::vector<Cut> cuts = WholeCuts(input);
  std::vector<char> taken(cuts.size() + 1, 0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t axis = axes[i] < 0 ? axes[i] + input.rank() : axes[i];
    if (axis < 0 || axis >= input.rank() || taken[static_cast<std::size_t>(axis)]++ != 0) {
      throw NodeProblem{"axis " + std::to_string(axes[i]) + " does not exist, or is given twice"};
    }
    if (steps[i] == 0) throw NodeProblem{"has a step of 0"};
    const std::int64_t start = (*starts)[i], end = (*ends)[i];
    if (axis == 0) {
      // The batch may only be copied.
      if (start == 0 && (end >= INT32_MAX || end == kBatchSize) && steps[i] == 1) continue;
      throw NodeProblem{"axis 0, the batch, cannot be sliced"};
    }
    if (start == kBatchSize || end == kBatchSize) {
      throw NodeProblem{"axis " + std::to_string(axis) +
                        " is cut at the number of images; the "
                        "engine keeps images apart"};
    }
    Cut& cut = cuts[static_cast<std::size_t>(axis - 1)];
    const Range range = ResolveRange(start, end, steps[i], cut.size);
    if (range.size == 0) {
      throw NodeProblem{"nothing is left of axis " + std::to_string(axes[i]) + ", " +
                        std::to_string(cut.size) + " elements, between " + std::to_string(start) +
                        " and " + std::to_string(end)};
    }
    cut = {.start = range.start,
           .step = std::clamp(range.step, -cut.size, cut.size),
           .size = range.size};
  }
  AddSlice(importer, node, cuts);
}

// Pads a dimension of `size` elements by what is there; indices into it. Throws NodeProblem.
std::vector<std::int64_t> PaddedIndices(const std::string& mode, std::int64_t size,
                                        std::int64_t before, std::int64_t after) {
  const std::int64_t most = mode == "reflect" ? size - 1 : mode == "wrap" ? size : kMostExtent;
  if (std::max(before, after) > most || before + size + after < 1) {
    throw NodeProblem{"pads " + std::to_string(before) + " and " + std::to_string(after) +
                      " of an axis of " + std::to_string(size) + " elements, expected at most " +
                      std::to_string(most) + " in mode \"" + mode + "\""};
  }
  std::vector<std::int64_t> indices;
  for (std::int64_t i = -before; i < size + after; ++i) {
    if (mode == "edge") {
      indices.push_back(std::clamp(i, std::int64_t{0}, size - 1));
    } else if (mode == "wrap") {
      indices.push_back((i + size) % size);
    } else {
      indices.push_back(i < 0 ? -i : i < size ? i : 2 * (size - 1) - i);
    }
  }
  return indices;
}

void ImportPad(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = PeekActivation(*importer, node, 0, 0);
  const std::string mode = StringAttribute(node, "mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "edge" && mode != "wrap") {
    throw NodeProblem{"mode \"" + mode + "\" is unknown (constant, reflect, edge and wrap are)"};
  }
  float fill = FloatAttribute(node, "value", 0.0f);
  if (!InputName(node, 2).empty()) {
    const OnnxConstant& constant = ReadConstant(*importer, node, 2);
    const auto values = constant.count == 1 ? FloatValues(constant) : std::nullopt;
    if (!values) throw NodeProblem{"its constant_value is not one number"};
    fill = (*values)[0];
  }
  const bool is_least = mode == "constant" && IsLeast(*importer, node, input, fill);
  if (fill != 0.0f && mode == "constant" && !is_least) {
    throw NodeProblem{"padding with " + std::to_string(fill) +
                      " is not supported, only with zeros, or before a MaxPool with a number that "
                      "is never above the image's (the least float)"};
  }
  const std::size_t rank = static_cast<std::size_t>(input.rank());
  const auto pads = IntegerList(*importer, node, 1, "pads");
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < rank; ++i) axes.push_back(static_cast<std::int64_t>(i));
  axes = IntegerList(*importer, node, 3, "axes").value_or(axes);
  if (!pads || pads->size() != 2 * axes.size()) {
    throw NodeProblem{"pads are " + (pads ? DimsText(*pads) : std::string("missing")) +
                      ", expected two for each of " + std::to_string(axes.size()) + " axes"};
  }
  std::vector<Cut> cuts = WholeCuts(input);
  std::vector<std::vector<std::int64_t>> indices(cuts.size());
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t axis = axes[i] < 0 ? axes[i] + input.rank() : axes[i];
    const std::int64_t before = (*pads)[i], after = (*pads)[i + axes.size()];
    const auto in_range = [](std::int64_t pad) {
      return pad >= -kMostExtent && pad <= kMostExtent;
    };
    const bool again = std::count(axes.begin(), axes.end(), axes[i]) > 1;
    if (axis < 0 || axis >= input.rank() || again || !in_range(before) || !in_range(after)) {
      throw NodeProblem{"pads " + DimsText(*pads) + " along axes " + DimsText(axes) +
                        " are out of range, or an axis is given twice"};
    }
    if (before == 0 && after == 0) continue;
    if (axis == 0) throw NodeProblem{"axis 0, the batch, cannot be padded"};
    Cut& cut = cuts[static_cast<std::size_t>(axis - 1)];
    if (mode != "constant") {
      indices[static_cast<std::size_t>(axis - 1)] = PaddedIndices(mode, cut.size, before, after);
    }
    cut.start = -before;
    cut.size += before + after;
  }
  if (is_least) return SkipPads(importer, node, cuts);
  if (mode == "constant") return AddSlice(importer, node, cuts);
  AddSelection(importer, node, ReadActivation(importer, node, 0, 0), indices);
}

// Sizes of the parts: input 1 or attribute `split`, else equal ones, of which the last may be
// smaller (num_outputs).
std::vector<std::int64_t> SplitSizes(OnnxImporter* importer, const OnnxNode& node,
                                     std::int64_t size) {
  const auto count = static_cast<std::int64_t>(node.proto->output_size());
  const auto given = IntegerList(*importer, node, 1, "split");
  std::vector<std::int64_t> sizes;
  if (given) {
    sizes = *given;
  } else {
    const std::int64_t each = (size + count - 1) / count;
    for (std::int64_t i = 0; i < count; ++i) sizes.push_back(std::min(each, size - i * each));
  }
  std::int64_t left = size;
  for (const std::int64_t part : sizes) left = part < 1 || part > left ? -1 : left - part;
  if (left != 0 || static_cast<std::int64_t>(sizes.size()) != count) {
    throw NodeProblem{"splits " + std::to_string(size) + " elements into " + DimsText(sizes) +
                      " for " + std::to_string(count) + " outputs"};
  }
  return sizes;
}

void ImportSplit(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = PeekActivation(*importer, node, 0, 0);
  std::int64_t axis = IntAttribute(node, "axis", 0);
  if (axis < 0) axis += input.rank();
  if (axis < 1 || axis >= input.rank()) {
    throw NodeProblem{"axis " + std::to_string(axis) + " cannot be split, only 1 to " +
                      std::to_string(input.rank() - 1) + " (0 is the batch)"};
  }
  const auto dim = static_cast<std::size_t>(axis - 1);
  std::int64_t start = 0;
  const std::vector<std::int64_t> sizes = SplitSizes(importer, node, DimSize(input, dim));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    onnx::NodeProto part = *node.proto;
    part.clear_output();
    part.add_output(OutputName(node, static_cast<int>(i)));
    std::vector<Cut> cuts = WholeCuts(input);
    cuts[dim] = {.start = start, .step = 1, .size = sizes[i]};
    AddSlice(importer,
             OnnxNode{.proto = &part, .name = node.name + "/" + std::to_string(i), .op = node.op},
             cuts);
    start += sizes[i];
  }
}

}  // namespace mu8::convert
