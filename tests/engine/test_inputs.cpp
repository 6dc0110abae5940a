// Numbers as inputs: the affine map of each channel, and how many values it had to clamp, which
// must survive whatever runs after the image was loaded.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "mu8/mu8_c.h"
#include "tests/support/effort.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

// What each number is stored as, by the formula of FORMAT.md 5.1, and how many are clamped.
struct Stored {
  std::vector<std::uint8_t> values;
  std::uint32_t clamped = 0;
};

Stored Store(const format::FileContent& content, std::span<const float> image) {
  const format::TensorRecord& input = content.tensors[0];
  Stored stored;
  for (std::size_t i = 0; i < image.size(); ++i) {
    const std::size_t c = i % input.channels;
    float low = 0, high = 255, value = 0;
    if (content.input_affine.empty()) {
      low = -static_cast<float>(input.zero_point);
      high = 255 + low;
      value = image[i] / input.scale;
    } else {
      const float product = image[i] * content.input_affine[2 * c];
      value = product + content.input_affine[2 * c + 1];
    }
    stored.clamped += value < low - 0.5F || value > high + 0.5F ? 1 : 0;
    const float kept = std::fmin(std::fmax(value, low), high);
    stored.values.push_back(static_cast<std::uint8_t>(std::lrintf(kept) - std::lrintf(low)));
  }
  return stored;
}

// All predictions, and of each how many values were clamped.
std::vector<std::byte> PredictImages(Engine* engine, const std::vector<float>& images,
                                     std::size_t batch) {
  std::vector<std::byte> bytes;
  const std::size_t size = engine->model.input_size();
  std::vector<Prediction> predictions(batch);
  for (std::size_t at = 0; at < images.size(); at += batch * size) {
    REQUIRE(engine->session.Predict(std::span(images).subspan(at, batch * size), predictions) ==
            Status::kOk);
    for (const Prediction& prediction : predictions) {
      AppendPrediction(prediction, &bytes);
      AppendBytes(std::span<const std::uint32_t>(&prediction.clamped_inputs, 1), &bytes);
    }
  }
  return bytes;
}

// Numbers of which some lie far outside.
std::vector<float> RandomNumbers(const Model& model, std::size_t images, Random* random) {
  std::vector<float> numbers(images * model.input_size());
  for (float& number : numbers) {
    number = static_cast<float>(random->Unit() * 16 - 8);
    if (random->OneIn(20)) number *= 1e30F;
  }
  return numbers;
}

void MakeAffine(format::FileContent* content, Random* random) {
  for (std::uint32_t c = 0; c < content->tensors[0].channels; ++c) {
    content->input_affine.push_back(static_cast<float>(1 + 30 * random->Unit()));
    content->input_affine.push_back(static_cast<float>(random->Between(0, 255)));
  }
}

// A pixel file that stores pixel u as u.
AlignedBytes PixelTwin(TestModel model) {
  model.content.input_affine.clear();
  model.content.input_table.clear();
  for (std::uint32_t c = 0; c < model.content.tensors[0].channels; ++c) {
    for (int u = 0; u < 256; ++u) {
      model.content.input_table.push_back(static_cast<std::uint8_t>(u));
    }
  }
  return model.File();
}

// Of every second file numbers, of the others floats for pixels: the prediction is that of the
// stored values, clamped_inputs the number of values that were clamped.
TEST_CASE("inputs: what is stored and what is clamped, for all kernels, batches and workers") {
  Random random(121);
  int compared = 0;
  std::uint64_t clamped = 0;
  for (int i = 0; i < Effort(120, 24); ++i) {
    TestModel model = RandomModel(&random);
    if (i % 2 == 0) MakeAffine(&model.content, &random);
    const AlignedBytes file = model.File();
    const AlignedBytes pixels = PixelTwin(model);
    const std::uint64_t seed = random.Next();
    Engine twin;
    REQUIRE(twin.Open(pixels.span(), {.mc_samples = 7, .seed = seed}) == Status::kOk);
    const std::vector<float> images = RandomNumbers(twin.model, 3, &random);
    const std::size_t size = twin.model.input_size();
    std::vector<std::byte> expected;
    for (std::size_t image = 0; image < 3; ++image) {
      const Stored stored = Store(model.content, std::span(images).subspan(image * size, size));
      Prediction prediction;
      REQUIRE(twin.session.Predict(stored.values, {&prediction, 1}) == Status::kOk);
      CHECK(prediction.clamped_inputs == 0);
      AppendPrediction(prediction, &expected);
      AppendBytes(std::span<const std::uint32_t>(&stored.clamped, 1), &expected);
      clamped += stored.clamped;
    }
    for (const KernelSet kernels : RunnableKernels(twin.model)) {
      for (const std::uint32_t batch : {1U, 3U}) {
        for (const std::uint32_t workers : {1U, 2U, 18U}) {
          for (const bool hurried : {false, true}) {
            Engine engine;
            const SessionOptions options{
                .mc_samples = 7,
                .seed = seed,
                .batch = batch,
                .kernels = kernels,
                .workers = workers,
                .keep_going = hurried ? +[](void*) { return true; } : nullptr};
            REQUIRE(engine.Open(file.span(), options) == Status::kOk);
            CAPTURE(i);
            CAPTURE(batch);
            CAPTURE(workers);
            CHECK(PredictImages(&engine, images, batch) == expected);
            ++compared;
          }
        }
      }
    }
  }
  MESSAGE("sessions compared: " << compared << ", values clamped: " << clamped);
  CHECK(compared >= 24 * 12);
  CHECK(clamped > 100);
}

