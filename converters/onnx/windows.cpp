// Sliding windows: convolutions and pools, over images or (height 1) sequences. Shape rules are
// those of the ONNX operators Conv-11, MaxPool-12, AveragePool-11; sizes are computed in int64 and
// bounded before they become int.
#include "converters/onnx/windows.h"

#include <algorithm>
#include <array>
#include <vector>

#include "converters/onnx/parameters.h"
#include "converters/onnx/window_attributes.h"

namespace mu8::convert {
namespace {

// Padding of one axis, before and after, for SAME_UPPER and SAME_LOWER: the output has
// ceil(size / stride) elements, and the odd element of padding goes after (UPPER) or before.
Pair SamePadding(std::int64_t size, std::int64_t extent, std::int64_t stride, bool upper) {
  const std::int64_t output = (size + stride - 1) / stride;
  const std::int64_t total = std::max<std::int64_t>((output - 1) * stride + extent - size, 0);
  const std::int64_t small = total / 2;
  return upper ? Pair{small, total - small} : Pair{total - small, small};
}

struct WindowShape {
  Window window;
  std::int64_t height = 0, width = 0;  // of the output
  // Of the window's pads at the bottom and the right, what ceil_mode has added: never counted.
  std::int64_t below = 0, beside = 0;
};

// How many windows of `extent` fit along an axis of `size` padded by `before` and `after`; with
// `ceil_mode` one more, which reaches by `overhang` past the padded input: like the padding, what
// it reads there is skipped. One that would begin behind the input does not count (AveragePool-22;
// so do PyTorch and onnxruntime).
std::int64_t CountWindows(std::size_t axis, std::int64_t size, std::int64_t before,
                          std::int64_t after, std::int64_t extent, std::int64_t stride,
                          bool ceil_mode, std::int64_t* overhang) {
  const std::int64_t slack = size + before + after - extent;
  if (slack < 0) {
    throw NodeProblem{"the window spans " + std::to_string(extent) +
                      (axis == 0 ? " rows" : " columns") + ", the padded input has " +
                      std::to_string(slack + extent)};
  }
  const std::int64_t count = slack / stride + 1;
  const std::int64_t rest = slack % stride;
  if (!ceil_mode || rest == 0 || count * stride >= size + before) return count;
  *overhang = stride - rest;
  return count + 1;
}

// Reads strides, dilations, pads, auto_pad and ceil_mode for a kernel over `input`.
WindowShape ReadWindow(OnnxImporter* importer, const OnnxNode& node, const Pair& kernel,
                       const Activation& input) {
  const Pair strides = ReadPair(node, "strides", input.rank());
  const Pair dilations = ReadPair(node, "dilations", input.rank());
  std::array<std::int64_t, 4> pads = ReadPads(node, input.rank());
  const std::string auto_pad = ReadAutoPad(node);
  if (auto_pad != "NOTSET" && pads != std::array<std::int64_t, 4>{}) {
    Report(importer, node, "pads and auto_pad " + auto_pad + " contradict each other");
  }
  const bool ceil_mode = IntAttribute(node, "ceil_mode", 0) != 0;
  const Pair sizes = {input.height, input.width};
  Pair output{}, overhang{};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t extent = (kernel[axis] - 1) * dilations[axis] + 1;
    if (auto_pad == "VALID") pads[axis] = pads[axis + 2] = 0;
    if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      const Pair same = SamePadding(sizes[axis], extent, strides[axis], auto_pad == "SAME_UPPER");
      pads[axis] = same[0], pads[axis + 2] = same[1];
    }
    output[axis] = CountWindows(axis, sizes[axis], pads[axis], pads[axis + 2], extent,
                                strides[axis], ceil_mode, &overhang[axis]);
    pads[axis + 2] += overhang[axis];
  }
  const auto narrow = [](std::int64_t number) { return static_cast<int>(number); };
  return {.window = {.kernel_h = narrow(kernel[0]),
                     .kernel_w = narrow(kernel[1]),
                     .stride_h = narrow(strides[0]),
                     .stride_w = narrow(strides[1]),
                     .dilation_h = narrow(dilations[0]),
                     .dilation_w = narrow(dilations[1]),
                     .pad_top = narrow(pads[0]),
                     .pad_left = narrow(pads[1]),
                     .pad_bottom = narrow(pads[2]),
                     .pad_right = narrow(pads[3])},
          .height = output[0],
          .width = output[1],
          .below = overhang[0],
          .beside = overhang[1]};
}

// OIHW to OHWI, for mu and sigma alike.
std::vector<float> ToOhwi(const std::vector<float>& oihw, std::size_t outputs, std::size_t inputs,
                          std::size_t area) {
  std::vector<float> ohwi(oihw.size());
  for (std::size_t o = 0; o < outputs; ++o) {
    for (std::size_t i = 0; i < inputs; ++i) {
      for (std::size_t tap = 0; tap < area; ++tap) {
        ohwi[(o * area + tap) * inputs + i] = oihw[(o * inputs + i) * area + tap];
      }
    }
  }
  return ohwi;
}

