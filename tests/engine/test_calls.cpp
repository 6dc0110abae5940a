// Wrong calls: each has its own status, and nothing is written.
#include <doctest/doctest.h>

#include <limits>

#include "tests/support/moments_models.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

TEST_CASE("arena: exactly the bytes asked for are enough, one byte less is not") {
  Random random(91);
  for (int i = 0; i < 60; ++i) {
    const AlignedBytes file = (i == 0 ? TinyModel(4) : RandomModel(&random)).File();
    Model model;
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    const SessionOptions options{
        .mc_samples = 2, .batch = 1 + random.Below(5), .keep_logits = random.OneIn(2)};
    const std::size_t bytes = ArenaBytes(model, options);
    REQUIRE(bytes % 16 == 0);
    GuardedBuffer arena(bytes);
    Session session;
    Diagnostic diagnostic;
    CHECK(Session::Create(model, options, {arena.Last(bytes), bytes - 1}, &session, &diagnostic) ==
          Status::kArenaTooSmall);
    CHECK(diagnostic.status == Status::kArenaTooSmall);
    CHECK(diagnostic.found == bytes - 1);
    CHECK(diagnostic.expected == bytes);
    CHECK(session.arena_bytes() == 0);
    // Against the rear guard page.
    REQUIRE(Session::Create(model, options, {arena.Last(bytes), bytes}, &session) == Status::kOk);
    CHECK(session.arena_bytes() == bytes);
    const auto pixels = RandomPixels(model, options.batch, 1);
    std::vector<Prediction> predictions(options.batch);
    CHECK(session.Predict(pixels, predictions) == Status::kOk);
    // Against the front one; what lies behind the arena stays.
    GuardedBuffer front(bytes + 64);
    front.Fill(0x5a);
    REQUIRE(Session::Create(model, options, {front.First(), bytes}, &session) == Status::kOk);
    CHECK(session.Predict(pixels, predictions) == Status::kOk);
    bool untouched = true;
    for (std::size_t at = bytes; at < front.capacity(); ++at) {
      untouched = untouched && front.First()[at] == std::byte{0x5a};
    }
    CHECK(untouched);
  }
}

TEST_CASE("arena: what one image needs follows from the model, and from kept logits") {
  const TestModel model = TinyModel(4);
  const AlignedBytes file = model.File();
  Model opened;
  REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
  // Tensors of 384 bytes, the convolution's panel of 64 and the count of clamped inputs behind
  // them; accumulators, sums of p, of squares and of entropies, mean, variance.
  const std::size_t bytes = 384 + (64 + 16) + 16 + 32 + 32 + 16 + 16 + 16;
  CHECK(ArenaBytes(opened, {}) == bytes);
  CHECK(ArenaBytes(opened, {.mc_samples = 65536}) == bytes);
  CHECK(ArenaBytes(opened, {.batch = 2}) > bytes);
  CHECK(ArenaBytes(opened, {.mc_samples = 10, .keep_logits = true}) == bytes + 128);
}

TEST_CASE("arena: covariances beyond 32 bits are counted, or no arena is large enough") {
  TestModel model;
  format::FileContent& content = model.content;
  constexpr std::uint32_t kHeight = 1024, kWidth = 1025, kClasses = 64;
  content.tensors = {MakeTensor(kHeight, kWidth, 1, 0.01F, 0)};
  content.layers = {MakeLayer(format::OpCode::kConv2d, 0, kClasses)};
  content.layers[0].flags = format::kLayerBayesian;
  content.layers[0].sigma_bits = 8;
  SetRuns(content.tensors[0], &content.layers[0]);
  Finish(&content, false);
  Random random(5);
  model.weights = {RandomWeights(content.layers[0], 0.01F, 0, &random)};
  content.parameters = {Pack(content.layers[0], model.weights[0])};
  content.input_table.resize(256);
  content.output_height = kHeight;
  content.output_width = kWidth;
  const AlignedBytes file = WithMoments(std::move(model), {{1, 1}}).File();
  Model opened;
  REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
  constexpr std::uint64_t kKept =
      std::uint64_t{kHeight} * kWidth * (kClasses + kClasses * kClasses) * sizeof(float);
  static_assert(kKept > 0xffffffff);
  const std::size_t bytes = ArenaBytes(opened, {.keep_logits = true, .method = Method::kMoments});
  if (sizeof(std::size_t) < sizeof(std::uint64_t)) {
    CHECK(bytes == SIZE_MAX);
  } else {
    CHECK(bytes > kKept);
  }
}

