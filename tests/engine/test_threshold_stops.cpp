// StopRule::kThresholds: several labels decided in one call. Its promise, and that each label is
// decided as a session about it alone would, however the passes are cut.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/src/stopping.h"
#include "tests/support/effort.h"
#include "tests/support/model_builder.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

constexpr std::uint32_t kOutputs = 7;
constexpr std::uint32_t kSamples = 120;

AlignedBytes FileOf(format::Head head) {
  TestModel model = TinyModel(4, true, 8, kOutputs);
  model.content.head = head;
  return AlignedBytes(format::Write(model.content));
}

SessionOptions OptionsOf(const Stop& stop) {
  return {.mc_samples = kSamples, .seed = 11, .stop = stop};
}

Stop ThresholdsOf(format::Head head, std::span<const std::uint8_t> chosen = {}) {
  return {.rule = StopRule::kThresholds,
          .error = 0.1F,
          .threshold = head == format::Head::kSigmoid ? 0.5F : 0.15F,
          .chosen = chosen};
}

// Image `image` of a fixed few.
Prediction PredictOne(Engine* engine, std::size_t image) {
  const std::size_t size = engine->model.input_size();
  const auto pixels = RandomPixels(engine->model, image + 1, 31);
  Prediction prediction;
  REQUIRE(engine->session.Predict(std::span(pixels).subspan(image * size), {&prediction, 1}) ==
          Status::kOk);
  return prediction;
}

// How often a game of `labels` outputs with the means `means` has any above, and any below.
template <std::size_t kLabels>
std::pair<int, int> CountDecisions(const Stop& stop, const std::array<double, kLabels>& means,
                                   int runs, Random* random) {
  Stop of_one = stop;
  of_one.error /= static_cast<float>(ChosenCount(stop, kLabels));
  int above = 0, below = 0;
  for (int i = 0; i < runs; ++i) {
    std::array<Bets, kLabels> bets{};
    std::array<Decision, kLabels> decisions{};
    ClearDecisions(stop, bets, decisions);
    for (std::uint32_t pass = 0; pass < 200; ++pass) {
      std::array<float, kLabels> p{};
      for (std::size_t c = 0; c < kLabels; ++c) p[c] = random->Unit() < means[c] ? 1.0F : 0.0F;
      if (WatchOutputs(of_one, Noise::kIndependent, pass, p, bets, decisions) == Ended::kDecided) {
        break;
      }
    }
    const auto any = [&](Decision decision) {
      return std::find(decisions.begin(), decisions.end(), decision) != decisions.end() ? 1 : 0;
    };
    above += any(Decision::kAbove), below += any(Decision::kBelow);
  }
  return {above, below};
}

// Labels that know nothing of each other are the worst case of a union bound. At the threshold each
// has both ways to go wrong, which the promise counts one at a time.
TEST_CASE("thresholds: any wrong decision of an image is as rare as promised") {
  Random random(411);
  const int runs = Effort(8000, 800);
  for (const float error : {0.05F, 0.3F}) {
    const Stop stop{.rule = StopRule::kThresholds, .error = error, .threshold = 0.4F};
    const double promised = runs * static_cast<double>(error);
    const double most = promised + 3 * std::sqrt(promised);
    CAPTURE(error);
    const auto [above, below] =
        CountDecisions<6>(stop, {0.4, 0.4, 0.4, 0.4, 0.4, 0.4}, runs, &random);
    CHECK(above <= most);
    CHECK(below <= most);
    // The bound is in use: one label with the whole error would be wrong as often as this.
    CHECK(above + below > promised / 10);
    const auto [wrong, right] =
        CountDecisions<6>(stop, {0.39, 0.38, 0.37, 0.35, 0.2, 0.1}, runs, &random);
    CHECK(wrong <= most);
    CHECK(right > runs / 2);
    MESSAGE("error " << error << ": of " << runs << " any above " << above << ", any below "
                     << below << "; below the threshold, any wrong " << wrong);
  }
}

