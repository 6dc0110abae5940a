// Stop rules for values: which are refused, that they end alike however the passes are cut, and
// what they count. Whether they keep their promise: test_stopping.cpp.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "tests/support/model_builder.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

// Ranges around what the outputs are, narrower than their spread by `share`.
TestModel WithRanges(TestModel model, float share) {
  if (model.content.head != format::Head::kGaussian) model.content.head = format::Head::kValues;
  const AlignedBytes file(format::Write(model.content));
  Engine engine;
  REQUIRE(engine.Open(file.span(), {.mc_samples = 200, .batch = 4}) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 4, 21);
  std::vector<Prediction> found(4);
  REQUIRE(engine.session.Predict(std::span<const std::uint8_t>(pixels), found) == Status::kOk);
  for (std::uint32_t c = 0; c < engine.model.class_count(); ++c) {
    float low = found[0].mean[c], high = low;
    for (const Prediction& p : found) {
      const float spread = share * std::sqrt(p.variance[c]);
      low = std::min(low, p.mean[c] - spread);
      high = std::max(high, p.mean[c] + spread);
    }
    model.content.outputs.ranges.push_back({low, high});
  }
  return model;
}

Stop StopOf(const format::OutputRange& range, StopRule rule) {
  const float width = range.high - range.low;
  return {.rule = rule,
          .error = 0.1F,
          .class_index = 1,
          .threshold = range.low + 0.4F * width,
          .within = 0.15F * width};
}

struct Counts {
  std::size_t decided = 0, clipped = 0;
};

// Every number of what a session predicts, and that its passes were clipped and ended as it says.
std::vector<std::byte> Outcome(const AlignedBytes& file, const SessionOptions& options,
                               const format::OutputRange& range, Counts* counts) {
  Engine engine;
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 4, 21);
  const std::size_t size = engine.model.input_size(), batch = options.batch;
  std::vector<std::byte> bytes;
  for (std::size_t at = 0; at < 4; at += batch) {
    std::vector<Prediction> found(batch);
    REQUIRE(engine.session.Predict(
                std::span<const std::uint8_t>(pixels).subspan(at * size, batch * size), found) ==
            Status::kOk);
    for (const Prediction& p : found) {
      AppendPrediction(p, &bytes);
      const std::uint32_t ends[] = {p.samples_used, static_cast<std::uint32_t>(p.ended),
                                    p.clipped_passes};
      AppendBytes(std::span<const std::uint32_t>(ends), &bytes);
      std::uint32_t outside = 0;
      for (std::uint32_t t = 0; t < p.samples_used; ++t) {
        const float value = p.logits[t * p.logits_stride + 1];
        outside += value < range.low || value > range.high ? 1U : 0U;
      }
      CHECK(p.clipped_passes == outside);
      CHECK((p.ended == Ended::kWithin) ==
            (options.stop.rule == StopRule::kWithin && p.ended != Ended::kAllSamples));
      CHECK((p.ended != Ended::kAllSamples || p.samples_used == options.mc_samples));
      counts->decided += p.ended != Ended::kAllSamples ? 1 : 0;
      counts->clipped += outside;
    }
  }
  return bytes;
}

TEST_CASE("values: early endings do not depend on batch, workers or kernels") {
  Counts counts;
  TestModel gaussian = WithGaussian(TinyModel(4, true, 8, 4), format::ScaleForm::kSoftplus);
  for (const TestModel& model : {WithRanges(TinyModel(8), 0.7F), WithRanges(TinyModel(4), 4.0F),
                                 WithRanges(gaussian, 2.0F)}) {
    const AlignedBytes file(format::Write(model.content));
    const format::OutputRange range = model.content.outputs.ranges[1];
    for (const StopRule rule : {StopRule::kThreshold, StopRule::kWithin}) {
      SessionOptions options{.mc_samples = 600, .keep_logits = true};
      options.noise = rule == StopRule::kThreshold ? Noise::kAntithetic : Noise::kIndependent;
      options.stop = StopOf(range, rule);
      Model opened;
      REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
      const std::vector<std::byte> first = Outcome(file, options, range, &counts);
      for (const auto& [batch, workers] : {std::pair(1U, 1U), {4U, 1U}, {2U, 3U}, {4U, 8U}}) {
        options.batch = batch;
        options.workers = workers;
        for (const KernelSet set : RunnableKernels(opened)) {
          options.kernels = set;
          CHECK(Outcome(file, options, range, &counts) == first);
        }
      }
    }
  }
  MESSAGE("decided " << counts.decided << ", passes clipped " << counts.clipped);
  CHECK(counts.decided > 0);
  CHECK(counts.clipped > 0);
}

