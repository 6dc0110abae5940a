// The converter's view of a trained network: a graph of layers whose parameters are independent
// Gaussians. Importers fill it, rewrites.h simplifies it, the FP32 reference
// runs it, the quantizer turns it into a .mu8 file. All activations are NHWC (batch implicit),
// whatever the source framework used; importers permute once, here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "converters/host/input_layout.h"
#include "formats/layout.h"

namespace mu8::convert {

// Independent Gaussians w_i ~ N(mu_i, sigma_i^2). `sigma` is empty for deterministic parameters.
struct GaussianTensor {
  std::vector<float> mu = {};
  std::vector<float> sigma = {};
};

// An activation: `height x width x channels` for one image. A flat vector is 1 x 1 x n.
struct Value {
  std::string name;
  int height = 1;
  int width = 1;
  int channels = 1;

  std::size_t size() const {
    return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
           static_cast<std::size_t>(channels);
  }
};

enum class Op {
  kConv2d,         // weights OHWI [c_out][kernel_h][kernel_w][c_in / groups], bias [c_out] or empty
  kConvTranspose,  // weights OHWI as above; y(o) = b + sum of x(i) * w(k) over all i, k with
                   // o + pad = i * stride + k * dilation, each way; inside its group. Only until
                   // ExpandTransposed (transposed.h)
  kDense,          // weights [out][in], columns in NHWC-flattened order; bias [out] or empty. Reads
                   // an image as its height * width * channels values: flattening is no node
  kAffine,         // y = x * scale[c] + offset[c], c the channel of the OUTPUT: what is left of
            // BatchNormalization at inference. Flattens when input is h x w, output 1 x 1 x n
  kClip,         // y = min(max(x, low), high); with the defaults of Node: ReLU
  kLookup,       // y = function(x) for each element, or functions[c](x): the engine reads it from
                 // a table of 256 entries, or one for each channel
  kAdd,          // y = a + b: the output has a's shape; b has it, too, or is 1 x 1 x channels and
                 // holds for every pixel
  kMultiply,     // y = a * b, shapes as for kAdd
  kMaximum,      // y = max(a, b), the same
  kMinimum,      // y = min(a, b), the same
  kConcat,       // two inputs or more along the channels; same height and width
  kSlice,        // y(h, w, c) = x(h * stride_h + offset_h, w * stride_w + offset_w, c + offset_c),
                 // 0 where that lies outside x: subsampling, cropping, padding with zeros
  kGather,       // y(h, w, c) = x's element at the row and the place in that row to which rows[h],
                 // columns[w] and channels[c] add up; 0 where one of them is kOutside
  kConstant,     // y = values, whatever the input is: any value that is there at this point
  kMaxPool,      // padded taps are skipped
  kAveragePool,  // divides by the window's area, or by the unpadded part of it
};

const char* OpName(Op op);
inline bool IsWeighted(Op op) {
  return op == Op::kConv2d || op == Op::kConvTranspose || op == Op::kDense;
}
// Elementwise, of two values; the second may be one pixel.
inline bool IsBinary(Op op) {
  return op == Op::kAdd || op == Op::kMultiply || op == Op::kMaximum || op == Op::kMinimum;
}

// Sliding window of convolutions and pools, ONNX semantics. kSlice uses its strides alone.
struct Window {
  int kernel_h = 1, kernel_w = 1;
  int stride_h = 1, stride_w = 1;
  int dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
};

struct Node {
  Op op;
  std::string name = {};           // the source graph's node name, for messages
  std::vector<int> inputs = {};    // indices into Network::values
  int output = -1;                 // index into Network::values
  Window window = {};              // kConv2d, kConvTranspose, kMaxPool, kAveragePool, kSlice
  int groups = 1;                  // kConv2d, kConvTranspose
  bool count_include_pad = false;  // kAveragePool
  GaussianTensor weights = {};     // of weighted nodes
  GaussianTensor bias = {};        // of weighted nodes; mu empty: no bias
  std::vector<float> scale = {}, offset = {};  // kAffine, one per channel
  float low = 0.0F;                            // kClip
  float high = std::numeric_limits<float>::infinity();
  std::function<double(double)> function = {};  // kLookup; a pure function
  std::string function_name = {};               // kLookup: "Sigmoid", "Mul(x, Sigmoid(x))"
  std::vector<std::function<double(double)>> functions = {};  // kLookup: by channel, or empty
  int offset_h = 0, offset_w = 0, offset_c = 0;  // kSlice; negative: zeros before the first
  std::vector<format::GatherPlace> rows = {}, columns = {}, channels = {};  // kGather
  std::vector<float> values = {};  // kConstant, [height][width][channels]
};

// What the outputs are (FORMAT.md 10), as far as the source file says it.
using Head = format::Head;
struct HeadHint {
  std::optional<Head> head;  // nothing: the file does not say
  std::string why;           // "the graph ends in Sigmoid"
  bool sigmoid_end = false;  // the graph ended in a Sigmoid, which has been taken off
  // The node that has made probabilities of the outputs, where the end of the graph is no head.
  std::string probabilities = {};
};

// What the scale half of a gaussian's outputs ended in before it was taken off.
enum class ScaleEnd { kNone, kExp, kSoftplus };

// "softmax", "sigmoid", "values", "gaussian", "reconstruction".
const char* HeadName(Head head);
std::optional<Head> FindHead(std::string_view name);

// Any directed acyclic graph. Nodes are in topological order; every value has one producer (the
// input none) and any number of readers.
struct Network {
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;
  int input = 0;
  int output = 0;  // 1 x 1 x outputs: logits where the head has probabilities
  HeadHint head_hint;
  Head head = Head::kSoftmax;  // set by ResolveHead
  ScaleEnd scale_end = ScaleEnd::kNone;
  std::vector<std::string> joined;  // the names of the outputs that are joined, if several are
  format::ScaleForm scale_form = format::ScaleForm::kLogVariance;  // set by ResolveScale
  // What the file says beside it: of a gaussian the bounds of the scales, of values the variance of
  // an observation's noise, or nothing.
  std::vector<format::ScaleBounds> scale_bounds;
  std::vector<float> noise_variance;
  std::vector<format::OutputRange> ranges;  // of values and gaussians, one each output, or none
  // Of a reconstruction: what a raw input is in the outputs' unit, by channel, and the unit in
  // which squared errors are counted.
  std::vector<format::Affine> targets;
  float error_unit = 0.0F;
  // What the source file says about its input and classes; empty when it says nothing.
  // x = (u8 / 255 - mean[c]) / std[c] of pixels; of numbers x = (v - mean[c]) / std[c]. One number
  // serves all channels until the input is resolved (input.h).
  std::vector<float> mean, std;
  std::vector<std::string> labels;
  std::vector<std::string> notices;  // what the importer has assumed
  // How the source file takes arrays ("nchw"), and their dimensions after the batch.
  std::string input_layout;
  std::vector<std::size_t> input_dims;

