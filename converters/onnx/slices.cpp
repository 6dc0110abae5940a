// Slice and Pad: both are a kSlice, which reads a rectangle with steps and finds zeros outside the
// image. MergeSlices joins what an export has spread over several of them.
#include "converters/onnx/slices.h"

#include <algorithm>

#include "converters/onnx/shapes.h"

namespace mu8::convert {
namespace {

// Along one dimension: y(i) = x(i * step + start), 0 outside x, for `size` elements.
struct Cut {
  std::int64_t start = 0, step = 1, size = 0;
};

// Adds a kSlice with one Cut per dimension after the batch; none if nothing is cut.
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
      if (step != 1) throw NodeProblem{"steps other than 1 along the channels are not supported"};
    }
  }
  output.value =
      AddValue(importer, OutputName(node, 0), output.height, output.width, output.channels);
  AddLayer(importer, node, std::move(layer), {input.value}, std::move(output));
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
    if (steps[i] < 1) {
      throw NodeProblem{"steps " + DimsText(steps) + " are not supported, only positive ones"};
    }
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
    cut = {.start = range.start, .step = std::min(range.step, cut.size), .size = range.size};
  }
  AddSlice(importer, node, cuts);
}

void ImportPad(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = PeekActivation(*importer, node, 0, 0);
  const std::string mode = StringAttribute(node, "mode", "constant");
  if (mode != "constant") {
    throw NodeProblem{"mode \"" + mode + "\" is not supported, only constant zeros"};
  }
  float fill = FloatAttribute(node, "value", 0.0f);
  if (!InputName(node, 2).empty()) {
    const OnnxConstant& constant = ReadConstant(*importer, node, 2);
    const auto values = constant.count == 1 ? FloatValues(constant) : std::nullopt;
    if (!values) throw NodeProblem{"its constant_value is not one number"};
    fill = (*values)[0];
  }
  if (fill != 0.0f) {
    throw NodeProblem{"padding with " + std::to_string(fill) +
                      " is not supported, only with zeros"};
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
    cut.start = -before;
    cut.size += before + after;
  }
  AddSlice(importer, node, cuts);
}

}  // namespace mu8::convert
