// Nodes that become gathers, alone or with convolutions: Resize, Upsample, DepthToSpace,
// SpaceToDepth, Split, steps back, padding by what is there. tests/end_to_end/test_onnx_graphs.py
// compares them with PyTorch.
#include <doctest/doctest.h>

#include <limits>

#include "tests/converters/onnx/onnx_models.h"

namespace mu8::convert {
namespace {

using namespace testing;

// Sources of the rows, columns or channels of a gather, by the field that an axis uses; -1: zero.
std::vector<int> RowsOf(const Node& gather) {
  std::vector<int> rows;
  for (const format::GatherPlace& place : gather.rows) {
    rows.push_back(place.row == format::kOutside ? -1 : static_cast<int>(place.row));
  }
  return rows;
}

// Input (N, 2, H, W) "x" -> the node that `add` adds -> "c".
template <typename Add>
OnnxBuilder Model(std::int64_t height, std::int64_t width, std::int64_t opset, Add add) {
  OnnxBuilder builder({0, 2, height, width}, opset);
  add(builder);
  return testing::Finish(&builder);
}

// Nearest neighbours of `size` rows, by sizes or by a scale.
struct Resizing {
  const char* mode = "nearest";
  const char* coordinates = "half_pixel";
  const char* nearest = "round_prefer_floor";
};

OnnxBuilder ResizeModel(const Resizing& resizing, std::int64_t from, float scale,
                        std::int64_t to = 0) {
  return Model(from, 3, 13, [&](OnnxBuilder& builder) {
    builder.Initializer("s", {4}, {1, 1, scale, 1});
    builder.Initializer("z", OnnxBuilder::Integers({1, 2, to, 3}));
    const std::vector<std::string> inputs = to == 0 ? std::vector<std::string>{"x", "", "s"}
                                                    : std::vector<std::string>{"x", "", "", "z"};
    builder.Node("Resize", "resize", inputs, {"c"}).String("mode", resizing.mode);
    builder.String("coordinate_transformation_mode", resizing.coordinates);
    builder.String("nearest_mode", resizing.nearest);
  });
}

TEST_CASE("onnx: Resize to nearest neighbours, in every way to count and to round") {
  const auto rows = [](const Resizing& resizing, std::int64_t from, float scale,
                       std::int64_t to = 0) {
    const Network network = ResizeModel(resizing, from, scale, to).Import();
    REQUIRE(network.nodes[0].op == Op::kGather);
    CHECK(network.nodes[0].columns.size() == 3);
    return RowsOf(network.nodes[0]);
  };
  using Rows = std::vector<int>;
  CHECK(rows({}, 3, 2.0F) == Rows{0, 0, 1, 1, 2, 2});
  CHECK(rows({}, 3, 0.0F, 6) == Rows{0, 0, 1, 1, 2, 2});
  CHECK(rows({}, 4, 0.5F) == Rows{0, 2});  // 0.5 and 2.5
  CHECK(rows({.nearest = "round_prefer_ceil"}, 4, 0.5F) == Rows{1, 3});
  CHECK(rows({.nearest = "floor"}, 4, 0.5F) == Rows{0, 2});
  CHECK(rows({.nearest = "ceil"}, 4, 0.5F) == Rows{1, 3});
  CHECK(rows({.coordinates = "asymmetric", .nearest = "floor"}, 2, 2.5F) == Rows{0, 0, 0, 1, 1});
  CHECK(rows({.coordinates = "align_corners"}, 2, 0.0F, 5) == Rows{0, 0, 0, 1, 1});
  CHECK(rows({.coordinates = "pytorch_half_pixel"}, 3, 0.0F, 1) == Rows{0});
  CHECK(rows({}, 3, 0.0F, 1) == Rows{1});
}

TEST_CASE("onnx: linear Resize is a product along each axis that changes") {
  const Network network = ResizeModel({.mode = "linear"}, 2, 2.0F).Import();
  REQUIRE(Ops(network) == "Gather Conv2d Gather AveragePool Conv2d");
  CHECK(ShapeOf(network, network.nodes[0].output) == std::vector<int>{3, 2, 2});
  CHECK(network.nodes[1].weights.mu == Floats{1, 0, 0.75F, 0.25F, 0.25F, 0.75F, 0, 1});
  CHECK(network.nodes[1].weights.sigma.empty());
  CHECK(ShapeOf(network, network.nodes[2].output) == std::vector<int>{4, 3, 2});
  const Network aligned =
      ResizeModel({.mode = "linear", .coordinates = "align_corners"}, 2, 0.0F, 3).Import();
  CHECK(aligned.nodes[1].weights.mu == Floats{1, 0, 0.5F, 0.5F, 0, 1});
}

TEST_CASE("onnx: Upsample, and Resize before operator set 11") {
  for (const std::int64_t opset : {7, 9, 10}) {
    const Network network =
        Model(2, 3, opset, [&](OnnxBuilder& builder) {
          builder.Initializer("s", {4}, {1, 1, 3, 1});
          const char* op = opset == 10 ? "Resize" : "Upsample";
          builder.Node(
              op, "up",
              opset == 7 ? std::vector<std::string>{"x"} : std::vector<std::string>{"x", "s"},
              {"c"});
          if (opset == 7) {
            onnx::AttributeProto* scales =
                builder.graph().mutable_node(builder.graph().node_size() - 1)->add_attribute();
            scales->set_name("scales");
            scales->set_type(onnx::AttributeProto::FLOATS);
            for (const float scale : {1.0F, 1.0F, 3.0F, 1.0F}) scales->add_floats(scale);
          }
        }).Import();
    CHECK(RowsOf(network.nodes[0]) == std::vector<int>{0, 0, 0, 1, 1, 1});
  }
  const OnnxBuilder shrinking = Model(4, 3, 10, [](OnnxBuilder& builder) {
    builder.Initializer("s", {4}, {1, 1, 0.75F, 1}).Node("Resize", "up", {"x", "s"}, {"c"});
  });
  CheckOneProblem(Problems(shrinking), {"\"up\" (Resize)", "does not define"});
}

TEST_CASE("onnx: what Resize cannot do is named") {
  CheckOneProblem(Problems(ResizeModel({.mode = "cubic"}, 2, 2.0F)), {"mode \"cubic\""});
  CheckOneProblem(Problems(ResizeModel({.coordinates = "tf_crop_and_resize"}, 2, 2.0F)),
                  {"\"tf_crop_and_resize\" is not supported"});
  CheckOneProblem(Problems(ResizeModel({.nearest = "random"}, 2, 2.0F)), {"\"random\" is unknown"});
  CheckOneProblem(Problems(ResizeModel({}, 2, 0.25F)), {"axis 2 of 2 elements", "fewer than 1"});
  CheckOneProblem(Problems(ResizeModel({}, 2, -1.0F)), {"fewer than 1"});
  CheckOneProblem(Problems(ResizeModel({}, 2, std::numeric_limits<float>::quiet_NaN())),
                  {"fewer than 1"});
  const OnnxBuilder antialias = Model(4, 3, 18, [](OnnxBuilder& builder) {
    builder.Initializer("s", {1}, {0.5F}).Node("Resize", "r", {"x", "", "s"}, {"c"});
    builder.String("mode", "linear").Int("antialias", 1).Ints("axes", {2});
  });
  CheckOneProblem(Problems(antialias), {"antialias 1"});
  const OnnxBuilder batch = Model(4, 3, 18, [](OnnxBuilder& builder) {
    builder.Initializer("s", {1}, {2}).Node("Resize", "r", {"x", "", "s"}, {"c"});
    builder.Ints("axes", {0});
  });
  CheckOneProblem(Problems(batch), {"axis 0, the batch"});
}

TEST_CASE("onnx: ConvTranspose of wrong shapes") {
  const auto model = [](const Dims& weights, std::int64_t group, const Dims& output_shape) {
    return Model(3, 3, 13, [&](OnnxBuilder& builder) {
      std::size_t count = 1;
      for (const std::int64_t dim : weights) count *= static_cast<std::size_t>(dim);
      builder.Initializer("w", weights, Count(count));
      builder.Node("ConvTranspose", "up", {"x", "w"}, {"c"}).Int("group", group);
      builder.Ints("strides", {2, 2});
      if (!output_shape.empty()) builder.Ints("output_shape", output_shape);
    });
  };
  CHECK(Problems(model({2, 3, 2, 2}, 1, {})).empty());
  CHECK(Problems(model({2, 3, 2, 2}, 1, {6, 4})).empty());
  CheckOneProblem(Problems(model({3, 3, 2, 2}, 1, {})), {"read 3 channels, the input has 2"});
  CheckOneProblem(Problems(model({2, 3, 2, 2}, 3, {})), {"group 3 does not divide 2"});
  CheckOneProblem(Problems(model({2, 3}, 1, {})), {"0-D transposed convolution"});
  CheckOneProblem(Problems(model({2, 3, 2, 2}, 1, {7, 4})), {"7 elements", "reach 6"});
  // The operator's page, and onnxruntime: the odd element is cut off before the first.
  CHECK(model({2, 3, 2, 2}, 1, {5, 4}).Import().nodes[0].window.pad_top == 1);
}

TEST_CASE("onnx: ConvTranspose with auto_pad SAME cuts to the stride's multiple") {
  for (const char* pad : {"SAME_UPPER", "SAME_LOWER"}) {
    const Network network = Model(3, 3, 13, [&](OnnxBuilder& builder) {
                              builder.Initializer("w", {2, 2, 3, 3}, Count(36));
                              builder.Node("ConvTranspose", "up", {"x", "w"}, {"c"});
                              builder.Ints("strides", {2, 2}).String("auto_pad", pad);
                            }).Import();
    // 7 rows are cut to 6.
    CHECK(ShapeOf(network, network.nodes[0].output) == std::vector<int>{6, 6, 2});
    CHECK(network.nodes[0].window.pad_top == (std::string(pad) == "SAME_UPPER" ? 0 : 1));
  }
}

TEST_CASE("onnx: Split, steps back, and other pads") {
  const Network split = Model(6, 3, 13, [](OnnxBuilder& builder) {
                          builder.Initializer("s", OnnxBuilder::Integers({4, 2}));
                          builder.Node("Split", "split", {"x", "s"}, {"a", "c"}).Int("axis", 2);
                        }).Import();
  REQUIRE(split.nodes[0].op == Op::kSlice);
  CHECK(split.nodes[0].offset_h == 4);
  CHECK(ShapeOf(split, split.nodes[0].output) == std::vector<int>{2, 3, 2});
  const OnnxBuilder uneven = Model(6, 3, 13, [](OnnxBuilder& builder) {
    builder.Initializer("s", OnnxBuilder::Integers({4, 3}));
    builder.Node("Split", "split", {"x", "s"}, {"a", "c"}).Int("axis", 2);
  });
  CheckOneProblem(Problems(uneven), {"\"split\" (Split)", "splits 6 elements into [4, 3]"});
  const OnnxBuilder batch = Model(6, 3, 13, [](OnnxBuilder& builder) {
    builder.Node("Split", "split", {"x"}, {"c"}).Int("axis", 0);
  });
  CheckOneProblem(Problems(batch), {"axis 0 cannot be split"});

  const Network back = Model(6, 3, 9, [](OnnxBuilder& builder) {
                         builder.Initializer("e", OnnxBuilder::Integers({0}));
                         builder.Initializer("b", OnnxBuilder::Integers({-1}));
                         builder.Initializer("a", OnnxBuilder::Integers({2}));
                         builder.Initializer("t", OnnxBuilder::Integers({-2}));
                         builder.Node("Slice", "cut", {"x", "b", "e", "a", "t"}, {"c"});
                       }).Import();
  CHECK(RowsOf(back.nodes[0]) == std::vector<int>{5, 3, 1});
  for (const auto& [mode, rows] : {std::pair{"reflect", std::vector<int>{2, 1, 0, 1, 2, 1}},
                                   std::pair{"edge", std::vector<int>{0, 0, 0, 1, 2, 2}},
                                   std::pair{"wrap", std::vector<int>{1, 2, 0, 1, 2, 0}}}) {
    const char* name = mode;
    const Network padded =
        Model(3, 3, 13, [&](OnnxBuilder& builder) {
          builder.Initializer("p", OnnxBuilder::Integers({0, 0, 2, 0, 0, 0, 1, 0}));
          builder.Node("Pad", "pad", {"x", "p"}, {"c"}).String("mode", name);
        }).Import();
    CHECK(RowsOf(padded.nodes[0]) == rows);
  }
}

TEST_CASE("onnx: blocks that do not fit") {
  const auto problem = [](const char* op, std::int64_t block) {
    return Problems(Model(6, 3, 13, [&](OnnxBuilder& builder) {
      builder.Node(op, "op", {"x"}, {"c"}).Int("blocksize", block);
    }));
  };
  CheckOneProblem(problem("DepthToSpace", 2), {"blocksize 2 does not divide 2 channels"});
  CheckOneProblem(problem("SpaceToDepth", 2), {"blocksize 2 does not divide 6 x 3"});
  CheckOneProblem(problem("SpaceToDepth", 0), {"blocksize 0"});
  CHECK(problem("SpaceToDepth", 3).empty());
  CHECK(problem("DepthToSpace", 1).empty());
}

TEST_CASE("onnx: indices that a Gather of an activation cannot have") {
  const auto problem = [](std::int64_t axis, const std::vector<std::int64_t>& indices,
                          bool is_table = false) {
    return Problems(Model(6, 3, 13, [&](OnnxBuilder& builder) {
      onnx::TensorProto tensor = OnnxBuilder::Integers(indices);
      if (is_table) tensor.add_dims(1);
      builder.Initializer("i", tensor);
      builder.Node("Gather", "op", {"x", "i"}, {"c"}).Int("axis", axis);
    }));
  };
  CHECK(problem(2, {-6, 5}).empty());
  CheckOneProblem(problem(2, {-7, 5}), {"index -7 of axis 2, which has 6 elements"});
  CheckOneProblem(problem(-1, {3}), {"index 3 of axis 3, which has 3 elements"});
  CheckOneProblem(problem(0, {0}), {"axis 0, the batch"});
  CheckOneProblem(problem(1, {0, 1}, true), {"dimensions [2, 1], expected one index or a list"});
}

// Found before anything of that size is made.
TEST_CASE("onnx: what a few bytes of a file could ask for") {
  const OnnxBuilder blocks = Model(2048, 2048, 13, [](OnnxBuilder& builder) {
    builder.Node("SpaceToDepth", "op", {"x"}, {"c"}).Int("blocksize", 2048);
  });
  CheckOneProblem(Problems(blocks), {"\"op\" (SpaceToDepth)", "8388608 elements along an axis"});
  const OnnxBuilder matrix = ResizeModel({.mode = "linear"}, 1 << 16, 16.0F);
  CheckOneProblem(Problems(matrix), {"\"resize\" (Resize)", "many times what the file holds"});
}

}  // namespace
}  // namespace mu8::convert
