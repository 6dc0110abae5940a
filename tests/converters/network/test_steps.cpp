// Which nodes become one layer, and in what order.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "converters/network/rewrites.h"
#include "converters/network/steps.h"

namespace mu8::convert {
namespace {

// A network whose nodes are added one by one; every value is 4 x 4 unless said otherwise.
class Build {
 public:
  explicit Build(int channels) { network_.values.push_back({"input", 4, 4, channels}); }

  int Conv(int input, int channels) {
    Node node{.op = Op::kConv2d, .inputs = {input}};
    const std::size_t weights = static_cast<std::size_t>(channels * At(input).channels);
    node.weights.mu.assign(weights, 0.5F);
    return Add(std::move(node), "conv",
               {.name = "", .height = 4, .width = 4, .channels = channels});
  }
  int Binary(Op op, int a, int b) { return Add({.op = op, .inputs = {a, b}}, OpName(op), At(a)); }
  int Clip(int input) { return Add({.op = Op::kClip, .inputs = {input}}, "clip", At(input)); }
  int Lookup(int input) {
    return Add({.op = Op::kLookup, .inputs = {input}, .function_name = "Tanh"}, "lookup",
               At(input));
  }
  int Concat(const std::vector<int>& inputs) {
    Value value = At(inputs[0]);
    value.channels = 0;
    for (const int input : inputs) value.channels += At(input).channels;
    return Add({.op = Op::kConcat, .inputs = inputs}, "concat", value);
  }
  int GlobalAverage(int input) {
    Node node{.op = Op::kAveragePool, .inputs = {input}};
    node.window.kernel_h = node.window.kernel_w = 4;
    return Add(std::move(node), "average",
               {.name = "", .height = 1, .width = 1, .channels = At(input).channels});
  }
  Network Dense(int input) {
    Node node{.op = Op::kDense, .inputs = {input}};
    node.weights.mu.assign(3 * At(input).size(), 0.5F);
    network_.output =
        Add(std::move(node), "dense", {.name = "", .height = 1, .width = 1, .channels = 3});
    return network_;
  }

 private:
  Value At(int value) const { return network_.values[static_cast<std::size_t>(value)]; }
  int Add(Node node, const std::string& name, Value value) {
    node.name = name + std::to_string(network_.nodes.size());
    value.name = node.name;
    node.output = static_cast<int>(network_.values.size());
    network_.values.push_back(value);
    network_.nodes.push_back(std::move(node));
    return node.output;
  }

  Network network_;
};

TEST_CASE("steps: a sum and its ReLU belong to the convolution that computes one of its terms") {
  Build build(8);
  const int first = build.Clip(build.Conv(0, 8));                       // nodes 0, 1
  const int second = build.Conv(build.Clip(build.Conv(first, 8)), 8);   // nodes 2, 3, 4
  const int block = build.Clip(build.Binary(Op::kAdd, second, first));  // nodes 5, 6
  const std::vector<Step> steps = MakeSteps(build.Dense(block));
  REQUIRE(steps.size() == 4);
  CHECK(steps[2].node == 4);
  CHECK(steps[2].add == 5);
  CHECK(steps[2].clip == 6);
  CHECK(steps[2].input2 == first);
  CHECK(steps[2].output == block);
  CHECK(steps[1].add == -1);
}

TEST_CASE("steps: of two convolutions the later one takes the sum, and runs where the sum stands") {
  Build build(8);
  const int a = build.Conv(0, 8);
  const int b = build.Conv(0, 8);
  const int c = build.Conv(0, 8);
  const int sum = build.Binary(Op::kAdd, b, a);
  const std::vector<Step> steps = MakeSteps(build.Dense(build.Binary(Op::kMultiply, sum, c)));
  // a, c, then b with the sum, the product, the logits.
  REQUIRE(steps.size() == 5);
  CHECK(steps[0].output == a);
  CHECK(steps[1].output == c);
  CHECK(steps[2].node == 1);
  CHECK(steps[2].input2 == a);
  CHECK(steps[2].output == sum);
}

TEST_CASE("steps: a sum stays a layer when no term is a convolution that it alone reads") {
  Build build(8);
  const int conv = build.Conv(0, 8);
  SUBCASE("the convolution has a second reader") {
    const int sum = build.Binary(Op::kAdd, conv, build.Lookup(conv));
    const std::vector<Step> steps = MakeSteps(build.Dense(sum));
    REQUIRE(steps.size() == 4);
    CHECK(steps[2].add == -1);
    CHECK(steps[2].input2 >= 0);
  }
  SUBCASE("one pixel is added to all") {
    const int sum = build.Binary(Op::kAdd, conv, build.GlobalAverage(0));
    const std::vector<Step> steps = MakeSteps(build.Dense(sum));
    REQUIRE(steps.size() == 4);
    for (const Step& step : steps) CHECK(step.add == -1);
  }
  SUBCASE("a value is added to itself") {
    const int sum = build.Binary(Op::kAdd, conv, conv);
    const std::vector<Step> steps = MakeSteps(build.Dense(sum));
    REQUIRE(steps.size() == 3);
    CHECK(steps[1].input == steps[1].input2);
  }
}

TEST_CASE("steps: a clip stays a layer behind operators that do not clamp") {
  Build build(8);
  const int clip = build.Clip(build.Concat({0, 0}));
  const std::vector<Step> steps = MakeSteps(build.Dense(clip));
  REQUIRE(steps.size() == 3);
  CHECK(steps[0].clip == -1);
  CHECK(steps[1].output == clip);
}

TEST_CASE("steps: a concatenation of four becomes three of two, in order") {
  Build build(2);
  const int a = build.Lookup(0), b = build.Lookup(0), c = build.Lookup(0);
  Network network = build.Dense(build.Concat({0, a, b, c}));
  SplitConcats(&network);
  const std::vector<Step> steps = MakeSteps(network);
  REQUIRE(steps.size() == 3 + 3 + 1);
  const int channels[] = {4, 6, 8};
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    const Step& step = steps[3 + i];
    const auto output = static_cast<std::size_t>(step.output);
    CHECK(network.values[output].channels == channels[i]);
    CHECK(step.input2 == (i == 0 ? a : i == 1 ? b : c));
    CHECK(step.input == (i == 0 ? 0 : steps[2 + i].output));
  }
}

TEST_CASE("steps: layers are described with what is fused") {
  Build build(8);
  const int conv = build.Conv(0, 8);
  const int sum = build.Clip(build.Binary(Op::kAdd, conv, 0));
  const Network network = build.Dense(build.Lookup(sum));
  const std::vector<Step> steps = MakeSteps(network);
  REQUIRE(steps.size() == 3);
  CHECK(Describe(network, steps[0]) == "Conv2d + Add + ReLU");
  CHECK(Describe(network, steps[1]) == "Tanh");
  CHECK(Describe(network, steps[2]) == "Dense");
}

}  // namespace
}  // namespace mu8::convert
