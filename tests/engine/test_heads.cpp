// Sigmoid and value heads: against sums in long double over kept logits, against exact integers,
// and the same bytes whichever way the passes are cut.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/src/statistics.h"
#include "tests/support/effort.h"
#include "tests/support/model_builder.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

AlignedBytes FileOf(TestModel model, format::Head head) {
  model.content.head = head;
  return AlignedBytes(format::Write(model.content));
}

double Entropy(double p) {
  double entropy = 0;
  for (const double q : {p, 1 - p}) entropy -= q > 0 ? q * std::log(q) : 0;
  return entropy;
}

std::vector<std::vector<float>> LogitsOf(const Prediction& prediction, std::size_t outputs) {
  std::vector<std::vector<float>> passes;
  for (std::uint32_t t = 0; t < prediction.samples_used; ++t) {
    const auto row = prediction.logits.subspan(t * prediction.logits_stride, outputs);
    passes.emplace_back(row.begin(), row.end());
  }
  return passes;
}

// Runs the model over a few images with kept logits; returns how many were compared.
template <typename Compare>
int ForPredictions(const AlignedBytes& file, const Compare& compare) {
  Engine engine;
  SessionOptions options{.mc_samples = 40, .seed = 9, .batch = 3, .keep_logits = true};
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 3, 11);
  std::vector<Prediction> predictions(3);
  REQUIRE(engine.session.Predict(std::span<const std::uint8_t>(pixels), predictions) ==
          Status::kOk);
  for (const Prediction& prediction : predictions) {
    compare(prediction, LogitsOf(prediction, engine.model.class_count()));
  }
  return 3;
}

TEST_CASE("heads: a sigmoid's probabilities, variances and entropies, label by label") {
  int compared = 0;
  for (const TestModel& model : {TinyModel(4), EveryOperatorModel()}) {
    compared += ForPredictions(FileOf(model, format::Head::kSigmoid), [](const Prediction& found,
                                                                         const auto& passes) {
      CHECK(found.label == kNoLabel);
      double predictive = 0, expected = 0;
      for (std::size_t c = 0; c < found.mean.size(); ++c) {
        double p_sum = 0, square = 0, entropy = 0;
        for (const auto& logits : passes) {
          const double p = 1 / (1 + std::exp(-static_cast<double>(logits[c])));
          p_sum += p, square += p * p, entropy += Entropy(p);
        }
        const double t = static_cast<double>(passes.size()), mean = p_sum / t;
        CHECK(static_cast<double>(found.mean[c]) == doctest::Approx(mean).epsilon(1e-6));
        CHECK(static_cast<double>(found.variance[c]) ==
              doctest::Approx(square / t - mean * mean).epsilon(1e-4));
        CHECK(static_cast<double>(found.output_entropy[c]) ==
              doctest::Approx(Entropy(mean)).epsilon(1e-5));
        CHECK(static_cast<double>(found.output_expected_entropy[c]) ==
              doctest::Approx(entropy / t).epsilon(1e-5));
        predictive += Entropy(mean), expected += entropy / t;
      }
      CHECK(static_cast<double>(found.predictive_entropy) ==
            doctest::Approx(predictive).epsilon(1e-5));
      CHECK(static_cast<double>(found.expected_entropy) == doctest::Approx(expected).epsilon(1e-5));
      CHECK(static_cast<double>(found.mutual_information) ==
            doctest::Approx(predictive - expected).epsilon(1e-3));
    });
  }
  CHECK(compared == 6);
}

TEST_CASE("heads: one output alone is a probability, not a certainty") {
  TestModel model = TinyModel(4);
  const auto check = [](const Prediction& found, const auto&) {
    CHECK(found.mean[0] > 0.0F);
    CHECK(found.mean[0] < 1.0F);
    CHECK(found.output_entropy[0] > 0.0F);
  };
  CHECK(ForPredictions(FileOf(model, format::Head::kSigmoid), check) == 3);
}

TEST_CASE("heads: values have the mean and variance of the passes, in their own units") {
  int compared = 0;
  for (const TestModel& model : {TinyModel(8), EveryOperatorModel()}) {
    compared += ForPredictions(
        FileOf(model, format::Head::kValues), [](const Prediction& found, const auto& passes) {
          CHECK(found.label == kNoLabel);
          CHECK(found.output_entropy.empty());
          CHECK(found.predictive_entropy == 0.0F);
          CHECK(found.mutual_information == 0.0F);
          for (std::size_t c = 0; c < found.mean.size(); ++c) {
            double sum = 0, square = 0;
            for (const auto& logits : passes) sum += static_cast<double>(logits[c]);
            const double t = static_cast<double>(passes.size()), mean = sum / t;
            for (const auto& logits : passes) {
              square += std::pow(static_cast<double>(logits[c]) - mean, 2) / t;
            }
            // The logits are rounded to 24 bits, the accumulators are not.
            CHECK(static_cast<double>(found.mean[c]) == doctest::Approx(mean).epsilon(1e-5));
            CHECK(static_cast<double>(found.variance[c]) == doctest::Approx(square).epsilon(1e-4));
          }
        });
  }
  CHECK(compared == 6);
}

struct Moments {
  float mean, variance;
};

Moments MomentsOf(const std::vector<std::int32_t>& accumulators, float multiplier) {
  std::vector<std::uint64_t> sum(1, 7), square(2, 7);
  const Sums sums{sum, square, {}};
  ClearSums(sums);
  for (const std::int32_t acc : accumulators) AddValues({&acc, 1, 1, 1}, sums);
  Moments moments{};
  SummarizeValue(sum[0], square[0], square[1], static_cast<std::uint32_t>(accumulators.size()),
                 multiplier, &moments.mean, &moments.variance);
  return moments;
}

