// Options out of range: each is named, with its value and the most that it may be.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/model_builder.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

struct Wrong {
  Option option;
  SessionOptions options;
  std::uint64_t found, expected;
};

template <typename Change>
SessionOptions With(Change change) {
  SessionOptions options;
  change(&options);
  return options;
}

SessionOptions WithStop(const Stop& stop) {
  return With([&](SessionOptions* options) { options->stop = stop; });
}

// For a model of three classes. Shares count millionths; 0 is less, or no number.
std::vector<Wrong> WrongOptions() {
  using Limits = std::numeric_limits<float>;
  std::vector<Wrong> wrong = {
      {Option::kMcSamples, {.mc_samples = 0}, 0, 65536},
      {Option::kMcSamples, {.mc_samples = 65537}, 65537, 65536},
      {Option::kBatch, {.batch = 0}, 0, 65536},
      {Option::kBatch, {.batch = 65537}, 65537, 65536},
      {Option::kWorkers, {.workers = 0}, 0, 1024},
      {Option::kWorkers, {.workers = 1025}, 1025, 1024},
      {Option::kPanelBytes, {.panel_bytes = 63}, 63, 0xffffffff},
      {Option::kNoise, {.noise = static_cast<Noise>(2)}, 2, 1},
      {Option::kMethod, {.method = static_cast<Method>(3)}, 3, 2},
      {Option::kStopRule, WithStop({.rule = StopRule::kWithin}), 3, 2},
      {Option::kStopRule, WithStop({.rule = static_cast<StopRule>(5)}), 5, 4},
      {Option::kStopClass, WithStop({.rule = StopRule::kThreshold, .class_index = 3}), 3, 2}};
  struct Share {
    float value;
    std::uint64_t found;
  };
  for (const Share& share :
       {Share{0.0F, 0}, Share{-0.25F, 0}, Share{9e-7F, 0}, Share{Limits::quiet_NaN(), 0},
        Share{-Limits::infinity(), 0}, Share{1.0F, 1000000}, Share{12.5F, 12500000},
        Share{Limits::infinity(), 1000000000000}}) {
    for (const StopRule rule : {StopRule::kLabel, StopRule::kThreshold}) {
      wrong.push_back({Option::kStopError, WithStop({.rule = rule, .error = share.value}),
                       share.found, 500000});
    }
    wrong.push_back({Option::kStopThreshold,
                     WithStop({.rule = StopRule::kThreshold, .threshold = share.value}),
                     share.found, 999999});
  }
  wrong.push_back(
      {Option::kStopError, WithStop({.rule = StopRule::kLabel, .error = 0.75F}), 750000, 500000});
  return wrong;
}

TEST_CASE("options: each out of range is named and needs no arena") {
  const AlignedBytes file = TinyModel(4).File();
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  REQUIRE(model.class_count() == 3);
  AlignedBytes arena(ArenaBytes(model, {}));
  std::set<Option> named;
  for (const Wrong& wrong : WrongOptions()) {
    const std::string name = OptionName(wrong.option);
    CAPTURE(name);
    CAPTURE(wrong.found);
    CHECK(ArenaBytes(model, wrong.options) == 0);
    Session session;
    Diagnostic diagnostic;
    CHECK(Session::Create(model, wrong.options, arena.span(), &session) == Status::kBadOption);
    CHECK(Session::Create(model, wrong.options, arena.span(), &session, &diagnostic) ==
          Status::kBadOption);
    CHECK(diagnostic.status == Status::kBadOption);
    CHECK(diagnostic.option == wrong.option);
    CHECK(diagnostic.found == wrong.found);
    CHECK(diagnostic.expected == wrong.expected);
    CHECK(std::string_view(session.kernels()) == "none");
    named.insert(wrong.option);
  }
  named.insert(Option::kStopWithin);  // of values: test_value_stops.cpp
  named.insert(Option::kStopChosen);  // of several labels: test_threshold_stops.cpp
  named.insert(Option::kFastArena);   // test_regions.cpp
  named.insert(Option::kResident);    // tests/formats/test_stream.cpp
  named.insert(Option::kScratch);
  named.insert(Option::kStreamed);  // of builds without it
  named.insert(Option::kSlowArena);
  named.insert(Option::kCheckProducts);  // of builds without: test_trimmed.py
  named.insert({Option::kKeepLogits, Option::kDoubtMargin, Option::kDoubtEntropy});  // below
  // Every option that there is.
  const std::string unknown = OptionName(static_cast<Option>(1000));
  for (int option = 1; OptionName(static_cast<Option>(option)) != unknown; ++option) {
    CAPTURE(option);
    CHECK(named.erase(static_cast<Option>(option)) == 1);
  }
  CHECK(named.empty());
}