TEST_CASE(
    "thresholds: each label is decided as a session about it alone would, the last ends all") {
  std::size_t decided = 0, undecided = 0;
  const std::array<std::uint8_t, kOutputs> some = {0, 1, 0, 1, 255, 0, 1};
  for (const format::Head head : {format::Head::kSigmoid, format::Head::kSoftmax}) {
    const AlignedBytes file = FileOf(head);
    for (const bool all : {true, false}) {
      for (const Noise noise : {Noise::kIndependent, Noise::kAntithetic}) {
        const Stop stop = all ? ThresholdsOf(head) : ThresholdsOf(head, some);
        SessionOptions options = OptionsOf(stop);
        options.noise = noise;
        for (std::size_t image = 0; image < 4; ++image) {
          Engine engine;
          REQUIRE(engine.Open(file.span(), options) == Status::kOk);
          const Prediction found = PredictOne(&engine, image);
          REQUIRE(found.decisions.size() == kOutputs);
          std::uint32_t last = 0;
          for (std::uint32_t c = 0; c < kOutputs; ++c) {
            if (!all && some[c] == 0) {
              CHECK(found.decisions[c] == Decision::kNotChosen);
              continue;
            }
            Engine alone;
            SessionOptions one = options;
            one.stop = {.rule = StopRule::kThreshold,
                        .error = stop.error / (all ? 7.0F : 4.0F),
                        .class_index = c,
                        .threshold = stop.threshold};
            REQUIRE(alone.Open(file.span(), one) == Status::kOk);
            const Prediction by_itself = PredictOne(&alone, image);
            CHECK(by_itself.decisions.empty());
            const Decision expected = by_itself.ended == Ended::kAbove   ? Decision::kAbove
                                      : by_itself.ended == Ended::kBelow ? Decision::kBelow
                                                                         : Decision::kUndecided;
            CHECK(found.decisions[c] == expected);
            (expected == Decision::kUndecided ? undecided : decided) += 1;
            last = std::max(last, by_itself.samples_used);
          }
          CHECK(found.samples_used == last);
          const bool whole = std::find(found.decisions.begin(), found.decisions.end(),
                                       Decision::kUndecided) == found.decisions.end();
          CHECK(found.ended == (whole ? Ended::kDecided : Ended::kAllSamples));
        }
      }
    }
  }
  MESSAGE("labels decided " << decided << ", undecided " << undecided);
  CHECK(decided > 0);
  CHECK(undecided > 0);
}

TEST_CASE("thresholds: of clear labels twice as many take one pass more") {
  for (const auto& [labels, passes] : {std::pair(1U, 5U), {2U, 6U}, {4U, 7U}, {8U, 8U}}) {
    const std::vector<float> p(labels, 0.9999F);
    std::vector<Bets> bets(labels);
    std::vector<Decision> decisions(labels);
    const Stop of_one{.rule = StopRule::kThresholds, .error = 0.05F / static_cast<float>(labels)};
    ClearDecisions(of_one, bets, decisions);
    std::uint32_t pass = 0;
    while (WatchOutputs(of_one, Noise::kIndependent, pass++, p, bets, decisions) !=
           Ended::kDecided) {
      REQUIRE(pass < 100);
    }
    INFO("labels " << p.size());
    CHECK(pass == passes);
  }
}

// The page's rule once more, in double precision, of probabilities of kept logits.
class Game {
 public:
  Game(double threshold, double error) : h_(threshold), error_(error) {}

  void Watch(double p) {
    if (decision_ != Decision::kUndecided) return;
    const double d = p - h_;
    const double b = std::clamp((1 - h_ + sum_) / (std::pow(1 - h_, 2) + square_), 0., kRisk / h_);
    const double g = std::clamp((h_ - sum_) / (h_ * h_ + square_), 0., kRisk / (1 - h_));
    above_ *= 1 + b * d, below_ *= 1 - g * d;
    sum_ += d, square_ += d * d;
    if (above_ >= 1 / error_) {
      decision_ = Decision::kAbove;
    } else if (below_ >= 1 / error_) {
      decision_ = Decision::kBelow;
    }
  }
  Decision decision() const { return decision_; }

 private:
  static constexpr double kRisk = 63.0 / 64.0;
  double h_, error_, sum_ = 0, square_ = 0, above_ = 1, below_ = 1;
  Decision decision_ = Decision::kUndecided;
};