// With a stop rule or without: the passes are the same, and so is what they say.
TEST_CASE("values: an early ending gives the bytes of a session with as many samples") {
  const TestModel model = WithRanges(TinyModel(8), 4.0F);
  const AlignedBytes file(format::Write(model.content));
  SessionOptions options{.mc_samples = 600};
  options.stop = StopOf(model.content.outputs.ranges[1], StopRule::kWithin);
  Engine early;
  REQUIRE(early.Open(file.span(), options) == Status::kOk);
  const auto pixels = RandomPixels(early.model, 1, 21);
  Prediction found;
  REQUIRE(early.session.Predict(std::span<const std::uint8_t>(pixels), {&found, 1}) == Status::kOk);
  CHECK(found.ended == Ended::kWithin);
  CHECK(found.samples_used < 600);
  std::vector<std::byte> bytes;
  AppendPrediction(found, &bytes);
  Engine plain;
  REQUIRE(plain.Open(file.span(), {.mc_samples = found.samples_used}) == Status::kOk);
  CHECK(PredictAll(&plain, pixels, 1) == bytes);
}

TEST_CASE("values: stop rules for values need a range, and a number that lies in it") {
  TestModel model = TinyModel(4);
  model.content.head = format::Head::kValues;
  model.content.outputs.ranges = {{0, 1}, {-20, 30}, {5, 6}};
  const AlignedBytes file(format::Write(model.content));
  Model opened;
  REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
  float low = 0, high = 0;
  REQUIRE(opened.OutputRange(1, &low, &high));
  CHECK(low == -20.0F);
  CHECK(high == 30.0F);
  CHECK_FALSE(opened.OutputRange(3, &low, &high));
  const auto refused = [&](const Stop& stop, Option option, std::uint64_t found,
                           std::uint64_t expected) {
    Engine engine;
    Diagnostic diagnostic;
    CHECK(engine.Open(file.span(), {.stop = stop}, &diagnostic) == Status::kBadOption);
    CHECK(diagnostic.option == option);
    CHECK(diagnostic.found == found);
    CHECK(diagnostic.expected == expected);
  };
  constexpr auto kThreshold = StopRule::kThreshold, kWithin = StopRule::kWithin;
  refused({.rule = StopRule::kLabel}, Option::kStopRule, 1, 2);
  refused({.rule = kWithin, .class_index = 3}, Option::kStopClass, 3, 2);
  refused({.rule = kWithin, .class_index = 1}, Option::kStopWithin, 0, 500000);
  refused({.rule = kWithin, .class_index = 1, .within = 37.5F}, Option::kStopWithin, 750000,
          500000);
  refused({.rule = kThreshold, .class_index = 1, .threshold = -21}, Option::kStopThreshold, 0,
          999999);
  refused({.rule = kThreshold, .class_index = 1, .threshold = 30}, Option::kStopThreshold, 1000000,
          999999);
  Engine engine;
  CHECK(engine.Open(file.span(), {.stop = {.rule = kWithin, .class_index = 1, .within = 25}}) ==
        Status::kOk);
  CHECK(engine.Open(file.span(), {.stop = {.rule = kThreshold, .class_index = 1}}) == Status::kOk);
  // Without ranges no rule holds.
  model.content.outputs.ranges.clear();
  const AlignedBytes bare(format::Write(model.content));
  for (const StopRule rule : {kThreshold, kWithin}) {
    Diagnostic diagnostic;
    CHECK(engine.Open(bare.span(), {.stop = {.rule = rule, .within = 1}}, &diagnostic) ==
          Status::kBadOption);
    CHECK(diagnostic.option == Option::kStopRule);
  }
}

}  // namespace
}  // namespace mu8::testing
