// The graph around the nodes: its ends, its order, its tensors and metadata, damaged files.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/converters/onnx/onnx_models.h"

namespace mu8::convert {
namespace {

using namespace testing;

TEST_CASE("onnx: raw data, doubles and copied initializers") {
  OnnxBuilder builder({0, 2});
  onnx::TensorProto raw;
  raw.set_data_type(onnx::TensorProto::DOUBLE);
  raw.add_dims(2);
  raw.add_dims(1);
  raw.set_raw_data(Float64Bytes({0.5, -0.25}));
  builder.Initializer("w", raw).Initializer("b", {1}, {3});
  // PyTorch stores equal parameters once and gives the other its name back with Identity.
  builder.Node("Identity", "", {"b"}, {"b2"});
  builder.Initializer("w2", {1, 1}, {1});
  builder.Node("Gemm", "fc", {"x", "w", "b"}, {"h"}).Node("Gemm", "fc2", {"h", "w2", "b2"}, {"y"});
  const Network network = builder.Import({{"b", Sigma({1}, {0.5f})}, {"b2", Sigma({1}, {0.25f})}});
  CHECK(network.nodes[0].weights.mu == Floats{0.5f, -0.25f});
  CHECK(network.nodes[0].bias.sigma == Floats{0.5f});
  CHECK(network.nodes[1].bias.sigma == Floats{0.25f});
  // Without a sigma of its own the copy would share its source's random variable.
  CheckOneProblem(Problems(builder, {{"b", Sigma({1}, {0.5f})}}),
                  {"\"fc2\" (Gemm)", "shared with \"fc\"", "independently"});
}

TEST_CASE("onnx: Cast of a constant, as exports of hardtanh have it, and of an activation") {
  OnnxBuilder builder({0, 2});
  onnx::TensorProto six = OnnxBuilder::Integers({6});
  builder.Initializer("6", six).Initializer("0", {}, {0});
  builder.Node("Cast", "a", {"0"}, {"low"}).Int("to", onnx::TensorProto::FLOAT);
  builder.Node("Cast", "b", {"6"}, {"high"}).Int("to", onnx::TensorProto::FLOAT);
  builder.Node("Clip", "clip", {"x", "low", "high"}, {"c"});
  builder.Node("Cast", "c", {"c"}, {"y"}).Int("to", onnx::TensorProto::FLOAT);
  const Network network = builder.Import();
  CHECK(Ops(network) == "Clip Conv2d");
  CHECK(network.nodes[0].high == 6);
  OnnxBuilder integers({0, 2});
  integers.Node("Cast", "c", {"x"}, {"y"}).Int("to", onnx::TensorProto::INT64);
  CheckOneProblem(Problems(integers), {"\"c\" (Cast)", "floating-point numbers"});
}

TEST_CASE("onnx: sigmas that fit nothing are all reported") {
  OnnxBuilder builder = GemmModel(3, 2);
  builder.Initializer("unused", {1}, {1});
  const std::vector<std::string> problems =
      Problems(builder, {{"w", Sigma({3, 2}, {0, 0, 0, -1, 0, std::nanf("")})},
                         {"nowhere", Sigma({1}, {1})},
                         {"unused", Sigma({1}, {1})}});
  std::string all;
  for (const std::string& problem : problems) all += problem + "\n";
  CAPTURE(all);
  CHECK(problems.size() == 4);
  CHECK(all.find("\"nowhere.sigma\": there is no initializer \"nowhere\"") != std::string::npos);
  CHECK(all.find("\"unused.sigma\": the initializer is not a weight") != std::string::npos);
  CHECK(all.find("has shape [3, 2] and 6 values, the initializer [2, 3]") != std::string::npos);
  CHECK(all.find("2 of 6 values are negative or not finite, the first is -1") != std::string::npos);
}

TEST_CASE("onnx: sigmas of other weights than the file's, as folded BatchNormalization leaves") {
  const OnnxBuilder builder = GemmModel(3, 2);  // weights 0 to 5
  const auto problems = [&](Floats means) {
    return Problems(builder, {{"w", {{2, 3}, Count(6, 0.1f), std::move(means)}}});
  };
  CHECK(problems(Count(6)).empty());
  CHECK(problems({0, 1, 2, 3, 4.015f, 5}).empty());  // rounded to half precision
  CheckOneProblem(problems({0, 1, 2, 3, 3.9f, 5}),
                  {"\"w.sigma\"", "differ by up to 0.1", "largest is 5", "BatchNormalization",
                   "do_constant_folding=False"});
  CheckOneProblem(problems({0, 1, 2, 3, 4, std::nanf("")}), {"differ by up to nan"});
  // Without means it is said that they are missing, where an exporter may have folded.
  const Posterior bare = {{"w", Sigma({2, 3}, Count(6))}};
  CHECK(builder.Import(bare).notices.empty());
  OnnxBuilder recent = builder, torch = builder;
  recent.model().mutable_opset_import(0)->set_version(18);
  torch.model().set_producer_name("pytorch");
  torch.model().set_producer_version("2.9.0");
  for (const OnnxBuilder& suspect : {recent, torch}) {
    const Network trusted = suspect.Import(bare);
    REQUIRE(trusted.notices.size() == 1);
    CHECK(trusted.notices[0].find("no means beside 1 of its 1 sigmas") != std::string::npos);
    CHECK(suspect.Import({{"w", {{2, 3}, Count(6), Count(6)}}}).notices.empty());
  }
}

TEST_CASE("onnx: all problems of a graph at once") {
  OnnxBuilder builder({0, 2, 6, 6});
  builder.Initializer("w", {2, 2, 1, 1}, Count(4)).Initializer("fw", {2, 3}, Count(6));
  builder.Node("Conv", "conv", {"x", "w"}, {"a"});
  builder.Node("LRN", "up#1", {"a"}, {"u"});
  builder.Node("Sigmoid", "", {"x"}, {"b"});
  // What is unsupported but keeps its shape does not hide what follows.
  builder.Node("Div", "quotient", {"a", "b"}, {"c"});
  builder.Node("MaxPool", "pool", {"c"}, {"d"})
      .Ints("kernel_shape", {3, 3})
      .Ints("strides", {2, 2})
      .Ints("dilations", {2, 2});
  builder.Node("Concat", "cat", {"a", "d"}, {"e"}).Int("axis", 1);
  builder.Node("Resize", "resize", {"d"}, {"g"});
  builder.graph().mutable_node(6)->set_domain("com.example");
  builder.Node("Gemm", "fc", {"g", "fw"}, {"h"});
  builder.Node("Concat", "cat2", {"h", "e", "u"}, {"y"});
  builder.Metadata("mean", "0.5,abc,0.1");
  const std::vector<std::string> problems = Problems(builder, {{"gone", Sigma({1}, {1})}});
  std::string all;
  for (const std::string& problem : problems) all += problem + "\n";
  CAPTURE(all);
  CHECK(problems.size() == 8);
  for (const char* part :
       {"\"up#1\" (LRN): not supported yet: LRN (it divides by the norm",
        "\"quotient\" (Div): Div of two activations", "\"pool\" (MaxPool): dilations",
        "\"cat\" (Concat): input \"d\"", "not supported yet: com.example::Resize",
        "no initializer \"gone\"", "metadata \"mean\": \"abc\" is not a number",
        "only one of \"mean\" and \"std\""}) {
    CAPTURE(part);
    CHECK(all.find(part) != std::string::npos);
  }
}

TEST_CASE("onnx: nodes that the output does not need are not looked at") {
  OnnxBuilder builder = GemmModel(3, 2);
  builder.Node("Loop", "dead", {"x"}, {"unread"});
  CHECK(builder.Import().nodes.size() == 1);
}

TEST_CASE("onnx: inputs and outputs other than one image and its scores") {
  OnnxBuilder two = GemmModel(3, 2);
  two.Input("z", {0, 1});
  CheckOneProblem(Problems(two), {"2 inputs (\"x\", \"z\"), expected one"});
  OnnxBuilder listed = GemmModel(3, 2);
  listed.Input("w", {2, 3});  // IR version 3 lists initializers among the inputs
  CHECK(Problems(listed).empty());
  OnnxBuilder outputs = GemmModel(3, 2);
  outputs.graph().add_output()->set_name("z");
  CheckOneProblem(Problems(outputs), {"2 outputs (\"y\", \"z\")", "--output-name"});
  const TempFile file("outputs.onnx", outputs.model().SerializeAsString());
  CHECK(ImportOnnx(file.path(), {}, "y").nodes.size() == 1);
  CheckOneProblem(ProblemsOf([&] { ImportOnnx(file.path(), {}, "loss"); }),
                  {"no output \"loss\"", "\"y\", \"z\""});
  OnnxBuilder rank({0, 3, 4, 5, 6});
  rank.Node("Relu", "r", {"x"}, {"y"});
  CheckOneProblem(Problems(rank), {"input \"x\"", "shape [batch, 3, 4, 5, 6] is not supported"});
  OnnxBuilder dynamic({0, 3, 0, 4});
  dynamic.Node("Relu", "r", {"x"}, {"y"});
  CheckOneProblem(Problems(dynamic), {"only the batch dimension may be symbolic"});
  OnnxBuilder huge({0, 3, 1 << 20, 1 << 20});
  huge.Node("Relu", "r", {"x"}, {"y"});
  CheckOneProblem(Problems(huge), {"at most"});
  OnnxBuilder image({0, 3, 4, 4});
  image.Node("Relu", "r", {"x"}, {"y"});
  const Network map = image.Import();  // an answer at each of 4 x 4 positions
  CHECK(map.nodes.back().name == "y/identity");
  CHECK(ShapeText(map.values[static_cast<std::size_t>(map.output)]) == "4x4x3");
  OnnxBuilder flat({0, 3, 4, 4});
  flat.Node("Flatten", "f", {"x"}, {"y"});
  CheckOneProblem(Problems(flat), {"a flattened image of 4 x 4 x 3"});
  OnnxBuilder same({0, 3});
  same.Node("Identity", "i", {"x"}, {"y"});
  CheckOneProblem(Problems(same), {"is the input itself"});
  OnnxBuilder missing({0, 3});
  missing.Node("Relu", "r", {"x"}, {"z"});
  CheckOneProblem(Problems(missing), {"no node writes it"});
  OnnxBuilder integers = GemmModel(3, 2);
  integers.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
      onnx::TensorProto::UINT8);
  CheckOneProblem(Problems(integers), {"element type UINT8 is not supported"});
}

TEST_CASE("onnx: graphs out of order or written twice") {
  OnnxBuilder order({0, 3});
  order.Node("Relu", "b", {"a"}, {"y"}).Node("Relu", "a", {"x"}, {"a"});
  CHECK(Ops(order.Import()) == "Clip Conv2d");  // one ReLU, whichever comes first
  OnnxBuilder missing({0, 3});
  missing.Node("Relu", "b", {"a"}, {"y"});
  CheckOneProblem(Problems(missing), {"\"b\" (Relu)", "\"a\" is not written by any node"});
  OnnxBuilder cycle({0, 3});
  cycle.Node("Add", "b", {"x", "d"}, {"c"}).Node("Relu", "c", {"c"}, {"d"});
  cycle.Node("Neg", "d", {"d"}, {"y"});
  CheckOneProblem(Problems(cycle), {"in a cycle: \"b\", \"c\"; expected an acyclic graph"});
  OnnxBuilder itself({0, 3});
  itself.Node("Relu", "b", {"y"}, {"y"});
  CheckOneProblem(Problems(itself), {"in a cycle: \"b\""});
  OnnxBuilder twice({0, 3});
  twice.Node("Relu", "a", {"x"}, {"h"}).Node("Relu", "b", {"h"}, {"y", "h"});
  CheckOneProblem(Problems(twice), {"\"h\" is written twice, again by \"b\""});
  OnnxBuilder duplicate = GemmModel(3, 2);
  duplicate.Initializer("w", {2, 3}, Count(6));
  CheckOneProblem(Problems(duplicate), {"initializer \"w\" is defined twice"});
}

TEST_CASE("onnx: damaged initializers are named") {
  const auto with = [](auto change) {
    OnnxBuilder builder = GemmModel(3, 2);
    change(builder.graph().mutable_initializer(0));
    return Problems(builder);
  };
  using Tensor = onnx::TensorProto;
  CheckOneProblem(with([](Tensor* t) { t->add_float_data(1); }), {"holds 7 values", "needs 6"});
  CheckOneProblem(with([](Tensor* t) {
                    t->clear_float_data();
                    t->set_raw_data("abc");
                  }),
                  {"holds 3 bytes", "needs 24"});
  CheckOneProblem(with([](Tensor* t) { t->set_raw_data(std::string(24, 'a')); }),
                  {"holds 24 bytes (raw_data) and 6 values", "expected one of the two"});
  CheckOneProblem(with([](Tensor* t) { t->set_dims(0, -2); }), {"negative dimension"});
  CheckOneProblem(with([](Tensor* t) {
                    t->set_dims(0, std::int64_t{1} << 62);
                    t->set_dims(1, 4);
                  }),
                  {"too large"});
  CheckOneProblem(with([](Tensor* t) { t->set_data_type(Tensor::FLOAT16); }),
                  {"holds 0 values", "needs 6"});
  CheckOneProblem(with([](Tensor* t) { t->set_data_type(Tensor::COMPLEX64); }),
                  {"data type COMPLEX64 is not supported"});
  CheckOneProblem(with([](Tensor* t) { t->set_data_type(77); }), {"data type 77"});
  CheckOneProblem(with([](Tensor* t) {
                    *t = OnnxBuilder::Integers({1, 2}), t->set_name("w");
                  }),
                  {"weights [2], expected"});
  CheckOneProblem(with([](Tensor* t) { t->set_float_data(2, std::nanf("")); }),
                  {"\"fc\" (Dense)", "weights.mu has 1 not finite"});
}

TEST_CASE("onnx: what is said twice, or otherwise than it is computed") {
  OnnxBuilder attribute = GemmModel(3, 2);
  for (const std::int64_t value : {0, 1}) {
    onnx::AttributeProto* one = attribute.graph().mutable_node(0)->add_attribute();
    one->set_name("transA");
    one->set_type(onnx::AttributeProto::INT);
    one->set_i(value);
  }
  CheckOneProblem(Problems(attribute), {"\"fc\" (Gemm)", "\"transA\" is given twice"});
  OnnxBuilder opset({0, 3}, 17);
  opset.Node("Relu", "r", {"x"}, {"y"});
  opset.model().add_opset_import()->set_version(17);
  CHECK(Problems(opset).empty());
  opset.model().mutable_opset_import(1)->set_version(11);
  CheckOneProblem(Problems(opset), {"operator set of ai.onnx is 17 and 11, expected one"});

  OnnxBuilder declared = GemmModel(3, 2);
  onnx::TensorShapeProto* shape =
      declared.graph().mutable_output(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
  shape->add_dim()->set_dim_param("batch");
  shape->add_dim()->set_dim_value(7);
  const std::vector<std::string> notices = declared.Import().notices;
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].find("output \"y\": is declared as 7 numbers, and computed as 2") !=
        std::string::npos);
  shape->mutable_dim(1)->set_dim_value(2);
  CHECK(declared.Import().notices.empty());
}

