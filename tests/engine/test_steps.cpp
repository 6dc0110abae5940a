// A run in steps that return: the bytes of the run in one call, as many steps as there are panels
// and layers without weights, and calls that begin anew, abandon or come too early.
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "formats/reader.h"
#include "mu8/mu8_c.h"
#include "tests/support/effort.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

// All that a prediction says.
void AppendAll(const Model& model, const Prediction& p, std::vector<std::byte>* out) {
  AppendPrediction(p, out);
  AppendOthers(model, p, out);
  AppendBytes(p.logits, out);
  AppendBytes(p.decisions, out);
  const std::uint32_t words[] = {p.label, p.samples_used, static_cast<std::uint32_t>(p.ended),
                                 p.clipped_passes};
  AppendBytes(std::span<const std::uint32_t>(words), out);
}

std::vector<std::byte> Results(const Engine& engine, std::size_t count) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < count; ++i) AppendAll(engine.model, engine.session.Result(i), &bytes);
  return bytes;
}

// Steps of layers [begin, end).
std::size_t Steps(const format::View& view, std::uint32_t begin, std::uint32_t end) {
  std::size_t steps = 0;
  for (std::uint32_t i = begin; i < end; ++i) {
    const format::LayerRecord layer = view.layer(i);
    const auto op = static_cast<format::OpCode>(layer.op);
    const bool weighted = op == format::OpCode::kConv2d || op == format::OpCode::kDense;
    steps += weighted ? format::MakePanelLayout(layer).panel_count() : 1;
  }
  return steps;
}

// Steps until the end; each leaves no more than one pass behind it.
std::size_t StepToEnd(Session* session) {
  std::size_t steps = 0;
  for (Status status = Status::kInProgress; status == Status::kInProgress; ++steps) {
    const std::uint32_t before = session->passes_done();
    CHECK(session->Result(0).mean.empty());
    status = session->Step();
    REQUIRE((status == Status::kOk || status == Status::kInProgress));
    CHECK(session->passes_done() - before <= 1);
  }
  CHECK(session->Step() == Status::kOk);
  return steps;
}

struct Counts {
  std::size_t runs = 0, early = 0, of_several_panels = 0;
};

// Runs both ways, on memory that held other bytes before.
template <typename Images>
void CheckSteps(const AlignedBytes& file, const SessionOptions& options, const Images& images,
                Counts* counts) {
  Engine whole, stepped;
  REQUIRE(whole.Open(file.span(), options) == Status::kOk);
  REQUIRE(stepped.Open(file.span(), options) == Status::kOk);
  const std::size_t count = images.size() / whole.model.input_size();
  REQUIRE(whole.session.Run(std::span(images), count) == Status::kOk);
  REQUIRE(stepped.session.Begin(std::span(images), count) == Status::kOk);
  CHECK(stepped.session.passes_done() == 0);
  const std::size_t steps = StepToEnd(&stepped.session);
  CHECK(Results(stepped, count) == Results(whole, count));

  const format::View view = format::Reopen(file.span());
  const std::uint32_t first = view.first_pass_layer();
  const std::size_t passes = stepped.session.passes_done();
  const std::size_t of_a_pass = Steps(view, first, view.layer_count());
  CHECK(steps == Steps(view, 0, first) + passes * of_a_pass);
  ++counts->runs;
  counts->early += passes < options.mc_samples ? 1U : 0U;
  counts->of_several_panels += of_a_pass > view.layer_count() - first ? 1U : 0U;
}

TEST_CASE("steps: the same bytes as in one call, in as many steps as panels and other layers") {
  Random random(501);
  Counts counts;
  for (int i = 0; i < Effort(120, 12); ++i) {
    const AlignedBytes file = (i == 0   ? EveryOperatorModel()
                               : i == 1 ? EveryOperatorModel(11)
                               : i == 2 ? TinyModel(0, false)
                               : i == 3 ? TableOperatorsModel(5)
                                        : RandomModel(&random, random.OneIn(4)))
                                  .File();
    Model model;
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    SessionOptions options{
        .mc_samples = 1 + random.Below(12), .seed = random.Next(), .batch = 1 + random.Below(4)};
    options.keep_logits = random.OneIn(2);
    options.noise = random.OneIn(2) ? Noise::kAntithetic : Noise::kIndependent;
    if (model.output_size() == model.class_count() && !random.OneIn(3)) {
      options.stop = {
          .rule = random.OneOf({StopRule::kLabel, StopRule::kThreshold, StopRule::kThresholds}),
          .error = 0.5F,
          .threshold = 0.6F};
    }
    CAPTURE(i);
    const auto pixels = RandomPixels(model, 1 + random.Below(options.batch), random.Next());
    CheckSteps(file, options, pixels, &counts);
  }
  MESSAGE("runs: " << counts.runs << ", ended early: " << counts.early
                   << ", with layers of several panels: " << counts.of_several_panels);
  CHECK(counts.runs == static_cast<std::size_t>(Effort(120, 12)));
  CHECK(counts.early > 0);
  CHECK(counts.of_several_panels > 0);
}

