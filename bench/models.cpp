// Benchmarks of whole predictions through the public API, for .mu8 files on the command line:
//   model/<file>/<kernels>/batch<B>       Predict of B images, T = 50 passes
//   model/<file>/<kernels>/checked        the same of one image with check_products
//   records/<file>                        the records checked again, as a call and a pass do
//   pass/<file>/over/<deterministic>      one Bayesian pass over one deterministic pass
//   mu8_bench_models [Google Benchmark's options] MODEL.mu8[=DETERMINISTIC.mu8]...
// A deterministic file is the same network converted with --deterministic. README.md explains the
// rest.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/turns.h"
#include "converters/host/model_file.h"
#include "engine/src/model_view.h"
#include "formats/recheck.h"

namespace mu8::bench {
namespace {

constexpr std::uint32_t kPasses = 50;
constexpr double kMicro = 1e6;

// A session and random pixels for it.
struct Work {
  Work(const host::ModelFile& model, const SessionOptions& options)
      : file(model),
        images(model.model.input_size() * options.batch),
        predictions(options.batch),
        runner(model, options) {
    std::mt19937 random(1);
    for (std::uint8_t& pixel : images) pixel = static_cast<std::uint8_t>(random() >> 24);
  }
  void Run() { runner.Predict(file.path, images, predictions); }

  const host::ModelFile& file;
  std::vector<std::uint8_t> images;
  std::vector<Prediction> predictions;
  host::Runner runner;
};

std::string Stem(const std::string& path) { return std::filesystem::path(path).stem().string(); }

// Percentiles are over calls; a percentile that the number of calls cannot show is left out.
void Predict(benchmark::State& state, const host::ModelFile& file, const SessionOptions& options) {
  Work work(file, options);
  work.Run();
  std::vector<double> seconds;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    work.Run();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
        options.batch);
  }
  state.counters["us_per_prediction_p50"] = Median(seconds) * kMicro;
  if (seconds.size() >= 100) {
    state.counters["us_per_prediction_p99"] = Percentile(seconds, 0.99) * kMicro;
  }
  if (seconds.size() >= 1000) {
    state.counters["us_per_prediction_p99.9"] = Percentile(seconds, 0.999) * kMicro;
  }
  state.counters["us_per_prediction_min"] = Minimum(seconds) * kMicro;
  state.counters["us_per_prediction_max"] = Percentile(seconds, 1.0) * kMicro;
  state.counters["us_per_pass_p50"] = Median(seconds) * kMicro / kPasses;
  state.counters["us_per_pass_min"] = Minimum(seconds) * kMicro / kPasses;
  state.counters["arena_bytes"] = static_cast<double>(work.runner.arena_bytes());
  state.counters["file_bytes"] = static_cast<double>(file.bytes.size());
  state.SetLabel(std::to_string(seconds.size()) + " calls");
}

// A round is one Bayesian prediction and as many deterministic ones of one pass each.
void PassOverPass(benchmark::State& state, const host::ModelFile& bayesian,
                  const host::ModelFile& deterministic) {
  Work fifty(bayesian, {.mc_samples = kPasses});
  Work one(deterministic, {.mc_samples = 1});
  const std::vector<std::function<void()>> sides = {[&] { fifty.Run(); },
                                                    [&] {
                                                      for (std::uint32_t i = 0; i < kPasses; ++i) {
                                                        one.Run();
                                                      }
                                                    }};
  Laps laps(2);
  for (auto _ : state) {
    const Laps more = TakeTurns(sides, {.rounds = 5, .turn_seconds = 0});
    for (std::size_t i = 0; i < laps.size(); ++i) {
      laps[i].insert(laps[i].end(), more[i].begin(), more[i].end());
    }
  }
  const std::vector<double> ratios = Ratios(laps[0], laps[1]);
  state.counters["ratio_p50"] = Median(ratios);
  state.counters["ratio_p10"] = Percentile(ratios, 0.1);
  state.counters["ratio_p90"] = Percentile(ratios, 0.9);
  state.counters["bayesian_us_min"] = Minimum(laps[0]) * kMicro / kPasses;
  state.counters["deterministic_us_min"] = Minimum(laps[1]) * kMicro / kPasses;
  state.SetLabel(std::to_string(ratios.size()) + " rounds");
}

