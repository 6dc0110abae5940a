// ConvTranspose: sizes as the operator defines them, weights (C_in, C_out / group, H, W) to OHWI.
#include "converters/onnx/transposed.h"

#include <algorithm>
#include <array>
#include <vector>

#include "converters/onnx/parameters.h"
#include "converters/onnx/window_attributes.h"

namespace mu8::convert {
namespace {

void CheckShape(const OnnxNode& node, const std::vector<std::int64_t>& dims,
                const Activation& input, std::int64_t groups) {
  CheckKernel(node, dims);
  if (groups < 1 || groups > input.channels || input.channels % groups != 0) {
    throw NodeProblem{"group " + std::to_string(groups) + " does not divide " +
                      std::to_string(input.channels) + " input channels"};
  }
  if (dims[0] != input.channels) {
    throw NodeProblem{"weights " + DimsText(dims) + " read " + std::to_string(dims[0]) +
                      " channels, the input has " + std::to_string(input.channels)};
  }
}

// Rows and columns of the output, and the padding that is cut off before the first; in the order
// height, width. By the operator's page:
//   output = stride * (input - 1) + output_padding + (kernel - 1) * dilation + 1 - pads
// and where output_shape or auto_pad SAME gives the output, this gives the pads: half of them
// before, of an odd number one less with SAME_UPPER, one more else.
struct Extent {
  std::int64_t output, pad;
};

Extent ExtentOf(std::int64_t full, std::int64_t wanted, std::int64_t before, std::int64_t after,
                const std::string& auto_pad) {
  if (full > kMostExtent) {
    throw NodeProblem{"its windows reach " + std::to_string(full) + " elements, expected at most " +
                      std::to_string(kMostExtent)};
  }
  if (wanted != 0) {
    const std::int64_t total = full - wanted;
    if (total < 0) {
      throw NodeProblem{"its output has " + std::to_string(wanted) + " elements along an axis, " +
                        "its windows reach " + std::to_string(full)};
    }
    return {wanted, auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2};
  }
  if (full - before - after < 1) {
    throw NodeProblem{"pads " + std::to_string(before) + " and " + std::to_string(after) +
                      " leave nothing of " + std::to_string(full) + " elements"};
  }
  return {full - before - after, before};
}

// Weights [C_in][C_out / groups][taps] to [C_out][taps][C_in / groups].
std::vector<float> ToOhwi(const std::vector<float>& weights, std::size_t groups, std::size_t inputs,
                          std::size_t outputs, std::size_t area) {
  std::vector<float> ohwi(weights.size());
  for (std::size_t group = 0; group < groups; ++group) {
    for (std::size_t i = 0; i < inputs; ++i) {
      for (std::size_t o = 0; o < outputs; ++o) {
        for (std::size_t tap = 0; tap < area; ++tap) {
          ohwi[((group * outputs + o) * area + tap) * inputs + i] =
              weights[((group * inputs + i) * outputs + o) * area + tap];
        }
      }
    }
  }
  return ohwi;
}

// output_shape: height and width; 0 where nothing is given.
Pair WantedSizes(const OnnxNode& node, int rank, const Activation& input, const Pair& strides,
                 const std::string& auto_pad) {
  if (FindAttribute(*node.proto, "output_shape") != nullptr) {
    return ReadPair(node, "output_shape", rank);
  }
  if (auto_pad != "SAME_UPPER" && auto_pad != "SAME_LOWER") return {0, 0};
  return {input.height * strides[0], input.width * strides[1]};
}

void SetParameters(OnnxImporter* importer, const OnnxNode& node,
                   const std::vector<std::int64_t>& dims, Node* layer) {
  const Pair kernel = KernelOf(dims);
  const auto groups = static_cast<std::size_t>(layer->groups);
  const std::size_t inputs = static_cast<std::size_t>(dims[0]) / groups;
  const auto outputs = static_cast<std::size_t>(dims[1]);
  const auto area = static_cast<std::size_t>(kernel[0] * kernel[1]);
  const GaussianTensor found = ReadGaussian(importer, node, 1);
  layer->weights.mu = ToOhwi(found.mu, groups, inputs, outputs, area);
  if (!found.sigma.empty()) {
    layer->weights.sigma = ToOhwi(found.sigma, groups, inputs, outputs, area);
  }
  if (InputName(node, 2).empty()) return;
  const std::vector<std::int64_t> expected = {dims[1] * layer->groups};
  if (ReadConstant(*importer, node, 2).dims != expected) {
    throw NodeProblem{"bias " + DimsText(ReadConstant(*importer, node, 2).dims) + ", expected " +
                      DimsText(expected)};
  }
  layer->bias = ReadGaussian(importer, node, 2);
}

}  // namespace

void ImportConvTranspose(OnnxImporter* importer, const OnnxNode& node) {
  const std::vector<std::int64_t> dims = ReadConstant(*importer, node, 1).dims;
  const int rank = static_cast<int>(dims.size());
  if (rank != 3 && rank != 4) {
    throw NodeProblem{"weights " + DimsText(dims) + " belong to a " + std::to_string(rank - 2) +
                      "-D transposed convolution; only 1-D and 2-D ones are supported"};
  }
  const Activation input = ReadImage(importer, node, 0, rank);
  const std::int64_t groups = IntAttribute(node, "group", 1);
  CheckShape(node, dims, input, groups);
  const Pair kernel = KernelOf(dims);
  const Pair strides = ReadPair(node, "strides", rank),
             dilations = ReadPair(node, "dilations", rank);
  const Pair more = ReadPair(node, "output_padding", rank, 0);
  const std::array<std::int64_t, 4> pads = ReadPads(node, rank);
  const std::string auto_pad = ReadAutoPad(node);
  const Pair wanted = WantedSizes(node, rank, input, strides, auto_pad);
  if ((auto_pad != "NOTSET" || wanted[0] != 0) && pads != std::array<std::int64_t, 4>{}) {
    Report(importer, node, "pads contradict auto_pad " + auto_pad + " or output_shape");
  }
  const Pair sizes = {input.height, input.width};
  std::array<Extent, 2> extents{};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t full =
        strides[axis] * (sizes[axis] - 1) + more[axis] + (kernel[axis] - 1) * dilations[axis] + 1;
    extents[axis] = ExtentOf(full, wanted[axis], pads[axis], pads[axis + 2], auto_pad);
  }
  const auto narrow = [](std::int64_t number) { return static_cast<int>(number); };
  Node layer{.op = Op::kConvTranspose};
  layer.groups = narrow(groups);
  layer.window = {.kernel_h = narrow(kernel[0]),
                  .kernel_w = narrow(kernel[1]),
                  .stride_h = narrow(strides[0]),
                  .stride_w = narrow(strides[1]),
                  .dilation_h = narrow(dilations[0]),
                  .dilation_w = narrow(dilations[1]),
                  .pad_top = narrow(extents[0].pad),
                  .pad_left = narrow(extents[1].pad)};
  SetParameters(importer, node, dims, &layer);
  AddImageLayer(importer, node, std::move(layer), input, extents[0].output, extents[1].output,
                dims[1] * groups);
}

}  // namespace mu8::convert