void CheckConvShape(const OnnxNode& node, const std::vector<std::int64_t>& dims,
                    const Activation& input, std::int64_t groups) {
  if (dims.size() != 3 && dims.size() != 4) {
    throw NodeProblem{"weights " + DimsText(dims) + " belong to a " +
                      std::to_string(static_cast<std::int64_t>(dims.size()) - 2) +
                      "-D convolution; only 1-D and 2-D ones are supported"};
  }
  CheckKernel(node, dims);
  if (groups < 1 || groups > input.channels || input.channels % groups != 0 ||
      dims[0] % groups != 0) {
    throw NodeProblem{"group " + std::to_string(groups) + " does not divide " +
                      std::to_string(input.channels) + " input and " + std::to_string(dims[0]) +
                      " output channels"};
  }
  if (dims[1] * groups != input.channels) {
    throw NodeProblem{"weights " + DimsText(dims) + " with group " + std::to_string(groups) +
                      " read " + std::to_string(dims[1] * groups) + " channels, the input has " +
                      std::to_string(input.channels)};
  }
}

// A pool over the whole height, width or both, of which ONNX's dimensions stay or go.
void AddGlobalPool(OnnxImporter* importer, const OnnxNode& node, Op op, const Activation& input,
                   bool over_height, bool over_width, Activation output) {
  Node layer{.op = op};
  layer.window.kernel_h = over_height ? input.height : 1;
  layer.window.kernel_w = over_width ? input.width : 1;
  output.height = over_height ? 1 : input.height;
  output.width = over_width ? 1 : input.width;
  output.value =
      AddValue(importer, OutputName(node, 0), output.height, output.width, input.channels);
  AddLayer(importer, node, std::move(layer), {input.value}, std::move(output));
}

}  // namespace

void ImportConv(OnnxImporter* importer, const OnnxNode& node) {
  const OnnxConstant& constant = ReadConstant(*importer, node, 1);
  const int rank = static_cast<int>(constant.dims.size());
  const std::int64_t groups = IntAttribute(node, "group", 1);
  // Other ranks are refused by CheckConvShape, whatever the input's.
  const Activation input = rank == 3 || rank == 4 ? ReadImage(importer, node, 0, rank)
                                                  : ReadActivation(importer, node, 0, 0);
  CheckConvShape(node, constant.dims, input, groups);
  const Pair kernel = KernelOf(constant.dims);
  const WindowShape shape = ReadWindow(importer, node, kernel, input);
  const std::size_t outputs = static_cast<std::size_t>(constant.dims[0]);
  const std::size_t inputs = static_cast<std::size_t>(constant.dims[1]);
  const std::size_t area = static_cast<std::size_t>(kernel[0] * kernel[1]);

  Node layer{.op = Op::kConv2d};
  layer.window = shape.window;
  layer.groups = static_cast<int>(groups);
  const GaussianTensor oihw = ReadGaussian(importer, node, 1);
  layer.weights.mu = ToOhwi(oihw.mu, outputs, inputs, area);
  layer.weights.sigma = oihw.sigma.empty() ? oihw.sigma : ToOhwi(oihw.sigma, outputs, inputs, area);
  if (!InputName(node, 2).empty()) {
    const std::vector<std::int64_t> expected = {constant.dims[0]};
    if (ReadConstant(*importer, node, 2).dims != expected) {
      throw NodeProblem{"bias " + DimsText(ReadConstant(*importer, node, 2).dims) + ", expected " +
                        DimsText(expected)};
    }
    layer.bias = ReadGaussian(importer, node, 2);
  }
  AddImageLayer(importer, node, std::move(layer), input, shape.height, shape.width,
                constant.dims[0]);
}

// An average counts the padding but not what ceil_mode adds; the engine knows one kind of padding.
// So the former becomes zeros of the image. Returns what the pool then reads.
Activation PadForAverage(OnnxImporter* importer, const OnnxNode& node, const Activation& input,
                         Window* window, const WindowShape& shape) {
  const int below = static_cast<int>(shape.below), beside = static_cast<int>(shape.beside);
  Node layer{.op = Op::kSlice, .name = node.name + "/pad"};
  layer.offset_h = -window->pad_top;
  layer.offset_w = -window->pad_left;
  Activation padded = input;
  padded.height += window->pad_top + window->pad_bottom - below;
  padded.width += window->pad_left + window->pad_right - beside;
  window->pad_top = window->pad_left = 0;
  window->pad_bottom = below, window->pad_right = beside;
  if (padded.height == input.height && padded.width == input.width) return input;
  padded.value = AddValue(importer, OutputName(node, 0) + "/padded", padded.height, padded.width,
                          padded.channels);
  layer.inputs = {input.value};
  layer.output = padded.value;
  importer->producers[static_cast<std::size_t>(padded.value)] =
      static_cast<int>(importer->network.nodes.size());
  importer->network.nodes.push_back(std::move(layer));
  return padded;
}

