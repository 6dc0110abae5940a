// An arena in two regions: exactly the bytes asked for, each between guard pages, and the bytes of
// an arena in one piece.
#include <doctest/doctest.h>

#include <cstring>
#include <tuple>
#include <vector>

#include "formats/reader.h"
#include "mu8/mu8_c.h"
#include "tests/support/effort.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

// Of any head, so that every part of an arena is there in some.
TestModel AnyModel(int i, Random* random) {
  TestModel model = TinyModel(4, true, 8, 4);
  switch (i) {
    case 0:
      return EveryOperatorModel();
    case 1:
      return DenseReconstructionModel();
    case 2:
      return WithGaussian(model, format::ScaleForm::kLogVariance);
    case 3:
      model.content.head = format::Head::kSigmoid;
      return model;
    case 4:
      model.content.head = format::Head::kValues;
      model.content.outputs.noise_variance = {1, 2, 3, 4};
      return model;
    case 5:
      return DenseOutputModel(3);
    default:
      return RandomModel(random, random->OneIn(3));
  }
}

SessionOptions AnyOptions(const Model& model, Random* random) {
  SessionOptions options{
      .mc_samples = 1 + random->Below(6), .seed = random->Next(), .batch = 1 + random->Below(4)};
  options.keep_logits = random->OneIn(2);
  options.workers = random->OneOf({1U, 1U, 2U, 7U});
  const bool classes = model.head() == Head::kSoftmax || model.head() == Head::kSigmoid;
  if (classes && model.output_size() == model.class_count() && random->OneIn(2)) {
    options.stop = {.rule = StopRule::kThresholds, .error = 0.2F};
  }
  return options;
}

// Opens `engine` in two guarded buffers, each against its rear page or its front one.
struct Regions {
  RegionBytes bytes;
  GuardedBuffer fast, slow;

  Regions(const Model& model, const SessionOptions& options)
      : bytes(ArenaRegionBytes(model, options)), fast(bytes.fast), slow(bytes.slow) {
    fast.Fill(0x5a);
    slow.Fill(0xa5);
  }
  Status Open(const Model& model, const SessionOptions& options, bool front, Session* session) {
    std::byte* first = front ? fast.First() : fast.Last(bytes.fast);
    std::byte* second = front ? slow.First() : slow.Last(bytes.slow);
    return Session::Create(model, options, {first, bytes.fast}, {second, bytes.slow}, session);
  }
};

TEST_CASE("regions: the same bytes as in one piece, in exactly the bytes asked for") {
  Random random(511);
  std::size_t executed = 0;
  int smaller = 0;
  for (int i = 0; i < Effort(120, 14); ++i) {
    const AlignedBytes file = AnyModel(i, &random).File();
    Model model;
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    const SessionOptions options = AnyOptions(model, &random);
    CAPTURE(i);
    Engine whole;
    REQUIRE(whole.Open(file.span(), options) == Status::kOk);
    const auto pixels = RandomPixels(model, options.batch, random.Next());
    const auto expected = PredictAll(&whole, pixels, options.batch);
    REQUIRE(!expected.empty());
    Regions regions(model, options);
    CHECK(regions.bytes.fast % 16 == 0);
    CHECK(regions.bytes.slow % 16 == 0);
    CHECK(regions.bytes.fast + regions.bytes.slow == ArenaBytes(model, options));
    format::View view;
    REQUIRE(format::Open(file.span(), &view, nullptr) == Status::kOk);
    CHECK(ArenaBytes(model, {}) <= view.model.arena_bytes + 16);
    smaller += ArenaBytes(model, {}) < view.model.arena_bytes ? 1 : 0;
    for (const bool front : {false, true}) {
      Engine engine;
      engine.model = model;
      REQUIRE(regions.Open(model, options, front, &engine.session) == Status::kOk);
      CHECK(engine.session.arena_bytes() == ArenaBytes(model, options));
      CHECK(PredictAll(&engine, pixels, options.batch) == expected);
      ++executed;
    }
    // What is behind the regions at the front stays as it was.
    for (const auto& [buffer, bytes, fill] :
         {std::tuple{&regions.fast, regions.bytes.fast, std::byte{0x5a}},
          std::tuple{&regions.slow, regions.bytes.slow, std::byte{0xa5}}}) {
      const std::size_t rest = buffer->capacity() - bytes;
      if (rest < bytes) continue;  // they overlap: the region at the rear wrote there
      bool untouched = true;
      for (std::size_t at = bytes; at < rest; ++at) {
        untouched = untouched && buffer->First()[at] == fill;
      }
      CHECK(untouched);
    }
  }
  CHECK(executed == 2 * static_cast<std::size_t>(Effort(120, 14)));
  CHECK(smaller > Effort(120, 14) / 2);
}