TEST_CASE("steps: heads of numbers, and inputs that are floats") {
  Counts counts;
  TestModel values = TinyModel(4);
  values.content.head = format::Head::kValues;
  TestModel numbers = DenseReconstructionModel();
  numbers.content.input_affine = {16, 128, 20, 100};
  TestModel sigmoid = TinyModel(2);
  sigmoid.content.head = format::Head::kSigmoid;
  for (const TestModel& model :
       {values, sigmoid, WithReconstruction(TinyModel(4, true, 8, 36)), numbers,
        WithGaussian(TinyModel(4, true, 8, 4), format::ScaleForm::kSoftplus)}) {
    const AlignedBytes file = model.File();
    Model opened;
    REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
    const auto pixels = RandomPixels(opened, 2, 3);
    const SessionOptions options{.mc_samples = 5, .seed = 4, .batch = 2, .keep_logits = true};
    if (opened.input_kind() == InputKind::kPixels) CheckSteps(file, options, pixels, &counts);
    if (opened.input_kind() == InputKind::kNumbers || opened.head() != Head::kReconstruction) {
      CheckSteps(file, options, AsNumbers(pixels), &counts);
    }
  }
  CHECK(counts.runs == 8);
}

// A clock that says yes `left` times, and counts how often it was asked.
struct Clock {
  int left = 0, asked = 0;
};
bool Ask(void* context) {
  Clock* clock = static_cast<Clock*>(context);
  ++clock->asked;
  return clock->left-- > 0;
}

TEST_CASE("steps: keep_going is asked as often, and ends the run at the same pass") {
  const AlignedBytes file = EveryOperatorModel(5).File();
  for (const StopRule rule : {StopRule::kNone, StopRule::kLabel}) {
    for (const int left : {0, 1, 5, 6, 7, 30, 1000}) {
      Clock clock;
      SessionOptions options{.mc_samples = 7, .seed = 9, .batch = 2};
      options.stop = {.rule = rule, .error = 1e-6F};
      options.keep_going = Ask;
      options.keep_going_context = &clock;
      Engine whole, stepped;
      REQUIRE(whole.Open(file.span(), options) == Status::kOk);
      REQUIRE(stepped.Open(file.span(), options) == Status::kOk);
      const auto pixels = RandomPixels(whole.model, 2, 10);
      clock = {.left = left};
      REQUIRE(whole.session.Run(pixels, 2) == Status::kOk);
      const int asked = clock.asked;
      clock = {.left = left};
      REQUIRE(stepped.session.Begin(pixels, 2) == Status::kOk);
      StepToEnd(&stepped.session);
      CAPTURE(left);
      CHECK(clock.asked == asked);
      CHECK(Results(stepped, 2) == Results(whole, 2));
      CHECK((stepped.session.Result(0).ended == Ended::kDeadline) == (left < 1000));
    }
  }
}

TEST_CASE("steps: a run begins anew at any time, and can be abandoned") {
  const AlignedBytes file = EveryOperatorModel(5).File();
  SessionOptions options{.mc_samples = 4, .seed = 2, .batch = 2};
  options.stop = {.rule = StopRule::kLabel, .error = 1e-6F};
  Engine engine;
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  Session& session = engine.session;
  const auto pixels = RandomPixels(engine.model, 2, 1), others = RandomPixels(engine.model, 2, 2);
  REQUIRE(session.Run(pixels, 2) == Status::kOk);
  const auto expected = Results(engine, 2);
  const format::View view = format::Reopen(file.span());
  const std::size_t all = Steps(view, 0, 5) + 4 * Steps(view, 5, view.layer_count());
  for (std::size_t before = 0; before < all; ++before) {
    CAPTURE(before);
    REQUIRE(session.Begin(others, 2) == Status::kOk);
    for (std::size_t step = 0; step < before; ++step) {
      REQUIRE(session.Step() == Status::kInProgress);
    }
    if (before % 3 == 0) {
      session.Abandon();
      CHECK(session.Step() == Status::kNotReady);
      CHECK(session.passes_done() == 0);
      CHECK(session.Result(0).mean.empty());
    }
    if (before % 2 == 0) {
      REQUIRE(session.Run(pixels, 2) == Status::kOk);
    } else {
      REQUIRE(session.Begin(pixels, 2) == Status::kOk);
      CHECK(StepToEnd(&session) == all);
    }
    CHECK(Results(engine, 2) == expected);
  }
  // The pixels are the caller's again after Begin, and a session may be moved.
  auto gone = pixels;
  REQUIRE(session.Begin(gone, 2) == Status::kOk);
  std::memset(gone.data(), 0, gone.size());
  Session moved = session;
  StepToEnd(&moved);
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < 2; ++i) AppendAll(engine.model, moved.Result(i), &bytes);
  CHECK(bytes == expected);
}

