// Converting files: what the result holds, what is refused with which words, and what is left on
// disk. Whether the engine then computes the right thing is test_lower.cpp's question.
#include <doctest/doctest.h>

#include <filesystem>
#include <functional>

#include "converters/convert.h"
#include "converters/host/files.h"
#include "converters/host/output_file.h"
#include "formats/reader.h"
#include "tests/converters/convert_fixture.h"
#include "tests/converters/png.h"

namespace mu8::convert {
namespace {

using namespace testing;

SmallNet Net(double spread = 0.1) {
  SmallNet net(2, 7, 6, 1, spread);
  net.Conv(5, {.pads = {1, 1, 1, 1}}).BatchNorm().Relu().Pool("MaxPool", {2, 2}, {2, 2});
  net.Flatten().Gemm(3);
  return net;
}

// The problems of converting Net() after `change` to its options or files.
std::vector<std::string> Problems(
    const std::function<void(const Folder&, ConvertOptions*)>& change) {
  const Folder folder;
  SmallNet net = Net();
  ConvertOptions options = net.Write(folder);
  change(folder, &options);
  return ProblemsOf([&] { Convert(options); });
}

std::string Metadata(const ConvertResult& result, std::string_view key) {
  const mu8::testing::AlignedBytes bytes{std::span<const std::byte>(result.file)};
  Model model;
  REQUIRE(Model::Open(bytes.span(), &model) == Status::kOk);
  return std::string(model.Metadata(key));
}

TEST_CASE("convert: the result opens, and its report and metadata say what was done") {
  const Folder folder;
  SmallNet net = Net();
  ConvertOptions options = net.Write(folder);
  options.sigma_bits = 4;
  options.labels = {"ant", "bee", "cat"};
  options.name = "insects";
  std::vector<std::string> stages;
  double last = 0.0;
  options.progress = [&](const std::string& stage, double fraction) {
    if (stages.empty() || stages.back() != stage) stages.push_back(stage);
    last = fraction;
  };
  const ConvertResult result = Convert(options);
  CHECK(stages == std::vector<std::string>{"import", "calibrate", "quantize", "judge"});
  CHECK(last == 1.0);
  CHECK(result.calibration_images == 70);
  CHECK(result.notices.empty());
  const mu8::testing::AlignedBytes bytes{std::span<const std::byte>(result.file)};
  Model model;
  REQUIRE(Model::Open(bytes.span(), &model) == Status::kOk);
  CHECK(model.input_height() == 7);
  CHECK(model.input_width() == 6);
  CHECK(model.input_channels() == 2);
  CHECK(model.class_count() == 3);
  CHECK(model.name() == "insects");
  CHECK(model.label(2) == "cat");
  CHECK(model.Metadata("mean") == "0.400000006,0.400000006");
  CHECK(model.Metadata("sigma_quantizer") == "weighted");
  CHECK(model.Metadata("calibration.images") == "70");
  CHECK(model.Metadata("layers") == "Conv1\nMaxPool4\nGemm6");
  CHECK(result.arena_bytes == ArenaBytes(model, {}));
  REQUIRE(result.layers.size() == 3);
  const LayerReport& conv = result.layers[0];
  CHECK(conv.name == "Conv1");
  CHECK(conv.op == "Conv2d + ReLU");
  CHECK(conv.shape == "5x3x3x2");
  CHECK(conv.weights == 90);
  CHECK(conv.bayesian);
  CHECK(conv.sigma_bits == 4);
  CHECK(conv.weight_scale_min > 0.0F);
  CHECK(conv.weight_scale_min <= conv.weight_scale_max);
  CHECK(conv.variance_kept_weighted > 0.9);
  CHECK(conv.variance_kept_weighted < 1.1);
  CHECK(conv.mean_sqnr_db > 30.0);
  CHECK(conv.noise_sqnr_db > 10.0);
  CHECK(conv.output_saturation < 0.05);
  CHECK(result.layers[1].shape == "7x6x5 -> 3x3x5");
  CHECK(result.layers[1].weights == 0);
  CHECK(result.layers[2].shape == "3x45");
}

TEST_CASE("convert: labels, name and normalization come from the ONNX file unless given") {
  const Folder folder;
  SmallNet net = Net();
  net.builder.Metadata("mean", "0.1,0.2").Metadata("std", "0.5,0.25").Metadata("labels", "a\nb\nc");
  ConvertOptions options = net.Write(folder);
  options.mean.clear();
  options.std.clear();
  ConvertResult result = Convert(options);
  CHECK(Metadata(result, "mean") == "0.100000001,0.200000003");
  CHECK(Metadata(result, "std") == "0.5,0.25");
  CHECK(Metadata(result, "labels") == "a\nb\nc");
  CHECK(Metadata(result, "name") == "model");
  CHECK(result.notices.empty());
  options.mean = {0.0F, 0.0F};
  options.labels = {"x", "y", "z"};
  result = Convert(options);
  CHECK(Metadata(result, "mean") == "0,0");
  CHECK(Metadata(result, "labels") == "x\ny\nz");
}

TEST_CASE("convert: an unknown input normalization is assumed to be u8 / 255, with a notice") {
  const Folder folder;
  SmallNet net = Net();
  ConvertOptions options = net.Write(folder);
  options.mean.clear();
  options.std.clear();
  options.head.head = Head::kSoftmax;
  const ConvertResult result = Convert(options);
  CHECK(Metadata(result, "mean") == "0,0");
  CHECK(Metadata(result, "std") == "1,1");
  REQUIRE(result.notices.size() == 1);
  CHECK(result.notices[0].find("x = u8 / 255") != std::string::npos);
}

TEST_CASE("convert: every sigma width and rule gives a file that grows with the width") {
  const Folder folder;
  SmallNet net = Net();
  ConvertOptions options = net.Write(folder);
  std::size_t before = 1U << 30;
  for (const int bits : {8, 4, 2, 1, 0}) {
    options.sigma_bits = bits;
    options.sigma_quantizer = SigmaQuantizer::kWeighted;
    const ConvertResult weighted = Convert(options);
    CAPTURE(bits);
    CHECK(weighted.file.size() <= before);
    before = weighted.file.size();
    if (bits == 0) continue;
    options.sigma_quantizer = SigmaQuantizer::kAffine;
    const ConvertResult affine = Convert(options);
    CHECK(Metadata(affine, "sigma_quantizer") == "affine");
    CHECK(affine.file.size() == weighted.file.size());
  }
}

TEST_CASE("convert: the same inputs give the same bytes, another seed or limit others") {
  const Folder folder;
  SmallNet net = Net(0.5);
  ConvertOptions options = net.Write(folder);
  for (const int bits : {8, 4, 1}) {
    options.sigma_bits = bits;
    const ConvertResult one = Convert(options);
    CHECK(one.file == Convert(options).file);
    ConvertOptions other = options;
    other.seed = 2;
    CHECK(one.file != Convert(other).file);
    other = options;
    other.calibration_limit = 20;
    const ConvertResult few = Convert(other);
    CHECK(few.calibration_images == 20);
    CHECK(one.file != few.file);
  }
}

TEST_CASE("convert: all option errors at once") {
  const std::vector<std::string> problems = Problems([](const Folder&, ConvertOptions* options) {
    options->sigma_bits = 3;
    options->calibration_limit = 0;
    options->calibration_passes = -1;
    options->model_path = "not even looked at";
  });
  REQUIRE(problems.size() == 3);
  CHECK(problems[0] == "sigma bits are 3, expected 8, 4, 2, 1 or 0");
  CHECK(problems[1] == "calibration limit is 0, expected 1 or more");
  CHECK(problems[2] == "calibration passes are -1, expected 1 or more");
}

TEST_CASE("convert: option errors one by one") {
  CheckOneProblem(Problems([](const Folder&, ConvertOptions* options) {
                    options->sigma_bits = 0;
                    options->sigma_quantizer = SigmaQuantizer::kAffine;
                  }),
                  {"affine sigma quantizer needs at least 1 bit"});
  CheckOneProblem(Problems([](const Folder&, ConvertOptions* options) {
                    options->mean = {0.5F, 0.5F, 0.5F};
                  }),
                  {"mean and std have 3 and 2 values", "each of the 2 input channels"});
  CheckOneProblem(Problems([](const Folder&, ConvertOptions* options) {
                    options->std = {1.0F, 0.0F};
                  }),
                  {"std must be positive"});
  CheckOneProblem(Problems([](const Folder&, ConvertOptions* options) {
                    options->std = {1.0F, std::nanf("")};
                  }),
                  {"std must be positive"});
  CheckOneProblem(Problems([](const Folder&, ConvertOptions* options) {
                    options->labels = {"a", "b"};
                  }),
                  {"there are 2 labels for 3 classes"});
}

// Stages that a conversion of Net() reaches after `change` to its options, and its problems.
std::vector<std::string> StagesUntilRefused(const std::function<void(ConvertOptions*)>& change,
                                            std::vector<std::string>* problems) {
  std::vector<std::string> stages;
  *problems = Problems([&](const Folder&, ConvertOptions* options) {
    change(options);
    options->progress = [&](const std::string& stage, double) {
      if (stages.empty() || stages.back() != stage) stages.push_back(stage);
    };
  });
  return stages;
}

TEST_CASE("convert: what options say of the network is refused before anything is measured") {
  const std::vector<std::string> import_only = {"import"};
  std::vector<std::string> problems;
  CHECK(StagesUntilRefused(
            [](ConvertOptions* options) {
              options->labels = {"a", "b"};
            },
            &problems) == import_only);
  CheckOneProblem(problems, {"there are 2 labels for 3 classes"});
  CHECK(StagesUntilRefused(
            [](ConvertOptions* options) {
              options->labels = {"a", "", "b\nc"};
            },
            &problems) == import_only);
  REQUIRE(problems.size() == 2);
  CHECK(problems[0] == "label 1 is empty, expected the name of a class");
  CHECK(problems[1] == "label 2 holds a line break, expected the name of a class");
  CHECK(StagesUntilRefused([](ConvertOptions* options) { options->layer_mu_bits["Conv9"] = {4}; },
                           &problems) == import_only);
  CheckOneProblem(problems, {"bits are given for 'Conv9', which is no layer with weights"});
  CHECK(StagesUntilRefused(
            [](ConvertOptions* options) {
              options->layer_mu_bits["Conv1"] = {4, 4};
            },
            &problems) == import_only);
  CheckOneProblem(problems, {"layer 'Conv1' has 1 panels"});
  CHECK(StagesUntilRefused(
            [](ConvertOptions* options) {
              options->mean = {0.5F, std::nanf("")};
            },
            &problems) == import_only);
  CheckOneProblem(problems, {"mean must be finite"});
}

// A pool over `width` pixels in one row, as the importer takes it and the format may not.
SmallNet WidePool(int width) {
  SmallNet net(2, 1, width, 1, 0.1);
  net.Pool("MaxPool", {1, width}, {1, 1}).Flatten().Gemm(3);
  return net;
}

TEST_CASE("convert: limits of the format are refused by node before anything is measured") {
  const Folder folder;
  SmallNet fits = WidePool(1024);
  CHECK(Convert(fits.Write(folder, 4)).layers[0].shape == "1x1024x2 -> 1x1x2");
  SmallNet wide = WidePool(2000);
  ConvertOptions options = wide.Write(folder, 4);
  std::vector<std::string> stages;
  options.progress = [&](const std::string& stage, double) { stages.push_back(stage); };
  CheckOneProblem(ProblemsOf([&] { Convert(options); }),
                  {"node \"MaxPool1\" (MaxPool): its kernel is 1 x 2000, a .mu8 file holds at most "
                   "1024 each way"});
  CHECK(stages == std::vector<std::string>{"import"});
}

TEST_CASE("convert: a dense layer of as many inputs as an accumulator can add") {
  const Folder folder;
  const auto dense = [](int width) {
    SmallNet net(1, 2, width, 1, 0.1);
    net.Flatten().Gemm(2);
    return net;
  };
  SmallNet fits = dense(33120);  // 2.3 million units are left for the bias
  CHECK(Convert(fits.Write(folder, 4)).layers[0].shape == "2x66240");
  SmallNet wide = dense(33156);
  const ConvertOptions options = wide.Write(folder, 4);
  CheckOneProblem(ProblemsOf([&] { Convert(options); }),
                  {"(Dense): adds 66312 products", "at most 66308"});
}

TEST_CASE("convert: two classes of one name are told, not refused") {
  const Folder folder;
  SmallNet net = Net();
  ConvertOptions options = net.Write(folder);
  options.labels = {"crane", "owl", "crane"};
  const ConvertResult result = Convert(options);
  CHECK(Metadata(result, "labels") == "crane\nowl\ncrane");
  REQUIRE(result.notices.size() == 1);
  CHECK(result.notices[0] == "classes 0 and 2 are both named 'crane'");
}

TEST_CASE("convert: the names of calibration folders become no labels, and a notice says so") {
  const Folder folder;
  SmallNet net(1, 4, 4, 3, 0.1);
  net.Flatten().Gemm(2);
  ConvertOptions options = net.Write(folder);
  options.calibration_path = folder.path("training");
  options.head.head = Head::kSoftmax;
  for (const char* name : {"training/monday", "training/tuesday"}) {
    folder.Write(std::string(name) + "/image.png", mu8::testing::Png(4, 4, 1, 7));
  }
  ConvertResult result = Convert(options);
  CHECK(result.calibration_images == 2);
  CHECK(Metadata(result, "labels").empty());
  REQUIRE(result.notices.size() == 1);
  CHECK(result.notices[0].starts_with("the classes have no names"));
  CHECK(result.notices[0].find("--labels") != std::string::npos);
  options.labels = {"cat", "dog"};
  result = Convert(options);
  CHECK(Metadata(result, "labels") == "cat\ndog");
  CHECK(result.notices.empty());
}

TEST_CASE("convert: calibration data that does not fit is refused with both shapes") {
  CheckOneProblem(Problems([](const Folder& folder, ConvertOptions* options) {
                    options->calibration_path = WriteImages(folder, "a-images-idx4", 4, 6, 7, 2, 1);
                  }),
                  {"a-images-idx4", "images are 6x7x2", "the model expects 7x6x2"});
  CheckOneProblem(Problems([](const Folder& folder, ConvertOptions* options) {
                    options->calibration_path = WriteImages(folder, "b-images-idx4", 0, 7, 6, 2, 1);
                  }),
                  {"b-images-idx4", "no images"});
  CheckOneProblem(Problems([](const Folder& folder, ConvertOptions* options) {
                    options->calibration_path = folder.path("missing");
                  }),
                  {"missing"});
}

TEST_CASE("convert: an activation that leaves float is named") {
  const Folder folder;
  SmallNet net = Net();
  for (onnx::TensorProto& tensor : *net.builder.graph().mutable_initializer()) {
    if (tensor.name() == "p5b") tensor.set_float_data(1, 3.4e38F);
    if (tensor.name() == "p5w") tensor.set_float_data(45, 3.4e38F);
  }
  const ConvertOptions options = net.Write(folder);
  CheckOneProblem(ProblemsOf([&] { Convert(options); }),
                  {"activation 'y' is not finite on the calibration images"});
}

TEST_CASE("convert: NaN, infinite and negative sigmas are refused by name") {
  for (const float bad : {-0.5F, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    CheckOneProblem(Problems([&](const Folder& folder, ConvertOptions* options) {
                      const std::string npz =
                          Zip({{"p5b.sigma.npy", Npy("<f4", "(3,)", Float32Bytes({1, bad, 1}))}});
                      options->posterior_path =
                          folder.Write("bad.npz", Bytes(npz.begin(), npz.end()));
                    }),
                    {"\"p5b.sigma\"", "1 of 3 values are negative or not finite"});
  }
}

TEST_CASE("convert: a network that ends in ReLU gets a last layer that copies") {
  const Folder folder;
  SmallNet net(1, 4, 4, 3, 0.0);
  net.Flatten().Gemm(3).Relu();
  const ConvertResult result = Convert(net.Write(folder));
  REQUIRE(result.layers.size() == 2);
  CHECK(result.layers[1].shape == "3x1x1x1");
}

TEST_CASE("convert: a pool of one pixel, then ReLU, fits the format") {
  const Folder folder;
  SmallNet net(2, 4, 4, 4, 0.1);
  net.Conv(6, {.kernel = {4, 4}}).Pool("AveragePool", {1, 1}, {1, 1}).Relu().Flatten().Gemm(3);
  ConvertOptions options = net.Write(folder);
  Convert(options);
}

TEST_CASE("convert: outputs far smaller than the accumulators fit the format and stay right") {
  const Folder folder;
  SmallNet net(2, 4, 4, 4, 0.0);
  net.Conv(6, {}).Relu().Pool("MaxPool", {2, 2}, {1, 1}).Flatten().Gemm(3);
  ConvertOptions options = net.Write(folder);
  // Biases just above what the products take away: only the rarest outputs are positive, and small.
  const host::Dataset data = host::LoadDataset(options.calibration_path);
  const Calibration calibration = Calibrate(ReferenceNetwork(options), data, 1, 1, {});
  const float greatest = calibration.values[1].greatest;
  for (onnx::TensorProto& tensor : *net.builder.graph().mutable_initializer()) {
    if (tensor.name() != "p0b") continue;
    for (float& bias : *tensor.mutable_float_data()) bias -= 0.9995F * greatest;
  }
  options = net.Write(folder);
  const ConvertResult result = Convert(options);
  CHECK(result.layers[0].op == "Conv2d + ReLU");
}

TEST_CASE("convert: a layer whose outputs are always zero converts") {
  const Folder folder;
  SmallNet net(1, 5, 5, 5, 0.1);
  net.Conv(4, {}).Relu().Flatten().Gemm(3);
  for (onnx::TensorProto& tensor : *net.builder.graph().mutable_initializer()) {
    if (tensor.name() != "p0b") continue;
    for (float& bias : *tensor.mutable_float_data()) bias = -100.0F;
  }
  const ConvertResult result = Convert(net.Write(folder));
  CHECK(result.layers[0].output_saturation == 0.0);
}

// ---- Writing the file ----

TEST_CASE("convert: writing replaces the old file whole and leaves nothing beside it") {
  const Folder folder;
  const std::string path = folder.Write("model.mu8", {1, 2, 3, 4, 5});
  host::WriteFileAtomically(path, "new", 3);
  CHECK(host::ReadUnpackedFile(path) == Bytes{'n', 'e', 'w'});
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    ++files;
  }
  CHECK(files == 1);
}

TEST_CASE("convert: a failed write says so and leaves nothing behind") {
  const Folder folder;
  CheckOneProblem(
      ProblemsOf([&] { host::WriteFileAtomically(folder.path("no/such/model.mu8"), "x", 1); }),
      {"no/such/model.mu8", "there is no folder"});
  // The target is a folder that holds something: the rename fails.
  folder.Write("busy/file", {1});
  CheckOneProblem(ProblemsOf([&] { host::WriteFileAtomically(folder.path("busy"), "x", 1); }),
                  {"busy", "is a folder"});
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    ++files;
  }
  CHECK(files == 1);
  CHECK(std::filesystem::exists(folder.path("busy/file")));
}

// A posterior whose sigmas tell which weights matter (small sigma: large Fisher information), or
// are 0.1 |mu| of weights that all matter alike.
TEST_CASE("convert: the importance of sigmas is measured where few levels serve many") {
  const Folder folder;
  SmallNet net(1, 12, 12, 21, 0.4);
  net.Conv(8, {}).Relu().Flatten().Gemm(10);
  ConvertOptions options = net.Write(folder);
  const auto with = [&options](int bits, SigmaImportance importance) {
    options.sigma_bits = bits;
    options.sigma_importance = importance;
    return Convert(options);
  };
  for (const int bits : {2, 1, 0}) {
    CAPTURE(bits);
    const ConvertResult power = with(bits, SigmaImportance::kPower);
    const ConvertResult fisher = with(bits, SigmaImportance::kFisher);
    const ConvertResult measured = with(bits, SigmaImportance::kMeasured);
    CHECK(power.file != fisher.file);
    const bool is_power = measured.sigma_importance == SigmaImportance::kPower;
    CHECK(measured.file == (is_power ? power.file : fisher.file));
    // All weights of a channel have nearly the same sigma here: the variance must not be lost.
    for (const LayerReport& layer : power.layers) {
      CHECK(layer.variance_kept_weighted == doctest::Approx(1.0).epsilon(0.05));
    }
  }
  for (const int bits : {8, 4}) {
    CAPTURE(bits);
    CHECK(with(bits, SigmaImportance::kMeasured).file == with(bits, SigmaImportance::kFisher).file);
  }
}

}  // namespace
}  // namespace mu8::convert