TEST_CASE("onnx: operator sets from 7 on") {
  for (const std::int64_t opset : {6, 7, 20, 23, 99}) {
    OnnxBuilder builder({0, 3}, opset);
    builder.Node("Relu", "r", {"x"}, {"y"});
    const std::vector<std::string> problems = Problems(builder);
    if (opset == 6) {
      CheckOneProblem(problems, {"operator set 6", "only 7 and later"});
    } else {
      CHECK(problems.empty());
      CHECK(builder.Import().notices.size() == (opset == 99 ? 1U : 0U));
    }
  }
}

TEST_CASE("onnx: half precision, as bits or as bytes") {
  const auto weights = [](const std::vector<std::uint16_t>& bits, int type, bool raw) {
    OnnxBuilder builder = GemmModel(2, 2);
    onnx::TensorProto* tensor = builder.graph().mutable_initializer(0);
    tensor->clear_float_data();
    tensor->set_data_type(type);
    std::string bytes;
    for (const std::uint16_t number : bits) {
      bytes += LittleEndian(number);
      if (!raw) tensor->add_int32_data(number);
    }
    if (raw) tensor->set_raw_data(bytes);
    return builder.Import().nodes[0].weights.mu;
  };
  for (const bool raw : {false, true}) {
    // One, the least subnormal, the greatest, minus two.
    CHECK(weights({0x3c00, 0x0001, 0x7bff, 0xc000}, onnx::TensorProto::FLOAT16, raw) ==
          Floats{1, 0x1p-24f, 65504, -2});
    CHECK(weights({0x3f80, 0x0080, 0x7f7f, 0xc000}, onnx::TensorProto::BFLOAT16, raw) ==
          Floats{1, 0x1p-126f, 0x1.fep127f, -2});
  }
  CHECK_THROWS_AS(weights({0x7c00, 0, 0, 0}, onnx::TensorProto::FLOAT16, true), host::Error);
  OnnxBuilder halves({0, 2});  // a network of halves
  halves.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
      onnx::TensorProto::FLOAT16);
  halves.Node("Cast", "c", {"x"}, {"y"}).Int("to", onnx::TensorProto::FLOAT16);
  CheckOneProblem(Problems(halves), {"is the input itself"});
}

