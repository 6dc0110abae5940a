// One image by one worker: panels lie among the activations, and layers of one output position draw
// theirs in pieces. Neither changes a byte of a prediction, and both save memory.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/support/model_builder.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

std::vector<std::byte> Predict(const AlignedBytes& file, const SessionOptions& options,
                               std::size_t* arena_bytes) {
  Engine engine;
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  *arena_bytes = engine.session.arena_bytes();
  return PredictAll(&engine, RandomPixels(engine.model, 2, 7), 1);
}

TEST_CASE("small arena: pieces of panels of any size give the bytes of whole panels") {
  Random random(31);
  std::size_t sessions = 0, smaller = 0;
  for (int i = 0; i < 80; ++i) {
    CAPTURE(i);
    const AlignedBytes file = RandomModel(&random).File();
    Model model;
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    // A batch of two has its panels in a part of their own, whole.
    std::size_t bytes = 0, whole = 0;
    const std::vector<std::byte> expected =
        Predict(file, {.mc_samples = 3, .batch = 2, .kernels = KernelSet::kScalar}, &bytes);
    Predict(file, {.panel_bytes = 1U << 30}, &whole);
    for (const KernelSet set : RunnableKernels(model)) {
      for (const std::uint32_t most : {64U, 192U, 1000U, 16384U}) {
        const std::string name = NameOf(set);
        CAPTURE(name);
        CAPTURE(most);
        CHECK(Predict(file, {.mc_samples = 3, .kernels = set, .panel_bytes = most}, &bytes) ==
              expected);
        CHECK(bytes <= whole);
        ++sessions;
        smaller += bytes < whole ? 1U : 0U;
      }
    }
  }
  MESSAGE("sessions: " << sessions << ", with less memory than whole panels take: " << smaller);
  CHECK(smaller > 0);
}

}  // namespace
}  // namespace mu8::testing
