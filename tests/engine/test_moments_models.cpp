// Predictions by moments of many small models: the same bytes with every kernel set, batch and
// number of workers, and those that tests/data/golden/moments.txt pins. The second reader's test
// (tests/tools/test_moments_engine.py) asks for the models and predictions in a folder.
#include <doctest/doctest.h>

#include <cfenv>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "formats/crc32c.h"
#include "tests/support/effort.h"
#include "tests/support/golden.h"
#include "tests/support/golden_models.h"
#include "tests/support/moments_models.h"
#include "tests/support/predict.h"
#include "tests/support/streamed.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::OpCode;

const std::filesystem::path kHashes = "tests/data/golden/moments.txt";
constexpr std::uint64_t kRandomModels = 60;
constexpr std::size_t kRandomImages = 2;

// What images the predictions are of: those of the other golden predictions.
std::vector<std::byte> Predictions(const AlignedBytes& file, std::size_t images, KernelSet kernels,
                                   std::uint32_t batch = 1, std::uint32_t workers = 1) {
  Engine engine;
  Diagnostic diagnostic;
  const SessionOptions options{.seed = kGoldenSeed,
                               .batch = batch,
                               .kernels = kernels,
                               .method = Method::kMoments,
                               .workers = workers};
  const Status status = engine.Open(file.span(), options, &diagnostic);
  CAPTURE(diagnostic.found);
  REQUIRE(status == Status::kOk);
  const auto pixels = RandomPixels(engine.model, images, 7);
  const bool numbers = engine.model.input_kind() == InputKind::kNumbers;
  auto bytes =
      numbers ? PredictAll(&engine, AsNumbers(pixels), batch) : PredictAll(&engine, pixels, batch);
  REQUIRE(!bytes.empty());
  return bytes;
}

std::string Hash(const std::vector<std::byte>& bytes) {
  std::ostringstream hash;
  hash << std::hex << std::setw(8) << std::setfill('0')
       << format::Crc32c(bytes.data(), bytes.size());
  return hash.str();
}

std::map<std::string, std::string> CommittedHashes() {
  std::ifstream list(kHashes);
  std::map<std::string, std::string> hashes;
  for (std::string line; std::getline(list, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::size_t space = line.find(' ');
    hashes[line.substr(0, space)] = line.substr(space + 1);
  }
  return hashes;
}

void Update(const std::map<std::string, TestModel>& models) {
  std::ofstream list(kHashes, std::ios::trunc);
  list << "# CRC-32C of the predictions by moments (FORMAT.md 13) of each model of\n"
          "# tests/support/moments_models.cpp: of the images, seed and numbers that "
          "predictions.txt\n"
          "# names. The same for every kernel set and every target.\n"
          "# Written by mu8_device_tests with MU8_UPDATE_GOLDEN=1; see tests/engine/"
          "test_moments_models.cpp.\n";
  for (const auto& [name, model] : models) {
    list << name << " " << Hash(Predictions(model.File(), kGoldenImages, KernelSet::kScalar))
         << "\n";
  }
}

TEST_CASE("moments models: predictions have the committed hash with every kernel set") {
  const std::map<std::string, TestModel> models = MomentsModels();
  if (UpdateGolden()) Update(models);
  const auto hashes = CommittedHashes();
  CHECK(hashes.size() == models.size());
  std::size_t executed = 0;
  for (const auto& entry : models) {
    const std::string& name = entry.first;
    CAPTURE(name);
    const AlignedBytes file = entry.second.File();
    Model opened;
    REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
    REQUIRE(hashes.contains(name));
    for (const KernelSet kernels : RunnableKernels(opened)) {
      CAPTURE(std::string(NameOf(kernels)));
      for (const std::uint32_t batch : {1U, 3U}) {
        CAPTURE(batch);
        CHECK(Hash(Predictions(file, kGoldenImages, kernels, batch)) == hashes.at(name));
        ++executed;
      }
    }
  }
  MESSAGE("predictions by moments compared with committed hashes: " << executed);
  CHECK(executed >= 2 * models.size());
}

TEST_CASE("moments models: random models have the same bytes with every kernel set and batch") {
  std::size_t compared = 0;
  const auto models = static_cast<std::uint64_t>(Effort(150, 20));
  for (std::uint64_t number = 0; number < models; ++number) {
    CAPTURE(number);
    const AlignedBytes file = RandomMomentsModel(number).File();
    Model opened;
    REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
    const auto expected = Predictions(file, 4, KernelSet::kScalar);
    for (const KernelSet kernels : RunnableKernels(opened)) {
      CAPTURE(std::string(NameOf(kernels)));
      CHECK(Predictions(file, 4, kernels, 3) == expected);
      CHECK(Predictions(file, 4, kernels, 4, 2) == expected);
      compared += 2;
    }
  }
  MESSAGE("predictions by moments of random models compared: " << compared);
  CHECK(compared >= 2 * models);
}

TEST_CASE("moments models: the same bytes of a trusted file, and in steps") {
  std::size_t compared = 0;
  for (const auto& entry : MomentsModels()) {
    const std::string& name = entry.first;
    CAPTURE(name);
    const AlignedBytes file = entry.second.File();
    Engine engine;
    const std::uint32_t hash = Model::TrustedHash(file.span());
    REQUIRE(Model::OpenTrusted(file.span(), hash, &engine.model) == Status::kOk);
    REQUIRE(engine.CreateSession({.seed = kGoldenSeed, .method = Method::kMoments}) == Status::kOk);
    const auto pixels = RandomPixels(engine.model, 1, 7);
    Status status = engine.model.input_kind() == InputKind::kNumbers
                        ? engine.session.Begin(std::span<const float>(AsNumbers(pixels)), 1)
                        : engine.session.Begin(std::span<const std::uint8_t>(pixels), 1);
    REQUIRE(status == Status::kOk);
    while ((status = engine.session.Step()) == Status::kInProgress) ++compared;
    REQUIRE(status == Status::kOk);
    std::vector<std::byte> bytes;
    AppendPrediction(engine.session.Result(0), &bytes);
    AppendOthers(engine.model, engine.session.Result(0), &bytes);
    CHECK(bytes == Predictions(file, 1, KernelSet::kScalar));
  }
  MESSAGE("steps of predictions by moments: " << compared);
  CHECK(compared >= MomentsModels().size());
}

TEST_CASE("moments models: no rounding mode of the caller changes a byte") {
  std::size_t compared = 0;
  for (std::uint64_t number = 0; number < 12; ++number) {
    CAPTURE(number);
    const AlignedBytes file = RandomMomentsModel(number).File();
    const auto expected = Predictions(file, 2, KernelSet::kAuto);
    for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
      REQUIRE(std::fesetround(mode) == 0);
      const auto found = Predictions(file, 2, KernelSet::kAuto);
      const int mode_after = std::fegetround();
      std::fesetround(FE_TONEAREST);
      CHECK(found == expected);
      CHECK(mode_after == mode);
      ++compared;
    }
  }
  CHECK(compared == 36);
}