TEST_CASE("onnx: metadata") {
  const auto model = [] {
    OnnxBuilder builder({0, 3, 4, 4});
    builder.Node("GlobalAveragePool", "pool", {"x"}, {"p"}).Node("Flatten", "f", {"p"}, {"y"});
    return builder;
  };
  OnnxBuilder good = model();
  good.Metadata("mean", "0.5, 0.25,0")
      .Metadata("std", "1,2e-1,3")
      .Metadata("labels", "a\nb c\r\nd\n");
  good.Metadata("other", "ignored");
  const Network network = good.Import();
  CHECK(network.mean == Floats{0.5f, 0.25f, 0});
  CHECK(network.std == Floats{1, 0.2f, 3});
  CHECK(network.labels == std::vector<std::string>{"a", "b c", "d"});

  OnnxBuilder bad = model();
  bad.Metadata("mean", "1,2").Metadata("std", "1,0,1").Metadata("labels", "a\n\nb\nc");
  const std::vector<std::string> problems = Problems(bad);
  std::string all;
  for (const std::string& problem : problems) all += problem + "\n";
  CAPTURE(all);
  CHECK(problems.size() == 4);
  CHECK(all.find("\"mean\": 2 numbers, the input has 3 channels") != std::string::npos);
  CHECK(all.find("\"std\": 0 is not positive") != std::string::npos);
  CHECK(all.find("line 2 is empty") != std::string::npos);
  CHECK(all.find("4 labels, the output has 3 classes") != std::string::npos);

  OnnxBuilder flat = GemmModel(3, 2);
  flat.Metadata("mean", "0.5").Metadata("std", "2");
  CHECK(flat.Import().mean == Floats{0.5f});
}

