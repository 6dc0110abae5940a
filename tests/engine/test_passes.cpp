// How passes are dealt, mirrored and ended early: none of it may change a byte of what is computed.
#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "formats/reader.h"
#include "tests/engine/reference_engine.h"
#include "tests/support/effort.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

// Runs the tasks backwards, on one thread: an order that no worker may depend on.
void Backwards(void* calls, std::uint32_t count, Task task, void* job) {
  ++*static_cast<int*>(calls);
  for (std::uint32_t i = count; i-- > 0;) task(job, i);
}

std::vector<std::byte> PredictWith(std::span<const std::byte> file, const SessionOptions& options,
                                   std::span<const std::uint8_t> pixels) {
  Engine engine;
  REQUIRE(engine.Open(file, options) == Status::kOk);
  const auto bytes = PredictAll(&engine, pixels, options.batch);
  REQUIRE(!bytes.empty());
  return bytes;
}

std::vector<Prediction> Predict(Engine* engine, std::span<const std::uint8_t> pixels) {
  std::vector<Prediction> predictions(pixels.size() / engine->model.input_size());
  REQUIRE(engine->session.Predict(pixels, predictions) == Status::kOk);
  return predictions;
}

TEST_CASE("passes: any number of workers gives the same bytes") {
  Random random(301);
  std::size_t executed = 0;
  for (int i = 0; i < Effort(30, 5); ++i) {
    const AlignedBytes file = (i == 0   ? EveryOperatorModel()
                               : i == 1 ? EveryOperatorModel(11)
                               : i == 2 ? TinyModel(0, false)
                                        : RandomModel(&random))
                                  .File();
    Model model;
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    const auto pixels = RandomPixels(model, 5, random.Next());
    for (const std::uint32_t samples : {1U, 7U}) {
      SessionOptions options{
          .mc_samples = samples, .seed = 5, .batch = 3, .keep_logits = random.OneIn(2)};
      options.noise = random.OneIn(2) ? Noise::kAntithetic : Noise::kIndependent;
      const auto one = PredictWith(file.span(), options, pixels);
      int calls = 0;
      options.parallel_for = Backwards;
      options.parallel_context = &calls;
      for (const std::uint32_t workers : {2U, 3U, 7U, 20U, 1024U}) {
        options.workers = workers;
        CAPTURE(i);
        CAPTURE(samples);
        CAPTURE(workers);
        CHECK(PredictWith(file.span(), options, pixels) == one);
        CHECK(calls > 0);
        ++executed;
      }
    }
  }
  MESSAGE("models x samples x workers: " << executed);
  CHECK(executed == static_cast<std::size_t>(Effort(30, 5)) * 10);
}

TEST_CASE("passes: the logits of antithetic pairs are those of opposite noise") {
  Random random(302);
  std::size_t mirrored = 0;
  for (int i = 0; i < Effort(150, 15); ++i) {
    const TestModel model = i == 0 ? TinyModel(4) : RandomModel(&random);
    const AlignedBytes file = model.File();
    Engine engine;
    const SessionOptions options{
        .mc_samples = 5, .seed = random.Next(), .keep_logits = true, .noise = Noise::kAntithetic};
    REQUIRE(engine.Open(file.span(), options) == Status::kOk);
    const auto pixels = RandomPixels(engine.model, 1, random.Next());
    const Prediction prediction = Predict(&engine, pixels)[0];
    for (std::uint32_t pass = 0; pass < 5; ++pass) {
      const auto expected = ReferenceLogits(model, pixels, options.seed, pass - pass % 2,
                                            pass % 2 == 0 ? Mirror::kNo : Mirror::kYes);
      for (std::size_t c = 0; c < expected.size(); ++c) {
        CAPTURE(i);
        CAPTURE(pass);
        CHECK(prediction.logits[pass * prediction.logits_stride + c] == expected[c]);
      }
      mirrored += pass % 2;
    }
  }
  CHECK(mirrored == 2 * static_cast<std::size_t>(Effort(150, 15)));
}

