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
of it: the same over the samples. p50 and p99 are nearest-rank percentiles over the calls.)";

// Seconds per call of Predict, sorted.
std::vector<double> Measure(const host::ModelFile& file, host::Runner* runner,
                            std::uint32_t batch) {
  std::mt19937 random(1);  // the same sequence everywhere, unlike the standard's distributions
  std::vector<std::uint8_t> pixels(file.model.input_size() * batch);
  for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(random() >> 24);
  std::vector<float> numbers;
  for (const std::uint8_t pixel : pixels) {
    numbers.push_back(static_cast<float>(pixel) / 127.5F - 1.0F);
  }
  std::vector<Prediction> predictions(batch);
  const auto predict = [&] {
    if (file.model.input_kind() == InputKind::kNumbers) {
      runner->Predict(file.path, numbers, predictions);
    } else {
      runner->Predict(file.path, pixels, predictions);
    }
  };
  for (int i = 0; i < kWarmUpCalls; ++i) predict();

  ProgressBar progress;
  std::vector<double> seconds;
  double total = 0;
  while (total < kLeastSeconds || seconds.size() < kLeastCalls) {
    const Clock::time_point start = Clock::now();
    predict();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    total += seconds.back();
    progress.Show("timing", std::min(total / kLeastSeconds, static_cast<double>(seconds.size()) /
                                                                static_cast<double>(kLeastCalls)));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

// Nearest rank: the smallest value that at least `fraction` of the values do not exceed.
double Percentile(const std::vector<double>& sorted, double fraction) {
  const double rank = std::ceil(fraction * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

void Run(const Options& options) {
  if (options.sampling.stop.error) {
    throw UsageError("--stop-error: mu8 bench times a fixed number of passes");
  }
  const host::ModelFile file = host::OpenModel(options.model_path);
  std::vector<std::uint8_t> chosen;
  host::Runner runner(file, options.sampling.ForSession(file.model, options.batch, &chosen));
  const std::vector<double> seconds = Measure(file, &runner, options.batch);
  const double scale = 1e6 / options.batch;
  const double p50 = Percentile(seconds, 0.50) * scale;
  const double p99 = Percentile(seconds, 0.99) * scale;
  const double per_pass = p50 / options.sampling.samples;
  if (options.json) {
    PrintJson({{"model", options.model_path},
               {"us_per_prediction_p50", p50},
               {"us_per_prediction_p99", p99},
               {"us_per_pass_p50", per_pass},
               {"arena_bytes", runner.arena_bytes()},
               {"samples", options.sampling.samples},
               {"batch", options.batch},
               {"threads", options.sampling.threads},
               {"kernels", runner.kernels()},
               {"calls", seconds.size()}});
    return;
  }
  Table fields = Fields();
  fields.Add({"model", Printable(options.model_path)});
  fields.Add({"kernels", std::string(runner.kernels()) + ", " +
                             std::to_string(options.sampling.threads) +
                             (options.sampling.threads == 1 ? " thread" : " threads") + ", batch " +
                             std::to_string(options.batch) + ", " +
                             std::to_string(options.sampling.samples) + " samples"});
  fields.Add({"per prediction", Fixed(p50, 1) + " us (p50), " + Fixed(p99, 1) + " us (p99), " +
                                    std::to_string(seconds.size()) + " calls"});
  fields.Add({"per pass", Fixed(per_pass, 2) + " us (p50)"});
  fields.Add({"arena", ByteCount(runner.arena_bytes())});
  std::fputs(fields.ToString().c_str(), stdout);
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
  AddJsonFlag(app, &options->json);
  app->footer(kFooter);
  return {app, [options] { Run(*options); }};
}

}  // namespace mu8::tool
