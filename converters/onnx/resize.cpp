// The arithmetic of coordinates is that of ONNX's operator page, in float as onnxruntime has it, so
// that a coordinate on the border between two neighbours falls to the same side.
#include "converters/onnx/resize.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "converters/onnx/gathers.h"

namespace mu8::convert {
namespace {

struct Settings {
  std::string mode, coordinates, nearest;
  bool old;  // Upsample, and Resize before operator set 11: sizes by scales alone
};

// One dimension after the batch.
struct Scaling {
  std::int64_t in = 1, out = 1;
  float scale = 1.0F;

  bool copies() const { return in == out && scale == 1.0F; }
};

Settings ReadSettings(OnnxImporter* importer, const OnnxNode& node) {
  Settings settings;
  settings.old = node.op == "Upsample" || importer->graph.opset < 11;
  settings.mode = StringAttribute(node, "mode", "nearest");
  settings.coordinates = StringAttribute(node, "coordinate_transformation_mode", "half_pixel");
  settings.nearest = StringAttribute(node, "nearest_mode", "round_prefer_floor");
  if (settings.old) settings.coordinates = "asymmetric", settings.nearest = "floor";
  if (settings.mode == "bilinear") settings.mode = "linear";  // Upsample-1
  if (settings.mode != "nearest" && settings.mode != "linear") {
    throw NodeProblem{"mode \"" + settings.mode + "\" is not supported, only nearest and linear"};
  }
  const std::vector<std::string> known = {"half_pixel",           "pytorch_half_pixel",
                                          "align_corners",        "asymmetric",
                                          "half_pixel_symmetric", "tf_half_pixel_for_nn"};
  if (std::find(known.begin(), known.end(), settings.coordinates) == known.end()) {
    throw NodeProblem{"coordinate_transformation_mode \"" + settings.coordinates +
                      "\" is not supported"};
  }
  const std::vector<std::string> rounds = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                           "ceil"};
  if (std::find(rounds.begin(), rounds.end(), settings.nearest) == rounds.end()) {
    throw NodeProblem{"nearest_mode \"" + settings.nearest + "\" is unknown"};
  }
  const std::string policy = StringAttribute(node, "keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch") {
    throw NodeProblem{"keep_aspect_ratio_policy \"" + policy + "\" is not supported, only stretch"};
  }
  return settings;
}

// Input i, or the attribute `scales` of the oldest operator set; empty when absent.
std::vector<float> ReadScales(OnnxImporter* importer, const OnnxNode& node, int i) {
  const onnx::AttributeProto* attribute = FindAttribute(*node.proto, "scales");
  if (attribute != nullptr) return {attribute->floats().begin(), attribute->floats().end()};
  if (InputName(node, i).empty()) return {};
  const OnnxConstant& constant = ReadConstant(*importer, node, i);
  const std::optional<std::vector<float>> values = FloatValues(constant);
  if (!values) throw NodeProblem{"its scales are no numbers"};
  return *values;
}

// What `wanted` and `scales` (one of them empty) say of each axis in `axes`.
std::vector<Scaling> ScalingsOf(const Activation& input, const std::vector<std::int64_t>& axes,
                                const std::vector<float>& scales,
                                const std::vector<std::int64_t>& wanted) {
  std::vector<Scaling> scalings(input.dims.size());
  for (std::size_t dim = 0; dim < scalings.size(); ++dim) {
    scalings[dim].in = scalings[dim].out = DimSize(input, dim);
  }
  if (std::max(scales.size(), wanted.size()) != axes.size()) {
    throw NodeProblem{"has " + std::to_string(std::max(scales.size(), wanted.size())) +
                      " scales or sizes for " + std::to_string(axes.size()) + " axes"};
  }
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t axis = axes[i] < 0 ? axes[i] + input.rank() : axes[i];
    if (axis < 0 || axis >= input.rank()) {
      throw NodeProblem{"axis " + std::to_string(axes[i]) + " does not exist"};
    }
    if (axis == 0) {
      // A size of the batch other than all images would be an error of any runtime.
      if (!scales.empty() && scales[i] != 1.0F) throw NodeProblem{"scales axis 0, the batch"};
      continue;
    }
    Scaling& scaling = scalings[static_cast<std::size_t>(axis - 1)];
    if (!scales.empty()) {
      scaling.scale = scales[i];
      const float out = std::floor(static_cast<float>(scaling.in) * scaling.scale);
      scaling.out = out >= 1.0F && out <= static_cast<float>(kMostExtent)
                        ? static_cast<std::int64_t>(out)
                        : 0;
    } else {
      scaling.out = wanted[i];
      scaling.scale = static_cast<float>(scaling.out) / static_cast<float>(scaling.in);
    }
    if (scaling.out < 1 || scaling.out > kMostExtent) {
      throw NodeProblem{"axis " + std::to_string(axis) + " of " + std::to_string(scaling.in) +
                        " elements would have fewer than 1 or more than " +
                        std::to_string(kMostExtent)};
    }
  }
  return scalings;
}

