// MergeSlices against running the slices one by one, element by element.
#include <doctest/doctest.h>

#include <random>

#include "converters/network/merge_slices.h"
#include "tests/converters/onnx/onnx_models.h"

namespace mu8::convert {
namespace {

using namespace testing;

Network Image(int height, int width, int channels) {
  Network network;
  network.values = {{.name = "x", .height = height, .width = width, .channels = channels}};
  return network;
}

Node& Append(Network* network, Node node, int height, int width, int channels) {
  node.inputs = {network->output};
  node.output = network->output = static_cast<int>(network->values.size());
  network->values.push_back({.name = "v" + std::to_string(node.output),
                             .height = height,
                             .width = width,
                             .channels = channels});
  network->nodes.push_back(std::move(node));
  return network->nodes.back();
}

Node Slice(int stride_h, int stride_w, int offset_h, int offset_w, int offset_c) {
  Node node{.op = Op::kSlice};
  node.window.stride_h = stride_h;
  node.window.stride_w = stride_w;
  node.offset_h = offset_h;
  node.offset_w = offset_w;
  node.offset_c = offset_c;
  return node;
}

// Which element of the input (1, 2, ...) each element of the output is; 0: a zero.
std::vector<int> Sources(const Network& network) {
  std::vector<int> image(network.values[static_cast<std::size_t>(network.input)].size());
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<int>(i) + 1;
  int value = network.input;
  for (const Node& node : network.nodes) {
    REQUIRE(node.inputs == std::vector<int>{value});
    const Value& in = ValueAt(network, value);
    const Value& out = ValueAt(network, node.output);
    std::vector<int> result;
    for (int h = 0; h < out.height; ++h) {
      for (int w = 0; w < out.width; ++w) {
        for (int c = 0; c < out.channels; ++c) {
          const int y = h * node.window.stride_h + node.offset_h;
          const int x = w * node.window.stride_w + node.offset_w;
          const int from = c + node.offset_c;
          const bool inside =
              y >= 0 && y < in.height && x >= 0 && x < in.width && from >= 0 && from < in.channels;
          const int index = (y * in.width + x) * in.channels + from;
          result.push_back(inside ? image[static_cast<std::size_t>(index)] : 0);
        }
      }
    }
    image = std::move(result);
    value = node.output;
  }
  REQUIRE(value == network.output);
  return image;
}

TEST_CASE("slices: the shortcut of a ResNet becomes one") {
  Network network = Image(8, 8, 4);
  Append(&network, Slice(2, 1, 0, 0, 0), 4, 8, 4);
  Append(&network, Slice(1, 2, 0, 0, 0), 4, 4, 4);
  Append(&network, Slice(1, 1, 0, 0, -2), 4, 4, 8);
  const std::vector<int> before = Sources(network);
  MergeSlices(&network);
  REQUIRE(network.nodes.size() == 1);
  CHECK(network.values.size() == 2);
  CHECK(network.nodes[0].window.stride_h == 2);
  CHECK(network.nodes[0].window.stride_w == 2);
  CHECK(network.nodes[0].offset_c == -2);
  CHECK(Sources(network) == before);
}

TEST_CASE("slices: random chains keep every element, merged or not") {
  std::mt19937 random(7);
  const auto pick = [&](int low, int high) {
    return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
  };
  int merged = 0, kept = 0;
  for (int round = 0; round < 2000; ++round) {
    CAPTURE(round);
    Network network = Image(pick(1, 5), pick(1, 5), pick(1, 3));
    const int length = pick(2, 4);
    for (int i = 0; i < length; ++i) {
      Append(&network, Slice(pick(1, 2), pick(1, 2), pick(-2, 2), pick(-2, 2), pick(-1, 1)),
             pick(1, 5), pick(1, 5), pick(1, 3));
    }
    const std::vector<int> before = Sources(network);
    MergeSlices(&network);
    CHECK(Sources(network) == before);
    ++(network.nodes.size() == static_cast<std::size_t>(length) ? kept : merged);
  }
  CHECK(merged > 200);
  CHECK(kept > 200);
}

TEST_CASE("slices: cropping and padding again is not one slice") {
  Network network = Image(4, 4, 1);
  Append(&network, Slice(1, 1, 1, 1, 0), 2, 2, 1);
  Append(&network, Slice(1, 1, -1, -1, 0), 4, 4, 1);
  const std::vector<int> before = Sources(network);
  MergeSlices(&network);
  CHECK(network.nodes.size() == 2);
  CHECK(Sources(network) == before);
}

TEST_CASE("slices: a value that is read elsewhere stays; copies go") {
  Network network = Image(4, 4, 2);
  Append(&network, Slice(1, 1, 0, 0, 0), 4, 4, 2);
  Append(&network, Slice(2, 2, 0, 0, 0), 2, 2, 2);
  Append(&network, Slice(1, 1, 0, 0, -1), 2, 2, 4);
  const int half = network.nodes[1].output, padded = network.output;
  network.nodes.push_back({.op = Op::kConcat, .inputs = {half, padded}, .output = 4});
  network.values.push_back({.name = "y", .height = 2, .width = 2, .channels = 6});
  network.output = 4;
  MergeSlices(&network);
  CheckParameters(network);
  REQUIRE(Ops(network) == "Slice Slice Concat");
  CHECK(network.nodes[0].inputs == std::vector<int>{network.input});
}

TEST_CASE("slices: zeros around an image become the convolution's padding") {
  for (const bool is_cropped : {false, true}) {
    CAPTURE(is_cropped);
    Network network = Image(6, 6, 1);
    Append(&network, Slice(1, 1, is_cropped ? 1 : -1, -2, 0), 7, 9, 1);
    Node& conv = Append(&network, {.op = Op::kConv2d}, 7, 9, 1);
    conv.window = {
        .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
    conv.weights.mu = Count(9);
    MergeSlices(&network);
    CheckParameters(network);
    REQUIRE(Ops(network) == (is_cropped ? "Slice Conv2d" : "Conv2d"));
    const Window& window = network.nodes.back().window;
    CHECK(window.pad_top == (is_cropped ? 1 : 2));
    CHECK(window.pad_left == (is_cropped ? 1 : 3));
    CHECK(window.pad_bottom == 1);
    CHECK(window.pad_right == (is_cropped ? 1 : 2));
  }
}

}  // namespace
}  // namespace mu8::convert
