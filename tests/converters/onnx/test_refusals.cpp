// What the importer cannot take is named with its cause and what to do; and one number an image,
// which exports write without the axis of the channels.
#include <doctest/doctest.h>

#include "tests/converters/onnx/onnx_models.h"

using namespace mu8::convert;
using namespace mu8::convert::testing;

namespace {

// (N, 3) -> "fc" -> (N, 1), "z".
OnnxBuilder OneOutput() {
  OnnxBuilder builder({0, 3});
  builder.Initializer("w", {3, 1}, Count(3)).Node("MatMul", "fc", {"x", "w"}, {"z"});
  builder.Initializer("all", OnnxBuilder::Integers({-1}));
  builder.Initializer("one", OnnxBuilder::Integers({1}));
  return builder;
}

}  // namespace

TEST_CASE("onnx: one number an image may lose its axis at the end") {
  OnnxBuilder squeezed = OneOutput();
  CHECK(Ops(squeezed.Node("Squeeze", "s", {"z", "one"}, {"y"}).Import()) == "Dense");
  OnnxBuilder bare = OneOutput();
  CHECK(Ops(bare.Node("Squeeze", "s", {"z"}, {"y"}).Import()) == "Dense");
  OnnxBuilder reshaped = OneOutput();
  CHECK(Ops(reshaped.Node("Reshape", "s", {"z", "all"}, {"y"}).Import()) == "Dense");
  OnnxBuilder function = OneOutput();
  function.Node("Squeeze", "s", {"z", "one"}, {"s"}).Node("Sigmoid", "p", {"s"}, {"y"});
  const Network network = function.Import();
  CHECK(Ops(network) == "Dense");
  CHECK(network.head_hint.head == mu8::format::Head::kSigmoid);
}

TEST_CASE("onnx: one number an image is not mixed with other images' numbers") {
  OnnxBuilder sum = OneOutput();  // (N) + (N, 1) is (N, N)
  sum.Node("Squeeze", "s", {"z", "one"}, {"s"}).Node("Add", "a", {"s", "z"}, {"y"});
  CheckOneProblem(Problems(sum), {"\"a\" (Add)", "do not fit together"});
  OnnxBuilder twice = OneOutput();
  twice.Node("Squeeze", "s", {"z", "one"}, {"s"}).Node("Tanh", "t", {"s"}, {"t"});
  twice.Node("Mul", "m", {"t", "s"}, {"y"});
  CHECK(Ops(twice.Import()) == "Dense Lookup Conv2d");  // (N) by (N): each image's own
  OnnxBuilder softmax = OneOutput();                    // over the images
  softmax.Node("Squeeze", "s", {"z", "one"}, {"s"}).Node("Softmax", "p", {"s"}, {"y"});
  CheckOneProblem(Problems(softmax), {"\"p\" (Softmax)", "does not run along the classes"});
}

TEST_CASE("onnx: refusals name the cause and the next step") {
  OnnxBuilder constants = OneOutput();
  constants.Node("Clip", "c", {"w"}, {"v"}).Node("MatMul", "m", {"x", "v"}, {"y"});
  CheckOneProblem(Problems(constants), {"\"c\" (Clip)", "Clip of constants is not computed",
                                        "export with constants folded"});
  OnnxBuilder decided = OneOutput();
  CheckOneProblem(Problems(decided.Node("ArgMax", "a", {"z"}, {"y"})),
                  {"\"a\" (ArgMax)", "predictions are probabilities", "--output-name"});
  OnnxBuilder fixed = OneOutput();
  CheckOneProblem(Problems(fixed.Node("Identity", "i", {"w"}, {"y"})),
                  {"output \"y\": is a constant"});
  OnnxBuilder text = OneOutput();
  text.Node("Constant", "c", {}, {"v"}).String("value_string", "many");
  CheckOneProblem(Problems(text.Node("MatMul", "m", {"x", "v"}, {"y"})),
                  {"\"c\" (Constant)", "sparse or text"});
}

TEST_CASE("onnx: a function that the file defines is told from an unknown operator") {
  OnnxBuilder builder = OneOutput();
  builder.Node("Twice", "t", {"z"}, {"y"});
  builder.graph().mutable_node(1)->set_domain("own");
  CHECK(Problems(builder)[0].find("inline_local_functions") == std::string::npos);
  onnx::FunctionProto* function = builder.model().add_functions();
  function->set_name("Twice");
  function->set_domain("own");
  CheckOneProblem(Problems(builder), {"own::Twice", "the file defines", "inline_local_functions"});
}

TEST_CASE("onnx: weights of 8 bits are those of a quantized graph") {
  OnnxBuilder builder = OneOutput();
  builder.graph().mutable_initializer(0)->set_data_type(onnx::TensorProto::INT8);
  builder.Node("Relu", "r", {"z"}, {"y"});
  CHECK(Problems(builder)[0].find("export the floating-point network") != std::string::npos);
}
