// Nodes that regroup or cut axes: Flatten, Reshape, Transpose, Squeeze, Concat, Slice, Pad.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "tests/converters/onnx/onnx_models.h"

namespace mu8::convert {
namespace {

using namespace testing;

TEST_CASE("onnx: a dense layer behind Flatten has CHW columns permuted to HWC") {
  // C = 2, H = 2, W = 3: CHW index (c * 2 + h) * 3 + w; HWC position (h * 3 + w) * 2 + c.
  for (const char* op : {"Flatten", "Reshape", "ReshapeConstant"}) {
    CAPTURE(op);
    OnnxBuilder builder({0, 2, 2, 3});
    if (std::string(op) == "Flatten") {
      builder.Node("Flatten", "flat", {"x"}, {"f"}).Int("axis", -3);
    } else if (std::string(op) == "Reshape") {
      builder.Initializer("shape", OnnxBuilder::Integers({0, -1}));
      builder.Node("Reshape", "flat", {"x", "shape"}, {"f"});
    } else {
      builder.Node("Constant", "", {}, {"shape"})
          .TensorAttribute("value", OnnxBuilder::Integers({-1, 12}));
      builder.Node("Reshape", "flat", {"x", "shape"}, {"f"});
    }
    builder.Node("Relu", "relu", {"f"}, {"r"});
    builder.Initializer("w", {2, 12}, Count(24));
    builder.Node("Gemm", "fc", {"r", "w"}, {"y"}).Int("transB", 1);
    const Network network = builder.Import({{"w", Sigma({2, 12}, Count(24))}});
    const Floats expected = {0,  6,  1,  7,  2,  8,  3,  9,  4,  10, 5,  11,
                             12, 18, 13, 19, 14, 20, 15, 21, 16, 22, 17, 23};
    REQUIRE(network.nodes.size() == 2);
    CHECK(network.nodes[0].op == Op::kClip);
    CHECK(network.nodes[1].op == Op::kDense);
    CHECK(network.nodes[1].weights.mu == expected);
    CHECK(network.nodes[1].weights.sigma == expected);
    CHECK(network.nodes[1].bias.mu.empty());
  }
}

TEST_CASE("onnx: Reshape to other shapes is an error") {
  const auto reshape = [](const Dims& input, const Dims& target) {
    OnnxBuilder builder(input);
    builder.Initializer("shape", OnnxBuilder::Integers(target));
    builder.Initializer("w", {12, 1}, Count(12));
    builder.Node("Reshape", "flat", {"x", "shape"}, {"f"}).Node("Gemm", "fc", {"f", "w"}, {"y"});
    return Problems(builder);
  };
  for (const Dims& target : {Dims{0, -1}, Dims{1, -1}, Dims{0, 12}, Dims{-1, 12}, Dims{1, 12}}) {
    CHECK(reshape({0, 2, 2, 3}, target).empty());
  }
  CHECK(reshape({8, 2, 2, 3}, {8, -1}).empty());
  // Splitting an axis is none, but no vector.
  CheckOneProblem(reshape({0, 2, 2, 3}, {0, 3, 4}), {"\"fc\" (Gemm)", "rank 3"});
  for (const Dims& target : {Dims{7, -1}, Dims{-1, -1}, Dims{0, 6}, Dims{-1, 6}, Dims{12},
                             Dims{-1, 6, 3}, Dims{0, 2, 2, 3, 2}, Dims{0, -1, -1}}) {
    CheckOneProblem(reshape({0, 2, 2, 3}, target), {"\"flat\" (Reshape)", "not supported"});
  }
}

// x.view(x.size(0), rest): Shape, Gather, Unsqueeze and Concat give Reshape its target.
std::vector<std::string> ViewProblems(std::int64_t batch_at, const Dims& rest) {
  OnnxBuilder builder({0, 2, 2, 3});
  builder.Node("Shape", "shape", {"x"}, {"s"});
  onnx::TensorProto place = OnnxBuilder::Integers({batch_at});
  place.clear_dims();  // one number
  builder.Initializer("zero", std::move(place));
  builder.Initializer("rest", OnnxBuilder::Integers(rest));
  builder.Node("Gather", "size", {"s", "zero"}, {"n"});
  builder.Node("Unsqueeze", "list", {"n"}, {"l"}).Ints("axes", {0});
  builder.Node("Concat", "target", {"l", "rest"}, {"t"}).Int("axis", 0);
  builder.Initializer("w", {12, 1}, Count(12));
  builder.Node("Reshape", "flat", {"x", "t"}, {"f"}).Node("Gemm", "fc", {"f", "w"}, {"y"});
  return Problems(builder);
}

TEST_CASE("onnx: a shape computed from the input's own is known but for the batch") {
  CHECK(ViewProblems(0, {-1}).empty());
  CHECK(ViewProblems(0, {12}).empty());
  CHECK(ViewProblems(-4, {-1}).empty());
  CheckOneProblem(ViewProblems(0, {7}), {"\"flat\" (Reshape)", "not supported"});
  CheckOneProblem(ViewProblems(1, {-1}),
                  {"\"flat\" (Reshape)", "not supported"});  // channels first
  CheckOneProblem(ViewProblems(4, {-1}), {"\"size\" (Gather)", "outside a shape of 4"});
}

// Convolves x (8 x 6 x 3) to z (6 x 4 x 2), then has `add` write "c" from both.
Network WithSmaller(const std::function<void(OnnxBuilder&)>& add) {
  OnnxBuilder builder({0, 3, 8, 6});
  builder.Initializer("k", {2, 3, 3, 3}, Count(54));
  builder.Node("Conv", "smaller", {"x", "k"}, {"z"});
  add(builder);
  return Finish(&builder).Import();
}

// Gather of one dimension of `tensor`'s shape, as a list of one.
void AddSize(OnnxBuilder* builder, const std::string& tensor, std::int64_t dim,
             const std::string& name) {
  builder->Initializer(name + "_i", OnnxBuilder::Integers({dim}));
  builder->Node("Shape", name + "_shape", {tensor}, {name + "_s"});
  builder->Node("Gather", name + "_gather", {name + "_s", name + "_i"}, {name});
}

TEST_CASE("onnx: a cut at another value's size, x[..., :z.size(3)]") {
  const Network network = WithSmaller([](OnnxBuilder& builder) {
    AddSize(&builder, "z", 3, "end");
    builder.Initializer("s", OnnxBuilder::Integers({0}));
    builder.Initializer("a", OnnxBuilder::Integers({3}));
    builder.Node("Slice", "cut", {"x", "s", "end", "a"}, {"c"});
  });
  // Of z only the shape was asked for: its convolution is gone.
  REQUIRE(Ops(network) == "Slice AveragePool Conv2d");
  CHECK(ShapeOf(network, network.nodes[0].output) == std::vector<int>{8, 4, 3});
}

TEST_CASE("onnx: a centre crop, (x.size(2) - z.size(2)) // 2 from either side") {
  const Network network = WithSmaller([](OnnxBuilder& builder) {
    AddSize(&builder, "x", 2, "big");
    AddSize(&builder, "z", 2, "small");
    builder.Initializer("two", OnnxBuilder::Integers({2}));
    builder.Initializer("a", OnnxBuilder::Integers({2}));
    builder.Node("Sub", "sub", {"big", "small"}, {"d"}).Node("Div", "div", {"d", "two"}, {"b"});
    builder.Node("Add", "add", {"b", "small"}, {"e"});
    builder.Node("Slice", "cut", {"x", "b", "e", "a"}, {"c"});
  });
  REQUIRE(Ops(network) == "Slice AveragePool Conv2d");
  CHECK(network.nodes[0].offset_h == 1);
  CHECK(ShapeOf(network, network.nodes[0].output) == std::vector<int>{6, 6, 3});
}

TEST_CASE("onnx: computed pads, as F.pad(z, (0, d)) exports them") {
  // PyTorch: the pads, zeros up to two a dimension, as pairs, reversed, and by sides.
  const Network network = WithSmaller([](OnnxBuilder& builder) {
    AddSize(&builder, "x", 3, "big");
    AddSize(&builder, "z", 3, "small");
    builder.Initializer("zero", OnnxBuilder::Integers({0}));
    builder.Initializer("six", OnnxBuilder::Integers({6}));
    builder.Initializer("pairs", OnnxBuilder::Integers({-1, 2}));
    builder.Initializer("all", OnnxBuilder::Integers({-1}));
    builder.Initializer("last", OnnxBuilder::Integers({-1}));
    builder.Initializer("first", OnnxBuilder::Integers({-9223372036854775807}));
    builder.Node("Sub", "sub", {"big", "small"}, {"d"});
    builder.Node("Concat", "given", {"zero", "d"}, {"g"}).Int("axis", 0);
    builder.Node("ConstantOfShape", "rest", {"six"}, {"r"});
    builder.TensorAttribute("value", OnnxBuilder::Integers({0}));
    builder.Node("Concat", "eight", {"g", "r"}, {"e"}).Int("axis", 0);
    builder.Node("Reshape", "by_dim", {"e", "pairs"}, {"p"});
    builder.Node("Slice", "reverse", {"p", "last", "first", "zero", "last"}, {"q"});
    builder.Node("Transpose", "by_side", {"q"}, {"t"}).Ints("perm", {1, 0});
    builder.Node("Reshape", "flat", {"t", "all"}, {"f"});
    builder.Node("Cast", "cast", {"f"}, {"pads"}).Int("to", onnx::TensorProto::INT64);
    builder.Node("Pad", "pad", {"z", "pads"}, {"c"});
  });
  REQUIRE(Ops(network) == "Conv2d Slice AveragePool Conv2d");
  CHECK(ShapeOf(network, network.nodes[1].output) == std::vector<int>{6, 6, 2});
  CHECK(network.nodes[1].offset_w == 0);
}

TEST_CASE("onnx: Expand to the shape that is there, as expand() exports it") {
  // (-1, 3, -1, -1): where a dimension is -1 it becomes the input's.
  const auto expand = [](const Dims& wanted) {
    return ProblemsOf([&] {
      WithSmaller([&](OnnxBuilder& builder) {
        builder.Initializer("wanted", OnnxBuilder::Integers(wanted));
        builder.Initializer("four", OnnxBuilder::Integers({4}));
        builder.Initializer("minus", OnnxBuilder::Integers({-1}));
        builder.Node("Shape", "shape", {"x"}, {"s"});
        builder.Node("ConstantOfShape", "ones", {"four"}, {"o"});
        builder.TensorAttribute("value", OnnxBuilder::Integers({1}));
        builder.Node("Mul", "mul", {"o", "minus"}, {"m"});
        builder.Node("Equal", "equal", {"wanted", "m"}, {"q"});
        builder.Node("Where", "where", {"q", "s", "wanted"}, {"t"});
        builder.Node("Expand", "expand", {"x", "t"}, {"c"});
      });
    });
  };
  CHECK(expand({-1, 3, -1, -1}).empty());
  CHECK(expand({1, 3, 8, 1}).empty());
  CheckOneProblem(expand({-1, 6, -1, -1}), {"\"expand\" (Expand)", "[N, 6, 8, 6]", "repeats"});
}

TEST_CASE("onnx: what would depend on the number of images is refused where it is used") {
  const auto cut_at = [](std::int64_t dim, std::int64_t axis) {
    return ProblemsOf([&] {
      WithSmaller([&](OnnxBuilder& builder) {
        AddSize(&builder, "z", dim, "end");
        builder.Initializer("s", OnnxBuilder::Integers({0}));
        builder.Initializer("a", OnnxBuilder::Integers({axis}));
        builder.Node("Slice", "cut", {"x", "s", "end", "a"}, {"c"});
      });
    });
  };
  CHECK(cut_at(3, 3).empty());
  CHECK(cut_at(0, 0).empty());  // all of them
  CheckOneProblem(cut_at(0, 3), {"\"cut\" (Slice)", "axis 3", "number of images"});
  CheckOneProblem(cut_at(3, 0), {"\"cut\" (Slice)", "the batch"});
  const auto product = [](const char* op) {
    return ProblemsOf([&] {
      WithSmaller([&](OnnxBuilder& builder) {
        AddSize(&builder, "x", 0, "batch");
        AddSize(&builder, "x", 1, "channels");
        builder.Initializer("rest", OnnxBuilder::Integers({-1}));
        builder.Node(op, "size", {"batch", "channels"}, {"n"});
        builder.Node("Concat", "target", {"n", "rest"}, {"t"}).Int("axis", 0);
        builder.Node("Reshape", "reshape", {"x", "t"}, {"c"});
      });
    });
  };
  CheckOneProblem(product("Mul"), {"\"size\" (Mul)", "number of images"});
  CheckOneProblem(product("Mod"), {"\"size\" (Mod)", "number of images"});
  // Sizes as fractions.
  CheckOneProblem(ProblemsOf([&] {
                    WithSmaller([&](OnnxBuilder& builder) {
                      AddSize(&builder, "z", 3, "size");
                      builder.Node("Cast", "cast", {"size"}, {"half"}).Int("to", 1);
                      builder.Node("Reshape", "reshape", {"x", "half"}, {"c"});
                    });
                  }),
                  {"\"cast\" (Cast)", "can only be cast to"});
}

TEST_CASE("onnx: Reshape joins and separates whole axes") {
  // (N, 2, 2, 3) -> (N, 2, 6) -> (N, 2, 2, 3): the convolution sees what it was.
  OnnxBuilder builder({0, 2, 2, 3});
  builder.Initializer("a", OnnxBuilder::Integers({0, 2, -1}));
  builder.Initializer("b", OnnxBuilder::Integers({-1, 2, 2, 3}));
  builder.Initializer("w", {1, 2, 1, 1}, Count(2));
  builder.Node("Reshape", "join", {"x", "a"}, {"j"}).Node("Reshape", "part", {"j", "b"}, {"p"});
  builder.Node("Conv", "conv", {"p", "w"}, {"c"});
  CHECK(Ops(Finish(&builder).Import()) == "Conv2d AveragePool Conv2d");

  // Behind a global pool: (N, C, 1, 1) -> (N, C) -> (N, C, 1, 1), as in gates.
  OnnxBuilder gate({0, 3, 2, 2});
  gate.Initializer("flat", OnnxBuilder::Integers({-1, 3})).Initializer("w", {3, 3}, Count(9));
  gate.Initializer("image", OnnxBuilder::Integers({0, 3, 1, 1}));
  gate.Node("GlobalAveragePool", "p", {"x"}, {"p"}).Node("Reshape", "r", {"p", "flat"}, {"r"});
  gate.Node("Gemm", "fc", {"r", "w"}, {"f"}).Node("Reshape", "i", {"f", "image"}, {"i"});
  gate.Node("Mul", "m", {"x", "i"}, {"c"});
  CHECK(Ops(Finish(&gate).Import()) == "AveragePool Dense Mul AveragePool Conv2d");

  // (N, 8) as an image of two channels is another image than any that lies in memory: a gather
  // makes it.
  OnnxBuilder vector({0, 8});
  vector.Initializer("s", OnnxBuilder::Integers({0, 2, 2, 2}));
  vector.Node("Reshape", "r", {"x", "s"}, {"c"});
  const Network unflattened = Finish(&vector).Import();
  REQUIRE(Ops(unflattened) == "Gather AveragePool Conv2d");
  CHECK(ShapeOf(unflattened, unflattened.nodes[0].output) == std::vector<int>{2, 2, 2});
  CHECK(unflattened.nodes[0].rows[1].offset == 2);
  CHECK(unflattened.nodes[0].columns[1].offset == 1);
}

TEST_CASE(
    "onnx: axes split, transposed and joined are one gather, or two where they straddle rows") {
  const auto model = [](const Dims& first, const Dims& order, const Dims& last) {
    OnnxBuilder builder({0, 6, 2, 3});
    builder.Initializer("first", OnnxBuilder::Integers(first));
    builder.Initializer("last", OnnxBuilder::Integers(last));
    builder.Node("Reshape", "split", {"x", "first"}, {"s"});
    builder.Node("Transpose", "turn", {"s"}, {"t"}).Ints("perm", order);
    builder.Node("Reshape", "join", {"t", "last"}, {"c"});
    return builder;
  };
  OnnxBuilder shuffle = model({0, 2, 3, 2, 3}, {0, 2, 1, 3, 4}, {0, 6, 2, 3});
  const Network network = Finish(&shuffle).Import();
  REQUIRE(Ops(network) == "Gather AveragePool Conv2d");
  std::vector<std::uint32_t> channels;
  for (const format::GatherPlace& place : network.nodes[0].channels) {
    channels.push_back(place.offset);
  }
  CHECK(channels == std::vector<std::uint32_t>{0, 3, 1, 4, 2, 5});
  CHECK(network.nodes[0].columns[2].offset == 12);
  OnnxBuilder straddling = model({0, 4, 9}, {0, 2, 1}, {0, 3, 4, 3});
  CHECK(Ops(Finish(&straddling).Import()) == "Gather Gather AveragePool Conv2d");
  OnnxBuilder nothing = model({0, 2, 3, 2, 3}, {0, 1, 2, 3, 4}, {0, 6, 2, 3});
  CHECK(Ops(Finish(&nothing).Import()) == "AveragePool Conv2d");
  OnnxBuilder left = model({0, 2, 3, 2, 3}, {0, 2, 1, 3, 4}, {0, 3, 2, 2, 3});
  CheckOneProblem(Problems(Finish(&left)), {"\"pool\"", "4 dimensions after the batch"});
}

TEST_CASE("onnx: pictures without an axis for their channel: (N, H * W) and (N, H, W)") {
  OnnxBuilder flat({0, 6});
  flat.Initializer("255", {}, {255}).Initializer("s", OnnxBuilder::Integers({-1, 1, 2, 3}));
  flat.Initializer("w", {1, 1, 1, 1}, {1});
  flat.Node("Div", "div", {"x", "255"}, {"d"}).Node("Reshape", "r", {"d", "s"}, {"i"});
  flat.Node("Conv", "conv", {"i", "w"}, {"c"});
  const Network network = Finish(&flat).Import();
  CHECK(ShapeOf(network, network.input) == std::vector<int>{2, 3, 1});
  CHECK(network.input_layout == "nf");
  CHECK(network.input_dims == std::vector<std::size_t>{6});

  OnnxBuilder rows({0, 2, 3});  // x.view(x.size(0), -1)
  rows.Initializer("zero", OnnxBuilder::Integers({0}))
      .Initializer("rest", OnnxBuilder::Integers({-1}));
  rows.Initializer("w", {6, 2}, Count(12));
  rows.Node("Shape", "shape", {"x"}, {"dims"}).Node("Gather", "n", {"dims", "zero"}, {"n"});
  rows.Node("Concat", "target", {"n", "rest"}, {"t"}).Int("axis", 0);
  rows.Node("Reshape", "view", {"x", "t"}, {"v"}).Node("MatMul", "fc", {"v", "w"}, {"y"});
  const Network pictures = rows.Import();
  CHECK(ShapeOf(pictures, pictures.input) == std::vector<int>{2, 3, 1});
  CHECK(pictures.input_layout == "nhw");
}

TEST_CASE("onnx: preprocessing before the transpose of an NHWC export") {
  OnnxBuilder builder({0, 4, 5, 3});
  builder.Initializer("mean", {3}, {1, 2, 3}).Initializer("w", {2, 3, 1, 1}, Count(6));
  builder.Initializer("scale", {}, {0.5f});
  builder.Node("Sub", "sub", {"x", "mean"}, {"s"}).Node("Mul", "mul", {"s", "scale"}, {"m"});
  builder.Node("Transpose", "t", {"m"}, {"i"}).Ints("perm", {0, 3, 1, 2});
  builder.Node("Conv", "conv", {"i", "w"}, {"c"});
  const Network network = Finish(&builder).Import();
  CHECK(ShapeOf(network, network.input) == std::vector<int>{4, 5, 3});
  CHECK(network.input_layout == "nhwc");
  CHECK(network.nodes[0].offset[2] == -3);
}

TEST_CASE("onnx: Squeeze and Unsqueeze, axes as attribute and as input") {
  for (const std::int64_t opset : {11, 13}) {
    CAPTURE(opset);
    OnnxBuilder builder({0, 3, 2, 2}, opset);
    builder.Initializer("w", {3, 3}, Count(9));
    builder.Initializer("axes", OnnxBuilder::Integers({2, -1}));
    const bool as_input = opset == 13;
    const auto add = [&](const char* op, const char* from, const char* to) {
      builder.Node(op, op, {from}, {to});
      if (as_input)
        builder.graph().mutable_node(builder.graph().node_size() - 1)->add_input("axes");
      if (!as_input) builder.Ints("axes", {2, -1});
    };
    builder.Node("GlobalMaxPool", "p", {"x"}, {"p"});
    add("Squeeze", "p", "s");
    builder.Node("Gemm", "fc", {"s", "w"}, {"f"});
    add("Unsqueeze", "f", "u");
    builder.Node("Mul", "m", {"x", "u"}, {"c"});
    CHECK(Ops(Finish(&builder).Import()) == "MaxPool Dense Mul AveragePool Conv2d");
  }
  // A number for each input may be without any other dimension.
  for (const std::vector<std::int64_t>& by : {std::vector<std::int64_t>{1}, {}, {-1}}) {
    OnnxBuilder single({0, 3});
    single.Initializer("w", {3, 1}, Count(3)).Initializer("by", OnnxBuilder::Integers(by));
    single.Node("Gemm", "fc", {"x", "w"}, {"f"});
    const bool reshapes = by == std::vector<std::int64_t>{-1};
    single.Node(reshapes ? "Reshape" : "Squeeze", "s", {"f"}, {"y"});
    if (!by.empty()) single.graph().mutable_node(1)->add_input("by");
    CHECK(Ops(single.Import()) == "Dense");
  }
  OnnxBuilder wide({0, 3, 2, 2});
  wide.Initializer("axes", OnnxBuilder::Integers({2})).Node("Squeeze", "s", {"x", "axes"}, {"y"});
  CheckOneProblem(Problems(wide), {"\"s\" (Squeeze)", "axis 2 has 2 elements"});
  OnnxBuilder twice({0, 3});
  twice.Initializer("axes", OnnxBuilder::Integers({2, 2}));
  CheckOneProblem(Problems(twice.Node("Unsqueeze", "u", {"x", "axes"}, {"y"})), {"given twice"});
}

TEST_CASE("onnx: an NHWC export loses its transposes") {
  // Height 2, width 3, 2 channels. Flattened behind the second Transpose, the order is HWC already.
  OnnxBuilder builder({0, 2, 3, 2});
  builder.Initializer("w", {2, 2, 1, 1}, Count(4)).Initializer("fw", {12, 1}, Count(12));
  builder.Initializer("k", {2}, {1, 2});
  builder.Node("Transpose", "in", {"x"}, {"t"}).Ints("perm", {0, 3, 1, 2});
  builder.Node("Conv", "conv", {"t", "w"}, {"v"});
  builder.Node("Transpose", "out", {"v"}, {"o"}).Ints("perm", {0, 2, 3, 1});
  builder.Node("Add", "bias", {"o", "k"}, {"b"}).Node("Flatten", "flat", {"b"}, {"f"});
  builder.Node("MatMul", "fc", {"f", "fw"}, {"y"});
  builder.Metadata("mean", "0,1").Metadata("std", "1,1");
  const Network network = builder.Import();
  REQUIRE(Ops(network) == "Conv2d Dense");
  CHECK(ShapeOf(network, network.input) == std::vector<int>{2, 3, 2});
  CHECK(network.nodes[0].bias.mu == Floats{1, 2});
  CHECK(network.nodes[1].weights.mu == Count(12));

  // Without the second Transpose it is CHW.
  OnnxBuilder half({0, 2, 3, 2});
  half.Initializer("fw", {12, 1}, Count(12));
  half.Node("Transpose", "in", {"x"}, {"t"}).Ints("perm", {0, 3, 1, 2});
  half.Node("Flatten", "flat", {"t"}, {"f"}).Node("MatMul", "fc", {"f", "fw"}, {"y"});
  CHECK(half.Import().nodes[0].weights.mu == Floats{0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11});

  // One channel: a Reshape does what the Transpose would.
  OnnxBuilder gray({0, 4, 5, 1});
  gray.Initializer("s", OnnxBuilder::Integers({-1, 1, 4, 5}))
      .Initializer("w", {1, 1, 3, 3}, Count(9));
  gray.Node("Reshape", "r", {"x", "s"}, {"r"}).Node("Conv", "conv", {"r", "w"}, {"c"});
  const Network one = Finish(&gray).Import();
  CHECK(ShapeOf(one, one.input) == std::vector<int>{4, 5, 1});

  OnnxBuilder mean({0, 4, 5, 3});
  mean.Node("Transpose", "in", {"x"}, {"t"}).Ints("perm", {0, 3, 1, 2});
  mean.Node("Relu", "r", {"t"}, {"r"});
  mean.Node("Transpose", "out", {"r"}, {"o"}).Ints("perm", {0, 2, 3, 1});
  mean.Node("ReduceMean", "m", {"o"}, {"y"}).Ints("axes", {1, 2}).Int("keepdims", 0);
  CHECK(Ops(mean.Import()) == "Clip AveragePool Conv2d");
}

TEST_CASE("onnx: a Transpose that does not fold away is a Gather where it matters") {
  OnnxBuilder conv({0, 2, 3, 4});
  conv.Initializer("w", {1, 3, 1, 1}, Count(3));
  conv.Node("Transpose", "t", {"x"}, {"t"}).Ints("perm", {0, 2, 1, 3});
  conv.Node("Conv", "conv", {"t", "w"}, {"c"});
  const Network moved = Finish(&conv).Import();
  CHECK(Ops(moved).starts_with("Gather Conv2d"));
  CHECK(ShapeOf(moved, moved.nodes[1].inputs[0]) == std::vector<int>{2, 4, 3});
  OnnxBuilder batch({0, 2, 3, 4});
  batch.Node("Transpose", "t", {"x"}, {"y"}).Ints("perm", {1, 0, 2, 3});
  CheckOneProblem(Problems(batch), {"\"t\" (Transpose)", "perm [1, 0, 2, 3]"});
  // Moving axes of one element changes nothing.
  OnnxBuilder small({0, 1, 4, 4});
  small.Node("Transpose", "t", {"x"}, {"t"}).Ints("perm", {0, 2, 1, 3});
  small.Node("Transpose", "u", {"t"}, {"u"}).Ints("perm", {0, 2, 1, 3});
  small.Node("GlobalAveragePool", "p", {"u"}, {"p"});
  small.Node("Transpose", "v", {"p"}, {"v"}).Ints("perm", {0, 3, 1, 2});
  small.Node("Flatten", "f", {"v"}, {"y"});
  CHECK(Ops(small.Import()) == "AveragePool Conv2d");
}

TEST_CASE("onnx: Concat of images, of vectors and of flattened images") {
  OnnxBuilder builder({0, 2, 2, 2});
  builder.Initializer("w", {1, 2, 1, 1}, Count(2)).Initializer("fw", {12, 1}, Count(12));
  builder.Node("Conv", "conv", {"x", "w"}, {"v"}).Node("Sigmoid", "s", {"v"}, {"s"});
  builder.Node("Flatten", "fa", {"s"}, {"a"}).Node("Flatten", "fb", {"x"}, {"b"});
  builder.Node("Concat", "cat", {"a", "b"}, {"f"}).Int("axis", -1);
  builder.Node("MatMul", "fc", {"f", "fw"}, {"y"});
  const Network network = builder.Import();
  REQUIRE(Ops(network) == "Conv2d Lookup Concat Dense");
  CHECK(ShapeOf(network, network.nodes[2].output) == std::vector<int>{2, 2, 3});
  CHECK(network.nodes[2].inputs == std::vector<int>{network.nodes[1].output, network.input});
  // CHW 0..11 in HWC order.
  CHECK(network.nodes[3].weights.mu == Floats{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});

  OnnxBuilder vectors({0, 2});
  vectors.Node("Relu", "r", {"x"}, {"r"})
      .Node("Concat", "cat", {"x", "r", "x"}, {"y"})
      .Int("axis", 1);
  const Network flat = vectors.Import();
  REQUIRE(Ops(flat) == "Clip Concat Conv2d");
  CHECK(ShapeOf(flat, flat.output) == std::vector<int>{1, 1, 6});

  OnnxBuilder rows({0, 2, 2, 2});
  rows.Node("Relu", "r", {"x"}, {"r"}).Node("Concat", "cat", {"x", "r"}, {"c"}).Int("axis", 2);
  CheckOneProblem(Problems(Finish(&rows)), {"\"cat\" (Concat)", "along axis 2"});
}

// One kSlice of a 3 x 8 x 6 (C, H, W) image, made by the node that `add` adds.
template <typename Add>
Network SliceModel(std::int64_t opset, Add add) {
  OnnxBuilder builder({0, 3, 8, 6}, opset);
  add(builder);
  return Finish(&builder).Import();
}

TEST_CASE("onnx: Slice with inputs, attributes, negative and open ends") {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  const Network inputs = SliceModel(13, [](OnnxBuilder& builder) {
    builder.Initializer("s", OnnxBuilder::Integers({1, -4, 0}));
    builder.Initializer("e", OnnxBuilder::Integers({kMax, -1, 2}));
    builder.Initializer("a", OnnxBuilder::Integers({2, -1, 1}));
    builder.Initializer("t", OnnxBuilder::Integers({3, 2, 1}));
    builder.Node("Slice", "cut", {"x", "s", "e", "a", "t"}, {"c"});
  });
  REQUIRE(Ops(inputs) == "Slice AveragePool Conv2d");
  const Node& cut = inputs.nodes[0];
  // Rows 1, 4, 7; columns 2 and 4; channels 0 and 1.
  CHECK(ShapeOf(inputs, cut.output) == std::vector<int>{3, 2, 2});
  CHECK(std::vector<int>{cut.offset_h, cut.offset_w, cut.offset_c} == std::vector<int>{1, 2, 0});
  CHECK(cut.window.stride_h == 3);
  CHECK(cut.window.stride_w == 2);

  const Network attributes = SliceModel(9, [](OnnxBuilder& builder) {
    builder.Node("Slice", "cut", {"x"}, {"c"});
    builder.Ints("starts", {0, 1}).Ints("ends", {kMax, 100});
  });
  CHECK(ShapeOf(attributes, attributes.nodes[0].output) == std::vector<int>{8, 6, 2});
  CHECK(attributes.nodes[0].offset_c == 1);
  const Network copy = SliceModel(9, [](OnnxBuilder& builder) {
    builder.Node("Slice", "cut", {"x"}, {"c"}).Ints("starts", {0}).Ints("ends", {kMax});
    builder.Ints("axes", {2});
  });
  CHECK(Ops(copy) == "AveragePool Conv2d");

  const auto problem = [](const Dims& start, const Dims& end, const Dims& axis, const Dims& step) {
    return ProblemsOf([&] {
      SliceModel(13, [&](OnnxBuilder& builder) {
        builder.Initializer("s", OnnxBuilder::Integers(start));
        builder.Initializer("e", OnnxBuilder::Integers(end));
        builder.Initializer("a", OnnxBuilder::Integers(axis));
        builder.Initializer("t", OnnxBuilder::Integers(step));
        builder.Node("Slice", "cut", {"x", "s", "e", "a", "t"}, {"c"});
      });
    });
  };
  CheckOneProblem(problem({7}, {0}, {2}, {0}), {"\"cut\" (Slice)", "a step of 0"});
  CheckOneProblem(problem({4}, {4}, {2}, {1}), {"nothing is left of axis 2"});
  CheckOneProblem(problem({0}, {1}, {0}, {1}), {"the batch"});
  CHECK(problem({7}, {0}, {2}, {-1}).empty());
  CHECK(problem({0}, {3}, {1}, {2}).empty());
  CheckOneProblem(problem({0}, {3}, {4}, {2}), {"axis 4 does not exist"});
  CheckOneProblem(problem({0, 1}, {3, 4}, {1}, {1}), {"another length"});
}

TEST_CASE("onnx: Pad with zeros, cropping, and what it cannot do") {
  const Network padded = SliceModel(13, [](OnnxBuilder& builder) {
    builder.Initializer("p", OnnxBuilder::Integers({0, 2, 1, -1, 0, 3, 0, 2}));
    builder.Node("Pad", "pad", {"x", "p"}, {"c"});
  });
  REQUIRE(Ops(padded) == "Slice AveragePool Conv2d");
  const Node& pad = padded.nodes[0];
  CHECK(ShapeOf(padded, pad.output) == std::vector<int>{9, 7, 8});
  CHECK(std::vector<int>{pad.offset_h, pad.offset_w, pad.offset_c} == std::vector<int>{-1, 1, -2});
  const Network attribute = SliceModel(7, [](OnnxBuilder& builder) {
    builder.Node("Pad", "pad", {"x"}, {"c"}).Ints("pads", {0, 0, 1, 0, 0, 0, 0, 0});
  });
  CHECK(attribute.nodes[0].offset_h == -1);
  const Network axes = SliceModel(18, [](OnnxBuilder& builder) {
    builder.Initializer("p", OnnxBuilder::Integers({1, 2})).Initializer("v", {}, {0});
    builder.Initializer("a", OnnxBuilder::Integers({-1}));
    builder.Node("Pad", "pad", {"x", "p", "v", "a"}, {"c"});
  });
  CHECK(ShapeOf(axes, axes.nodes[0].output) == std::vector<int>{8, 9, 3});

  const auto problem = [](const Dims& pads, const char* mode, float value) {
    return ProblemsOf([&] {
      SliceModel(13, [&](OnnxBuilder& builder) {
        builder.Initializer("p", OnnxBuilder::Integers(pads)).Initializer("v", {}, {value});
        builder.Node("Pad", "pad", {"x", "p", "v"}, {"c"}).String("mode", mode);
      });
    });
  };
  CheckOneProblem(problem({0, 0, 1, 0, 0, 0, 0, 0}, "mirror", 0), {"mode \"mirror\" is unknown"});
  CHECK(problem({0, 0, 7, 0, 0, 0, 7, 0}, "reflect", 0).empty());
  CheckOneProblem(problem({0, 0, 8, 0, 0, 0, 0, 0}, "reflect", 0), {"at most 7"});
  CheckOneProblem(problem({0, 0, 0, 0, 0, 0, 9, 0}, "wrap", 0), {"at most 8"});
  CheckOneProblem(problem({0, 0, 1, 0, 0, 0, 0, 0}, "constant", 1), {"padding with 1"});
  CheckOneProblem(problem({1, 0, 0, 0, 0, 0, 0, 0}, "constant", 0), {"the batch"});
  CheckOneProblem(problem({1, 0}, "constant", 0), {"two for each of 4 axes"});
  CheckOneProblem(problem({0, 0, -8, 0, 0, 0, 0, 0}, "constant", 0), {"cannot be cut to 0"});
}

TEST_CASE("onnx: sequences are images of height 1") {
  OnnxBuilder builder({0, 2, 10});
  builder.Initializer("w", {4, 2, 3}, Count(24)).Initializer("one", {4}, {1, 1, 1, 1});
  builder.Initializer("zero", {4}, {0, 0, 0, 0}).Initializer("fw", {16, 1}, Count(16));
  builder.Node("Conv", "conv", {"x", "w"}, {"v"}).Ints("pads", {1, 0}).Ints("strides", {1});
  builder.Node("BatchNormalization", "bn", {"v", "one", "zero", "zero", "one"}, {"n"});
  builder.Node("MaxPool", "p", {"n"}, {"p"}).Ints("kernel_shape", {3}).Ints("strides", {2});
  builder.Node("Flatten", "f", {"p"}, {"f"}).Node("MatMul", "fc", {"f", "fw"}, {"y"});
  const Network network = builder.Import();
  REQUIRE(Ops(network) == "Conv2d Affine MaxPool Dense");
  CHECK(ShapeOf(network, network.input) == std::vector<int>{1, 10, 2});
  CHECK(network.nodes[0].window.kernel_h == 1);
  CHECK(network.nodes[0].window.kernel_w == 3);
  CHECK(network.nodes[0].window.pad_left == 1);
  // [o][i][tap] to [o][tap][i].
  CHECK(network.nodes[0].weights.mu[1] == 3);
  CHECK(ShapeOf(network, network.nodes[2].output) == std::vector<int>{1, 4, 4});
  CHECK(network.nodes[3].weights.mu[1] == 4);
  OnnxBuilder average({0, 2, 10});
  average.Node("AveragePool", "a", {"x"}, {"a"}).Ints("kernel_shape", {2});
  average.Node("GlobalAveragePool", "g", {"a"}, {"g"}).Node("Flatten", "f", {"g"}, {"y"});
  CHECK(Ops(average.Import()) == "AveragePool AveragePool Conv2d");
}

TEST_CASE("onnx: a vector becomes a sequence of one channel where a Conv slides along it") {
  OnnxBuilder at_input({0, 6});
  at_input.Initializer("k", {2, 1, 3}, Count(6)).Initializer("one", OnnxBuilder::Integers({1}));
  at_input.Node("Neg", "neg", {"x"}, {"n"}).Node("Unsqueeze", "u", {"n", "one"}, {"u"});
  at_input.Node("Conv", "conv", {"u", "k"}, {"y"});
  const Network network = at_input.Import();
  CHECK(Ops(network) == "Lookup Conv2d");
  CHECK(ShapeOf(network, network.input) == std::vector<int>{1, 6, 1});
  OnnxBuilder behind({0, 3});  // a layer's channels
  behind.Initializer("w", {3, 6}, Count(18)).Initializer("k", {2, 1, 3}, Count(6));
  behind.Initializer("one", OnnxBuilder::Integers({1})).Node("MatMul", "fc", {"x", "w"}, {"h"});
  behind.Node("Unsqueeze", "u", {"h", "one"}, {"u"}).Node("Conv", "conv", {"u", "k"}, {"y"});
  const Network gathered = behind.Import();
  CHECK(Ops(gathered) == "Dense Gather Conv2d");
  CHECK(ShapeOf(gathered, gathered.output) == std::vector<int>{1, 4, 2});
}

TEST_CASE("onnx: a product along an axis that is not the channels turns it there") {
  OnnxBuilder builder({0, 2, 3});
  builder.Initializer("k", {4, 2, 1}, Count(8)).Initializer("w", {3, 5}, Count(15));
  builder.Node("Conv", "conv", {"x", "k"}, {"c"}).Node("MatMul", "fc", {"c", "w"}, {"m"});
  builder.Node("Flatten", "f", {"m"}, {"f"}).Initializer("v", {20, 2}, Count(40));
  const Network network = builder.Node("MatMul", "last", {"f", "v"}, {"y"}).Import();
  CHECK(Ops(network) == "Conv2d Gather Conv2d Dense");
  CHECK(ShapeOf(network, network.nodes[1].output) == std::vector<int>{1, 4, 3});
  CHECK(ShapeOf(network, network.nodes[2].output) == std::vector<int>{1, 4, 5});
}

}  // namespace
}  // namespace mu8::convert