TEST_CASE("inputs: half a step beyond the range is rounding, more is clamped") {
  TestModel model = TinyModel(4);
  model.content.input_affine = {2, 100};
  const AlignedBytes numbers = model.File();
  const AlignedBytes pixels = TinyModel(4).File();  // scale 2^-7, zero point 128
  struct Case {
    const AlignedBytes& file;
    float low, high;
  };
  for (const Case& one : {Case{numbers, -50.25F, 77.75F}, Case{pixels, -1.00390625F, .99609375F}}) {
    Engine engine;
    REQUIRE(engine.Open(one.file.span(), {.mc_samples = 2}) == Status::kOk);
    const auto clamped = [&](float value) {
      const std::vector<float> image(engine.model.input_size(), value);
      Prediction prediction;
      REQUIRE(engine.session.Predict(std::span<const float>(image), {&prediction, 1}) ==
              Status::kOk);
      return prediction.clamped_inputs;
    };
    const auto all = static_cast<std::uint32_t>(engine.model.input_size());
    CHECK(clamped(one.low) == 0);
    CHECK(clamped(one.high) == 0);
    CHECK(clamped(one.low - 0.001F) == all);
    CHECK(clamped(one.high + 0.001F) == all);
    CHECK(clamped(std::bit_cast<float>(0x7f7fffffU)) == all);
    CHECK(clamped(-std::bit_cast<float>(0x7f7fffffU)) == all);
  }
}

TEST_CASE("inputs: pixels are refused by a model of numbers, and leave its results") {
  TestModel model = TinyModel(4);
  model.content.input_affine = {20, 120};
  const AlignedBytes file = model.File();
  Engine engine;
  REQUIRE(engine.Open(file.span(), {.mc_samples = 3}) == Status::kOk);
  CHECK(engine.model.input_kind() == InputKind::kNumbers);
  const auto pixels = RandomPixels(engine.model, 1, 3);
  const std::vector<float> numbers = AsNumbers(pixels);
  REQUIRE(engine.session.Run(std::span<const float>(numbers), 1) == Status::kOk);
  std::vector<std::byte> before, after;
  AppendPrediction(engine.session.Result(0), &before);
  Diagnostic diagnostic;
  Prediction prediction;
  CHECK(engine.session.Predict(std::span<const std::uint8_t>(pixels), {&prediction, 1},
                               &diagnostic) == Status::kInputKind);
  CHECK(diagnostic.found == 0);
  CHECK(diagnostic.expected == 1);
  CHECK(prediction.mean.empty());
  AppendPrediction(engine.session.Result(0), &after);
  CHECK(before == after);
}

TEST_CASE("inputs: C has the kind and the clamped values, too") {
  TestModel test = TinyModel(4);
  test.content.input_affine = {20, 120};
  const AlignedBytes file = test.File();
  mu8_model model;
  mu8_session session;
  REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
  CHECK(mu8_model_input_kind(&model) == MU8_INPUT_NUMBERS);
  CHECK(mu8_model_input_kind(nullptr) == 0);
  const mu8_options options = mu8_default_options();
  AlignedBytes arena(mu8_arena_bytes(&model, &options));
  REQUIRE(mu8_session_create(&model, &options, arena.data(), arena.size(), &session, nullptr) == 0);
  std::vector<float> image(mu8_model_input_size(&model), 1.0F);
  image[3] = image[7] = 1000;
  mu8_prediction prediction;
  REQUIRE(mu8_predict_f32(&session, image.data(), 1, &prediction, nullptr) == 0);
  CHECK(prediction.clamped_inputs == 2);
  const std::vector<std::uint8_t> pixels(image.size());
  CHECK(mu8_predict_u8(&session, pixels.data(), 1, &prediction, nullptr) ==
        static_cast<int>(Status::kInputKind));
}

}  // namespace
}  // namespace mu8::testing