// What a Pad of the least numbers before a MaxPool adds to its own padding.
void AddSkippedPads(const OnnxImporter& importer, const OnnxNode& node, Window* window,
                    Activation* input) {
  const auto found = importer.skipped_pads.find(InputName(node, 0));
  if (found == importer.skipped_pads.end()) return;
  const auto& [top, left, bottom, right] = found->second;
  input->height -= top + bottom;
  input->width -= left + right;
  window->pad_top += top, window->pad_left += left;
  window->pad_bottom += bottom, window->pad_right += right;
}

void ImportPool(OnnxImporter* importer, const OnnxNode& node, Op op) {
  Activation input = PeekActivation(*importer, node, 0, 0);
  const bool is_padded = importer->skipped_pads.contains(InputName(node, 0));
  if (is_padded) {
    Materialize(importer, &input);
  } else {
    input = ReadImage(importer, node, 0, input.rank() == 3 ? 3 : 4);
  }
  if (FindAttribute(*node.proto, "kernel_shape") == nullptr) {
    throw NodeProblem{"kernel_shape is missing"};
  }
  if (!OutputName(node, 1).empty()) Report(importer, node, "its indices output is not supported");
  const Pair kernel = ReadPair(node, "kernel_shape", input.rank());
  const WindowShape shape = ReadWindow(importer, node, kernel, input);
  Window window = shape.window;
  AddSkippedPads(*importer, node, &window, &input);
  if (window.dilation_h != 1 || window.dilation_w != 1) {
    Report(importer, node, "dilations other than 1 are not supported in pools");
  }
  // Otherwise a window could lie in the padding alone, where neither pool has a value.
  if (std::max(window.pad_top, window.pad_bottom) >= window.kernel_h ||
      std::max(window.pad_left, window.pad_right) >= window.kernel_w) {
    Report(importer, node, "pads must be smaller than the kernel");
  }
  Node layer{.op = op};
  layer.count_include_pad =
      op == Op::kAveragePool && IntAttribute(node, "count_include_pad", 0) != 0;
  if (layer.count_include_pad && (shape.below != 0 || shape.beside != 0)) {
    input = PadForAverage(importer, node, input, &window, shape);
    layer.count_include_pad = false;
  }
  layer.window = window;
  AddImageLayer(importer, node, std::move(layer), input, shape.height, shape.width, input.channels);
}

void ImportGlobalPool(OnnxImporter* importer, const OnnxNode& node, Op op) {
  const Activation input =
      ReadImage(importer, node, 0, PeekActivation(*importer, node, 0, 0).rank() == 3 ? 3 : 4);
  AddGlobalPool(importer, node, op, input, true, true, input);
}

// A sum is so many times the mean.
void ImportReduceSum(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = PeekActivation(*importer, node, 0, 0);
  ImportReduce(importer, node, Op::kAveragePool);
  const Activation mean = importer->activations[OutputName(node, 0)];
  const double count =
      static_cast<double>(input.flat_size()) / static_cast<double>(mean.flat_size());
  Node layer{.op = Op::kAffine};
  layer.scale.assign(static_cast<std::size_t>(mean.channels), static_cast<float>(count));
  layer.offset.assign(static_cast<std::size_t>(mean.channels), 0.0F);
  AddLayer(importer, node, std::move(layer), {mean.value}, NewLike(importer, node, mean));
}

// Over height, width or both, wherever the dimensions are: those of an NHWC export, too.
void ImportReduce(OnnxImporter* importer, const OnnxNode& node, Op op) {
  const Activation input = ReadActivation(importer, node, 0, 0);
  const std::vector<std::int64_t> axes =
      IntegerList(*importer, node, 1, "axes").value_or(std::vector<std::int64_t>{});
  std::vector<char> reduced(input.dims.size(), 0);
  bool over_height = false, over_width = false;
  bool good = !axes.empty() && IsImageInMemory(*importer, input);
  for (const std::int64_t axis : axes) {
    const std::int64_t dim = (axis < 0 ? axis + input.rank() : axis) - 1;  // without the batch
    good = good && dim >= 0 && dim < static_cast<std::int64_t>(input.dims.size());
    if (!good) break;
    reduced[static_cast<std::size_t>(dim)] = 1;
    for (const Axis along : LongAxes(input, static_cast<std::size_t>(dim))) {
      over_height = over_height || along == Axis::kHeight;
      over_width = over_width || along == Axis::kWidth;
      good = good && along != Axis::kChannels;
    }
  }
  if (!good) {
    throw NodeProblem{"axes " + DimsText(axes) + " of " + LayoutText(input) +
                      " are not supported, only height and width"};
  }
  Activation output = input;
  if (IntAttribute(node, "keepdims", 1) == 0) {
    output.dims.clear();
    for (std::size_t dim = 0; dim < reduced.size(); ++dim) {
      if (reduced[dim] == 0) output.dims.push_back(input.dims[dim]);
    }
  }
  AddGlobalPool(importer, node, op, input, over_height, over_width, std::move(output));
}

}  // namespace mu8::convert