TEST_CASE("arena: a start that is no multiple of 16 is rejected") {
  const AlignedBytes file = TinyModel(4).File();
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  const std::size_t bytes = ArenaBytes(model, {});
  AlignedBytes arena(bytes + 64);
  for (const std::size_t shift : {1U, 4U, 8U, 15U}) {
    Session session;
    Diagnostic diagnostic;
    CHECK(Session::Create(model, {}, {arena.data() + shift, bytes}, &session, &diagnostic) ==
          Status::kMisalignedArena);
    CHECK(diagnostic.found == shift);
  }
}

TEST_CASE("calls: without a model or a session") {
  const Model closed;
  CHECK(ArenaBytes(closed, {}) == 0);
  AlignedBytes arena(64);
  Session session;
  CHECK(Session::Create(closed, {}, arena.span(), &session) == Status::kNotReady);
  Prediction prediction;
  const std::vector<std::uint8_t> pixels(36);
  CHECK(session.Predict(pixels, {&prediction, 1}) == Status::kNotReady);
  const std::vector<float> values(36);
  CHECK(session.Predict(std::span<const float>(values), {&prediction, 1}) == Status::kNotReady);
  CHECK(session.input_size() == 0);
}

TEST_CASE("calls: wrong numbers of images and elements") {
  const AlignedBytes file = TinyModel(4).File();
  Engine engine;
  REQUIRE(engine.Open(file.span(), {.mc_samples = 2, .batch = 2}) == Status::kOk);
  const std::vector<std::uint8_t> pixels(36 * 3);
  std::vector<Prediction> predictions(3);
  const std::span<Prediction> room(predictions);
  const std::span<const std::uint8_t> images(pixels);
  Diagnostic diagnostic;
  CHECK(engine.session.Predict(images.first(0), room.first(0), &diagnostic) == Status::kBatchSize);
  CHECK(diagnostic.expected == 2);
  CHECK(engine.session.Predict(images, room, &diagnostic) == Status::kBatchSize);
  CHECK(diagnostic.found == 3);
  for (const std::size_t elements : {0U, 1U, 71U, 73U, 108U}) {
    CHECK(engine.session.Predict(images.first(elements), room.first(2), &diagnostic) ==
          Status::kInputSize);
    CHECK(diagnostic.found == elements);
    CHECK(diagnostic.expected == 72);
  }
  CHECK(engine.session.Predict(images.first(72), room.first(2)) == Status::kOk);
}

TEST_CASE("calls: NaN and infinity are rejected, with the element's index") {
  const AlignedBytes file = TinyModel(4).File();
  Engine engine;
  REQUIRE(engine.Open(file.span(), {.mc_samples = 2}) == Status::kOk);
  using Limits = std::numeric_limits<float>;
  for (const float bad :
       {Limits::quiet_NaN(), -Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()}) {
    for (const std::size_t at : {0U, 17U, 35U}) {
      std::vector<float> image(36, 0.25F);
      image[at] = bad;
      Prediction prediction;
      Diagnostic diagnostic;
      CHECK(engine.session.Predict(std::span<const float>(image), {&prediction, 1}, &diagnostic) ==
            Status::kInputNotFinite);
      CHECK(diagnostic.found == at);
      CHECK(prediction.mean.empty());
    }
  }
}

TEST_CASE("calls: a result before Create or beyond the batch is empty") {
  CHECK(Session().Result(0).mean.empty());
  const AlignedBytes file = TinyModel(4).File();
  Engine engine;
  REQUIRE(engine.Open(file.span(), {.mc_samples = 2}) == Status::kOk);
  CHECK(engine.session.Result(1).mean.empty());
  CHECK(engine.session.Result(0).mean.empty());  // nothing was run
  Engine early;
  SessionOptions options{.mc_samples = 2, .batch = 4, .keep_logits = true};
  options.stop.rule = StopRule::kLabel;
  REQUIRE(early.Open(file.span(), options) == Status::kOk);
  REQUIRE(early.session.Run(RandomPixels(early.model, 2, 1), 2) == Status::kOk);
  CHECK(!early.session.Result(1).mean.empty());
  CHECK(early.session.Result(2).mean.empty());  // in the batch, not in the call
}

}  // namespace
}  // namespace mu8::testing