  std::size_t ParameterCount() const;           // weights and biases
  std::vector<int> Consumers(int value) const;  // node indices that read `value`
};

// Consumers of every value, by value.
std::vector<std::vector<int>> AllConsumers(const Network& network);

// What a user sees: of a gaussian head half of the last channels, for the others are scales.
std::size_t OutputCount(const Network& network);

// The network's input, for whoever reads data for it.
host::InputSpec InputSpecOf(const Network& network);

bool SameShape(const Value& a, const Value& b);

// "28x28x6": height, width, channels.
std::string ShapeText(const Value& value);

// The start of a message about a node: `node "conv1" (Conv2d): `.
std::string NodePlace(const Node& node);

// Why inputs and output of a node do not fit together (their number; for nodes without parameters
// and windows their shapes); empty when they do. All indices must exist.
std::string WhyShapesDiffer(const Network& network, const Node& node);

// Drops nodes whose output neither a node reads nor the network returns, with all that only they
// read; and values that no node writes any more.
void DropUnread(Network* network);

// Drops values that no node writes (the input excepted) and renumbers the rest.
void DropOrphanValues(Network* network);

// The part of CheckParameters that asks for no values: sizes and shapes.
void CheckShapes(const Network& network);

// Throws Error listing every parameter that is not finite, every negative sigma, every tensor whose
// size disagrees with its layer's shape, every node whose inputs do not fit its output.
void CheckParameters(const Network& network);

}  // namespace mu8::convert
