// Predictions of more passes come nearer to their limit as 1 / sqrt(T), the law of independent
// draws.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include "tests/support/effort.h"
#include "tests/support/golden_models.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

constexpr std::size_t kImages = 4;

std::vector<float> Means(std::span<const std::byte> file, std::span<const std::uint8_t> pixels,
                         std::uint32_t samples, std::uint64_t seed) {
  Engine engine;
  SessionOptions options;
  options.mc_samples = samples;
  options.seed = seed;
  options.batch = kImages;
  REQUIRE(engine.Open(file, options) == Status::kOk);
  std::vector<Prediction> predictions(kImages);
  REQUIRE(engine.session.Predict(pixels, predictions) == Status::kOk);
  std::vector<float> means;
  for (const Prediction& prediction : predictions) {
    means.insert(means.end(), prediction.mean.begin(), prediction.mean.end());
  }
  return means;
}

TEST_CASE("convergence: the error of T passes falls as 1 / sqrt(T)") {
  const auto models = GoldenModels();
  const int seeds = Effort(64, 8);
  const auto limit_samples = static_cast<std::uint32_t>(Effort(65536, 8192));
  int measured = 0;
  for (const char* name : {"tiny_sigma8", "tiny_sigma4", "tiny_sigma2", "dense_softmax",
                           "dense_sigmoid", "every_operator"}) {
    CAPTURE(name);
    const AlignedBytes model = models.at(name).model.File();
    Engine engine;
    REQUIRE(engine.Open(model.span(), {}) == Status::kOk);
    const auto pixels = RandomPixels(engine.model, kImages, 7);
    const std::vector<float> limit = Means(model.span(), pixels, limit_samples, 99);
    // The least squares' slope of log error over log T.
    double sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
    constexpr std::array<std::uint32_t, 4> kSamples = {8, 32, 128, 512};
    for (const std::uint32_t samples : kSamples) {
      double squares = 0;
      for (int seed = 0; seed < seeds; ++seed) {
        const std::vector<float> means =
            Means(model.span(), pixels, samples, static_cast<std::uint64_t>(seed));
        for (std::size_t i = 0; i < means.size(); ++i) {
          squares += std::pow(static_cast<double>(means[i] - limit[i]), 2);
        }
      }
      REQUIRE(squares > 0);
      const double x = std::log(samples), y = 0.5 * std::log(squares);
      sum_x += x, sum_y += y, sum_xx += x * x, sum_xy += x * y;
    }
    constexpr double kCount = kSamples.size();
    const double slope = (kCount * sum_xy - sum_x * sum_y) / (kCount * sum_xx - sum_x * sum_x);
    // Its own error: each of 4 points knows a root mean square of seeds * images errors or more.
    const double error = 3.0 / std::sqrt(seeds * 2.0 * kImages) / std::log(8.0);
    CHECK(std::abs(slope + 0.5) < error);
    ++measured;
  }
  CHECK(measured == 6);
}

}  // namespace
}  // namespace mu8::testing