TEST_CASE("regions: the fast one has what inner loops touch, and no more") {
  const AlignedBytes file = TinyModel(4).File();
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  const RegionBytes one = ArenaRegionBytes(model, {});
  // 4 slots of 4 bytes; activations of 384, then the panel of 64 and a count.
  CHECK(one.fast == 384 + 64 + 16 + 16);
  CHECK(ArenaRegionBytes(model, {.mc_samples = 9, .keep_logits = true}).fast == one.fast);
  CHECK(ArenaRegionBytes(model, {.stop = {.rule = StopRule::kLabel}}).fast == one.fast);
  // Of each worker: the panel in a part of its own, accumulators rounded up to 64.
  CHECK(ArenaRegionBytes(model, {.workers = 3}).fast == 3 * (384 + 64 + 64));
  CHECK(ArenaRegionBytes(Model(), {}).fast == 0);
  CHECK(ArenaRegionBytes(model, {.mc_samples = 0}).slow == 0);
}

TEST_CASE("regions: one that is too small, missing or misaligned is named") {
  const AlignedBytes file = TinyModel(4).File();
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  const RegionBytes bytes = ArenaRegionBytes(model, {});
  AlignedBytes fast(bytes.fast + 64), slow(bytes.slow + 64);
  Session session;
  Diagnostic diagnostic;
  const auto create = [&](std::span<std::byte> first, std::span<std::byte> second) {
    return Session::Create(model, {}, first, second, &session, &diagnostic);
  };
  const std::span<std::byte> a(fast.data(), bytes.fast), b(slow.data(), bytes.slow);
  CHECK(create(a.first(bytes.fast - 1), b) == Status::kArenaTooSmall);
  CHECK(diagnostic.option == Option::kFastArena);
  CHECK(diagnostic.found == bytes.fast - 1);
  CHECK(diagnostic.expected == bytes.fast);
  CHECK(create(a, b.first(bytes.slow - 1)) == Status::kArenaTooSmall);
  CHECK(diagnostic.option == Option::kSlowArena);
  CHECK(diagnostic.expected == bytes.slow);
  CHECK(create({fast.data() + 8, bytes.fast}, b) == Status::kMisalignedArena);
  CHECK(diagnostic.option == Option::kFastArena);
  CHECK(diagnostic.found == 8);
  CHECK(create(a, {slow.data() + 1, bytes.slow}) == Status::kMisalignedArena);
  CHECK(diagnostic.option == Option::kSlowArena);
  CHECK(create({static_cast<std::byte*>(nullptr), bytes.fast}, b) == Status::kNullPointer);
  CHECK(diagnostic.found == 3);
  CHECK(create(a, {static_cast<std::byte*>(nullptr), bytes.slow}) == Status::kNullPointer);
  CHECK(diagnostic.found == 4);
  CHECK(session.arena_bytes() == 0);
  CHECK(create(a, b) == Status::kOk);
}

TEST_CASE("regions: the C API creates and predicts in two") {
  const AlignedBytes file = TinyModel(4).File();
  Engine engine;
  REQUIRE(engine.Open(file.span(), {}) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 1, 4);
  REQUIRE(engine.session.Run(pixels, 1) == Status::kOk);
  const Prediction expected = engine.session.Result(0);
  const mu8_options options = mu8_default_options();
  mu8_model model;
  mu8_session session;
  mu8_prediction prediction;
  mu8_diagnostic diagnostic;
  REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
  std::size_t fast_bytes = 1, slow_bytes = 1;
  mu8_arena_region_bytes(&model, &options, &fast_bytes, &slow_bytes);
  CHECK(fast_bytes + slow_bytes == mu8_arena_bytes(&model, &options));
  GuardedBuffer fast(fast_bytes), slow(slow_bytes);
  const auto create = [&](std::size_t first, std::size_t second, std::byte* other) {
    return mu8_session_create_in_regions(&model, &options, fast.Last(fast_bytes), first, other,
                                         second, &session, &diagnostic);
  };
  CHECK(create(fast_bytes, slow_bytes - 1, slow.Last(slow_bytes)) == 60);
  CHECK(diagnostic.option == MU8_OPTION_SLOW_ARENA);
  CHECK(create(fast_bytes, slow_bytes, nullptr) == 68);
  CHECK(diagnostic.found == 5);
  REQUIRE(create(fast_bytes, slow_bytes, slow.Last(slow_bytes)) == 0);
  REQUIRE(mu8_predict_u8(&session, pixels.data(), 1, &prediction, nullptr) == 0);
  CHECK(std::memcmp(prediction.mean, expected.mean.data(), expected.mean.size_bytes()) == 0);
  mu8_arena_region_bytes(nullptr, &options, &fast_bytes, &slow_bytes);
  CHECK(fast_bytes + slow_bytes == 0);
}

}  // namespace
}  // namespace mu8::testing
