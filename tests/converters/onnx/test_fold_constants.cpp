// Constants that a graph computes: their values, and the sigmas that follow them or are refused.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/converters/onnx/onnx_models.h"

namespace mu8::convert {
namespace {

using namespace testing;

// "fc" with weights "m", [2, 3] columns first, which the test computes of others.
OnnxBuilder& Product(OnnxBuilder* builder) {
  return builder->Node("MatMul", "fc", {"x", "m"}, {"y"});
}

TEST_CASE("onnx: x @ W.t(): a transposed weight, its sigma with it") {
  OnnxBuilder builder({0, 2});
  builder.Initializer("w", {3, 2}, {1, 2, 3, 4, 5, 6});
  builder.Node("Transpose", "t", {"w"}, {"m"}).Ints("perm", {1, 0});
  const Network network = Product(&builder).Import({{"w", Sigma({3, 2}, Count(6, 0.1f, 0.1f))}});
  CHECK(network.nodes[0].weights.mu == Floats{1, 2, 3, 4, 5, 6});  // [out][in]
  CHECK(network.nodes[0].weights.sigma == Count(6, 0.1f, 0.1f));
}

TEST_CASE("onnx: sigmas follow what moves, cuts, joins and scales") {
  OnnxBuilder builder({0, 2});
  builder.Initializer("w", {2, 2, 1}, {1, 2, 3, 4}).Initializer("v", {2, 1}, {5, 6});
  builder.Initializer("shape", OnnxBuilder::Integers({2, 2}));
  builder.Initializer("scale", {2, 1}, {-2, 0.5f}).Initializer("shift", {1}, {10});
  builder.Node("Reshape", "r", {"w", "shape"}, {"w2"});
  builder.Node("Mul", "s", {"w2", "scale"}, {"ws"});  // -2 -4 / 1.5 2
  builder.Node("Neg", "n", {"v"}, {"vn"}).Node("Sub", "d", {"shift", "vn"}, {"vd"});  // 15 16
  builder.Node("Concat", "c", {"ws", "vd"}, {"m"}).Int("axis", 1);
  const Posterior posterior = {{"w", Sigma({2, 2, 1}, {0.1f, 0.2f, 0.3f, 0.4f})}};
  const Network network = Product(&builder).Import(posterior);
  CHECK(network.nodes[0].weights.mu == Floats{-2, 1.5f, -4, 2, 15, 16});
  CHECK(network.nodes[0].weights.sigma == Floats{0.2f, 0.15f, 0.4f, 0.2f, 0, 0});
  Posterior both = posterior;
  both["v"] = Sigma({2, 1}, {7, 8});
  CHECK(builder.Import(both).nodes[0].weights.sigma == Floats{0.2f, 0.15f, 0.4f, 0.2f, 7, 8});
}

TEST_CASE("onnx: every operator on constants has ONNX's definition") {
  // op(a, b) of [2, 3] constants must give the expected row-major numbers.
  const auto values = [](const std::string& op, const std::vector<std::string>& inputs,
                         const Floats& expected, const auto& attributes) {
    CAPTURE(op);
    OnnxBuilder builder({0, 1}, 17);
    builder.Initializer("a", {2, 3}, {1, -2, 3, 4, 5, 6}).Initializer("b", {3}, {2, 1, 4});
    builder.Initializer("i", OnnxBuilder::Integers({1}));
    builder.Initializer("yes", OnnxBuilder::Integers({1, 0, 1}));
    builder.Initializer("flat", OnnxBuilder::Integers({1, -1}));
    builder.Node(op, "n", inputs, {"c"});
    attributes(&builder);
    builder.Node("Cast", "f", {"c"}, {"cf"}).Int("to", onnx::TensorProto::FLOAT);
    builder.Node("Reshape", "r", {"cf", "flat"}, {"m"});
    CHECK(Product(&builder).Import().nodes[0].weights.mu == expected);
  };
  const auto none = [](OnnxBuilder*) {};
  values("Add", {"a", "b"}, {3, -1, 7, 6, 6, 10}, none);
  values("Sub", {"a", "b"}, {-1, -3, -1, 2, 4, 2}, none);
  values("Mul", {"a", "b"}, {2, -2, 12, 8, 5, 24}, none);
  values("Div", {"a", "b"}, {0.5f, -2, 0.75f, 2, 5, 1.5f}, none);
  values("Pow", {"a", "b"}, {1, -2, 81, 16, 5, 1296}, none);
  values("Min", {"a", "b"}, {1, -2, 3, 2, 1, 4}, none);
  values("Sum", {"a", "b", "b"}, {5, 0, 11, 8, 7, 14}, none);
  values("Greater", {"a", "b"}, {0, 0, 0, 1, 1, 1}, none);
  values("Abs", {"a"}, {1, 2, 3, 4, 5, 6}, none);
  values("Sqrt", {"b"}, {std::sqrt(2.0f), 1, 2}, none);
  values("Reciprocal", {"b"}, {0.5f, 1, 0.25f}, none);
  values("Exp", {"b"}, {std::exp(2.0f), std::exp(1.0f), std::exp(4.0f)}, none);
  values("Gather", {"a", "i"}, {-2, 5}, [](OnnxBuilder* b) { b->Int("axis", 1); });
  values("Where", {"yes", "a", "b"}, {1, 1, 3, 4, 1, 6}, none);
  values("MatMul", {"a", "b"}, {12, 37}, none);
  values("ReduceSum", {"a", "i"}, {2, 15}, none);
  values("ReduceMean", {"a"}, {2.5f, 1.5f, 4.5f}, [](OnnxBuilder* b) { b->Ints("axes", {0}); });
  values("ReduceL2", {"b"}, {std::sqrt(21.0f)}, none);
  values("Cast", {"b"}, {2, 1, 4}, [](OnnxBuilder* b) { b->Int("to", 7); });
  values("Shape", {"a"}, {2, 3}, none);
  values("Size", {"a"}, {6}, none);
}

TEST_CASE("onnx: lists made of constants: Range, ConstantOfShape, Expand") {
  OnnxBuilder builder({0, 1});
  const auto number = [](std::int64_t value) {
    onnx::TensorProto tensor = OnnxBuilder::Integers({value});
    tensor.clear_dims();
    return tensor;
  };
  builder.Initializer("1", number(1)).Initializer("8", number(8)).Initializer("3", number(3));
  builder.Initializer("dims", OnnxBuilder::Integers({1, 3}));
  builder.Node("Range", "range", {"1", "8", "3"}, {"r"});  // 1 4 7
  builder.Node("Cast", "cast", {"r"}, {"rf"}).Int("to", onnx::TensorProto::FLOAT);
  builder.Node("ConstantOfShape", "zeros", {"dims"}, {"z"});
  builder.Node("Expand", "expand", {"rf", "dims"}, {"re"});
  builder.Node("Add", "add", {"re", "z"}, {"m"});
  CHECK(Product(&builder).Import().nodes[0].weights.mu == Floats{1, 4, 7});
}

TEST_CASE("onnx: weight_norm computes the weights, but their sigma cannot follow") {
  const auto model = [] {
    OnnxBuilder builder({0, 2});
    builder.Initializer("v", {2, 2}, {3, 1, 4, 1}).Initializer("g", {1, 2}, {10, 2});
    builder.Node("ReduceL2", "norm", {"v"}, {"n"}).Ints("axes", {0});
    builder.Node("Div", "div", {"v", "n"}, {"d"}).Node("Mul", "mul", {"d", "g"}, {"m"});
    Product(&builder);
    return builder;
  };
  const Network network = model().Import();
  CHECK(network.nodes[0].weights.mu[0] == doctest::Approx(6));
  CHECK(network.nodes[0].weights.mu[1] == doctest::Approx(8));
  CHECK(network.nodes[0].weights.mu[3] == doctest::Approx(std::sqrt(2.0)));
  CheckOneProblem(Problems(model(), {{"v", Sigma({2, 2}, {1, 1, 1, 1})}}),
                  {"\"fc\" (MatMul)", "computed of \"v\"", "\"norm\" (ReduceL2) mixes its elements",
                   "\"m.sigma\""});
  // The scale of a column is in all of its weights.
  CheckOneProblem(Problems(model(), {{"g", Sigma({1, 2}, {1, 1})}}),
                  {"\"fc\" (MatMul)", "repeats elements of \"g\""});
  // What the posterior says of the computed weight itself counts.
  CHECK(model().Import({{"m", Sigma({2, 2}, {1, 2, 3, 4})}}).nodes[0].weights.sigma ==
        Floats{1, 3, 2, 4});
}

TEST_CASE("onnx: sigmas that no computation keeps are refused by name") {
  const auto refused = [](const std::string& op, const std::vector<std::string>& inputs,
                          const char* why) {
    OnnxBuilder builder({0, 2});
    builder.Initializer("w", {2, 1}, {1, 2}).Initializer("c", {2, 1}, {3, 4});
    builder.Initializer("u", {2, 1}, {5, 6});
    builder.Node(op, "n", inputs, {"m"});
    Product(&builder);
    Posterior posterior = {{"w", Sigma({2, 1}, {0.1f, 0.2f})}};
    if (inputs.back() == "u") posterior["u"] = Sigma({2, 1}, {0.1f, 0.2f});
    CAPTURE(op);
    CheckOneProblem(Problems(builder, posterior), {"\"fc\" (MatMul)", "\"w\"", why});
  };
  refused("Exp", {"w"}, "\"n\" (Exp) is not linear in it");
  refused("Div", {"c", "w"}, "divides by a random number");
  refused("Mul", {"w", "u"}, "mixes two random numbers");
  refused("Add", {"w", "u"}, "mixes two random numbers");
  refused("Max", {"w", "c"}, "is not linear");
}

TEST_CASE("onnx: what cannot be computed is one problem of its node") {
  OnnxBuilder builder({0, 2});
  builder.Initializer("w", {3, 2}, Count(6)).Initializer("c", {4}, Count(4));
  builder.Node("Mul", "n", {"w", "c"}, {"m"}).Node("Sqrt", "s", {"m"}, {"ms"});
  builder.Node("MatMul", "fc", {"x", "ms"}, {"y"});
  CheckOneProblem(Problems(builder, {{"w", Sigma({3, 2}, Count(6))}}),
                  {"\"n\" (Mul)", "2 and 4 numbers do not fit together"});
  // Doubled so often it would fill the memory.
  OnnxBuilder bomb({0, 2});
  bomb.Initializer("w0", {1024, 2}, Count(2048));
  for (int i = 0; i < 26; ++i) {
    const std::string from = "w" + std::to_string(i), to = "w" + std::to_string(i + 1);
    bomb.Node("Concat", to, {from, from}, {to}).Int("axis", 0);
  }
  bomb.Node("MatMul", "fc", {"x", "w26"}, {"y"});
  const std::vector<std::string> problems = Problems(bomb);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].find("(Concat)") != std::string::npos);
}

}  // namespace
}  // namespace mu8::convert
