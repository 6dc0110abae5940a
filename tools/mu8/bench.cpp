// mu8 bench: how long a prediction takes on this machine.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "converters/host/model_file.h"
#include "tools/mu8/command.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/progress.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string model_path;
  SamplingOptions sampling;
  std::string deterministic_path;
  std::uint32_t batch = 1;
  bool json = false;
};

constexpr int kWarmUpCalls = 3;
constexpr double kLeastSeconds = 1.0;
constexpr std::size_t kLeastCalls = 20;

constexpr const char* kFooter = R"(
Times calls of Session::Predict on random inputs (pixels, or numbers between -1 and 1, as the file
takes), after a warm-up, for at least one second and 20
calls. A prediction is one image's: a call's time over the batch. A pass is one weight sample's part
of it: the same over the samples. p50 and p99 are nearest-rank percentiles over the calls. With
--method moments both methods are timed, in turns.)";

// One way to predict, and the seconds of each of its calls.
struct Side {
  Side(const host::ModelFile& of, const SessionOptions& options)
      : file(of), runner(of, options), predictions(options.batch) {
    std::mt19937 random(1);  // the same sequence everywhere, unlike the standard's distributions
    pixels.resize(file.model.input_size() * options.batch);
    for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(random() >> 24);
    for (const std::uint8_t pixel : pixels) {
      numbers.push_back(static_cast<float>(pixel) / 127.5F - 1.0F);
    }
  }
  void Predict() {
    if (file.model.input_kind() == InputKind::kNumbers) {
      runner.Predict(file.path, numbers, predictions);
    } else {
      runner.Predict(file.path, pixels, predictions);
    }
  }
  void Time() {
    const Clock::time_point start = Clock::now();
    Predict();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  // Microseconds of one image, nearest rank: the smallest value that at least `fraction` of the
  // calls do not exceed.
  double Percentile(double fraction) const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    const double rank = std::ceil(fraction * static_cast<double>(sorted.size()));
    return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1] * 1e6 /
           static_cast<double>(predictions.size());
  }

  const host::ModelFile& file;
  host::Runner runner;
  std::vector<Prediction> predictions;
  std::vector<std::uint8_t> pixels;
  std::vector<float> numbers;
  std::vector<double> seconds;
};

// Calls of all sides in turns, so that a machine that slows down slows all.
void Measure(const std::vector<Side*>& sides) {
  for (Side* side : sides) {
    for (int i = 0; i < kWarmUpCalls; ++i) side->Predict();
  }
  ProgressBar progress;
  double total = 0;
  const std::vector<double>& calls = sides[0]->seconds;
  while (total < kLeastSeconds || calls.size() < kLeastCalls) {
    for (Side* side : sides) side->Time();
    total += calls.back();
    progress.Show("timing", std::min(total / kLeastSeconds, static_cast<double>(calls.size()) /
                                                                static_cast<double>(kLeastCalls)));
  }
}

// What was timed; moments and a deterministic pass where they were asked for.
struct Timed {
  std::unique_ptr<Side> sampling, moments, deterministic;
  std::uint32_t samples = 0;

  double per_pass() const { return sampling->Percentile(0.50) / samples; }
};

Json TimedJson(const Options& options, const Timed& timed) {
  Json json{{"model", options.model_path},
            {"us_per_prediction_p50", timed.sampling->Percentile(0.50)},
            {"us_per_prediction_p99", timed.sampling->Percentile(0.99)},
            {"us_per_pass_p50", timed.per_pass()},
            {"arena_bytes", timed.sampling->runner.arena_bytes()},
            {"samples", timed.samples},
            {"batch", options.batch},
            {"threads", options.sampling.threads},
            {"kernels", timed.sampling->runner.kernels()},
            {"calls", timed.sampling->seconds.size()}};
  if (!timed.moments) return json;
  const double moments = timed.moments->Percentile(0.50);
  json["moments"] = {{"us_per_prediction_p50", moments},
                     {"us_per_prediction_p99", timed.moments->Percentile(0.99)},
                     {"arena_bytes", timed.moments->runner.arena_bytes()},
                     {"over_a_pass", moments / timed.per_pass()},
                     {"sampling_over_moments", timed.sampling->Percentile(0.50) / moments}};
  if (!timed.deterministic) return json;
  const double deterministic = timed.deterministic->Percentile(0.50);
  json["moments"]["us_per_deterministic_pass_p50"] = deterministic;
  json["moments"]["over_a_deterministic_pass"] = moments / deterministic;
  return json;
}

