// Random valid models, which the input's bytes choose: every layer kind, head and width. The reader
// must accept them; the scalar kernels and the fastest ones must predict the same bytes, by
// samples, by moments and by both; and whatever is written into the model while it runs must do no
// harm (docs/FAULTS.md). The first 16 bytes choose the head, how predictions are made and what is
// written, the others the graph.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "tests/fuzz/target.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/moments_models.h"
#include "tests/support/predict.h"

namespace {

using mu8::Method;
using mu8::SessionOptions;
using mu8::Status;
using mu8::format::AbstainMeasure;
using mu8::format::Head;
using mu8::testing::Engine;
using mu8::testing::Random;
using mu8::testing::TestModel;

[[noreturn]] void Fail(const char* why) {
  std::fprintf(stderr, "mu8_fuzz_predict: %s\n", why);
  std::abort();
}

// As kReconstruction asks for: in the input's shape, or one number behind the other.
bool HasInputsShape(const mu8::format::FileContent& content) {
  const mu8::format::TensorRecord& input = content.tensors[0];
  const std::uint32_t pixels = std::uint32_t{input.height} * input.width;
  const std::uint32_t channels = content.layers.back().output_channels;
  if (content.output_height * content.output_width == 1) return channels == pixels * input.channels;
  return content.output_height == input.height && content.output_width == input.width &&
         channels == input.channels;
}

// A measure that the head has, and thresholds that some predictions pass.
void AddAbstain(Random* choices, mu8::format::FileContent* content) {
  const auto measure =
      static_cast<AbstainMeasure>(1 + choices->Below(mu8::format::kAbstainMeasureEnd - 1));
  const bool has_noise =
      content->head == Head::kGaussian || !content->outputs.noise_variance.empty();
  if (!mu8::format::FitsHead(measure, content->head, has_noise)) return;
  std::uint32_t outputs = content->layers.back().output_channels;
  if (content->head == Head::kGaussian) outputs /= 2;
  content->outputs.abstain = {static_cast<std::uint32_t>(measure), 32};
  for (std::uint32_t k = mu8::format::AbstainThresholds(measure, outputs); k > 0; --k) {
    content->outputs.abstain_thresholds.push_back(static_cast<float>(2 * choices->Unit()));
  }
}

TestModel MakeModel(Random* options, Random* choices) {
  TestModel model = mu8::testing::RandomMomentsModel(options->Below(20), choices);
  mu8::format::FileContent& content = model.content;
  if (options->OneIn(4)) content.outputs.moments.clear();
  if (options->OneIn(3)) {
    content.input_affine.clear();
    for (std::uint32_t c = 0; c < content.tensors[0].channels; ++c) {
      content.input_affine.push_back(20);
      content.input_affine.push_back(120);
    }
  }
  if (content.head == Head::kValues && options->OneIn(2)) {
    content.outputs.noise_variance.assign(content.layers.back().output_channels, 2);
  }
  // Drawn last, so that committed inputs keep their models.
  if (choices->OneIn(12)) model = mu8::testing::DenseReconstructionModel();
  if (content.head == Head::kValues && HasInputsShape(content)) {
    model = mu8::testing::WithReconstruction(std::move(model));
    content.outputs.moments.clear();
    content.outputs.noise_variance.clear();
  }
  if (choices->OneIn(3)) AddAbstain(choices, &content);
  return model;
}

SessionOptions MakeOptions(const mu8::Model& model, Random* random) {
  SessionOptions options;
  options.mc_samples = 1 + random->Below(4);
  options.seed = random->Next();
  options.batch = 1 + random->Below(3);
  options.workers = random->OneIn(3) ? 1 + random->Below(3) : 1;
  options.noise = random->OneIn(3) ? mu8::Noise::kAntithetic : mu8::Noise::kIndependent;
  if (random->OneIn(3)) options.panel_bytes = 64 * (1 + random->Below(8));
  const bool classes = model.head() == mu8::Head::kSoftmax && model.class_count() > 1;
  if (random->OneIn(3) && classes) options.stop.rule = mu8::StopRule::kLabel;
  if (options.stop.rule == mu8::StopRule::kNone) options.keep_logits = random->OneIn(3);
  if (model.has_moments() && random->OneIn(3)) {
    options.method = Method::kMoments;
    if (options.stop.rule == mu8::StopRule::kLabel) options.method = Method::kAuto;
  }
  if (options.method == Method::kSampling) options.check_products = random->OneIn(4);
  return options;
}

bool TakesPixels(const Engine& engine) {
  return engine.model.input_kind() == mu8::InputKind::kPixels;
}

std::vector<std::byte> Predict(Engine* engine, std::span<const std::uint8_t> pixels,
                               std::size_t batch) {
  if (TakesPixels(*engine)) return mu8::testing::PredictAll(engine, pixels, batch);
  return mu8::testing::PredictAll(engine, mu8::testing::AsNumbers(pixels), batch);
}

// The same options with two kernel tables.
void Compare(std::span<const std::byte> file, SessionOptions options) {
  std::vector<std::byte> expected;
  for (const mu8::KernelSet kernels : {mu8::KernelSet::kScalar, mu8::KernelSet::kAuto}) {
    options.kernels = kernels;
    Engine engine;
    const Status status = engine.Open(file, options);
    // A model may be without what an option asks for: both say so.
    if (status == Status::kBadOption || status == Status::kNoMoments) return;
    if (status != Status::kOk) Fail("a valid model is refused");
    const auto pixels = mu8::testing::RandomPixels(engine.model, options.batch, options.seed);
    const std::vector<std::byte> bytes = Predict(&engine, pixels, options.batch);
    if (bytes.empty()) Fail("a prediction failed");
    if (kernels == mu8::KernelSet::kScalar) {
      expected = bytes;
    } else if (bytes != expected) {
      Fail("the fastest kernels differ from the scalar ones");
    }
  }
}

// Bytes are written after some steps of a run: it ends with a result or with kModelChanged; or
// where products are checked and a bias is now so large that sums wrap, with kComputationFault.
void Change(std::span<std::byte> file, SessionOptions options, Random* random) {
  options.workers = 1;
  Engine engine;
  if (engine.Open(file, options) != Status::kOk) return;
  const auto pixels = mu8::testing::RandomPixels(engine.model, options.batch, options.seed);
  const auto numbers = mu8::testing::AsNumbers(pixels);
  Status status = TakesPixels(engine)
                      ? engine.session.Begin(std::span<const std::uint8_t>(pixels), options.batch)
                      : engine.session.Begin(std::span<const float>(numbers), options.batch);
  if (status != Status::kOk) return;
  status = Status::kInProgress;
  for (std::uint32_t steps = random->Below(16); steps > 0 && status == Status::kInProgress;) {
    --steps;
    status = engine.session.Step();
  }
  for (int n = random->Between(1, 6); n > 0; --n) {
    const std::size_t end =
        random->OneIn(2) ? file.size() : std::min<std::size_t>(file.size(), 1500);
    file[random->Next() % end] = static_cast<std::byte>(random->Next() >> 56);
  }
  while (status == Status::kInProgress) status = engine.session.Step();
  const bool allowed = status == Status::kOk || status == Status::kModelChanged ||
                       (status == Status::kComputationFault && options.check_products);
  if (!allowed) Fail("a changed model: status");
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; status == Status::kOk && i < options.batch; ++i) {
    mu8::testing::AppendPrediction(engine.session.Result(i), &bytes);
  }
  // What else reads the file.
  float low = 0, high = 0;
  engine.model.OutputRange(0, &low, &high);
  if (engine.model.name().size() > file.size()) Fail("a changed model: name");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kChoices = 16;
  if (size < kChoices) return 0;
  const mu8::fuzz::Limits limits(size, {.bytes = std::size_t{64} << 20, .seconds = 20});
  Random options({data, kChoices}, 1);
  Random choices(std::span(data, size).subspan(kChoices), 2);
  const std::vector<std::byte> written = mu8::format::Write(MakeModel(&options, &choices).content);
  mu8::testing::GuardedBuffer memory(written.size());
  const std::span<std::byte> file(memory.CopyLast(written), written.size());
  mu8::Model model;
  mu8::Diagnostic diagnostic;
  if (mu8::Model::Open(file, &model, &diagnostic) != Status::kOk) {
    char text[200];
    mu8::Explain(diagnostic, text);
    std::fprintf(stderr, "%s\n", text);
    Fail("the reader refuses a valid model");
  }
  const SessionOptions how = MakeOptions(model, &options);
  Compare(file, how);
  Change(file, how, &options);
  return 0;
}