// What protects a run from bytes that have changed since Open: of a call, the hash of all records;
// of a pass, each layer's records checked in copies.
void CheckRecords(benchmark::State& state, const host::ModelFile& file) {
  const format::View view = ViewOf(file.model);
  double call = 0, pass = 0;
  bool same = true;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    same = format::RecordsAreUnchanged(view, nullptr) && same;
    const auto middle = std::chrono::steady_clock::now();
    for (std::uint32_t i = 0; i < view.layer_count(); ++i) {
      format::LayerRecord layer;
      format::Operands operands;
      same = format::LoadLayer(view, i, &layer, &operands, nullptr) && same;
    }
    const auto end = std::chrono::steady_clock::now();
    call += std::chrono::duration<double>(middle - start).count();
    pass += std::chrono::duration<double>(end - middle).count();
  }
  if (!same) state.SkipWithError("the records differ from those that were opened");
  const auto runs = static_cast<double>(state.iterations());
  state.counters["us_per_call"] = call * kMicro / runs;
  state.counters["us_per_pass"] = pass * kMicro / runs;
}

// The kernels in use against the scalar ones, which define the results: not one bit may differ.
bool Check(const host::ModelFile& file) {
  Work work(file, {.mc_samples = 2});
  work.Run();
  host::Runner scalar(file, {.mc_samples = 2, .kernels = KernelSet::kScalar});
  Prediction expected;
  scalar.Predict(file.path, work.images, {&expected, 1});
  return std::ranges::equal(work.predictions[0].mean, expected.mean) &&
         std::ranges::equal(work.predictions[0].variance, expected.variance);
}

void Register(const host::ModelFile& file, const host::ModelFile* deterministic) {
  const std::string kernels = host::Runner(file, {}).kernels();
  const auto add = [&](const std::string& name, const SessionOptions& options) {
    benchmark::RegisterBenchmark(
        ("model/" + Stem(file.path) + "/" + kernels + "/" + name).c_str(),
        [&file, options](benchmark::State& state) { Predict(state, file, options); })
        ->Unit(benchmark::kMillisecond);
  };
  for (const std::uint32_t batch : {1U, 64U}) {
    add("batch" + std::to_string(batch), {.mc_samples = kPasses, .batch = batch});
  }
  add("checked", {.mc_samples = kPasses, .check_products = true});
  benchmark::RegisterBenchmark(("records/" + Stem(file.path)).c_str(),
                               [&file](benchmark::State& state) { CheckRecords(state, file); })
      ->Unit(benchmark::kMicrosecond);
  if (deterministic == nullptr) return;
  benchmark::RegisterBenchmark(
      ("pass/" + Stem(file.path) + "/over/" + Stem(deterministic->path)).c_str(),
      [&file, deterministic](benchmark::State& state) {
        PassOverPass(state, file, *deterministic);
      })
      ->Unit(benchmark::kMillisecond);
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::vector<std::unique_ptr<host::ModelFile>> files;  // benchmarks keep their addresses
  const auto open = [&files](const std::string& path) {
    files.push_back(std::make_unique<host::ModelFile>(host::OpenModel(path)));
    if (!Check(*files.back())) throw std::runtime_error(path + ": differs from scalar kernels");
    return files.back().get();
  };
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t split = argument.find('=');
    const host::ModelFile* file = open(argument.substr(0, split));
    Register(*file, split == std::string::npos ? nullptr : open(argument.substr(split + 1)));
  }
  if (files.empty()) throw std::runtime_error("no .mu8 file given");
  benchmark::AddCustomContext("models_checked", std::to_string(files.size()));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace mu8::bench

int main(int argc, char** argv) {
  try {
    return mu8::bench::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mu8_bench_models: %s\n", error.what());
    return 1;
  }
}
