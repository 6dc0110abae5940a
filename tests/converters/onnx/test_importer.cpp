// Convolutions, dense layers, BatchNormalization and pools: layouts against values worked out by
// hand, and every way to say no.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "converters/network/fold_affine.h"
#include "tests/converters/onnx/onnx_models.h"

namespace mu8::convert {
namespace {

using namespace testing;

TEST_CASE("onnx: convolution weights become OHWI, sigma and bias with them") {
  // O = 2, I = 3, kernel 1 x 2: OIHW index ((o * 3 + i) * 1 + 0) * 2 + w.
  OnnxBuilder builder({0, 3, 4, 5});
  builder.Initializer("w", {2, 3, 1, 2}, Count(12));
  builder.Initializer("b", {2}, {7, 8});
  builder.Node("Conv", "conv", {"x", "w", "b"}, {"c"})
      .Ints("kernel_shape", {1, 2})
      .Ints("strides", {2, 1})
      .Ints("pads", {1, 0, 0, 1})
      .Ints("dilations", {1, 2});
  Finish(&builder);
  const Network network = builder.Import(
      {{"w", Sigma({2, 3, 1, 2}, Count(12, 100))}, {"b", Sigma({2}, {0.5f, 0.25f})}});
  REQUIRE(Ops(network) == "Conv2d AveragePool Conv2d");
  const Node& conv = network.nodes[0];
  CHECK(conv.op == Op::kConv2d);
  CHECK(conv.name == "conv");
  CHECK(conv.weights.mu == Floats{0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11});
  CHECK(conv.weights.sigma == Floats{100, 102, 104, 101, 103, 105, 106, 108, 110, 107, 109, 111});
  CHECK(conv.bias.mu == Floats{7, 8});
  CHECK(conv.bias.sigma == Floats{0.5f, 0.25f});
  // Height (4 + 1 - 1) / 2 + 1 = 3; width (5 + 1 - 3) / 1 + 1 = 4.
  CHECK(ShapeOf(network, conv.output) == std::vector<int>{3, 4, 2});
  CHECK(conv.window.stride_h == 2);
  CHECK(conv.window.dilation_w == 2);
  CHECK(conv.window.pad_top == 1);
  CHECK(conv.window.pad_left == 0);
  CHECK(conv.window.pad_bottom == 0);
  CHECK(conv.window.pad_right == 1);
  CHECK(ShapeOf(network, network.input) == std::vector<int>{4, 5, 3});
  CHECK(ShapeOf(network, network.output) == std::vector<int>{1, 1, 2});
  CHECK(network.nodes[1].op == Op::kAveragePool);
  CHECK(network.nodes[1].window.kernel_h == 3);
  CHECK(network.nodes[1].window.kernel_w == 4);
  CHECK(network.ParameterCount() == 14 + 2);
}

TEST_CASE("onnx: grouped convolution") {
  OnnxBuilder builder = ConvModel({1, 4, 3, 3}, {4, 2, 1, 1}, Count(8));
  builder.Int("group", 2);
  const Network network = Finish(&builder).Import();
  CHECK(network.nodes[0].groups == 2);
  CHECK(network.nodes[0].weights.mu == Count(8));

  OnnxBuilder bad = ConvModel({1, 4, 3, 3}, {4, 2, 1, 1}, Count(8));
  bad.Int("group", 3);
  CheckOneProblem(Problems(Finish(&bad)), {"\"conv\" (Conv)", "group 3 does not divide"});
  OnnxBuilder wrong = ConvModel({1, 4, 3, 3}, {4, 2, 1, 1}, Count(8));
  CheckOneProblem(Problems(Finish(&wrong)), {"read 2 channels, the input has 4"});
}

TEST_CASE("onnx: auto_pad follows ONNX") {
  struct Case {
    const char* mode;
    int top, left, bottom, right, height, width;
  };
  // Input 5 x 6, kernel 2 x 3, stride 2: SAME needs ceil(5/2) = 3 rows: (3-1)*2+2-5 = 1 of padding;
  // ceil(6/2) = 3 columns: (3-1)*2+3-6 = 1.
  for (const Case& c : {Case{"SAME_UPPER", 0, 0, 1, 1, 3, 3}, Case{"SAME_LOWER", 1, 1, 0, 0, 3, 3},
                        Case{"VALID", 0, 0, 0, 0, 2, 2}, Case{"NOTSET", 0, 0, 0, 0, 2, 2}}) {
    CAPTURE(c.mode);
    OnnxBuilder builder = ConvModel({1, 1, 5, 6}, {1, 1, 2, 3}, Count(6));
    builder.Ints("strides", {2, 2}).String("auto_pad", c.mode);
    const Network network = Finish(&builder).Import();
    const Window& window = network.nodes[0].window;
    CHECK(window.pad_top == c.top);
    CHECK(window.pad_left == c.left);
    CHECK(window.pad_bottom == c.bottom);
    CHECK(window.pad_right == c.right);
    CHECK(ShapeOf(network, network.nodes[0].output) == std::vector<int>{c.height, c.width, 1});
  }
  OnnxBuilder unknown = ConvModel({1, 1, 5, 6}, {1, 1, 2, 3}, Count(6));
  unknown.String("auto_pad", "SAME");
  CheckOneProblem(Problems(Finish(&unknown)), {"auto_pad \"SAME\" is unknown"});
  OnnxBuilder both = ConvModel({1, 1, 5, 6}, {1, 1, 2, 3}, Count(6));
  both.String("auto_pad", "VALID").Ints("pads", {1, 1, 1, 1});
  CheckOneProblem(Problems(Finish(&both)), {"contradict"});
}

TEST_CASE("onnx: convolutions that cannot be are named") {
  OnnxBuilder one_d = ConvModel({1, 1, 5, 6}, {1, 1, 3}, Count(3));
  CheckOneProblem(Problems(Finish(&one_d)), {"has rank 4, expected 3"});
  OnnxBuilder three_d = ConvModel({1, 1, 5, 6}, {1, 1, 3, 3, 3}, Count(27));
  CheckOneProblem(Problems(Finish(&three_d)), {"3-D convolution; only 1-D and 2-D"});
  OnnxBuilder kernel = ConvModel({1, 1, 5, 6}, {1, 1, 3, 3}, Count(9));
  kernel.Ints("kernel_shape", {3, 2});
  CheckOneProblem(Problems(Finish(&kernel)), {"kernel_shape disagrees"});
  OnnxBuilder large = ConvModel({1, 1, 2, 2}, {1, 1, 3, 3}, Count(9));
  CheckOneProblem(Problems(Finish(&large)), {"the window spans 3 rows, the padded input has 2"});
  OnnxBuilder pads = ConvModel({1, 1, 5, 6}, {1, 1, 3, 3}, Count(9));
  pads.Ints("pads", {1, 1});
  CheckOneProblem(Problems(Finish(&pads)), {"pads is [1, 1], expected 4 integers"});
  OnnxBuilder stride = ConvModel({1, 1, 5, 6}, {1, 1, 3, 3}, Count(9));
  stride.Ints("strides", {0, 1});
  CheckOneProblem(Problems(Finish(&stride)), {"strides is [0, 1]"});
  OnnxBuilder type = ConvModel({1, 1, 5, 6}, {1, 1, 3, 3}, Count(9));
  type.Float("group", 1.0f);
  CheckOneProblem(Problems(Finish(&type)), {"attribute group is not an integer"});
  OnnxBuilder bias = ConvModel({1, 1, 5, 6}, {1, 1, 3, 3}, Count(9));
  bias.Initializer("b", {2}, {1, 2});
  bias.graph().mutable_node(0)->add_input("b");
  CheckOneProblem(Problems(Finish(&bias)), {"bias [2], expected [1]"});
  OnnxBuilder computed({1, 1, 5, 6});
  computed.Node("Relu", "r", {"x"}, {"w"}).Node("Conv", "conv", {"x", "w"}, {"c"});
  CheckOneProblem(Problems(Finish(&computed)), {"\"w\" is not an initializer"});
}

TEST_CASE("onnx: Gemm with transB 0, alpha and beta") {
  OnnxBuilder builder({0, 3});
  builder.Initializer("w", {3, 2}, Count(6));
  builder.Initializer("b", {1, 2}, {10, 20});
  builder.Node("Gemm", "fc", {"x", "w", "b"}, {"y"}).Float("alpha", -2.0f).Float("beta", -0.5f);
  const Network network =
      builder.Import({{"w", Sigma({3, 2}, Count(6))}, {"b", Sigma({1, 2}, {1, 2})}});
  const Node& fc = network.nodes[0];
  CHECK(fc.weights.mu == Floats{-0.0f, -4, -8, -2, -6, -10});
  CHECK(fc.weights.sigma == Floats{0, 4, 8, 2, 6, 10});
  CHECK(fc.bias.mu == Floats{-5, -10});
  CHECK(fc.bias.sigma == Floats{0.5f, 1});
}

TEST_CASE("onnx: Gemm that cannot be is named") {
  OnnxBuilder trans_a = GemmModel(3, 2);
  trans_a.Int("transA", 1);
  CheckOneProblem(Problems(trans_a), {"\"fc\" (Gemm)", "transA 1"});
  OnnxBuilder shape({0, 4});
  shape.Initializer("w", {2, 3}, Count(6));
  shape.Node("Gemm", "fc", {"x", "w"}, {"y"}).Int("transB", 1);
  CheckOneProblem(Problems(shape), {"weights [2, 3], expected [outputs, 4]"});
  OnnxBuilder image({0, 1, 2, 2});
  image.Initializer("w", {4, 2}, Count(8));
  image.Node("Gemm", "", {"x", "w"}, {"y"});
  CheckOneProblem(Problems(image), {"\"Gemm#0\" (Gemm)", "has rank 4, expected 2"});
  OnnxBuilder bias = GemmModel(3, 2);
  bias.Initializer("b", {3}, {1, 2, 3});
  bias.graph().mutable_node(0)->add_input("b");
  CheckOneProblem(Problems(bias), {"constant [3] is not one value per channel, [2]"});
  OnnxBuilder alpha = GemmModel(3, 2);
  alpha.Float("alpha", std::nanf(""));
  CheckOneProblem(Problems(alpha), {"alpha is not a finite number"});
}

TEST_CASE("onnx: BatchNormalization becomes an affine that folds, sigma by its magnitude") {
  Network network = BatchNormModel().Import(
      {{"w", Sigma({2, 2, 1, 1}, {1, 1, 2, 2})}, {"b", Sigma({2}, {1, 1})}});
  REQUIRE(Ops(network) == "Conv2d Affine AveragePool Conv2d");
  // scale: 2 / sqrt(4) = 1, -3 / sqrt(9) = -1; offset: 0.5 - 1 * 1, 1 - 2 * -1.
  CHECK(network.nodes[1].scale == Floats{1, -1});
  CHECK(network.nodes[1].offset == Floats{-0.5f, 3});
  FoldAffine(&network);
  REQUIRE(Ops(network) == "Conv2d AveragePool Conv2d");
  CHECK(network.nodes[0].weights.mu == Floats{1, 2, -3, -4});
  CHECK(network.nodes[0].weights.sigma == Floats{1, 1, 2, 2});
  CHECK(network.nodes[0].bias.mu == Floats{0.5f, 4});
  CHECK(network.nodes[0].bias.sigma == Floats{1, 1});
}

TEST_CASE("onnx: BatchNormalization on a flattened image is one weight for each element") {
  // C = 2, H = 1, W = 2: the outputs are in ONNX's order, channel by channel.
  OnnxBuilder builder({0, 2, 1, 2});
  builder.Initializer("one", {4}, {1, 1, 1, 1}).Initializer("zero", {4}, {0, 0, 0, 0});
  builder.Initializer("gamma", {4}, Count(4, 1)).Initializer("w", {4, 1}, Count(4));
  builder.Node("Flatten", "flat", {"x"}, {"f"});
  builder.Node("BatchNormalization", "bn", {"f", "gamma", "zero", "zero", "one"}, {"n"})
      .Float("epsilon", 0.0f);
  builder.Node("Gemm", "fc", {"n", "w"}, {"y"});
  const Network network = builder.Import();
  CHECK(Ops(network) == "Conv2d Dense");
  CHECK(network.nodes[0].groups == 2);
  CHECK(network.nodes[0].weights.mu == Floats{1, 0, 0, 2, 3, 0, 0, 4});
  CHECK(ShapeOf(network, network.nodes[0].output) == std::vector<int>{1, 1, 4});
  CHECK(network.nodes[1].weights.mu == Floats{0, 1, 2, 3});
}

TEST_CASE("onnx: BatchNormalization that cannot be is named") {
  CheckOneProblem(Problems(BatchNormModel(), {{"gamma", Sigma({2}, {1, 1})}}),
                  {"\"bn\" (BatchNormalization)", "\"gamma\" has a sigma",
                   "a Bayesian BatchNormalization is not supported"});
  OnnxBuilder variance = BatchNormModel();
  variance.graph().mutable_initializer(5)->set_float_data(1, -1.0f);
  CheckOneProblem(Problems(variance), {"1 of 2 scales", "not finite"});
  OnnxBuilder size = BatchNormModel();
  *size.graph().mutable_initializer(2) = OnnxBuilder::Tensor({3}, {1, 2, 3});
  size.graph().mutable_initializer(2)->set_name("gamma");
  CheckOneProblem(Problems(size), {"\"gamma\" has shape [3], expected [2]"});
  OnnxBuilder training = BatchNormModel();
  training.graph().mutable_node(1)->add_output("running_mean");
  CHECK(training.Import().notices[0].find("exported in training mode") != std::string::npos);
  OnnxBuilder spatial = BatchNormModel(8);
  onnx::AttributeProto* attribute = spatial.graph().mutable_node(1)->add_attribute();
  attribute->set_name("spatial");
  attribute->set_type(onnx::AttributeProto::INT);
  CheckOneProblem(Problems(spatial), {"spatial 0"});
}

TEST_CASE("onnx: pools") {
  const auto pool = [](const char* op) {
    OnnxBuilder builder({0, 2, 5, 6});
    builder.Node(op, "p", {"x"}, {"c"}).Ints("kernel_shape", {3, 2}).Ints("strides", {2, 2});
    return builder;
  };
  for (const char* op : {"MaxPool", "AveragePool"}) {
    CAPTURE(op);
    OnnxBuilder plain = pool(op);
    // Both axes divide (5 - 3 and 6 - 2 by 2): ceil_mode changes nothing.
    plain.Int("ceil_mode", 1);
    if (std::string(op) == "MaxPool") plain.Int("storage_order", 1);
    const Network network = Finish(&plain).Import();
    CHECK(network.nodes[0].op == (std::string(op) == "MaxPool" ? Op::kMaxPool : Op::kAveragePool));
    CHECK(ShapeOf(network, network.nodes[0].output) == std::vector<int>{2, 3, 2});
    CHECK_FALSE(network.nodes[0].count_include_pad);

    OnnxBuilder ceil = pool(op);
    // 5 + 1 rows: a third window starts at row 3 and lacks its last row.
    ceil.Int("ceil_mode", 1).Ints("pads", {1, 0, 0, 0});
    const Network ceiled = Finish(&ceil).Import();
    CHECK(ShapeOf(ceiled, ceiled.nodes[0].output) == std::vector<int>{3, 3, 2});
    CHECK(ceiled.nodes[0].window.pad_bottom == 1);
    CHECK(ceiled.nodes[0].window.pad_right == 0);
    OnnxBuilder dilation = pool(op);
    dilation.Ints("dilations", {1, 2});
    CheckOneProblem(Problems(Finish(&dilation)), {"dilations other than 1"});
    OnnxBuilder pads = pool(op);
    pads.Ints("pads", {0, 2, 0, 0});
    CheckOneProblem(Problems(Finish(&pads)), {"pads must be smaller"});
    OnnxBuilder none({0, 2, 5, 6});
    none.Node(op, "p", {"x"}, {"c"});
    CheckOneProblem(Problems(Finish(&none)), {"kernel_shape is missing"});
  }
  OnnxBuilder include = pool("AveragePool");
  include.Ints("pads", {1, 1, 1, 1}).Int("count_include_pad", 1);
  CHECK(Finish(&include).Import().nodes[0].count_include_pad);
  OnnxBuilder ceil_pad = pool("AveragePool");
  ceil_pad.Ints("pads", {1, 0, 0, 0}).Int("count_include_pad", 1).Int("ceil_mode", 1);
  // Padding counts, what ceil_mode adds does not: the former becomes zeros of the image.
  const Network counted = Finish(&ceil_pad).Import();
  CHECK(Ops(counted).starts_with("Slice AveragePool"));
  CHECK(counted.nodes[0].offset_h == -1);
  CHECK(ShapeOf(counted, counted.nodes[0].output) == std::vector<int>{6, 6, 2});
  CHECK(counted.nodes[1].window.pad_top == 0);
  CHECK(counted.nodes[1].window.pad_bottom == 1);
  CHECK_FALSE(counted.nodes[1].count_include_pad);
  OnnxBuilder nothing = pool("AveragePool");  // 6 columns from 2 on by 3: one more, no padding
  nothing.graph().mutable_node(0)->clear_attribute();
  nothing.Ints("kernel_shape", {3, 2}).Ints("strides", {2, 3}).Int("ceil_mode", 1);
  nothing.Int("count_include_pad", 1);
  CHECK(Ops(Finish(&nothing).Import()).starts_with("AveragePool"));
  OnnxBuilder outside({0, 2, 5, 6});
  outside.Node("MaxPool", "p", {"x"}, {"c"}).Ints("kernel_shape", {1, 2});
  outside.Ints("strides", {3, 2}).Int("ceil_mode", 1);
  // Rows 0 and 3; a third window would start at row 6 of 5 and is left out.
  const Network inside = Finish(&outside).Import();
  CHECK(ShapeOf(inside, inside.nodes[0].output) == std::vector<int>{2, 3, 2});
  OnnxBuilder indices = pool("MaxPool");
  indices.graph().mutable_node(0)->add_output("indices");
  CheckOneProblem(Problems(Finish(&indices)), {"indices output"});
}

TEST_CASE("onnx: ReduceSum is as many times the mean as there are pixels") {
  OnnxBuilder builder({0, 3, 4, 5});
  builder.Initializer("axes", OnnxBuilder::Integers({2, 3}));
  builder.Node("ReduceSum", "sum", {"x", "axes"}, {"y"}).Int("keepdims", 0);
  const Network network = builder.Import();
  CHECK(Ops(network) == "AveragePool Affine");
  CHECK(network.nodes[1].scale == Floats{20, 20, 20});
  OnnxBuilder channels({0, 3, 4, 5});
  channels.Node("ReduceSum", "sum", {"x"}, {"y"}).Ints("axes", {1});
  CheckOneProblem(Problems(channels), {"\"sum\" (ReduceSum)", "only height and width"});
}

TEST_CASE("onnx: a Pad of the least number before a MaxPool is the pool's own padding") {
  const auto padded = [](float fill, const Dims& pads, const char* reader) {
    OnnxBuilder builder({0, 2, 5, 6});
    builder.Initializer("pads", OnnxBuilder::Integers(pads)).Initializer("fill", {}, {fill});
    builder.Node("Pad", "pad", {"x", "pads", "fill"}, {"p"});
    builder.Node(reader, "pool", {"p"}, {"c"}).Ints("kernel_shape", {3, 3}).Ints("strides", {2, 2});
    Finish(&builder);
    return builder;
  };
  const Dims around = {0, 0, 1, 0, 0, 0, 1, 2};
  for (const float fill :
       {-std::numeric_limits<float>::max(), -std::numeric_limits<float>::infinity(), -65504.0f}) {
    const Network network = padded(fill, around, "MaxPool").Import();
    CHECK(Ops(network) == "MaxPool AveragePool Conv2d");
    const Window& window = network.nodes[0].window;
    CHECK(std::vector<int>{window.pad_top, window.pad_left, window.pad_bottom, window.pad_right} ==
          std::vector<int>{1, 0, 1, 2});
    CHECK(ShapeOf(network, network.nodes[0].output) == std::vector<int>{3, 3, 2});
  }
  CheckOneProblem(Problems(padded(-1e4f, around, "MaxPool")), {"\"pad\" (Pad)", "the least float"});
  CheckOneProblem(Problems(padded(-1e38f, around, "AveragePool")), {"\"pad\" (Pad)"});
  CheckOneProblem(Problems(padded(-1e38f, {0, 1, 0, 0, 0, 0, 0, 0}, "MaxPool")),
                  {"only supported along height and width"});
  CheckOneProblem(Problems(padded(-1e38f, {0, 0, 3, 0, 0, 0, 0, 0}, "MaxPool")),
                  {"\"pool\" (MaxPool)", "pads must be smaller"});
}

TEST_CASE("onnx: Linear at each position of a sequence is a convolution of one tap") {
  OnnxBuilder builder({0, 5, 2});  // (N, W, C): the product says so
  builder.Initializer("w", {2, 3}, {1, 2, 3, 4, 5, 6}).Initializer("b", {3}, {7, 8, 9});
  builder.Node("MatMul", "fc", {"x", "w"}, {"m"}).Node("Add", "bias", {"m", "b"}, {"a"});
  builder.Node("ReduceMean", "mean", {"a"}, {"y"}).Ints("axes", {1}).Int("keepdims", 0);
  const Network network = builder.Import({{"w", Sigma({2, 3}, Count(6, 0.1f, 0.1f))}});
  CHECK(Ops(network) == "Conv2d AveragePool Conv2d");
  CHECK(network.nodes[0].weights.mu == Floats{1, 4, 2, 5, 3, 6});  // [out][in]
  CHECK(network.nodes[0].weights.sigma == Floats{0.1f, 0.4f, 0.2f, 0.5f, 0.3f, 0.6f});
  CHECK(network.nodes[0].bias.mu == Floats{7, 8, 9});
  CHECK(network.input_layout == "nwc");
  CHECK(ShapeOf(network, network.input) == std::vector<int>{1, 5, 2});
}

TEST_CASE("onnx: ReduceMean over height and width is a pool over the whole image") {
  const auto mean = [](const Dims& axes, std::int64_t keep) {
    OnnxBuilder builder({0, 3, 4, 5});
    builder.Node("ReduceMean", "mean", {"x"}, {keep != 0 ? "m" : "y"})
        .Ints("axes", axes)
        .Int("keepdims", keep);
    if (keep != 0) builder.Node("Flatten", "flat", {"m"}, {"y"});
    return builder;
  };
  for (const OnnxBuilder& builder : {mean({2, 3}, 1), mean({-1, -2}, 0)}) {
    const Network network = builder.Import();
    REQUIRE(Ops(network) == "AveragePool Conv2d");
    CHECK(network.nodes[0].window.kernel_h == 4);
    CHECK(network.nodes[0].window.kernel_w == 5);
    CHECK(ShapeOf(network, network.output) == std::vector<int>{1, 1, 3});
  }
  CheckOneProblem(Problems(mean({1}, 1)), {"axes [1] of (N, C, H, W) are not supported"});
}

TEST_CASE("onnx: Dropout, Identity and a final Softmax leave no node") {
  for (const char* last : {"Softmax", "LogSoftmax"}) {
    OnnxBuilder builder = GemmModel(3, 2);
    builder.graph().mutable_node(0)->set_output(0, "g");
    builder.Node("Dropout", "drop", {"g"}, {"d", "mask"});
    builder.Node("Identity", "id", {"d"}, {"i"});
    builder.Node(last, "soft", {"i"}, {"s"}).Node("Identity", "id2", {"s"}, {"y"});
    const Network network = builder.Import();
    CHECK(network.nodes.size() == 1);
    CHECK(network.output == network.nodes[0].output);
  }
  OnnxBuilder middle({0, 2});
  middle.Node("Softmax", "soft", {"x"}, {"s"}).Node("Relu", "r", {"s"}, {"y"});
  CheckOneProblem(Problems(middle), {"\"r\" (Relu)", "Softmax", "last node"});
  OnnxBuilder axis = GemmModel(3, 2);
  axis.graph().mutable_node(0)->set_output(0, "g");
  axis.Node("Softmax", "soft", {"g"}, {"y"}).Int("axis", 0);
  CheckOneProblem(Problems(axis), {"axis 0"});
}

TEST_CASE("onnx: a Dropout that is active at inference is an error") {
  for (const bool active : {false, true}) {
    OnnxBuilder builder = GemmModel(3, 2);
    builder.graph().mutable_node(0)->set_output(0, "g");
    onnx::TensorProto mode;
    mode.set_data_type(onnx::TensorProto::BOOL);
    mode.set_raw_data(std::string(1, active ? '\1' : '\0'));
    builder.Initializer("mode", mode);
    builder.Node("Dropout", "drop", {"g", "", "mode"}, {"y"});
    if (active) {
      CheckOneProblem(Problems(builder), {"\"drop\" (Dropout)", "training_mode is true"});
    } else {
      CHECK(Problems(builder).empty());
    }
  }
}

TEST_CASE("onnx: the last layer that a graph lacks has one weight for each class") {
  OnnxBuilder builder({0, 20000, 1, 1});
  builder.Node("Relu", "relu", {"x"}, {"c"});
  const Network network = Finish(&builder).Import();
  CHECK(network.ParameterCount() == 20000);
}

}  // namespace
}  // namespace mu8::convert
