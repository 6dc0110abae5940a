// Models whose parameters are read through a callback while they run: the predictions of the file
// in memory, byte for byte, with little of it in memory at a time, whatever the source does.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "formats/stream.h"
#include "mu8/mu8_c.h"
#include "tests/support/effort.h"
#include "tests/support/random_model.h"
#include "tests/support/streamed.h"

namespace mu8::testing {
namespace {

// Runs tasks backwards.
void Backwards(void*, std::uint32_t count, Task task, void* job) {
  for (std::uint32_t i = count; i > 0; --i) task(job, i - 1);
}

bool Never(void*) { return false; }
bool Always(void*) { return true; }

// Options that take every path of a run; those that a model does not allow are left out.
std::vector<SessionOptions> Options() {
  std::vector<SessionOptions> all(12, {.mc_samples = 3, .seed = 9, .kernels = KernelSet::kAuto});
  all[1].batch = 3;
  all[2].keep_logits = true;
  all[2].batch = 2;
  all[3].noise = Noise::kAntithetic;
  all[4].panel_bytes = 64;
  all[5].check_products = true;
  all[6].workers = 5;
  all[6].batch = 4;
  all[6].parallel_for = Backwards;
  all[7].workers = 2;
  all[7].keep_logits = true;
  all[8].stop = {.rule = StopRule::kLabel, .error = 0.5F};
  all[8].mc_samples = 20;
  all[9].stop = {.rule = StopRule::kThresholds, .error = 0.5F};
  all[9].mc_samples = 20;
  all[9].workers = 3;
  all[10].keep_going = Never;
  all[11].keep_going = Always;
  all[11].panel_bytes = 128;
  all[11].check_products = true;
  return all;
}

TEST_CASE("streamed: predictions are the same bytes as of the file in memory") {
  std::size_t compared = 0, refused = 0;
  for (const auto& entry : GoldenFiles()) {
    const std::string& name = entry.first;
    const std::vector<std::byte>& file = entry.second;
    const AlignedBytes aligned(file);
    CAPTURE(name);
    for (const SessionOptions& options : Options()) {
      CAPTURE(compared);
      Engine mapped;
      StreamedEngine streamed(file);
      const Status status = mapped.Open(aligned.span(), options);
      REQUIRE(streamed.Open(options) == status);
      if (status != Status::kOk) {
        ++refused;
        continue;
      }
      const auto expected = All(&mapped, 6, options.batch);
      REQUIRE(!expected.empty());
      CHECK(All(&streamed, 6, options.batch) == expected);
      CHECK(!streamed.streamed.beyond);
      ++compared;
    }
  }
  MESSAGE("models and options compared: " << compared << ", that exclude each other: " << refused);
  CHECK(compared > 300);
}

TEST_CASE("streamed: every kernel set gives the same bytes") {
  std::size_t compared = 0;
  for (const auto& entry : GoldenFiles()) {
    const std::string& name = entry.first;
    const std::vector<std::byte>& file = entry.second;
    const AlignedBytes aligned(file);
    CAPTURE(name);
    Model model;
    REQUIRE(Model::Open(aligned.span(), &model) == Status::kOk);
    Engine mapped;
    REQUIRE(mapped.Open(aligned.span(), {.mc_samples = 2, .batch = 2}) == Status::kOk);
    const auto expected = All(&mapped, 4, 2);
    for (const KernelSet kernels : RunnableKernels(model)) {
      StreamedEngine streamed(file);
      REQUIRE(streamed.Open({.mc_samples = 2, .batch = 2, .kernels = kernels}) == Status::kOk);
      CHECK(All(&streamed, 4, 2) == expected);
      ++compared;
    }
  }
  MESSAGE("models and kernel sets compared: " << compared);
}

TEST_CASE("streamed: random models, too") {
  const int models = Effort(150, 20);
  for (int seed = 0; seed < models; ++seed) {
    Random random(static_cast<std::uint64_t>(seed) + 77);
    const TestModel model = RandomModel(&random, seed % 4 == 0);
    CAPTURE(seed);
    const AlignedBytes file = model.File();
    const SessionOptions options{.mc_samples = 2,
                                 .batch = seed % 3 == 0 ? 2U : 1U,
                                 .keep_logits = seed % 2 == 0,
                                 .panel_bytes = seed % 5 == 0 ? 64U : 16384U};
    Engine mapped;
    StreamedEngine streamed(file.span());
    REQUIRE(mapped.Open(file.span(), options) == Status::kOk);
    REQUIRE(streamed.Open(options) == Status::kOk);
    CHECK(All(&streamed, 4, options.batch) == All(&mapped, 4, options.batch));
  }
}

// Panels of more blocks than are staged at a time: 40 x 40 x 1 -> convolution 3 x 3 to 20 channels,
// whose panels are one slice, -> dense with K = 28,880, 21 outputs: panels of 16 and 8 slots.
TestModel WideModel(std::uint32_t mu_bits, std::uint32_t sigma_bits, bool bayesian) {
  TestModel model;
  Random random(mu_bits * 10 + sigma_bits);
  auto& content = model.content;
  content.tensors = {MakeTensor(40, 40, 1, 0.02F, 128), MakeTensor(38, 38, 20, 0.05F, 3)};
  content.layers = {MakeLayer(format::OpCode::kConv2d, 0, 20),
                    MakeLayer(format::OpCode::kDense, 1, 21)};
  content.layers[0].kernel_h = content.layers[0].kernel_w = 3;
  for (std::size_t i = 0; i < 2; ++i) {
    format::LayerRecord& layer = content.layers[i];
    format::SetRuns(content.tensors[i], &layer);
    layer.mu_bits = static_cast<std::uint8_t>(mu_bits);
    if (!bayesian) continue;
    layer.flags |= format::kLayerBayesian;
    layer.sigma_bits = static_cast<std::uint8_t>(sigma_bits);
  }
  Finish(&content, false);
  for (std::size_t i = 0; i < 2; ++i) {
    format::LayerRecord& layer = content.layers[i];
    const float output_scale = i == 0 ? content.tensors[1].scale : 0.0F;
    model.weights.push_back(RandomWeights(layer, content.tensors[i].scale, output_scale, &random));
    SetMuBytes(model.weights[i], &layer);
    content.parameters.push_back(Pack(layer, model.weights[i], &random));
  }
  content.input_table.resize(256);
  random.Fill(std::span(content.input_table), 0, 255);
  return model;
}

TEST_CASE("streamed: wide panels are drawn slice by slice") {
  const std::vector<TestModel> models = {WideModel(8, 8, true), WideModel(3, 4, true),
                                         WideModel(8, 0, false), WideModel(5, 1, false),
                                         WideModel(format::kMuBitsByPanel, 2, true)};
  for (std::size_t i = 0; i < models.size(); ++i) {
    CAPTURE(i);
    const AlignedBytes file = models[i].File();
    Model model;
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    for (const KernelSet kernels : RunnableKernels(model)) {
      const std::string name = NameOf(kernels);
      CAPTURE(name);
      for (const std::uint32_t batch : {1U, 2U}) {
        SessionOptions options{.mc_samples = 2, .batch = batch, .kernels = kernels};
        options.panel_bytes = 5000;  // pieces of 78 blocks, of five slices
        Engine mapped;
        StreamedEngine streamed(file.span());
        REQUIRE(mapped.Open(file.span(), options) == Status::kOk);
        REQUIRE(streamed.Open(options) == Status::kOk);
        streamed.streamed.Reset();
        CHECK(All(&streamed, 2, batch) == All(&mapped, 2, batch));
        // Slices are staged, not panels.
        CHECK(streamed.streamed.largest <= 16 * 64);
        if (batch > 1) continue;
        CHECK(streamed.session.arena_bytes() <= mapped.session.arena_bytes() + 5120 + 4096);
      }
    }
  }
}

TEST_CASE("streamed: a run in steps is the same run") {
  for (const auto& entry : GoldenFiles()) {
    const std::string& name = entry.first;
    const std::vector<std::byte>& file = entry.second;
    CAPTURE(name);
    const AlignedBytes aligned(file);
    Engine mapped;
    StreamedEngine streamed(file);
    REQUIRE(mapped.Open(aligned.span(), {.mc_samples = 3}) == Status::kOk);
    REQUIRE(streamed.Open({.mc_samples = 3}) == Status::kOk);
    Status status;
    const auto expected = InSteps(&mapped, &status, nullptr);
    REQUIRE(status == Status::kOk);
    CHECK(InSteps(&streamed, &status, nullptr) == expected);
    CHECK(status == Status::kOk);
  }
}

// What a pass reads: every code once, and the scales twice where a residual's largest factor or
// numbers as outputs need them beforehand.
TEST_CASE("streamed: a pass reads each panel once, and never more than is staged") {
  for (const auto& entry : GoldenFiles()) {
    const std::string& name = entry.first;
    const std::vector<std::byte>& file = entry.second;
    CAPTURE(name);
    const AlignedBytes aligned(file);
    format::View view;
    REQUIRE(format::Open(aligned.span(), &view) == Status::kOk);
    for (const bool in_steps : {false, true}) {
      StreamedEngine engine(file);
      REQUIRE(engine.Open({.mc_samples = 1}) == Status::kOk);
      engine.streamed.Reset();
      engine.streamed.log = true;
      Status status = Status::kOk;
      if (in_steps) {
        InSteps(&engine, &status, nullptr);
      } else {
        All(&engine, 1, 1);
      }
      REQUIRE(status == Status::kOk);
      std::vector<int> read(file.size());
      for (const auto& [offset, bytes] : engine.streamed.reads) {
        for (std::size_t i = 0; i < bytes; ++i) ++read[static_cast<std::size_t>(offset) + i];
      }
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < file.size(); ++i) {
        const bool inside =
            i >= view.parameters.offset && i < view.parameters.offset + view.parameters.bytes;
        if (!inside && read[i] != 0) ++wrong;
      }
      std::uint32_t largest = 0;
      for (std::uint32_t l = 0; l < view.layer_count(); ++l) {
        const format::LayerRecord layer = view.layer(l);
        largest = std::max(largest, format::StagingBytes(layer));
        const auto at = static_cast<std::size_t>(view.parameters_at(layer));
        if (layer.mu_bits == 0) {
          for (std::size_t i = 0; i < layer.parameter_bytes; ++i) wrong += read[at + i] != 1;
          continue;
        }
        const auto layout = format::MakeParameterLayout(layer);
        const format::PanelLayout panels = format::MakePanelLayout(layer);
        const bool numbers = view.head() >= format::Head::kValues;
        const bool twice =
            layer.input2 != format::kNoTensor || (l + 1 == view.layer_count() && numbers);
        for (std::size_t i = 0; i < layout.bias_mu; ++i) wrong += read[at + i] != (twice ? 2 : 1);
        for (std::size_t i = layout.bias_mu; i < layout.panel_bits; ++i) wrong += read[at + i] != 1;
        // Behind mu lie zeros up to sigma, if mu is not a multiple of 64.
        std::size_t mu_bytes = 0;
        format::MuCursor mu(
            layer, panels,
            aligned.span().empty() ? nullptr : view.layer_parameters(layer) + layout.panel_bits);
        for (; mu.panel() < panels.panel_count(); mu.Next()) {
        }
        mu_bytes = static_cast<std::size_t>(mu.offset());
        const auto sigma_bytes = static_cast<std::size_t>(
            (layer.flags & format::kLayerBayesian) != 0 ? panels.mu_bytes() * layer.sigma_bits / 8
                                                        : 0);
        for (std::size_t i = 0; i < mu_bytes; ++i) wrong += read[at + layout.mu + i] != 1;
        for (std::size_t i = 0; i < sigma_bytes; ++i) wrong += read[at + layout.sigma + i] != 1;
      }
      CAPTURE(in_steps);
      CHECK(wrong == 0);
      CHECK(engine.streamed.largest <= largest);
      CHECK(largest <= ArenaBytes(engine.model, {.mc_samples = 1}));
    }
  }
}

TEST_CASE("streamed: the C API") {
  const std::vector<std::byte> file = ReadFile("tests/data/golden/every_operator.mu8");
  StreamedFile streamed(file);
  const Source from = streamed.source();
  const mu8_source source{from.context, from.bytes, from.read};
  mu8_model model;
  mu8_diagnostic diagnostic;
  std::vector<std::uint64_t> scratch(80);
  CHECK(mu8_model_open_streamed(&source, nullptr, 0, scratch.data(), 640, &model, &diagnostic) ==
        60);
  CHECK(diagnostic.option == MU8_OPTION_RESIDENT);
  std::vector<std::byte> resident(diagnostic.expected);
  CHECK(mu8_model_open_streamed(&source, resident.data(), resident.size(), nullptr, 640, &model,
                                &diagnostic) == 68);
  CHECK(diagnostic.found == 4);
  CHECK(mu8_model_open_streamed(nullptr, resident.data(), resident.size(), scratch.data(), 640,
                                &model, &diagnostic) == 68);
  REQUIRE(mu8_model_open_streamed(&source, resident.data(), resident.size(), scratch.data(), 640,
                                  &model, &diagnostic) == 0);
  mu8_options options = mu8_default_options();
  options.mc_samples = 3;
  const std::size_t bytes = mu8_arena_bytes(&model, &options);
  const AlignedBytes arena(bytes);
  mu8_session session;
  REQUIRE(mu8_session_create(&model, &options, arena.data(), bytes, &session, nullptr) == 0);
  const std::vector<std::uint8_t> image(mu8_model_input_size(&model), 77);
  mu8_prediction prediction;
  REQUIRE(mu8_predict_u8(&session, image.data(), 1, &prediction, nullptr) == 0);
  const AlignedBytes aligned(file);
  Engine mapped;
  REQUIRE(mapped.Open(aligned.span(), {.mc_samples = 3}) == Status::kOk);
  Prediction expected;
  REQUIRE(mapped.session.Predict(std::span(image), {&expected, 1}) == Status::kOk);
  CHECK(std::memcmp(prediction.mean, expected.mean.data(), expected.mean.size_bytes()) == 0);
  mu8_scrubber scrubber;
  REQUIRE(mu8_scrubber_create(&model, &scrubber, nullptr) == 0);
  CHECK(mu8_scrub(&scrubber, file.size(), nullptr) == 0);
  CHECK(mu8_scrub_rounds(&scrubber) == 1);
  streamed.fail_at = streamed.calls;
  CHECK(mu8_predict_u8(&session, image.data(), 1, &prediction, &diagnostic) == 72);
}

}  // namespace
}  // namespace mu8::testing
