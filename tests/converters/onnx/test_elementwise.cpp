// Functions of one value and how they compose, constants, sums and products.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "converters/network/fold_affine.h"
#include "tests/converters/onnx/onnx_models.h"

namespace mu8::convert {
namespace {

using namespace testing;

TEST_CASE("onnx: MatMul and Add of a constant are one dense layer") {
  OnnxBuilder builder({0, 3});
  builder.Initializer("w", {3, 2}, Count(6)).Initializer("b", {2}, {1, 2});
  builder.Initializer("s", {}, {10});
  builder.Node("MatMul", "mm", {"x", "w"}, {"m"});
  builder.Node("Add", "add", {"b", "m"}, {"a"}).Node("Add", "again", {"a", "s"}, {"y"});
  const Network network = builder.Import({{"b", Sigma({2}, {3, 4})}});
  REQUIRE(network.nodes.size() == 1);
  CHECK(network.nodes[0].op == Op::kDense);
  CHECK(network.nodes[0].weights.mu == Floats{0, 2, 4, 1, 3, 5});
  CHECK(network.nodes[0].weights.sigma.empty());
  CHECK(network.nodes[0].bias.mu == Floats{11, 12});
  CHECK(network.nodes[0].bias.sigma == Floats{3, 4});
  CHECK(ValueAt(network, network.output).name == "y");
}

TEST_CASE("onnx: two Bayesian biases add their variances") {
  OnnxBuilder builder({0, 1});
  builder.Initializer("w", {1, 1}, {1}).Initializer("b", {1}, {1}).Initializer("d", {1}, {2});
  builder.Node("Gemm", "fc", {"x", "w", "b"}, {"g"}).Node("Add", "add", {"g", "d"}, {"y"});
  const Network network = builder.Import({{"b", Sigma({1}, {3})}, {"d", Sigma({1}, {4})}});
  CHECK(network.nodes[0].bias.mu == Floats{3});
  CHECK(network.nodes[0].bias.sigma == Floats{5});
}

TEST_CASE("onnx: Add of a constant per channel to a convolution is its bias") {
  const auto add = [](const Dims& dims, std::size_t count) {
    OnnxBuilder builder({1, 1, 2, 2});
    builder.Initializer("w", {2, 1, 1, 1}, {1, 2}).Initializer("b", dims, Count(count, 5));
    builder.Node("Conv", "conv", {"x", "w"}, {"v"}).Node("Add", "add", {"v", "b"}, {"c"});
    Finish(&builder);
    return builder;
  };
  for (const Dims& dims : {Dims{1, 2, 1, 1}, Dims{2, 1, 1}}) {
    CHECK(add(dims, 2).Import().nodes[0].bias.mu == Floats{5, 6});
  }
  CHECK(add({1}, 1).Import().nodes[0].bias.mu == Floats{5, 5});
  // Along the columns, of which there are two as well.
  const Network columns = add({2}, 2).Import();
  CHECK(columns.nodes[0].bias.mu.empty());
  CHECK(columns.nodes[1].values == Floats{5, 5, 6, 6, 5, 5, 6, 6});
  CheckOneProblem(Problems(add({4}, 4)), {"\"add\" (Add)", "constant [4]", "does not broadcast"});
  CheckOneProblem(Problems(add({1, 1, 2, 1, 1}, 2)), {"is not one value per channel"});
  CheckOneProblem(Problems(add({1}, 1), {{"b", Sigma({1}, {1})}}), {"single Bayesian value"});
}

// y = activation of one number, to be evaluated by itself.
const Node& OnlyLookup(const Network& network) {
  REQUIRE(Ops(network) == "Lookup Conv2d");
  return network.nodes[0];
}

TEST_CASE("onnx: a sum that cannot become a bias is an affine, or a function of one number") {
  // The output of a pool, the input, and a convolution that is also read without the constant.
  OnnxBuilder input({0, 2});
  input.Initializer("b", {2}, {1, 2});
  input.Node("Add", "add", {"x", "b"}, {"y"});
  const Network affine = input.Import();
  REQUIRE(Ops(affine) == "Affine");
  CHECK(affine.nodes[0].scale == Floats{1, 1});
  CHECK(affine.nodes[0].offset == Floats{1, 2});
  CheckOneProblem(Problems(input, {{"b", Sigma({2}, {1, 1})}}),
                  {"\"add\" (Add)", "a Bayesian constant can only be added"});

  OnnxBuilder before({0, 2});
  before.Initializer("w", {2, 2}, Count(4)).Initializer("b", {2}, {1, 2});
  before.Node("MatMul", "mm", {"x", "w"}, {"m"}).Node("Identity", "id", {"m"}, {"i"});
  before.Node("Add", "add", {"m", "b"}, {"a"}).Node("Relu", "r", {"i"}, {"q"});
  before.Node("Add", "sum", {"a", "q"}, {"y"});
  const Network shared = before.Import();
  CHECK(Ops(shared) == "Dense Affine Clip Add Conv2d");
  CHECK(shared.nodes[0].bias.mu.empty());

  OnnxBuilder scalar({0, 2});
  scalar.Initializer("c", {}, {3});
  scalar.Node("Sub", "sub", {"c", "x"}, {"y"});
  const Node lookup = OnlyLookup(scalar.Import());
  CHECK(lookup.function_name == "Sub(3, x)");
  CHECK(lookup.function(5.0) == -2.0);
}

TEST_CASE("onnx: constants behind a layer fold into it") {
  struct Case {
    const char* op;
    bool constant_first;
    Floats scale, offset;
  };
  for (const Case& c :
       {Case{"Mul", false, {2, 4}, {0, 0}}, Case{"Mul", true, {2, 4}, {0, 0}},
        Case{"Div", false, {0.5f, 0.25f}, {0, 0}}, Case{"Sub", true, {-1, -1}, {2, 4}}}) {
    CAPTURE(c.op);
    OnnxBuilder builder({0, 3, 4, 4});
    builder.Initializer("w", {2, 3, 1, 1}, Count(6)).Initializer("k", {2, 1, 1}, {2, 4});
    builder.Node("Conv", "conv", {"x", "w"}, {"v"});
    const std::vector<std::string> inputs = {c.constant_first ? "k" : "v",
                                             c.constant_first ? "v" : "k"};
    builder.Node(c.op, "op", inputs, {"c"});
    Network network = Finish(&builder).Import();
    REQUIRE(Ops(network) == "Conv2d Affine AveragePool Conv2d");
    CHECK(network.nodes[1].scale == c.scale);
    CHECK(network.nodes[1].offset == c.offset);
    FoldAffine(&network);
    CHECK(Ops(network) == "Conv2d AveragePool Conv2d");
  }
  OnnxBuilder minus({0, 1});
  minus.Initializer("w", {1, 2}, {1, 1}).Initializer("b", {2}, {3, 4});
  minus.Node("MatMul", "mm", {"x", "w"}, {"m"}).Node("Sub", "sub", {"m", "b"}, {"y"});
  const Network network = minus.Import({{"b", Sigma({2}, {1, 2})}});
  REQUIRE(Ops(network) == "Dense");
  CHECK(network.nodes[0].bias.mu == Floats{-3, -4});
  CHECK(network.nodes[0].bias.sigma == Floats{1, 2});

  OnnxBuilder scalar({0, 1});
  scalar.Initializer("w", {1, 2}, {1, 1}).Initializer("k", {1}, {-3});
  scalar.Node("MatMul", "mm", {"x", "w"}, {"m"}).Node("Mul", "mul", {"k", "m"}, {"y"});
  CHECK(scalar.Import().nodes[1].scale == Floats{-3, -3});
  CheckOneProblem(Problems(scalar, {{"k", Sigma({1}, {1})}}), {"\"k\" has a sigma"});
}

TEST_CASE("onnx: every function of one number has ONNX's definition") {
  struct Case {
    const char* op;
    double x, y;
  };
  // By hand, or from the operator reference's examples.
  const Case cases[] = {
      {"Abs", -2, 2},
      {"Acos", 0.5, 1.0471975511965979},
      {"Acosh", 2, 1.3169578969248166},
      {"Asin", 0.5, 0.5235987755982989},
      {"Asinh", -1, -0.881373587019543},
      {"Atanh", 0.5, 0.5493061443340549},
      {"Celu", -1, std::exp(-1.0) - 1},
      {"Celu", 3, 3},
      {"Cosh", 1, 1.5430806348152437},
      {"Elu", -1, std::exp(-1.0) - 1},
      {"Elu", 2, 2},
      {"Erf", 0.5, 0.5204998778130465},
      {"Exp", 1, 2.718281828459045},
      {"Gelu", 1, 0.8413447460685429},
      {"HardSigmoid", 1, 0.7},
      {"HardSigmoid", -3, 0},
      {"HardSwish", 1, 4.0 / 6},
      {"HardSwish", -4, 0},
      {"HardSwish", 5, 5},
      {"LeakyRelu", -2, -0.02},
      {"Log", 2.718281828459045, 1},
      {"Mish", 1, 0.8650983882673103},
      {"Neg", 3, -3},
      {"Reciprocal", 4, 0.25},
      {"Selu", -1, -1.1113307378125625},
      {"Selu", 1, 1.0507009873554805},
      {"Shrink", -1.5, -1.5},
      {"Shrink", 0.25, 0},
      {"Sigmoid", 1, 0.7310585786300049},
      {"Sinh", 1, 1.1752011936438014},
      {"Softplus", 1, 1.3132616875182228},
      {"Softplus", 800, 800},
      {"Softsign", -3, -0.75},
      {"Sqrt", 9, 3},
      {"Swish", 1, 0.7310585786300049},
      {"Tan", 1, 1.5574077246549023},
      {"Tanh", 0.5, 0.46211715726000973},
      {"ThresholdedRelu", 1, 0},
      {"ThresholdedRelu", 1.5, 1.5},
  };
  for (const Case& c : cases) {
    CAPTURE(c.op);
    CAPTURE(c.x);
    OnnxBuilder builder({0, 3}, 20);
    builder.Node(c.op, "f", {"x"}, {"z"});
    // A Sigmoid at the end would become the head.
    builder.Initializer("w", {3, 2}, Count(6)).Node("MatMul", "fc", {"z", "w"}, {"y"});
    const Network network = builder.Import();
    REQUIRE(Ops(network) == "Lookup Dense");
    const Node& lookup = network.nodes[0];
    CHECK(lookup.name == "f");
    CHECK(lookup.function_name == c.op);
    CHECK(lookup.function(c.x) == doctest::Approx(c.y).epsilon(1e-6));
  }
  OnnxBuilder leaky({0, 3});
  leaky.Node("LeakyRelu", "f", {"x"}, {"y"}).Float("alpha", 0.5f);
  CHECK(OnlyLookup(leaky.Import()).function(-2.0) == -1.0);
  OnnxBuilder shrink({0, 3});  // PyTorch's softshrink
  shrink.Node("Shrink", "f", {"x"}, {"y"}).Float("lambd", 0.25f).Float("bias", 0.25f);
  CHECK(OnlyLookup(shrink.Import()).function(-2.0) == -1.75);
  OnnxBuilder hard({0, 3});
  hard.Node("HardSigmoid", "f", {"x"}, {"y"}).Float("alpha", 0.25f).Float("beta", 0.25f);
  CHECK(OnlyLookup(hard.Import()).function(1.0) == 0.5);
  OnnxBuilder tanh({0, 3}, 20);
  tanh.Node("Gelu", "f", {"x"}, {"y"}).String("approximate", "tanh");
  CHECK(OnlyLookup(tanh.Import()).function(1.0) == doctest::Approx(0.8411919906082768));
  OnnxBuilder slope({0, 3});
  slope.Initializer("s", {1}, {0.125f}).Node("PRelu", "f", {"x", "s"}, {"y"});
  CHECK(OnlyLookup(slope.Import()).function(-8.0) == -1.0);
  OnnxBuilder slopes({0, 3});
  slopes.Initializer("s", {3}, {1, 2, 3}).Node("PRelu", "f", {"x", "s"}, {"y"});
  const Network by_channel = slopes.Import();
  REQUIRE(Ops(by_channel) == "Lookup Conv2d");
  REQUIRE(by_channel.nodes[0].functions.size() == 3);
  CHECK(by_channel.nodes[0].functions[1](-8.0) == -16.0);
  CHECK(by_channel.nodes[0].functions[2](8.0) == 8.0);
  OnnxBuilder wrong({0, 3});
  wrong.Initializer("s", {2}, {1, 2}).Node("PRelu", "f", {"x", "s"}, {"y"});
  CheckOneProblem(Problems(wrong), {"\"f\" (PRelu)", "[2] is not one value per channel"});
  OnnxBuilder power({0, 3});
  power.Initializer("e", {}, {3}).Node("Pow", "f", {"x", "e"}, {"y"});
  CHECK(OnlyLookup(power.Import()).function(-2.0) == -8.0);
  CHECK(OnlyLookup(power.Import()).function_name == "Pow(x, 3)");
}

TEST_CASE("onnx: Relu, Clip, Min and Max with constants are a Clip") {
  const float inf = std::numeric_limits<float>::infinity();
  const auto check = [](OnnxBuilder& builder, float low, float high) {
    const Network network = builder.Import();
    REQUIRE(Ops(network) == "Clip Conv2d");
    CHECK(network.nodes[0].low == low);
    CHECK(network.nodes[0].high == high);
  };
  OnnxBuilder relu({0, 3});
  check(relu.Node("Relu", "r", {"x"}, {"y"}), 0, inf);
  OnnxBuilder inputs({0, 3});
  inputs.Initializer("a", {}, {-1}).Initializer("b", {}, {6});
  check(inputs.Node("Clip", "c", {"x", "a", "b"}, {"y"}), -1, 6);
  OnnxBuilder above({0, 3});
  above.Initializer("b", {}, {6});
  check(above.Node("Clip", "c", {"x", "", "b"}, {"y"}), -inf, 6);
  OnnxBuilder attributes({0, 3}, 7);
  attributes.Node("Clip", "c", {"x"}, {"y"}).Float("min", 0).Float("max", 6);
  check(attributes, 0, 6);
  OnnxBuilder defaults({0, 3}, 7);
  defaults.Node("Clip", "c", {"x"}, {"y"}).Float("min", 1).Float("max", 3.4028234663852886e38f);
  check(defaults, 1, inf);
  OnnxBuilder least({0, 3});
  least.Initializer("b", {}, {2});
  check(least.Node("Min", "m", {"b", "x"}, {"y"}), -inf, 2);
  OnnxBuilder greatest({0, 3});
  greatest.Initializer("b", {1}, {2});
  check(greatest.Node("Max", "m", {"x", "b"}, {"y"}), 2, inf);
  OnnxBuilder twice({0, 3}, 7);
  twice.Node("Relu", "r", {"x"}, {"r"}).Node("Clip", "c", {"r"}, {"y"});
  check(twice.Float("min", -2).Float("max", 6), 0, 6);
  OnnxBuilder apart({0, 3}, 7);
  apart.Node("Clip", "r", {"x"}, {"r"}).Float("min", 5).Float("max", 8);
  apart.Node("Clip", "c", {"r"}, {"y"}).Float("min", -1).Float("max", 2);
  check(apart, 2, 2);
  OnnxBuilder crossed({0, 3});
  crossed.Initializer("a", {}, {1}).Initializer("b", {}, {0});
  CheckOneProblem(Problems(crossed.Node("Clip", "c", {"x", "a", "b"}, {"y"})),
                  {"\"c\" (Clip)", "least value 1 exceeds"});
}

TEST_CASE("onnx: functions of one value compose into one table") {
  OnnxBuilder silu({0, 3});
  silu.Node("Sigmoid", "s", {"x"}, {"t"}).Node("Mul", "m", {"x", "t"}, {"y"});
  const Node one = OnlyLookup(silu.Import());
  CHECK(one.function_name == "Mul(x, Sigmoid(x))");
  CHECK(one.function(2.0) == doctest::Approx(2.0 / (1 + std::exp(-2.0))));

  // x * relu6(x + 3) / 6 and the erf form of Gelu, as PyTorch exports them.
  OnnxBuilder swish({0, 3});
  swish.Initializer("3", {}, {3}).Initializer("0", {}, {0}).Initializer("6", {}, {6});
  swish.Node("Add", "a", {"x", "3"}, {"a"}).Node("Clip", "b", {"a", "0", "6"}, {"b"});
  swish.Node("Mul", "c", {"x", "b"}, {"c"}).Node("Div", "d", {"c", "6"}, {"y"});
  const Node two = OnlyLookup(swish.Import());
  CHECK(two.function_name == "Div(Mul(x, Clip(Add(x, 3), 0, 6)), 6)");
  CHECK(two.function(1.0) == doctest::Approx(4.0 / 6));
  CHECK(two.name == "d");

  OnnxBuilder gelu({0, 3});
  gelu.Initializer("r", {}, {1.4142135f}).Initializer("1", {}, {1}).Initializer("h", {}, {0.5f});
  gelu.Initializer("w", {3, 3}, Count(9));
  gelu.Node("MatMul", "fc", {"x", "w"}, {"v"}).Node("Div", "a", {"v", "r"}, {"a"});
  gelu.Node("Erf", "b", {"a"}, {"b"}).Node("Add", "c", {"b", "1"}, {"c"});
  gelu.Node("Mul", "d", {"v", "c"}, {"d"}).Node("Mul", "e", {"d", "h"}, {"y"});
  const Network network = gelu.Import();
  REQUIRE(Ops(network) == "Dense Lookup Conv2d");
  CHECK(network.nodes[1].function(1.0) == doctest::Approx(0.8413447460685429));
}

TEST_CASE("onnx: a function is computed once, where something else reads it") {
  OnnxBuilder builder({0, 3});
  builder.Initializer("w", {3, 3}, Count(9));
  builder.Node("Tanh", "t", {"x"}, {"t"}).Node("MatMul", "a", {"t", "w"}, {"a"});
  builder.Node("Identity", "i", {"t"}, {"i"}).Node("MatMul", "b", {"i", "w"}, {"b"});
  builder.Node("Mul", "square", {"t", "t"}, {"s"}).Node("Add", "c", {"a", "b"}, {"c"});
  builder.Node("Add", "d", {"c", "s"}, {"y"});
  const Network network = builder.Import();
  CHECK(Ops(network) == "Lookup Dense Dense Add Lookup Add Conv2d");
  CHECK(network.nodes[0].function_name == "Tanh");
  CHECK(network.nodes[4].function_name == "Mul(Tanh(x), Tanh(x))");
  CHECK(network.nodes[4].inputs == std::vector<int>{network.input});
  for (std::size_t value = 0; value < network.values.size(); ++value) {
    const int index = static_cast<int>(value);
    CHECK((index == network.output || !network.Consumers(index).empty()));
  }
}

TEST_CASE("onnx: Sum of any number of values, and Pow of an integer") {
  OnnxBuilder builder({0, 2, 3, 3});
  builder.Initializer("wa", {2, 2, 1, 1}, Count(4)).Initializer("wb", {2, 2, 1, 1}, Count(4));
  builder.Initializer("two", OnnxBuilder::Integers({2})).Initializer("k", {2, 1, 1}, {5, 6});
  builder.Node("Conv", "a", {"x", "wa"}, {"a"}).Node("Conv", "b", {"x", "wb"}, {"b"});
  builder.Node("Pow", "square", {"a", "two"}, {"p"});
  builder.Node("Sum", "sum", {"b", "k", "p", "x"}, {"c"});
  const Network network = Finish(&builder).Import();
  CHECK(Ops(network) == "Conv2d Conv2d Lookup Add Add AveragePool Conv2d");
  CHECK(network.nodes[1].bias.mu == Floats{5, 6});
  CHECK(network.nodes[2].function(3) == 9);
}

TEST_CASE("onnx: sums and products of different values, gates second") {
  OnnxBuilder builder({0, 2, 4, 4});
  builder.Initializer("w", {2, 2, 1, 1}, Count(4));
  builder.Node("Conv", "a", {"x", "w"}, {"a"}).Node("GlobalAveragePool", "p", {"x"}, {"p"});
  builder.Node("Sigmoid", "s", {"p"}, {"s"}).Node("Mul", "gate", {"s", "a"}, {"g"});
  builder.Node("Sub", "sub", {"x", "g"}, {"unread"});
  builder.Node("Add", "add", {"g", "x"}, {"c"});
  const Network network = Finish(&builder).Import();
  REQUIRE(Ops(network) == "Conv2d AveragePool Lookup Mul Add AveragePool Conv2d");
  CHECK(network.nodes[3].inputs ==
        std::vector<int>{network.nodes[0].output, network.nodes[2].output});
  CHECK(network.nodes[4].inputs == std::vector<int>{network.nodes[3].output, network.input});
  CHECK(ShapeOf(network, network.nodes[3].output) == std::vector<int>{4, 4, 2});

  OnnxBuilder minus({0, 2});
  minus.Initializer("w", {2, 2}, Count(4)).Node("MatMul", "mm", {"x", "w"}, {"m"});
  minus.Node("Sub", "first", {"x", "m"}, {"d"}).Node("Sub", "second", {"d", "x"}, {"y"});
  Network difference = minus.Import();
  CHECK(Ops(difference) == "Dense Affine Add Lookup Add Conv2d");
  CHECK(difference.nodes[1].scale == Floats{-1, -1});
  CHECK(difference.nodes[3].function(3.0) == -3.0);
  FoldAffine(&difference);
  CHECK(Ops(difference) == "Dense Add Lookup Add Conv2d");

  for (const char* op : {"Div", "Min", "Max"}) {
    OnnxBuilder other({0, 2});
    other.Initializer("w", {2, 2}, Count(4)).Node("MatMul", "mm", {"x", "w"}, {"m"});
    other.Node(op, "op", {"x", "m"}, {"y"});
    if (std::string(op) == "Div") {
      CheckOneProblem(Problems(other), {"\"op\"", "of two activations is not supported"});
    } else {
      CHECK(Ops(other.Import()) == "Dense " + std::string(op) + " Conv2d");
    }
  }
  OnnxBuilder shapes({0, 2, 4, 4});
  shapes.Node("MaxPool", "p", {"x"}, {"p"}).Ints("kernel_shape", {2, 2});
  shapes.Node("Add", "add", {"x", "p"}, {"c"});
  CheckOneProblem(Problems(Finish(&shapes)), {"\"add\" (Add)", "do not fit together"});
}

TEST_CASE("onnx: Min and Max of several, of one, of a constant per channel and per element") {
  OnnxBuilder several({0, 2, 2, 2});
  several.Initializer("w", {2, 2, 1, 1}, Count(4)).Node("Conv", "a", {"x", "w"}, {"a"});
  several.Initializer("c", {2, 1, 1}, {1, 2}).Initializer("e", {2, 2}, {1, 2, 3, 4});
  several.Node("Max", "max", {"a", "x", "c", "e"}, {"m"}).Node("Min", "one", {"m"}, {"c2"});
  several.Node("Identity", "id", {"c2"}, {"z"});
  several.Node("GlobalAveragePool", "pool", {"z"}, {"p"}).Node("Flatten", "f", {"p"}, {"y"});
  const Network network = several.Import();
  REQUIRE(Ops(network) == "Conv2d Max Lookup Constant Max AveragePool Conv2d");
  CHECK(network.nodes[2].functions[1](-8.0) == 2.0);
  // Rows and columns, the same for both channels.
  CHECK(network.nodes[3].values == Floats{1, 1, 2, 2, 3, 3, 4, 4});
}

TEST_CASE("onnx: constants for each element, of whatever shape broadcasts") {
  const auto constant = [](const char* op, const Dims& dims, bool first) {
    OnnxBuilder builder({0, 2, 2, 3});
    std::size_t count = 1;
    for (const std::int64_t dim : dims) count *= static_cast<std::size_t>(dim);
    builder.Initializer("e", dims, Count(count));
    const std::vector<std::string> inputs =
        first ? std::vector<std::string>{"e", "x"} : std::vector<std::string>{"x", "e"};
    builder.Node(op, "op", inputs, {"c"});
    return testing::Finish(&builder).Import();
  };
  // C = 2, H = 2, W = 3; elements of the constant count up in that order.
  const Network all = constant("Add", {1, 2, 2, 3}, true);
  REQUIRE(Ops(all) == "Constant Add AveragePool Conv2d");
  CHECK(all.nodes[0].values == Floats{0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11});
  CHECK(constant("Mul", {2, 3}, false).nodes[0].values ==
        Floats{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5});
  CHECK(constant("Sub", {3}, false).nodes[0].values ==
        Floats{0, 0, -1, -1, -2, -2, 0, 0, -1, -1, -2, -2});
  CHECK(constant("Add", {2, 2, 1}, false).nodes[0].values ==
        Floats{0, 2, 0, 2, 0, 2, 1, 3, 1, 3, 1, 3});
  CHECK(Ops(constant("Sub", {2, 3}, true)) == "Lookup Constant Add AveragePool Conv2d");
  CHECK(Ops(constant("Div", {2, 3}, true)) == "Lookup Constant Mul AveragePool Conv2d");
  CHECK(Ops(constant("PRelu", {2, 2, 3}, false)) ==
        "Clip Clip Constant Mul Add AveragePool Conv2d");
  for (const Dims& dims : {Dims{3, 1}, Dims{4}, Dims{2, 2, 2, 3}, Dims{1, 1, 2, 2, 3}}) {
    CheckOneProblem(ProblemsOf([&] { constant("Add", dims, false); }),
                    {"\"op\" (Add)", "does not broadcast"});
  }
  OnnxBuilder random({0, 2, 2, 3});
  random.Initializer("e", {2, 3}, Count(6)).Node("Add", "op", {"x", "e"}, {"c"});
  CheckOneProblem(Problems(testing::Finish(&random), {{"e", Sigma({2, 3}, Count(6))}}),
                  {"\"e\" has a sigma", "only weights and biases"});
  // Flattened: columns run over C, H, W.
  OnnxBuilder flat({0, 2, 1, 2});
  flat.Initializer("e", {4}, Count(4)).Initializer("w", {4, 1}, Count(4));
  flat.Node("Flatten", "f", {"x"}, {"f"}).Node("Add", "op", {"f", "e"}, {"s"});
  flat.Node("Gemm", "fc", {"s", "w"}, {"y"});
  CHECK(flat.Import().nodes[0].values == Floats{0, 2, 1, 3});
}

}  // namespace
}  // namespace mu8::convert