TEST_CASE("thresholds: decisions are those of the page's formulas over the logits") {
  const AlignedBytes file = FileOf(format::Head::kSigmoid);
  const Stop stop = ThresholdsOf(format::Head::kSigmoid);
  SessionOptions options = OptionsOf(stop);
  options.keep_logits = true;
  int decided = 0;
  for (std::size_t image = 0; image < 6; ++image) {
    Engine engine;
    REQUIRE(engine.Open(file.span(), options) == Status::kOk);
    const Prediction found = PredictOne(&engine, image);
    std::vector<Game> games(kOutputs, Game(static_cast<double>(stop.threshold),
                                           static_cast<double>(stop.error) / kOutputs));
    for (std::uint32_t t = 0; t < found.samples_used; ++t) {
      // Not sooner either: the pass before the last leaves a label open.
      const bool open = std::any_of(games.begin(), games.end(), [](const Game& game) {
        return game.decision() == Decision::kUndecided;
      });
      CHECK(open);
      for (std::uint32_t c = 0; c < kOutputs; ++c) {
        const auto logit = static_cast<double>(found.logits[t * found.logits_stride + c]);
        games[c].Watch(1 / (1 + std::exp(-logit)));
      }
    }
    for (std::uint32_t c = 0; c < kOutputs; ++c) {
      CHECK(found.decisions[c] == games[c].decision());
      decided += games[c].decision() == Decision::kUndecided ? 0 : 1;
    }
  }
  CHECK(decided > 10);
}

// All that a session says of 4 images.
std::vector<std::byte> Outcome(const AlignedBytes& file, const SessionOptions& options) {
  Engine engine;
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 4, 31);
  const std::size_t size = engine.model.input_size(), batch = options.batch;
  std::vector<std::byte> bytes;
  for (std::size_t at = 0; at < 4; at += batch) {
    std::vector<Prediction> found(batch);
    REQUIRE(engine.session.Predict(std::span(pixels).subspan(at * size, batch * size), found) ==
            Status::kOk);
    for (const Prediction& p : found) {
      AppendPrediction(p, &bytes);
      AppendBytes(p.decisions, &bytes);
      const std::uint32_t ends[] = {p.samples_used, static_cast<std::uint32_t>(p.ended)};
      AppendBytes(std::span<const std::uint32_t>(ends), &bytes);
    }
  }
  return bytes;
}

TEST_CASE("thresholds: decisions do not depend on batch, workers or kernels") {
  for (const format::Head head : {format::Head::kSigmoid, format::Head::kSoftmax}) {
    const AlignedBytes file = FileOf(head);
    Model model;
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    SessionOptions options = OptionsOf(ThresholdsOf(head));
    options.kernels = KernelSet::kScalar;
    const std::vector<std::byte> first = Outcome(file, options);
    for (const auto& [batch, workers] : {std::pair(1U, 1U), {4U, 1U}, {2U, 3U}, {4U, 300U}}) {
      options.batch = batch;
      options.workers = workers;
      for (const KernelSet set : RunnableKernels(model)) {
        options.kernels = set;
        INFO("batch " << options.batch << ", workers " << options.workers);
        CHECK(Outcome(file, options) == first);
      }
    }
  }
}

TEST_CASE("thresholds: an early ending gives the bytes of a session with as many samples") {
  const AlignedBytes file = FileOf(format::Head::kSigmoid);
  const std::array<std::uint8_t, kOutputs> one = {0, 0, 1};
  Engine engine;
  REQUIRE(
      engine.Open(file.span(),
                  OptionsOf({.rule = StopRule::kThresholds, .threshold = 0.1F, .chosen = one})) ==
      Status::kOk);
  const Prediction found = PredictOne(&engine, 0);
  CHECK(found.ended == Ended::kDecided);
  CHECK(found.samples_used < kSamples);
  std::vector<std::byte> early, plain;
  AppendPrediction(found, &early);
  Engine other;
  SessionOptions options = OptionsOf({});
  options.mc_samples = found.samples_used;
  REQUIRE(other.Open(file.span(), options) == Status::kOk);
  AppendPrediction(PredictOne(&other, 0), &plain);
  CHECK(early == plain);
}

