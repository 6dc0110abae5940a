// Method::kAuto: images that moments decide have the prediction of kMoments, byte for byte, the
// others that of kSampling under the same rule, however they are batched and dealt to workers.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/support/effort.h"
#include "tests/support/moments_models.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

bool HasNumbers(const Model& model) { return model.head() > Head::kSigmoid; }

constexpr std::uint32_t kImages = 6, kSamples = 12;

// What a prediction is beside its image: numbers, how it ended, and its record.
struct Found {
  std::vector<std::byte> numbers = {};
  Ended ended = Ended::kAllSamples;
  std::uint32_t samples_used = 0;
  std::vector<Decision> decisions = {};
  ReplayRecord record = {};
  std::vector<float> mean = {};
  float entropy = 0;

  bool operator==(const Found& other) const {
    return numbers == other.numbers && ended == other.ended && samples_used == other.samples_used &&
           decisions == other.decisions;
  }
};

Found Take(const Model& model, const Prediction& prediction) {
  Found found{.ended = prediction.ended,
              .samples_used = prediction.samples_used,
              .decisions = {prediction.decisions.begin(), prediction.decisions.end()},
              .record = prediction.replay,
              .mean = {prediction.mean.begin(), prediction.mean.end()},
              .entropy = prediction.predictive_entropy};
  AppendPrediction(prediction, &found.numbers);
  AppendOthers(model, prediction, &found.numbers);
  return found;
}

// Of the first `images` of a fixed few, `batch` at a time, by Predict or in steps.
std::vector<Found> PredictImages(const AlignedBytes& file, const SessionOptions& options,
                                 bool steps = false) {
  Engine engine;
  Diagnostic diagnostic;
  const Status opened = engine.Open(file.span(), options, &diagnostic);
  CAPTURE(static_cast<int>(diagnostic.option));
  REQUIRE(opened == Status::kOk);
  const auto pixels = RandomPixels(engine.model, kImages, 7);
  const auto numbers = AsNumbers(pixels);
  std::vector<Found> all;
  const std::size_t size = engine.model.input_size();
  for (std::size_t done = 0; done < kImages; done += options.batch) {
    const std::size_t count = std::min<std::size_t>(options.batch, kImages - done);
    const auto run = [&](const auto& images) {
      const auto part = std::span(images).subspan(done * size, count * size);
      if (!steps) return engine.session.Run(part, count);
      Status status = engine.session.Begin(part, count);
      while (status == Status::kOk || status == Status::kInProgress) {
        status = engine.session.Step();
        if (status == Status::kOk) break;
      }
      return status;
    };
    REQUIRE((engine.model.input_kind() == InputKind::kNumbers ? run(numbers) : run(pixels)) ==
            Status::kOk);
    for (std::size_t i = 0; i < count; ++i) {
      all.push_back(Take(engine.model, engine.session.Result(i)));
    }
  }
  return all;
}

// The rules that a model's head can have beside kAuto.
std::vector<Stop> RulesOf(const Model& model) {
  const bool several = model.output_height() * model.output_width() > 1;
  float low = 0, high = 0;
  std::vector<Stop> rules;
  if (several && !HasNumbers(model)) return {Stop{}};
  if (several) return {};
  if (model.head() == Head::kSoftmax) rules.push_back({.rule = StopRule::kLabel, .error = 0.2F});
  if (model.head() <= Head::kSigmoid) {
    const float middle = model.head() == Head::kSigmoid ? 0.5F : 0.2F;
    rules.push_back({.rule = StopRule::kThreshold, .error = 0.2F, .threshold = middle});
    rules.push_back({.rule = StopRule::kThresholds, .error = 0.2F, .threshold = middle});
    rules.push_back({});
  } else if (model.OutputRange(0, &low, &high)) {
    rules.push_back(
        {.rule = StopRule::kThreshold, .error = 0.2F, .threshold = low + 0.4F * (high - low)});
  }
  return rules;
}

// Such that some images are in doubt and some are not, where they differ at all.
Doubt DoubtOf(const Stop& stop, const std::vector<Found>& by_moments, Head head) {
  Doubt doubt{.margin = head == Head::kGaussian ? 0.5F : 0.1F};
  if (stop.rule != StopRule::kNone) return doubt;
  doubt.entropy_from = by_moments[0].entropy;
  doubt.entropy_to = by_moments[0].entropy + 0.001F;
  return doubt;
}