TEST_CASE("onnx: files that are something else are named") {
  const auto read = [](const std::string& content) {
    const TempFile file("model.onnx", content);
    return ProblemsOf([&] { ImportOnnx(file.path(), {}); });
  };
  CheckOneProblem(ProblemsOf([] { ImportOnnx("/nonexistent.onnx", {}); }),
                  {"/nonexistent.onnx", "no such file"});
  CheckOneProblem(read(""), {"empty", "an ONNX model"});
  CheckOneProblem(read("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 99\n"),
                  {"model.onnx", "Git LFS pointer", "99 bytes", "git lfs pull"});
  CheckOneProblem(read("PK\x03\x04 not protobuf"), {"no ONNX model but a ZIP archive"});
  CheckOneProblem(read("\x89HDF\r\n"), {"an HDF5 file", "tf2onnx"});
  CheckOneProblem(read(std::string("\x1c\0\0\0TFL3", 8)), {"a TensorFlow Lite model"});
  CheckOneProblem(read("<html></html>"), {"13 bytes", "starts with 3c 68 74 6d"});
  CheckOneProblem(read(std::string(100, '\0')), {"100 bytes", "no field of an ONNX model"});
  onnx::ModelProto empty;
  empty.set_ir_version(7);
  CheckOneProblem(read(empty.SerializeAsString()), {"has no graph"});
}

TEST_CASE("onnx: every truncation of a model is an error") {
  const std::string bytes = BatchNormModel().Bytes();
  const TempFile file("model.onnx");
  std::size_t rejected = 0, named = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    file.Write(bytes.substr(0, size));
    const std::vector<std::string> problems = ProblemsOf([&] { ImportOnnx(file.path(), {}); });
    rejected += problems.empty() ? 0U : 1U;
    named += !problems.empty() && problems[0].find("truncated") != std::string::npos ? 1U : 0U;
  }
  CHECK(rejected == bytes.size());
  CHECK(named + 10 > bytes.size());
}

TEST_CASE("onnx: no changed byte of a model crashes the importer") {
  const std::string bytes = BatchNormModel().Bytes();
  const TempFile file("model.onnx");
  std::size_t tried = 0, rejected = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const unsigned flip : {0x01u, 0x10u, 0x80u, 0xffu}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ flip);
      file.Write(damaged);
      ++tried;
      rejected += ProblemsOf([&] { ImportOnnx(file.path(), {}); }).empty() ? 0U : 1U;
    }
  }
  CAPTURE(tried);
  CHECK(rejected > tried / 2);
}

}  // namespace
}  // namespace mu8::convert