TEST_CASE("moments models: refused of files and heads that have none") {
  const SessionOptions options{.method = Method::kMoments};
  const auto refused = [&](const TestModel& model) {
    const AlignedBytes file = model.File();
    Engine engine;
    Diagnostic diagnostic;
    CHECK(engine.Open(file.span(), options, &diagnostic) == Status::kNoMoments);
    CHECK(diagnostic.found == static_cast<std::uint64_t>(model.content.head));
    CHECK(ArenaBytes(engine.model, options) == 0);
  };
  refused(TinyModel(4));
  refused(WithMoments(DenseReconstructionModel()));
  StreamedEngine streamed(WithMoments(TinyModel(4)).File().span());
  CHECK(streamed.Open(options) == Status::kNoMoments);
  CHECK(streamed.CreateSession({}) == Status::kOk);
}

TEST_CASE("moments models: they have every operator, width, head and kind of convolution") {
  std::set<OpCode> operators;
  std::set<int> sigma_bits, mu_bits;
  std::set<format::Head> heads;
  std::map<std::string, int> kinds;
  for (const auto& entry : MomentsModels()) {
    const format::FileContent& content = entry.second.content;
    heads.insert(content.head);
    kinds["several positions"] += content.output_height > 1 ? 1 : 0;
    kinds["prefix"] += (content.layers[0].flags & format::kLayerBayesian) == 0 ? 1 : 0;
    for (const LayerRecord& layer : content.layers) {
      const auto op = static_cast<OpCode>(layer.op);
      operators.insert(op);
      if (layer.mu_bits == 0) continue;
      mu_bits.insert(layer.mu_bits);
      if ((layer.flags & format::kLayerBayesian) != 0) sigma_bits.insert(layer.sigma_bits);
      const bool depthwise = (layer.flags & format::kLayerDepthwise) != 0;
      kinds["depthwise"] += depthwise ? 1 : 0;
      kinds["groups"] += layer.groups > 1 && !depthwise ? 1 : 0;
      kinds["residual"] += layer.input2 != format::kNoTensor ? 1 : 0;
      kinds["zero point"] += content.tensors[layer.input].zero_point != 0 ? 1 : 0;
    }
  }
  CHECK(operators.size() == 13);
  CHECK(sigma_bits == std::set<int>{0, 1, 2, 4, 8});
  CHECK(mu_bits == std::set<int>{1, 3, 4, 5, 6, 7, 8, 255});
  CHECK(heads.size() == 4);
  CHECK(kinds.size() == 6);
  for (const auto& kind : kinds) {
    const std::string& name = kind.first;
    CAPTURE(name);
    CHECK(kind.second > 0);
  }
}

// Of the variable's folder: NAME.mu8, and NAME.bytes of what the engine predicts.
TEST_CASE("moments models: written for the second reader" *
          doctest::skip(std::getenv("MU8_MOMENTS_FOLDER") == nullptr)) {
  const std::filesystem::path folder = std::getenv("MU8_MOMENTS_FOLDER");
  const auto write = [&](const std::string& name, const TestModel& model, std::size_t images) {
    const AlignedBytes file = model.File();
    WriteFile(folder / (name + ".mu8"), file.span());
    WriteFile(folder / (name + ".bytes"), Predictions(file, images, KernelSet::kAuto));
  };
  for (const auto& [name, model] : MomentsModels()) write(name, model, kGoldenImages);
  for (std::uint64_t number = 0; number < kRandomModels; ++number) {
    write("random_" + std::to_string(number), RandomMomentsModel(number), kRandomImages);
  }
}

}  // namespace
}  // namespace mu8::testing