void AddMoments(const Timed& timed, Table* fields) {
  const double moments = timed.moments->Percentile(0.50);
  fields->Add({"moments", Fixed(moments, 1) + " us (p50), " +
                              Fixed(timed.moments->Percentile(0.99), 1) + " us (p99), arena " +
                              ByteCount(timed.moments->runner.arena_bytes())});
  std::string text = Fixed(moments / timed.per_pass(), 2) + " passes";
  if (timed.deterministic) {
    const double deterministic = timed.deterministic->Percentile(0.50);
    text += ", " + Fixed(moments / deterministic, 2) + " deterministic ones of " +
            Fixed(deterministic, 2) + " us";
  }
  fields->Add({"", text + "; " + Fixed(timed.sampling->Percentile(0.50) / moments, 1) +
                       " times faster than " + std::to_string(timed.samples) + " samples"});
}

void PrintTimed(const Options& options, const Timed& timed) {
  Table fields = Fields();
  fields.Add({"model", Printable(options.model_path)});
  fields.Add({"kernels", std::string(timed.sampling->runner.kernels()) + ", " +
                             std::to_string(options.sampling.threads) +
                             (options.sampling.threads == 1 ? " thread" : " threads") + ", batch " +
                             std::to_string(options.batch) + ", " + std::to_string(timed.samples) +
                             " samples"});
  fields.Add({"per prediction", Fixed(timed.sampling->Percentile(0.50), 1) + " us (p50), " +
                                    Fixed(timed.sampling->Percentile(0.99), 1) + " us (p99), " +
                                    std::to_string(timed.sampling->seconds.size()) + " calls"});
  fields.Add({"per pass", Fixed(timed.per_pass(), 2) + " us (p50)"});
  fields.Add({"arena", ByteCount(timed.sampling->runner.arena_bytes())});
  if (timed.moments) AddMoments(timed, &fields);
  std::fputs(fields.ToString().c_str(), stdout);
}

void Run(const Options& options) {
  if (options.sampling.stop.error) {
    throw UsageError("--stop-error: mu8 bench times a fixed number of passes");
  }
  if (options.sampling.is_auto()) {
    throw UsageError(
        "--method auto: its time depends on the images: mu8 eval says how many were sampled");
  }
  const bool with_moments = options.sampling.by_moments();
  if (!with_moments && !options.deterministic_path.empty()) {
    throw UsageError("--deterministic: expected --method moments with it");
  }
  const host::ModelFile file = host::OpenModel(options.model_path);
  std::vector<std::uint8_t> chosen;
  SessionOptions session = options.sampling.ForSession(file.model, options.batch, &chosen);
  Timed timed;
  timed.samples = session.mc_samples;
  std::vector<Side*> sides;
  const auto add = [&sides, &session](const host::ModelFile& of) {
    auto side = std::make_unique<Side>(of, session);
    sides.push_back(side.get());
    return side;
  };
  session.method = Method::kSampling;
  timed.sampling = add(file);
  if (with_moments) {
    session.method = Method::kMoments;
    timed.moments = add(file);
  }
  host::ModelFile deterministic;
  if (!options.deterministic_path.empty()) {
    deterministic = host::OpenModel(options.deterministic_path);
    session.method = Method::kSampling;
    session.mc_samples = 1;
    timed.deterministic = add(deterministic);
  }
  Measure(sides);
  if (options.json) {
    PrintJson(TimedJson(options, timed));
  } else {
    PrintTimed(options, timed);
  }
}

}  // namespace

Command AddBench(CLI::App* parent) {
  CLI::App* app = parent->add_subcommand("bench", "Time predictions on this machine");
  const auto options = std::make_shared<Options>();
  app->add_option("MODEL", options->model_path, "A .mu8 file")->required();
  options->sampling.AddTo(app);
  app->add_option("--batch", options->batch, "Images per call, 1 to 65536")
      ->check(WholeNumber(1, 65536))
      ->capture_default_str();
  app->add_option("--deterministic", options->deterministic_path,
                  "The same network converted with --deterministic: one pass of it is timed beside "
                  "moments")
      ->type_name("D.mu8");
  AddJsonFlag(app, &options->json);
  app->footer(kFooter);
  return {app, [options](host::OutputFiles*) { Run(*options); }};
}

}  // namespace mu8::tool