bool Never(void*) { return false; }

TEST_CASE("thresholds: at a deadline the labels that are decided stay so") {
  const AlignedBytes file = FileOf(format::Head::kSigmoid);
  SessionOptions options = OptionsOf(ThresholdsOf(format::Head::kSigmoid));
  options.workers = 12;  // a round has twelve passes, and after the first there is no time left
  options.keep_going = Never;
  Engine engine;
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  std::size_t decided = 0, open = 0;
  for (std::size_t image = 0; image < 4; ++image) {
    const Prediction found = PredictOne(&engine, image);
    CHECK(found.ended == Ended::kDeadline);
    CHECK(found.samples_used == 12);
    SessionOptions plain = options;
    plain.keep_going = nullptr;
    plain.mc_samples = 12;
    Engine other;
    REQUIRE(other.Open(file.span(), plain) == Status::kOk);
    const Prediction expected = PredictOne(&other, image);
    for (std::uint32_t c = 0; c < kOutputs; ++c) {
      CHECK(found.decisions[c] == expected.decisions[c]);
      (found.decisions[c] == Decision::kUndecided ? open : decided) += 1;
    }
  }
  CHECK(open > 0);
  CHECK(decided > 0);
}

TEST_CASE("thresholds: the state of every label and image lies in the arena, of other rules none") {
  const AlignedBytes file = FileOf(format::Head::kSigmoid);
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  const auto rounded = [](std::size_t bytes) { return (bytes + 15) / 16 * 16; };
  for (const std::uint32_t batch : {1U, 5U, 64U}) {
    SessionOptions options = OptionsOf({.rule = StopRule::kThreshold});
    options.batch = batch;
    const std::size_t before = ArenaBytes(model, options);
    options.stop.rule = StopRule::kThresholds;
    const std::size_t labels = std::size_t{batch} * kOutputs;
    CHECK(ArenaBytes(model, options) == before + rounded(labels * 20) + rounded(labels));
  }
}

TEST_CASE("thresholds: what cannot be decided is refused by name") {
  const auto refused = [](const AlignedBytes& file, const Stop& stop, Option option,
                          std::uint64_t found, std::uint64_t expected) {
    Engine engine;
    Diagnostic diagnostic;
    CHECK(engine.Open(file.span(), {.stop = stop}, &diagnostic) == Status::kBadOption);
    CHECK(diagnostic.option == option);
    CHECK(diagnostic.found == found);
    CHECK(diagnostic.expected == expected);
  };
  constexpr auto kRule = StopRule::kThresholds;
  const AlignedBytes labels = FileOf(format::Head::kSigmoid);
  const std::array<std::uint8_t, kOutputs + 1> sizes = {1, 1, 1, 1, 1, 1, 1, 1};
  const std::array<std::uint8_t, kOutputs> none = {};
  for (const std::size_t size : {std::size_t{1}, std::size_t{6}, std::size_t{8}}) {
    refused(labels, {.rule = kRule, .chosen = std::span(sizes).first(size)}, Option::kStopChosen,
            size, kOutputs);
  }
  refused(labels, {.rule = kRule, .chosen = none}, Option::kStopChosen, 0, kOutputs);
  refused(labels, {.rule = kRule, .error = 0.6F}, Option::kStopError, 600000, 500000);
  refused(labels, {.rule = kRule, .threshold = 1}, Option::kStopThreshold, 1000000, 999999);
  refused(FileOf(format::Head::kValues), {.rule = kRule}, Option::kStopRule, 4, 3);
  TestModel maps = DenseOutputModel(3);
  maps.content.head = format::Head::kSigmoid;
  refused(AlignedBytes(format::Write(maps.content)), {.rule = kRule}, Option::kStopRule, 4, 0);
  // The index of the rules about one output does not count.
  Engine engine;
  CHECK(engine.Open(labels.span(), {.stop = {.rule = kRule, .class_index = 99}}) == Status::kOk);
}

}  // namespace
}  // namespace mu8::testing
