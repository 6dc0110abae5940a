// Models that the build trusts: their bytes are known by a hash, and no rule is checked again.
#include <doctest/doctest.h>

#include <vector>

#include "tests/support/model_builder.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

std::vector<std::byte> Predictions(const Model& model) {
  Engine engine;
  engine.model = model;
  const SessionOptions options{.mc_samples = 3};
  const std::size_t bytes = ArenaBytes(model, options);
  engine.arena.emplace(bytes);
  REQUIRE(Session::Create(model, options, {engine.arena->Last(bytes), bytes}, &engine.session) ==
          Status::kOk);
  return PredictAll(&engine, RandomPixels(model, 2, 5), 1);
}

TEST_CASE("trusted: the file that was hashed opens, and predicts as a validated one does") {
  Random random(77);
  for (int i = 0; i < 40; ++i) {
    const AlignedBytes file = RandomModel(&random).File();
    Model validated, trusted;
    REQUIRE(Model::Open(file.span(), &validated) == Status::kOk);
    Diagnostic diagnostic;
    const std::uint32_t hash = Model::TrustedHash(file.span());
    REQUIRE(Model::OpenTrusted(file.span(), hash, &trusted, &diagnostic) == Status::kOk);
    CHECK(trusted.class_count() == validated.class_count());
    CHECK(trusted.name() == validated.name());
    const std::vector<std::byte> predictions = Predictions(trusted);
    CHECK(!predictions.empty());
    CHECK(predictions == Predictions(validated));
  }
}

TEST_CASE("trusted: other bytes, another hash and wrong arguments are refused") {
  AlignedBytes file = TinyModel(4).File();
  const std::uint32_t hash = Model::TrustedHash(file.span());
  Model model;
  Diagnostic diagnostic;
  CHECK(Model::OpenTrusted(file.span(), hash + 1, &model, &diagnostic) == Status::kWrongModel);
  CHECK(diagnostic.found == hash);
  CHECK(diagnostic.expected == std::uint64_t{hash} + 1);
  std::size_t flips = 0;
  for (std::size_t byte = 0; byte < file.size(); ++byte, ++flips) {
    file.data()[byte] ^= std::byte{0x10};
    REQUIRE(Model::OpenTrusted(file.span(), hash, &model) == Status::kWrongModel);
    file.data()[byte] ^= std::byte{0x10};
  }
  MESSAGE("flipped bits found: " << flips);
  CHECK(flips > 1000);
  CHECK(Model::OpenTrusted(file.span().first(file.size() - 1), hash, &model) ==
        Status::kWrongModel);
  CHECK(Model::OpenTrusted({}, 0, &model) == Status::kWrongModel);
  CHECK(Model::OpenTrusted(file.span().subspan(4), hash, &model, &diagnostic) ==
        Status::kMisalignedFile);
  CHECK(Model::OpenTrusted(file.span(), hash, nullptr, &diagnostic) == Status::kNullPointer);
  CHECK(model.bytes().empty());
}

}  // namespace
}  // namespace mu8::testing
