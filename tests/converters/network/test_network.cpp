// FoldAffine and CheckParameters on networks built by hand.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "converters/network/fold_affine.h"
#include "tests/converters/onnx/onnx_builder.h"

namespace mu8::convert {
namespace {

using namespace testing;

// x (2 x 2 x 1) -> conv 1x1 (2 channels) -> affine -> relu -> y
Network ConvAffineRelu() {
  Network network;
  network.values = {{.name = "x", .height = 2, .width = 2, .channels = 1},
                    {.name = "c", .height = 2, .width = 2, .channels = 2},
                    {.name = "a", .height = 2, .width = 2, .channels = 2},
                    {.name = "y", .height = 2, .width = 2, .channels = 2}};
  network.nodes = {{.op = Op::kConv2d,
                    .name = "conv",
                    .inputs = {0},
                    .output = 1,
                    .weights = {.mu = {1, 2}, .sigma = {0.5f, 0.25f}},
                    .bias = {.mu = {10, 20}, .sigma = {1, 2}}},
                   {.op = Op::kAffine,
                    .name = "bn",
                    .inputs = {1},
                    .output = 2,
                    .scale = {2, -4},
                    .offset = {3, 5}},
                   {.op = Op::kClip, .name = "relu", .inputs = {2}, .output = 3}};
  network.output = 3;
  return network;
}

TEST_CASE("fold: a negative scale mirrors mu and keeps sigma positive") {
  Network network = ConvAffineRelu();
  FoldAffine(&network);
  REQUIRE(network.nodes.size() == 2);
  REQUIRE(network.values.size() == 3);
  const Node& conv = network.nodes[0];
  CHECK(conv.weights.mu == Floats{2, -8});
  CHECK(conv.weights.sigma == Floats{1, 1});
  CHECK(conv.bias.mu == Floats{23, -75});
  CHECK(conv.bias.sigma == Floats{2, 8});
  CHECK(network.values[static_cast<std::size_t>(conv.output)].name == "a");
  CHECK(network.nodes[1].inputs == std::vector<int>{conv.output});
  CHECK(network.values[static_cast<std::size_t>(network.output)].name == "y");
  CHECK(network.ParameterCount() == 4);
  CheckParameters(network);
}

TEST_CASE("fold: without a bias the offset becomes a deterministic one") {
  Network network = ConvAffineRelu();
  network.nodes[0].bias = {};
  network.nodes[0].weights.sigma.clear();
  FoldAffine(&network);
  CHECK(network.nodes[0].bias.mu == Floats{3, 5});
  CHECK(network.nodes[0].bias.sigma.empty());
  CHECK(network.nodes[0].weights.sigma.empty());
}

TEST_CASE("fold: a chain of two affines folds twice") {
  Network network = ConvAffineRelu();
  network.nodes[2] = {.op = Op::kAffine,
                      .name = "bn2",
                      .inputs = {2},
                      .output = 3,
                      .scale = {10, 10},
                      .offset = {1, 1}};
  FoldAffine(&network);
  REQUIRE(network.nodes.size() == 1);
  CHECK(network.nodes[0].weights.mu == Floats{20, -80});
  CHECK(network.nodes[0].bias.mu == Floats{231, -749});
  CHECK(network.values.size() == 2);
  CHECK(network.output == network.nodes[0].output);
}

TEST_CASE("fold: an affine without a layer of its own becomes a depthwise convolution") {
  // The convolution is also read without the affine; another affine follows a ReLU, and one more
  // follows that, which folds into what the first has become.
  Network network = ConvAffineRelu();
  network.nodes[2].inputs = {1};
  network.nodes.push_back({.op = Op::kAffine,
                           .name = "late",
                           .inputs = {3},
                           .output = 4,
                           .scale = {3, 5},
                           .offset = {1, -1}});
  network.nodes.push_back({.op = Op::kAffine,
                           .name = "later",
                           .inputs = {4},
                           .output = 5,
                           .scale = {2, 2},
                           .offset = {0, 1}});
  for (const char* name : {"u", "v"}) {
    network.values.push_back({.name = name, .height = 2, .width = 2, .channels = 2});
  }
  network.output = 5;
  FoldAffine(&network);
  CheckParameters(network);
  REQUIRE(network.nodes.size() == 4);
  const Node& first = network.nodes[1];
  CHECK(first.op == Op::kConv2d);
  CHECK(first.name == "bn");
  CHECK(first.groups == 2);
  CHECK(first.weights.mu == Floats{2, -4});
  CHECK(first.weights.sigma.empty());
  CHECK(first.bias.mu == Floats{3, 5});
  CHECK(network.nodes[0].weights.mu == Floats{1, 2});
  const Node& last = network.nodes[3];
  CHECK(last.name == "late");
  CHECK(last.weights.mu == Floats{6, 10});
  CHECK(last.bias.mu == Floats{2, -1});
  CHECK(last.output == network.output);
}

TEST_CASE("fold: what scales a flattened image element by element is named and nothing changes") {
  Network network = ConvAffineRelu();
  network.values.push_back({.name = "flat", .height = 1, .width = 1, .channels = 8});
  network.nodes.push_back({.op = Op::kAffine,
                           .name = "flat",
                           .inputs = {3},
                           .output = 4,
                           .scale = Floats(8, 2.0f),
                           .offset = Floats(8, 0.0f)});
  network.output = 4;
  CheckOneProblem(ProblemsOf([&] { FoldAffine(&network); }),
                  {"\"flat\" (Affine)", "8 elements of a flattened 2x2x2 image"});
  CHECK(network.nodes.size() == 4);
  CHECK(network.nodes[0].weights.mu == Floats{1, 2});
}

TEST_CASE("check: sizes, non-finite and negative values of all tensors at once") {
  Network network = ConvAffineRelu();
  CheckParameters(network);
  network.nodes[0].weights.mu[1] = std::nanf("");
  network.nodes[0].weights.sigma[0] = -1.0f;
  network.nodes[0].bias.mu.push_back(1.0f);
  network.nodes[0].bias.sigma[0] = std::numeric_limits<float>::infinity();
  network.nodes[1].offset.pop_back();
  network.nodes[2].weights.mu = {1};
  const std::vector<std::string> problems = ProblemsOf([&] { CheckParameters(network); });
  CHECK(problems.size() == 6);
  std::string all;
  for (const std::string& problem : problems) all += problem + "\n";
  for (const char* part : {"weights.mu has 1 not finite of 2 values", "the first is nan at index 1",
                           "weights.sigma has 1 negative", "bias.mu has 3 values, expected 2",
                           "bias.sigma has 1 not", "offset has 1 values, expected 2",
                           "\"relu\" (Clip): weights.mu has 1 values, expected 0"}) {
    CAPTURE(part);
    CHECK(all.find(part) != std::string::npos);
  }
}

TEST_CASE("check: sigma of another size, groups that do not divide, indices out of range") {
  Network network = ConvAffineRelu();
  network.nodes[0].weights.sigma.push_back(0.0f);
  network.nodes[2].output = 9;
  CHECK(ProblemsOf([&] { CheckParameters(network); }).size() == 2);
  network = ConvAffineRelu();
  network.nodes[0].groups = 0;
  CheckOneProblem(ProblemsOf([&] { CheckParameters(network); }), {"0 groups"});
}

TEST_CASE("check: inputs that do not fit an output") {
  const auto problem = [](const Node& node, const std::vector<Value>& values) {
    Network network;
    network.values = values;
    network.nodes = {node};
    network.output = node.output;
    return ProblemsOf([&] { CheckParameters(network); });
  };
  const std::vector<Value> values = {{.name = "x", .height = 2, .width = 2, .channels = 3},
                                     {.name = "v", .channels = 3},
                                     {.name = "w", .channels = 2},
                                     {.name = "y", .height = 2, .width = 2, .channels = 3},
                                     {.name = "z", .height = 2, .width = 2, .channels = 6}};
  for (const Op op : {Op::kAdd, Op::kMultiply, Op::kMaximum, Op::kMinimum}) {
    CHECK(problem({.op = op, .inputs = {0, 1}, .output = 3}, values).empty());
    CHECK(problem({.op = op, .inputs = {0, 0}, .output = 3}, values).empty());
    CheckOneProblem(problem({.op = op, .inputs = {0, 2}, .output = 3}, values),
                    {"2x2x3 and 1x1x2 do not give 2x2x3"});
    CheckOneProblem(problem({.op = op, .inputs = {1, 0}, .output = 3}, values), {"do not give"});
    CheckOneProblem(problem({.op = op, .inputs = {0}, .output = 3}, values), {"has 1 inputs"});
  }
  CHECK(problem({.op = Op::kConcat, .inputs = {0, 0}, .output = 4}, values).empty());
  CheckOneProblem(problem({.op = Op::kConcat, .inputs = {0, 0}, .output = 3}, values),
                  {"the inputs have 6 channels, the output 3"});
  CheckOneProblem(problem({.op = Op::kConcat, .inputs = {0, 1}, .output = 4}, values),
                  {"1x1x3 cannot be a part of 2x2x6"});
  CheckOneProblem(
      problem({.op = Op::kClip, .inputs = {0}, .output = 3, .low = 2, .high = 1}, values),
      {"low exceeds high"});
  CheckOneProblem(problem({.op = Op::kLookup, .inputs = {0}, .output = 3}, values),
                  {"has no function"});
  CheckOneProblem(
      problem({.op = Op::kLookup, .inputs = {0}, .output = 3, .functions = {[](double x) {
                                                                return x;
                                                              }}},
              values),
      {"has 1 functions for 3 channels"});
  CHECK(problem({.op = Op::kConstant, .inputs = {0}, .output = 1, .values = {1, 2, 3}}, values)
            .empty());
  CheckOneProblem(problem({.op = Op::kConstant, .inputs = {0}, .output = 1, .values = {1}}, values),
                  {"has 1 values for 1x1x3"});
}

TEST_CASE("check: a gather reads what is there") {
  Network network;
  network.values = {{"x", 2, 2, 3}, {"y", 1, 2, 2}};
  network.nodes = {{.op = Op::kGather, .name = "g", .inputs = {0}, .output = 1}};
  network.output = 1;
  Node& gather = network.nodes[0];
  gather.rows = {{1, 0}};
  gather.columns = {{format::kOutside, 99}, {0, 3}};
  gather.channels = {{0, 2}, {0, 0}};
  const auto problem = [&] { return ProblemsOf([&] { CheckParameters(network); }); };
  CHECK(problem().empty());
  gather.channels[1].row = 1;
  CheckOneProblem(problem(), {"\"g\" (Gather)", "row 2 of 2x2x3"});
  gather.channels[1].row = 0;
  gather.rows[0].offset = 1;
  CheckOneProblem(problem(), {"element 6 of row 1"});
  gather.rows.clear();
  CheckOneProblem(problem(), {"extents of its output"});
}

TEST_CASE("network: consumers of a value") {
  Network network = ConvAffineRelu();
  network.nodes[2].inputs = {1};
  CHECK(network.Consumers(1) == std::vector<int>{1, 2});
  CHECK(network.Consumers(2).empty());
  CHECK(network.Consumers(0) == std::vector<int>{0});
}

}  // namespace
}  // namespace mu8::convert