struct Counts {
  int by_moments = 0, sampled = 0, compared = 0;
};

void CheckAuto(const AlignedBytes& file, Head head, const Stop& stop, Counts* counts) {
  const std::vector<Found> by_moments = PredictImages(file, {.method = Method::kMoments});
  const std::vector<Found> sampled = PredictImages(file, {.mc_samples = kSamples, .stop = stop});
  SessionOptions options{.mc_samples = kSamples,
                         .method = Method::kAuto,
                         .doubt = DoubtOf(stop, by_moments, head),
                         .stop = stop};
  const std::vector<Found> found = PredictImages(file, options);
  for (std::size_t i = 0; i < kImages; ++i) {
    CAPTURE(i);
    const bool is_decided = found[i].ended == Ended::kMoments;
    ++(is_decided ? counts->by_moments : counts->sampled);
    const Found& expected = is_decided ? by_moments[i] : sampled[i];
    CHECK(found[i].numbers == expected.numbers);
    CHECK(found[i].samples_used == expected.samples_used);
    CHECK(found[i].record.method == expected.record.method);
    if (!is_decided) CHECK(found[i] == expected);
    for (std::size_t c = 0; is_decided && c < found[i].decisions.size(); ++c) {
      CHECK((found[i].decisions[c] == Decision::kAbove) == (found[i].mean[c] > stop.threshold));
    }
    // The record computes it again.
    const std::vector<Found> again = PredictImages(file, ReplayOptions(found[i].record));
    CHECK(again[i].numbers == found[i].numbers);
  }
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  for (const KernelSet kernels : RunnableKernels(model)) {
    CAPTURE(std::string(NameOf(kernels)));
    options.kernels = kernels;
    CHECK(PredictImages(file, options) == found);
    ++counts->compared;
  }
  options.kernels = KernelSet::kAuto;
  for (const std::uint32_t batch : {1U, 4U}) {
    for (const std::uint32_t workers : {1U, 2U, 5U}) {
      CAPTURE(batch);
      CAPTURE(workers);
      options.batch = batch;
      options.workers = workers;
      CHECK(PredictImages(file, options) == found);
      if (workers == 1) CHECK(PredictImages(file, options, true) == found);
      ++counts->compared;
    }
  }
}

TEST_CASE("auto: each prediction is that of moments, or that of sampling under the rule") {
  std::map<Head, Counts> counts;
  const auto check = [&](const AlignedBytes& file) {
    Model model;
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    for (const Stop& stop : RulesOf(model)) {
      CAPTURE(static_cast<int>(stop.rule));
      CheckAuto(file, model.head(), stop, &counts[model.head()]);
    }
  };
  for (const auto& entry : MomentsModels()) {
    const std::string& name = entry.first;
    CAPTURE(name);
    check(entry.second.File());
  }
  const auto random = static_cast<std::uint64_t>(Effort(60, 10));
  for (std::uint64_t number = 0; number < random; ++number) {
    CAPTURE(number);
    check(RandomMomentsModel(number).File());
  }
  CHECK(counts.size() == 4);
  for (const auto& [head, count] : counts) {
    MESSAGE("head " << static_cast<int>(head) << ": " << count.by_moments << " by moments, "
                    << count.sampled << " sampled, " << count.compared << " other sessions");
    CHECK(count.by_moments > 0);
    CHECK(count.sampled > 0);
  }
}

struct Clock {
  int asked = 0, ends_at = 0;
  static bool KeepGoing(void* context) {
    auto* clock = static_cast<Clock*>(context);
    return ++clock->asked < clock->ends_at;
  }
};

