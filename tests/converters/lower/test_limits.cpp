// Every limit of the format, at it and one beyond: what fits passes, what does not is named with
// what was found. The networks have shapes and no parameters.
#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "converters/lower/limits.h"

namespace mu8::convert {
namespace {

// Nodes in a row; each reads the last value unless it says otherwise.
struct Shapes {
  Network network;
  int last = 0;

  Shapes(int height, int width, int channels) {
    network.values.push_back(
        {.name = "image", .height = height, .width = width, .channels = channels});
  }
  const Value& value() const { return network.values[static_cast<std::size_t>(last)]; }
  Shapes& Add(Node node, Value output) {
    if (node.inputs.empty()) node.inputs = {last};
    node.name = "node" + std::to_string(network.nodes.size());
    node.output = last = network.output = static_cast<int>(network.values.size());
    output.name = node.name;
    network.values.push_back(output);
    network.nodes.push_back(node);
    return *this;
  }
  // A window with an output of the size that it gives.
  Shapes& Slide(Op op, Window window, int channels, int groups = 1) {
    const auto size = [](int in, int before, int after, int kernel, int dilation, int stride) {
      return (in + before + after - (kernel - 1) * dilation - 1) / stride + 1;
    };
    Node node{.op = op, .window = window, .groups = groups};
    return Add(node, {.name = "",
                      .height = size(value().height, window.pad_top, window.pad_bottom,
                                     window.kernel_h, window.dilation_h, window.stride_h),
                      .width = size(value().width, window.pad_left, window.pad_right,
                                    window.kernel_w, window.dilation_w, window.stride_w),
                      .channels = channels});
  }
  Shapes& Pool(Window window) { return Slide(Op::kMaxPool, window, value().channels); }
  Shapes& Lookup(int of) {
    return Add({.op = Op::kLookup, .inputs = {of}, .function_name = "Tanh"},
               network.values[static_cast<std::size_t>(of)]);
  }
  Shapes& Slice(Node node, int height, int width) {
    node.op = Op::kSlice;
    return Add(node, {.name = "", .height = height, .width = width, .channels = value().channels});
  }
  Shapes& Dense(int outputs) {
    return Add({.op = Op::kDense}, {.name = "", .height = 1, .width = 1, .channels = outputs});
  }
  std::vector<std::string> Problems() const {
    std::vector<std::string> problems;
    CheckLimits(network, MakeSteps(network), &problems);
    return problems;
  }
};

std::string Lines(const std::vector<std::string>& problems) {
  std::string lines;
  for (const std::string& problem : problems) lines += problem + "\n";
  return lines;
}
void CheckFits(const Shapes& shapes) { CHECK(Lines(shapes.Problems()) == ""); }
void CheckRefused(const Shapes& shapes, const std::string& problem) {
  CHECK(Lines(shapes.Problems()) == problem + "\n");
}

TEST_CASE("limits: kernels, strides and dilations up to 1024") {
  const auto pool = [](const Window& window) { return Shapes(4, 2100, 1).Pool(window).Dense(2); };
  CheckFits(pool({.kernel_w = 1024, .stride_w = 1024}));
  CheckRefused(pool({.kernel_w = 1025}),
               "node \"node0\" (MaxPool): its kernel is 1 x 1025, a .mu8 file holds at most 1024 "
               "each way");
  CheckRefused(pool({.kernel_w = 1024, .stride_w = 1025}),
               "node \"node0\" (MaxPool): its stride is 1 x 1025, a .mu8 file holds at most 1024 "
               "each way");
  const auto conv = [](int dilation) {
    return Shapes(2100, 4, 1)
        .Slide(Op::kConv2d, {.kernel_h = 2, .dilation_h = dilation}, 3)
        .Dense(2);
  };
  CheckFits(conv(1024));
  CheckRefused(conv(1025),
               "node \"node0\" (Conv2d): its dilation is 1025 x 1, a .mu8 file holds at most 1024 "
               "each way");
  const auto slice = [](int stride) {
    return Shapes(2100, 4, 1)
        .Slice({.op = Op::kSlice, .window = {.stride_h = stride}}, 2, 4)
        .Dense(2);
  };
  CheckFits(slice(1024));
  CheckRefused(slice(1025),
               "node \"node0\" (Slice): its stride is 1025 x 1, a .mu8 file holds at most 1024 "
               "each way");
}

TEST_CASE("limits: a dense layer over an image that a convolution pads is one window") {
  const auto both = [](int width) {
    Shapes shapes(1, width, 1);
    shapes.Lookup(0).Slide(Op::kConv2d, {.kernel_w = 3, .pad_left = 1, .pad_right = 1}, 1);
    const int convolved = shapes.last;
    shapes.Add({.op = Op::kDense, .inputs = {1}},
               {.name = "", .height = 1, .width = 1, .channels = 1});
    shapes.Add({.op = Op::kMultiply, .inputs = {convolved, shapes.last}},
               shapes.network.values[static_cast<std::size_t>(convolved)]);
    return shapes.Dense(2);
  };
  CheckFits(both(1024));
  CheckRefused(both(1025),
               "node \"node2\" (Dense): its kernel is 1 x 1025, the whole of an image that has "
               "padding, a .mu8 file holds at most 1024 each way");
}

TEST_CASE("limits: extents up to 65535, of inputs, values and classes") {
  CheckFits(Shapes(65535, 1, 1).Pool({}).Dense(2));
  CheckRefused(Shapes(1, 65536, 1).Pool({.stride_w = 2}).Dense(2),
               "input \"image\" is 1x65536x1 (height x width x channels), a .mu8 file holds at "
               "most 65535 each");
  CheckFits(Shapes(1, 1, 4).Dense(65535).Dense(65535));
  CheckRefused(Shapes(1, 1, 4).Dense(65536).Dense(2),
               "node \"node0\" (Dense): its output is 1x1x65536 (height x width x channels), a "
               ".mu8 file holds at most 65535 each");
  CheckRefused(Shapes(1, 1, 4).Dense(65536),
               "node \"node0\" (Dense): its output is 1x1x65536 (height x width x channels), a "
               ".mu8 file holds at most 65535 each");
}

TEST_CASE("limits: padding up to 65535 pixels on each side") {
  const auto conv = [](const Window& window) {
    return Shapes(1, 10, 1).Slide(Op::kConv2d, window, 1).Dense(2);
  };
  CheckFits(conv({.stride_w = 2, .pad_left = 65535}));
  CheckRefused(conv({.stride_w = 2, .pad_left = 65536}),
               "node \"node0\" (Conv2d): reads 65536 pixels of padding on one side, a .mu8 file "
               "holds at most 65535");
  // The last window ends at pixel 65536 of the padding: what lies behind it is not read.
  CheckFits(conv({.stride_w = 3, .pad_right = 65536}));
  CheckRefused(conv({.stride_w = 5, .pad_right = 65536}),
               "node \"node0\" (Conv2d): reads 65536 pixels of padding on one side, a .mu8 file "
               "holds at most 65535");
}

TEST_CASE("limits: a slice starts up to 65535 before or behind the first pixel") {
  const auto slice = [](int offset_h, int offset_c) {
    return Shapes(8, 8, 2)
        .Slice({.op = Op::kSlice, .offset_h = offset_h, .offset_c = offset_c}, 4, 4)
        .Dense(2);
  };
  CheckFits(slice(65535, -65535));
  CheckRefused(slice(65536, 0),
               "node \"node0\" (Slice): starts at offset 65536, a .mu8 file holds -65535 to 65535");
  CheckRefused(slice(0, -65536),
               "node \"node0\" (Slice): starts at offset -65536, a .mu8 file holds -65535 to "
               "65535");
}

TEST_CASE("limits: values of up to 1 GiB, padding counted") {
  CheckFits(Shapes(1024, 1024, 1023).Pool({.kernel_h = 1024, .kernel_w = 1024}).Dense(2));
  CheckRefused(Shapes(1024, 1024, 1024).Pool({.kernel_h = 1024, .kernel_w = 1024}).Dense(2),
               "input \"image\" is 1024x1024x1024, with padding 1073741888 bytes, a .mu8 file "
               "holds at most 1073741824");
  Shapes padded(1, 1, 1023);
  padded.Lookup(0);
  padded.Add({.op = Op::kSlice}, {.name = "", .height = 1024, .width = 1024, .channels = 1023});
  padded.Slide(Op::kConv2d, {.kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1}, 2);
  padded.Pool({.kernel_h = 1023, .kernel_w = 1023}).Dense(2);
  CheckRefused(padded,
               "node \"node1\" (Slice): its output is 1024x1024x1023, with padding 1074789440 "
               "bytes, a .mu8 file holds at most 1073741824");
}

TEST_CASE("limits: an output value adds up to 66308 products, runs rounded up") {
  CheckFits(Shapes(2, 33154, 1).Dense(2));
  CheckRefused(Shapes(3, 22103, 1).Dense(2),
               "node \"node0\" (Dense): adds 66312 products to one value, each run of 66309 "
               "rounded up to a multiple of 4, a .mu8 file holds at most 66308");
  // 129 x 128 taps of one channel each: with dilation every tap is a run of 1, stored as 4.
  const auto conv = [](int rows) {
    return Shapes(rows, 256, 1)
        .Slide(Op::kConv2d, {.kernel_h = rows, .kernel_w = 128, .dilation_w = 2}, 1)
        .Dense(2);
  };
  CheckFits(conv(129));
  CheckRefused(conv(130),
               "node \"node0\" (Conv2d): adds 66560 products to one value, each run of 1 rounded "
               "up to a multiple of 4, a .mu8 file holds at most 66308");
}

TEST_CASE("limits: up to 4096 layers") {
  const auto chain = [](int layers) {
    Shapes shapes(1, 1, 2);
    for (int i = 1; i < layers; ++i) shapes.Lookup(shapes.last);
    return shapes.Dense(2);
  };
  CheckFits(chain(4096));
  CheckRefused(chain(4097), "the network has 4097 layers, a .mu8 file holds at most 4096");
}

// `count` functions of the input, which must all be kept until their sum.
Shapes Sum(int count, int height, int width, int channels) {
  Shapes shapes(height, width, channels);
  for (int i = 0; i < count; ++i) shapes.Lookup(0);
  for (int i = 2; i <= count; ++i) {
    shapes.Add({.op = Op::kAdd, .inputs = {i == 2 ? 1 : shapes.last, i}}, shapes.value());
  }
  return shapes.Pool({.kernel_h = height, .kernel_w = width}).Dense(2);
}

TEST_CASE("limits: up to 64 values are kept at once") {
  CheckFits(Sum(63, 1, 1, 2));  // and the input, which every pass reads again
  CheckRefused(Sum(64, 1, 1, 2),
               "node \"node63\" (Lookup): 65 values must be kept while it runs, a .mu8 file holds "
               "at most 64");
}

TEST_CASE("limits: values lie in the first 4 GiB of the activations") {
  CheckFits(Sum(3, 1024, 1024, 1000));
  // Offsets are multiples of 1048576000 bytes and 64 behind each value.
  CheckRefused(Sum(5, 1024, 1024, 1000),
               "a value must lie at byte 5242880320 of the activations, a .mu8 file holds at most "
               "4294967232");
}

TEST_CASE("limits: a file of up to 2 GiB, at the least widths that may be stored") {
  const auto problems = [](int outputs, const MuBits& mu_bits, int sigma_bits) {
    Shapes shapes(1, 1, 40000);
    shapes.Dense(outputs);
    shapes.network.nodes[0].weights.sigma = {1.0F};  // Bayesian
    std::vector<std::string> found;
    CheckFileSize(shapes.network, MakeSteps(shapes.network), {mu_bits}, sigma_bits, &found);
    return Lines(found);
  };
  CHECK(problems(26000, {8}, 8) == "");  // 2 x 1.04e9 bytes and 12 for each output
  CHECK(problems(27000, {8}, 8) ==
        "the layers' parameters take 2160324032 bytes, a .mu8 file holds at most 2147483648; fewer "
        "bits make them smaller\n");
  CHECK(problems(27000, {7}, 8) == "");  // 4 bits may be stored instead
  CHECK(problems(50000, {8, 1}, 2) == "");
  CHECK(problems(50000, {8}, 2) != "");
}

TEST_CASE("limits: all problems are told at once") {
  Shapes shapes(1, 70000, 1);
  shapes.Pool({.kernel_w = 2000}).Pool({.kernel_w = 3000, .stride_w = 2000}).Dense(2);
  CHECK(shapes.Problems().size() == 5);  // the input, an output, two kernels, a stride
}

}  // namespace
}  // namespace mu8::convert