TEST_CASE("steps: calls that come too early, and several workers, are refused") {
  const AlignedBytes file = TinyModel(4).File();
  Engine engine;
  Diagnostic diagnostic;
  CHECK(engine.session.Step(&diagnostic) == Status::kNotReady);
  CHECK(diagnostic.status == Status::kNotReady);
  REQUIRE(engine.Open(file.span(), {.mc_samples = 2, .batch = 2}) == Status::kOk);
  CHECK(engine.session.Step() == Status::kNotReady);
  const auto pixels = RandomPixels(engine.model, 3, 1);
  const std::span<const std::uint8_t> images(pixels);
  CHECK(engine.session.Begin(images, 3, &diagnostic) == Status::kBatchSize);
  CHECK(engine.session.Begin(images.first(35), 1) == Status::kInputSize);
  CHECK(engine.session.Step() == Status::kNotReady);
  REQUIRE(engine.session.Begin(images.first(36), 1) == Status::kOk);
  CHECK(engine.session.CheckResult(0, &diagnostic) == Status::kNotReady);
  // A call that is refused leaves the run as it is.
  CHECK(engine.session.Begin(images, 3) == Status::kBatchSize);
  StepToEnd(&engine.session);
  CHECK(engine.session.CheckResult(0) == Status::kOk);
  CHECK(engine.session.CheckResult(1, &diagnostic) == Status::kBatchSize);
  CHECK(diagnostic.found == 2);
  CHECK(diagnostic.expected == 1);

  Engine parallel;
  REQUIRE(parallel.Open(file.span(), {.mc_samples = 1, .workers = 2}) == Status::kOk);
  CHECK(parallel.session.Begin(images.first(36), 1, &diagnostic) == Status::kBadOption);
  CHECK(diagnostic.option == Option::kWorkers);
  CHECK(diagnostic.found == 2);
  CHECK(diagnostic.expected == 1);
}

TEST_CASE("steps: the C API steps, answers and abandons as C++ does") {
  const AlignedBytes file = EveryOperatorModel(5).File();
  Engine engine;
  REQUIRE(engine.Open(file.span(), {.mc_samples = 3, .seed = 5}) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 1, 1);
  REQUIRE(engine.session.Run(pixels, 1) == Status::kOk);
  mu8_options options = mu8_default_options();
  options.mc_samples = 3;
  options.seed = 5;
  mu8_model model;
  mu8_session session;
  mu8_prediction prediction;
  AlignedBytes arena(engine.session.arena_bytes());
  REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
  REQUIRE(mu8_session_create(&model, &options, arena.data(), arena.size(), &session, nullptr) == 0);
  CHECK(mu8_step(&session, nullptr) == 67);
  for (const bool floats : {false, true}) {
    const std::vector<float> values(pixels.size(), 0.5F);
    REQUIRE((floats ? mu8_begin_f32(&session, values.data(), 1, nullptr)
                    : mu8_begin_u8(&session, pixels.data(), 1, nullptr)) == 0);
    std::int32_t status = 77;
    while (status == 77) {
      CHECK(mu8_result(&session, 0, &prediction, nullptr) == 67);
      status = mu8_step(&session, nullptr);
    }
    CHECK(status == 0);
    CHECK(mu8_passes_done(&session) == 3);
    REQUIRE(mu8_result(&session, 0, &prediction, nullptr) == 0);
    if (floats) REQUIRE(engine.session.Run(std::span<const float>(values), 1) == Status::kOk);
    const Prediction expected = engine.session.Result(0);
    REQUIRE(prediction.class_count == expected.mean.size());
    CHECK(std::memcmp(prediction.mean, expected.mean.data(), expected.mean.size_bytes()) == 0);
    CHECK(prediction.predictive_entropy == expected.predictive_entropy);
  }
  CHECK(mu8_result(&session, 1, &prediction, nullptr) == 66);
  mu8_abandon(&session);
  CHECK(mu8_result(&session, 0, &prediction, nullptr) == 67);
  CHECK(mu8_step(nullptr, nullptr) == 68);
  CHECK(mu8_begin_u8(&session, nullptr, 1, nullptr) == 68);
  CHECK(mu8_result(&session, 0, nullptr, nullptr) == 68);
}

}  // namespace
}  // namespace mu8::testing