TEST_CASE("auto: before its first pass has ended an image in doubt has moments' prediction") {
  const AlignedBytes file = WithMoments(TinyModel(4)).File();
  const std::vector<Found> by_moments = PredictImages(file, {.method = Method::kMoments});
  int early = 0, late = 0;
  for (int ends_at = 1; ends_at < 40; ++ends_at) {
    for (const std::uint32_t workers : {1U, 2U}) {
      Clock clock{.ends_at = ends_at};
      const std::vector<Found> found =
          PredictImages(file, {.mc_samples = kSamples,
                               .batch = kImages,
                               .method = Method::kAuto,
                               .doubt = {.margin = 1},
                               .stop = {.rule = StopRule::kLabel, .error = 1e-6F},
                               .workers = workers,
                               .keep_going = Clock::KeepGoing,
                               .keep_going_context = &clock});
      for (std::size_t i = 0; i < kImages; ++i) {
        CAPTURE(ends_at);
        if (found[i].samples_used == 0) {
          CHECK(found[i].ended == Ended::kDeadline);
          CHECK(found[i].numbers == by_moments[i].numbers);
          ++early;
        } else {
          late += found[i].ended == Ended::kDeadline ? 1 : 0;
        }
        CHECK(PredictImages(file, ReplayOptions(found[i].record))[i].numbers == found[i].numbers);
      }
    }
  }
  CHECK(early > 0);
  CHECK(late > 0);
}

TEST_CASE("auto: the logits' mean and covariance are kept by moments alone, on request") {
  std::size_t compared = 0;
  for (const auto& entry : MomentsModels()) {
    const std::string& name = entry.first;
    CAPTURE(name);
    const AlignedBytes file = entry.second.File();
    Engine engine;
    SessionOptions options{.batch = 2, .keep_logits = true, .method = Method::kMoments};
    REQUIRE(engine.Open(file.span(), options) == Status::kOk);
    if (engine.model.input_kind() == InputKind::kNumbers) continue;
    const auto pixels = RandomPixels(engine.model, 2, 7);
    std::vector<Prediction> two(2);
    REQUIRE(engine.session.Predict(std::span(pixels), two) == Status::kOk);
    const std::size_t row = two[1].logits.size();
    CHECK(two[1].logits_stride == row);
    const std::size_t outputs = two[1].mean.size();
    CHECK(row == (engine.model.head() == Head::kGaussian ? 2 * outputs : outputs));
    const std::size_t positions =
        std::size_t{engine.model.output_height()} * engine.model.output_width();
    const std::size_t classes = row / positions;
    const bool full = engine.model.head() == Head::kSoftmax && classes <= 64;
    CHECK(two[1].logit_covariance.size() == row * (full ? classes : 1));
    for (std::size_t i = 0; full && i < positions * classes * classes; ++i) {
      const std::size_t p = i / (classes * classes), a = i / classes % classes, b = i % classes;
      const auto at = [&](std::size_t x, std::size_t y) {
        return two[1].logit_covariance[(p * classes + x) * classes + y];
      };
      CHECK(at(a, b) == at(b, a));
      // Up to rounding |K(a, b)| <= sqrt(K(a, a) K(b, b)), unless bounded gains leave none.
      const bool small = at(a, b) * at(a, b) <= at(a, a) * at(b, b) * 1.001F;
      CHECK((small || name == "no_covariance"));
      ++compared;
    }
    for (std::size_t c = 0; HasNumbers(engine.model) && c < outputs; ++c) {
      const std::size_t at = engine.model.head() == Head::kGaussian
                                 ? c / engine.model.class_count() * 2 * engine.model.class_count() +
                                       c % engine.model.class_count()
                                 : c;
      CHECK(two[1].logits[at] == two[1].mean[c]);
      CHECK(two[1].logit_covariance[at] == two[1].variance[c]);
      ++compared;
    }
    // Everything else is as it is without, and so is the first image's prediction alone.
    Engine plain;
    options.keep_logits = false;
    REQUIRE(plain.Open(file.span(), options) == Status::kOk);
    std::vector<Prediction> without(2);
    REQUIRE(plain.session.Predict(std::span(pixels), without) == Status::kOk);
    CHECK(Take(plain.model, without[1]) == Take(engine.model, two[1]));
    CHECK(without[1].logits.empty());
    CHECK(without[1].logit_covariance.empty());
  }
  MESSAGE("entries of covariances compared: " << compared);
  CHECK(compared > 1000);
}

}  // namespace
}  // namespace mu8::testing
