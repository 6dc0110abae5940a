// The whole engine against the reference engine: the same logits, bit for bit, for random models,
// every kernel set and every pass.
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "tests/engine/reference_engine.h"
#include "tests/support/effort.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

constexpr std::uint32_t kPasses = 3;
constexpr std::size_t kImages = 2;

// logits[pass][image][class] of the reference.
std::vector<float> Reference(const TestModel& model, std::span<const std::uint8_t> pixels,
                             std::size_t input_size, std::uint64_t seed) {
  std::vector<float> all;
  for (std::uint32_t pass = 0; pass < kPasses; ++pass) {
    for (std::size_t image = 0; image < kImages; ++image) {
      const auto logits =
          ReferenceLogits(model, pixels.subspan(image * input_size, input_size), seed, pass);
      all.insert(all.end(), logits.begin(), logits.end());
    }
  }
  return all;
}

std::vector<float> Kept(std::span<const Prediction> predictions) {
  std::vector<float> all;
  for (std::uint32_t pass = 0; pass < kPasses; ++pass) {
    for (const Prediction& prediction : predictions) {
      const auto row =
          prediction.logits.subspan(pass * prediction.logits_stride, prediction.mean.size());
      all.insert(all.end(), row.begin(), row.end());
    }
  }
  return all;
}

// Runs one model on every kernel set; returns how many ran.
std::size_t Compare(const TestModel& model, std::uint64_t seed) {
  const AlignedBytes file = model.File();
  Model opened;
  REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
  const auto pixels = RandomPixels(opened, kImages, seed);
  const std::vector<float> expected = Reference(model, pixels, opened.input_size(), seed);
  const auto sets = RunnableKernels(opened);
  for (const KernelSet kernels : sets) {
    Engine engine;
    const SessionOptions options{.mc_samples = kPasses,
                                 .seed = seed,
                                 .batch = kImages + 1,
                                 .keep_logits = true,
                                 .kernels = kernels};
    REQUIRE(engine.Open(file.span(), options) == Status::kOk);
    REQUIRE(std::string(engine.session.kernels()) == NameOf(kernels));
    std::vector<Prediction> predictions(kImages);
    REQUIRE(engine.session.Predict(pixels, predictions) == Status::kOk);
    const std::vector<float> logits = Kept(predictions);
    CAPTURE(std::string(NameOf(kernels)));
    REQUIRE(logits.size() == expected.size());
    REQUIRE(std::memcmp(logits.data(), expected.data(), logits.size() * sizeof(float)) == 0);
  }
  return sets.size();
}

TEST_CASE("engine: equals the reference on the fixed models") {
  std::size_t executed = 0;
  for (const std::uint32_t bits : {8U, 4U, 2U, 1U, 0U}) executed += Compare(TinyModel(bits), 5);
  executed += Compare(TinyModel(0, false), 5);
  for (const std::size_t first_bayesian : {0U, 5U, 12U}) {
    executed += Compare(EveryOperatorModel(first_bayesian), 5);
  }
  const TestModel replaced = ReplacedResidualModel();
  CHECK(replaced.content.tensors[4].offset == replaced.content.tensors[6].offset);
  executed += Compare(replaced, 5);
  CHECK(executed % 10 == 0);
}

TEST_CASE("engine: equals the reference on random models") {
  Random random(71);
  const int count = Effort(4000, 250);
  std::size_t executed = 0;
  std::map<std::string, int> kinds;
  for (int i = 0; i < count; ++i) {
    const TestModel model = RandomModel(&random);
    CAPTURE(i);
    executed += Compare(model, random.Next());
    for (const format::LayerRecord& layer : model.content.layers) {
      if (layer.mu_bits == 0) continue;
      ++kinds[(layer.flags & format::kLayerBayesian) == 0
                  ? "deterministic"
                  : std::to_string(layer.sigma_bits) + " bits"];
      kinds[layer.mu_bits == format::kMuBitsByPanel
                ? "mu by panel"
                : "mu " + std::to_string(layer.mu_bits) + " bits"] += 1;
      kinds["with a residual"] += layer.input2 != format::kNoTensor ? 1 : 0;
      kinds["depthwise"] += (layer.flags & format::kLayerDepthwise) != 0 ? 1 : 0;
      kinds["grouped"] += layer.groups > 1 ? 1 : 0;
      kinds["dilated"] += layer.dilation_w > 1 || layer.dilation_h > 1 ? 1 : 0;
    }
  }
  std::string seen;
  for (const auto& [kind, times] : kinds) {
    seen += kind + " " + std::to_string(times) + ", ";
    CHECK(times > count / 40);
  }
  MESSAGE("random models: " << count << ", runs: " << executed << "; weighted layers: " << seen);
  CHECK(kinds.size() == 19);
  CHECK(executed % static_cast<std::size_t>(count) == 0);
}

TEST_CASE("engine: equals the reference on random models of several output positions") {
  Random random(72);
  const int count = Effort(1500, 100);
  std::size_t executed = 0;
  int several = 0;
  for (int i = 0; i < count; ++i) {
    const TestModel model = RandomModel(&random, true);
    CAPTURE(i);
    executed += Compare(model, random.Next());
    several += model.content.output_height != 0 ? 1 : 0;
  }
  MESSAGE("random models: " << count << ", of several positions: " << several);
  CHECK(several > count / 2);
  CHECK(executed % static_cast<std::size_t>(count) == 0);
}

}  // namespace
}  // namespace mu8::testing