TEST_CASE("heads: the sums of values are exact at their bounds") {
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  const auto passes = static_cast<std::size_t>(Effort(65536, 4096));
  // All the same: no variance, however large the sums.
  for (const std::int32_t acc : {kMost, -kMost, 1, 0}) {
    const Moments same = MomentsOf(std::vector<std::int32_t>(passes, acc), 0.5F);
    CHECK(same.mean == static_cast<float>(0.5 * acc));
    CHECK(same.variance == 0.0F);
  }
  // Half at one end, half at the other.
  std::vector<std::int32_t> torn(passes, kMost);
  for (std::size_t t = 0; t < passes; t += 2) torn[t] = -kMost;
  const Moments wide = MomentsOf(torn, 1.0F);
  CHECK(wide.mean == 0.0F);
  CHECK(wide.variance == static_cast<float>(static_cast<double>(kMost) * kMost));
  // One unit apart at the far end: the variance of the naive difference of squares would be noise.
  std::vector<std::int32_t> close(passes, kMost);
  for (std::size_t t = 0; t < passes; t += 2) close[t] = kMost - 1;
  CHECK(MomentsOf(close, 1.0F).variance == 0.25F);
  CHECK(MomentsOf({5}, 2.0F).mean == 10.0F);
  CHECK(MomentsOf({5}, 2.0F).variance == 0.0F);
}

TEST_CASE("heads: any batch, workers, kernels and kept logits give the same bytes") {
  int compared = 0;
  TestModel noisy = EveryOperatorModel(5);
  noisy.content.outputs.noise_variance.assign(10, 0.5F);
  for (const AlignedBytes& file :
       {FileOf(EveryOperatorModel(5), format::Head::kSigmoid),
        FileOf(EveryOperatorModel(5), format::Head::kValues), FileOf(noisy, format::Head::kValues),
        WithGaussian(EveryOperatorModel(5), format::ScaleForm::kSoftplus).File(),
        WithGaussian(EveryOperatorModel(3), format::ScaleForm::kLogVariance).File(),
        DenseOutputModel(3).File(), FileOf(DenseOutputModel(2), format::Head::kSigmoid),
        FileOf(DenseOutputModel(18), format::Head::kValues), DenseReconstructionModel().File(),
        WithReconstruction(TinyModel(4, true, 8, 36)).File(),
        WithGaussian(DenseOutputModel(4), format::ScaleForm::kSoftplus).File()}) {
    Engine first;
    REQUIRE(first.Open(file.span(), {.mc_samples = 21, .seed = 4, .noise = Noise::kAntithetic}) ==
            Status::kOk);
    const auto pixels = RandomPixels(first.model, 6, 3);
    const auto expected = PredictAll(&first, pixels, 1);
    REQUIRE(!expected.empty());
    for (const KernelSet kernels : RunnableKernels(first.model)) {
      for (const std::uint32_t batch : {1U, 4U, 6U}) {
        for (const std::uint32_t workers : {1U, 3U, 40U}) {
          for (const bool keep : {false, true}) {
            for (const bool hurried : {false, true}) {
              Engine engine;
              const SessionOptions options{
                  .mc_samples = 21,
                  .seed = 4,
                  .batch = batch,
                  .keep_logits = keep,
                  .kernels = kernels,
                  .noise = Noise::kAntithetic,
                  .workers = workers,
                  .keep_going = hurried ? +[](void*) { return true; } : nullptr};
              REQUIRE(engine.Open(file.span(), options) == Status::kOk);
              CHECK(PredictAll(&engine, pixels, batch) == expected);
              ++compared;
            }
          }
        }
      }
    }
  }
  MESSAGE("predictions of all images compared: " << compared);
  CHECK(compared >= 11 * 36);
}

TEST_CASE("heads: stop rules that do not hold for a head are refused, the others end early") {
  const AlignedBytes labels = FileOf(TinyModel(4), format::Head::kSigmoid);
  const AlignedBytes values = FileOf(TinyModel(4), format::Head::kValues);
  const auto create = [](const AlignedBytes& file, StopRule rule, Diagnostic* diagnostic) {
    Engine engine;
    return engine.Open(file.span(), {.stop = {.rule = rule}}, diagnostic);
  };
  Diagnostic diagnostic;
  for (const StopRule rule : {StopRule::kLabel, StopRule::kThreshold}) {
    CHECK(create(values, rule, &diagnostic) == Status::kBadOption);
    CHECK(diagnostic.option == Option::kStopRule);
    CHECK(diagnostic.found == static_cast<std::uint64_t>(rule));
  }
  CHECK(create(labels, StopRule::kLabel, &diagnostic) == Status::kBadOption);
  CHECK(diagnostic.option == Option::kStopRule);
  CHECK(create(values, StopRule::kNone, nullptr) == Status::kOk);

  Engine engine;
  const SessionOptions options{
      .mc_samples = 2000,
      .stop = {.rule = StopRule::kThreshold, .class_index = 1, .threshold = .01F}};
  REQUIRE(engine.Open(labels.span(), options) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 1, 5);
  Prediction prediction;
  REQUIRE(engine.session.Predict(std::span<const std::uint8_t>(pixels), {&prediction, 1}) ==
          Status::kOk);
  CHECK(prediction.ended == Ended::kAbove);
  CHECK(prediction.samples_used < 2000);
  CHECK(prediction.mean[1] > 0.01F);
}

}  // namespace
}  // namespace mu8::testing