TEST_CASE("passes: an early ending gives the bytes of a session with as many samples") {
  Random random(303);
  std::size_t decided = 0;
  std::size_t undecided = 0;
  for (int i = 0; i < Effort(60, 8); ++i) {
    const AlignedBytes file = (i == 0 ? EveryOperatorModel() : RandomModel(&random)).File();
    SessionOptions options{.mc_samples = 30, .seed = 7, .batch = 4, .keep_logits = random.OneIn(2)};
    options.noise = random.OneIn(2) ? Noise::kAntithetic : Noise::kIndependent;
    options.stop = {.rule = random.OneIn(3) ? StopRule::kThreshold : StopRule::kLabel,
                    .error = 0.3F,
                    .class_index = 0,
                    .threshold = 0.6F};
    Engine engine;
    REQUIRE(engine.Open(file.span(), options) == Status::kOk);
    const std::size_t size = engine.model.input_size();
    const auto pixels = RandomPixels(engine.model, 4, random.Next());
    const auto predictions = Predict(&engine, pixels);
    for (std::size_t image = 0; image < 4; ++image) {
      const Prediction& early = predictions[image];
      (early.ended == Ended::kAllSamples ? undecided : decided) += 1;
      CHECK((early.ended != Ended::kAllSamples || early.samples_used == 30));
      std::vector<std::byte> found;
      AppendPrediction(early, &found);
      CHECK(early.logits.size() ==
            (options.keep_logits
                 ? (early.samples_used - 1) * early.logits_stride + early.mean.size()
                 : 0));
      SessionOptions plain = options;
      plain.stop = {};
      plain.batch = 1;
      plain.mc_samples = early.samples_used;
      CAPTURE(i);
      CHECK(PredictWith(file.span(), plain, std::span(pixels).subspan(image * size, size)) ==
            found);
    }
  }
  MESSAGE("decided " << decided << ", undecided " << undecided);
  CHECK(decided > 0);
  CHECK(undecided > 0);
}

TEST_CASE("passes: early endings do not depend on batch, workers or kernels") {
  Random random(304);
  for (int i = 0; i < Effort(25, 5); ++i) {
    const AlignedBytes file = RandomModel(&random).File();
    SessionOptions options{.mc_samples = 20, .seed = 8};
    options.noise = i % 2 == 0 ? Noise::kAntithetic : Noise::kIndependent;
    options.stop = {.rule = StopRule::kLabel, .error = 0.4F};
    const auto outcome = [&](std::uint32_t batch, std::uint32_t workers, KernelSet kernels) {
      SessionOptions changed = options;
      changed.batch = batch;
      changed.workers = workers;
      changed.kernels = kernels;
      Engine engine;
      REQUIRE(engine.Open(file.span(), changed) == Status::kOk);
      const auto pixels = RandomPixels(engine.model, 6, 77);
      std::vector<std::byte> bytes;
      for (std::size_t first = 0; first < 6; first += batch) {
        const std::size_t size = engine.model.input_size();
        for (const Prediction& p :
             Predict(&engine, std::span(pixels).subspan(first * size, batch * size))) {
          AppendPrediction(p, &bytes);
          bytes.push_back(static_cast<std::byte>(p.samples_used));
          bytes.push_back(static_cast<std::byte>(p.ended));
        }
      }
      return bytes;
    };
    const auto expected = outcome(1, 1, KernelSet::kScalar);
    CAPTURE(i);
    CHECK(outcome(6, 1, KernelSet::kAuto) == expected);
    CHECK(outcome(3, 4, KernelSet::kAuto) == expected);
    CHECK(outcome(2, 40, KernelSet::kAuto) == expected);
  }
}

// A clock that says yes `left` times.
bool Countdown(void* left) { return (*static_cast<int*>(left))-- > 0; }

TEST_CASE("passes: a deadline gives the answer of the passes that were done") {
  const AlignedBytes file = EveryOperatorModel().File();
  for (const std::uint32_t workers : {1U, 3U}) {
    for (const StopRule rule : {StopRule::kNone, StopRule::kLabel}) {
      int left = 0;
      SessionOptions options{.mc_samples = 50, .seed = 9, .batch = 2};
      options.stop = {.rule = rule, .error = 1e-6F};
      options.workers = workers;
      options.keep_going = Countdown;
      options.keep_going_context = &left;
      Engine engine;
      REQUIRE(engine.Open(file.span(), options) == Status::kOk);
      const auto pixels = RandomPixels(engine.model, 2, 10);
      // A single worker asks before every layer: within a pass that is then not counted, too.
      const format::View view = format::Reopen(file.span());
      const auto layers = static_cast<int>(view.layer_count() - view.first_pass_layer());
      const int asked = workers == 1 ? layers : 1;
      for (const int more : {0, 1, 4, layers - 1, layers + 1}) {
        left = more;
        const auto predictions = Predict(&engine, pixels);
        std::vector<std::byte> found;
        for (const Prediction& prediction : predictions) {
          CHECK(prediction.ended == Ended::kDeadline);
          CHECK(prediction.samples_used == workers * static_cast<std::uint32_t>(more / asked + 1));
          AppendPrediction(prediction, &found);
        }
        const SessionOptions plain{
            .mc_samples = predictions[0].samples_used, .seed = 9, .batch = 2};
        CHECK(PredictWith(file.span(), plain, pixels) == found);
      }
      left = 50 * layers;
      for (const Prediction& prediction : Predict(&engine, pixels)) {
        CHECK(prediction.ended == Ended::kAllSamples);
        CHECK(prediction.samples_used == 50);
      }
    }
  }
}

}  // namespace
}  // namespace mu8::testing