std::vector<Scaling> ReadScalings(OnnxImporter* importer, const OnnxNode& node,
                                  const Settings& settings, const Activation& input) {
  std::vector<std::int64_t> axes;
  for (int axis = 0; axis < input.rank(); ++axis) axes.push_back(axis);
  if (const onnx::AttributeProto* attribute = FindAttribute(*node.proto, "axes")) {
    axes.assign(attribute->ints().begin(), attribute->ints().end());
  }
  std::vector<float> scales = ReadScales(importer, node, settings.old ? 1 : 2);
  std::vector<std::int64_t> wanted;
  if (scales.empty()) wanted = ShapeList(*importer, node, 3, "sizes").value_or(wanted);
  if (scales.empty() && wanted.empty()) throw NodeProblem{"has neither scales nor sizes"};
  std::vector<Scaling> scalings = ScalingsOf(input, axes, scales, wanted);
  const bool shrinks = std::any_of(scalings.begin(), scalings.end(),
                                   [](const Scaling& s) { return s.scale < 1.0F; });
  if (IntAttribute(node, "antialias", 0) != 0 && shrinks && settings.mode != "nearest") {
    throw NodeProblem{"antialias 1 is not supported where an axis shrinks"};
  }
  return scalings;
}

// Where in the input an element of the output lies.
float CoordinateOf(const Settings& settings, const Scaling& scaling, std::int64_t element) {
  const auto o = static_cast<float>(element);
  const auto in = static_cast<float>(scaling.in), out = static_cast<float>(scaling.out);
  if (scaling.scale == 1.0F) return o;
  if (settings.coordinates == "asymmetric") return o / scaling.scale;
  if (settings.coordinates == "align_corners") {
    return scaling.out == 1 ? 0.0F : o * (in - 1.0F) / (out - 1.0F);
  }
  if (settings.coordinates == "tf_half_pixel_for_nn") return (o + 0.5F) / scaling.scale;
  if (settings.coordinates == "pytorch_half_pixel" && scaling.out == 1) return 0.0F;
  const float x = (o + 0.5F) / scaling.scale - 0.5F;
  if (settings.coordinates != "half_pixel_symmetric") return x;
  return x + in / 2.0F * (1.0F - out / (scaling.scale * in));
}

std::vector<std::int64_t> NearestOf(const Settings& settings, const Scaling& scaling) {
  std::vector<std::int64_t> indices;
  for (std::int64_t o = 0; o < scaling.out; ++o) {
    const float x = CoordinateOf(settings, scaling, o);
    const float down = std::floor(x);
    if (settings.old && scaling.scale < 1.0F && down != x) {
      throw NodeProblem{
          "shrinks an axis to neighbours that this operator set does not define; export with "
          "operator set 11 or later"};
    }
    float found = settings.nearest == "floor"  ? down
                  : settings.nearest == "ceil" ? std::ceil(x)
                  : x - down != 0.5F           ? std::round(x)
                                               : down;
    if (settings.nearest == "round_prefer_ceil" && x - down == 0.5F) found = down + 1.0F;
    indices.push_back(
        std::clamp(static_cast<std::int64_t>(found), std::int64_t{0}, scaling.in - 1));
  }
  return indices;
}

// Rows of weights, [out][in]: y = M x.
std::vector<float> LinearWeights(const Settings& settings, const Scaling& scaling) {
  std::vector<float> weights(static_cast<std::size_t>(scaling.out * scaling.in), 0.0F);
  for (std::int64_t o = 0; o < scaling.out; ++o) {
    const auto last = static_cast<float>(scaling.in - 1);
    const float x = std::clamp(CoordinateOf(settings, scaling, o), 0.0F, last);
    const auto low = static_cast<std::int64_t>(x);
    const float share = x - static_cast<float>(low);
    float* row = weights.data() + o * scaling.in;
    row[low] += 1.0F - share;
    row[std::min(low + 1, scaling.in - 1)] += share;
  }
  return weights;
}

// The nodes of one linear interpolation, with an image whose axes have been turned.
class Interpolation {
 public:
  Interpolation(OnnxImporter* importer, const OnnxNode& node, int value)
      : importer_(importer), node_(node), value_(value) {}

  int value() const { return value_; }