TEST_CASE("options: moments take none of sampling's own") {
  const AlignedBytes file = TinyModel(4).File();
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  AlignedBytes arena(ArenaBytes(model, {}));
  struct Case {
    Option option;
    SessionOptions options;
  };
  const Stop label{.rule = StopRule::kLabel};
  const auto with = [](const Doubt& doubt, StopRule rule) {
    return SessionOptions{.method = Method::kAuto, .doubt = doubt, .stop = {.rule = rule}};
  };
  const Case cases[] = {
      {Option::kStopRule, {.method = Method::kMoments, .stop = {.rule = StopRule::kLabel}}},
      {Option::kCheckProducts, {.method = Method::kMoments, .check_products = true}},
      // Of kAuto: something to decide, that moments can decide, and a doubt in its range.
      {Option::kMethod, {.method = Method::kAuto}},
      {Option::kStopRule, with({}, StopRule::kWithin)},
      {Option::kKeepLogits, {.keep_logits = true, .method = Method::kAuto, .stop = label}},
      {Option::kCheckProducts, {.method = Method::kAuto, .stop = label, .check_products = true}},
      {Option::kDoubtMargin, with({.margin = 0}, StopRule::kLabel)},
      {Option::kDoubtMargin, with({.margin = 1.01F}, StopRule::kLabel)},
      {Option::kDoubtMargin, with({.margin = std::nanf("")}, StopRule::kLabel)},
      {Option::kDoubtEntropy, with({.entropy_from = 2, .entropy_to = 1}, StopRule::kNone)},
      {Option::kDoubtEntropy, with({.entropy_from = -1, .entropy_to = 1}, StopRule::kNone)},
      {Option::kDoubtEntropy,
       with({.entropy_from = std::nanf(""), .entropy_to = 1}, StopRule::kNone)},
      {Option::kDoubtEntropy, with({.entropy_to = std::nanf("")}, StopRule::kLabel)},
      {Option::kDoubtEntropy, with({.entropy_to = INFINITY}, StopRule::kLabel)},
      {Option::kDoubtEntropy, with({.entropy_from = 1}, StopRule::kLabel)},
  };
  for (const Case& one : cases) {
    Session session;
    Diagnostic diagnostic;
    CHECK(ArenaBytes(model, one.options) == 0);
    CHECK(Session::Create(model, one.options, arena.span(), &session, &diagnostic) ==
          Status::kBadOption);
    CHECK(diagnostic.option == one.option);
  }
  // The file was made without what they need.
  CHECK(!model.has_moments());
  CHECK(ArenaBytes(model, {.method = Method::kMoments}) == 0);
  Session session;
  CHECK(Session::Create(model, {.method = Method::kMoments}, arena.span(), &session) ==
        Status::kNoMoments);
}

TEST_CASE("options: the first wrong one is named, others do not count") {
  const AlignedBytes file = TinyModel(4).File();
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  AlignedBytes arena(ArenaBytes(model, {}));
  Session session;
  Diagnostic diagnostic;
  const SessionOptions two = {.mc_samples = 65537, .batch = 0};
  CHECK(Session::Create(model, two, arena.span(), &session, &diagnostic) == Status::kBadOption);
  CHECK(diagnostic.option == Option::kMcSamples);
  // What a rule does not use may be anything.
  for (const Stop& stop : {Stop{.rule = StopRule::kNone, .error = 9.0F, .class_index = 9},
                           Stop{.rule = StopRule::kLabel, .class_index = 9, .threshold = 9.0F}}) {
    CHECK(ArenaBytes(model, WithStop(stop)) > 0);
  }
}

TEST_CASE("options: kernels that are not there have a status of their own") {
  const AlignedBytes file = TinyModel(4).File();
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  AlignedBytes arena(ArenaBytes(model, {}));
  Session session;
  Diagnostic diagnostic;
  CHECK(Session::Create(model, {.kernels = static_cast<KernelSet>(77)}, arena.span(), &session,
                        &diagnostic) == Status::kKernelsUnavailable);
  CHECK(diagnostic.option == Option::kNone);
  CHECK(diagnostic.found == 77);
  CHECK(std::string_view(session.kernels()) == "none");
}

}  // namespace
}  // namespace mu8::testing