  // height, width, channels -> width, channels, height, `times` times; as one node.
  void Turn(int times, bool last) {
    if (times == 0) return;
    const Value in = importer_->network.values[static_cast<std::size_t>(value_)];
    const int sizes[3] = {in.height, in.width, in.channels};
    const std::uint32_t row_steps[3] = {1, 0, 0};
    const std::uint32_t steps[3] = {0, static_cast<std::uint32_t>(in.channels), 1};
    Node gather{.op = Op::kGather};
    std::vector<format::GatherPlace>* tables[3] = {&gather.rows, &gather.columns, &gather.channels};
    int shape[3];
    for (int axis = 0; axis < 3; ++axis) {
      const int from = (axis + times) % 3;
      shape[axis] = sizes[from];
      for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(sizes[from]); ++i) {
        tables[axis]->push_back({i * row_steps[from], i * steps[from]});
      }
    }
    Add(std::move(gather), last ? "" : "/turn", shape[0], shape[1], shape[2]);
  }

  // Mixes the channels.
  void Mix(std::vector<float> weights, std::int64_t channels) {
    const Value in = importer_->network.values[static_cast<std::size_t>(value_)];
    Node conv{.op = Op::kConv2d};
    conv.weights.mu = std::move(weights);
    Add(std::move(conv), "/interpolate", in.height, in.width, channels);
  }

 private:
  void Add(Node node, const std::string& suffix, std::int64_t height, std::int64_t width,
           std::int64_t channels) {
    const std::string name = node_.name + (suffix.empty() ? "" : suffix + std::to_string(++count_));
    node.name = name;
    node.inputs = {value_};
    value_ =
        AddValue(importer_, suffix.empty() ? OutputName(node_, 0) : name, height, width, channels);
    node.output = value_;
    importer_->producers[static_cast<std::size_t>(value_)] =
        static_cast<int>(importer_->network.nodes.size());
    importer_->network.nodes.push_back(std::move(node));
  }

  OnnxImporter* importer_;
  const OnnxNode& node_;
  int value_;
  int count_ = 0;
};

// The scaling of one axis of the image; none where no dimension runs over it.
Scaling OfAxis(const Activation& input, const std::vector<Scaling>& scalings, Axis axis) {
  Scaling found{.in = input.size(axis), .out = input.size(axis), .scale = 1.0F};
  for (std::size_t dim = 0; dim < scalings.size(); ++dim) {
    if (scalings[dim].copies()) continue;
    std::vector<Axis> axes = LongAxes(input, dim);
    if (axes.empty()) axes = input.dims[dim];
    if (axes.size() != 1) {
      throw NodeProblem{"axis " + std::to_string(dim + 1) + " of " + LayoutText(input) +
                        " is not one axis of an image"};
    }
    if (axes[0] == axis) found = scalings[dim];
  }
  return found;
}

void AddLinear(OnnxImporter* importer, const OnnxNode& node, const Settings& settings,
               const Activation& input, const std::vector<Scaling>& scalings) {
  if (!IsImageInMemory(*importer, input)) {
    throw NodeProblem{"interpolating a flattened image is not supported"};
  }
  Interpolation image(importer, node, input.value);
  Activation output = input;
  int turns = 0;
  for (const Axis axis : {Axis::kHeight, Axis::kWidth, Axis::kChannels}) {
    ++turns;  // so that this axis lies along the channels
    const Scaling scaling = OfAxis(input, scalings, axis);
    if (scaling.copies()) continue;
    image.Turn(turns % 3, false);
    turns = 0;
    SpendBytes(importer, sizeof(float) * static_cast<std::uint64_t>(scaling.in * scaling.out));
    image.Mix(LinearWeights(settings, scaling), scaling.out);
    (axis == Axis::kHeight  ? output.height
     : axis == Axis::kWidth ? output.width
                            : output.channels) = static_cast<int>(scaling.out);
  }
  image.Turn(turns % 3, true);
  output.value = image.value();
  output.is_shared = false;
  importer->activations[OutputName(node, 0)] = std::move(output);
}

}  // namespace

void ImportResize(OnnxImporter* importer, const OnnxNode& node) {
  const Settings settings = ReadSettings(importer, node);
  const Activation input = ReadActivation(importer, node, 0, 0);
  const std::vector<Scaling> scalings = ReadScalings(importer, node, settings, input);
  const bool copies = std::all_of(scalings.begin(), scalings.end(),
                                  [](const Scaling& scaling) { return scaling.copies(); });
  if (copies) {
    importer->activations[OutputName(node, 0)] = input;
    return;
  }
  if (settings.mode == "linear") return AddLinear(importer, node, settings, input, scalings);
  std::vector<std::vector<std::int64_t>> indices;
  for (const Scaling& scaling : scalings) {
    indices.push_back(scaling.copies() ? std::vector<std::int64_t>{}
                                       : NearestOf(settings, scaling));
  }
  AddSelection(importer, node, input, indices);
}

}  // namespace mu8::convert
