// Option values that several subcommands share, checked before any work begins.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/network/head.h"
#include "mu8/mu8.h"
#include "tools/mu8/stop_options.h"

namespace mu8::tool {

// How a prediction is sampled: the same words everywhere.
struct SamplingOptions {
  std::uint32_t samples = 50;
  std::uint64_t seed = 1;
  std::string kernels = "auto";
  std::string method = "sampling";
  std::optional<float> margin;  // of method auto: Doubt
  std::string doubt_entropy;
  bool antithetic = false;
  StopOptions stop;
  std::uint32_t threads = 1;

  void AddTo(CLI::App* app);
  bool by_moments() const { return method == "moments"; }
  bool is_auto() const { return method == "auto"; }
  // What the engine is asked for. `*chosen` and errors are StopOptions::Parse's.
  SessionOptions ForSession(const Model& model, std::uint32_t batch,
                            std::vector<std::uint8_t>* chosen) const;
  // That the options fit the method. Throws UsageError.
  void CheckMethod() const;
  Doubt ParseDoubt() const;
  // The options that only the engine has, if any is set: a name for a message.
  const char* EngineOnly() const;
};
void AddJsonFlag(CLI::App* app, bool* json);
// --report: a page with all that --json says.
void AddReport(CLI::App* app, std::string* path);

// --max-memory: bytes, or a number with K, M or G (times 1024).
void AddMaxMemory(CLI::App* app, std::uint64_t* bytes);

// --head and what belongs to it: what the outputs are, where the model does not say it.
struct HeadArguments {
  std::string head, scale, output_mean, output_std;

  void AddTo(CLI::App* app);
  // Throws UsageError.
  convert::HeadOptions Parse() const;
};

// --input-layout and --window-step: how files of numbers are read.
void AddDataOptions(CLI::App* app, host::DataOptions* data);

// --targets: which columns of a table are not inputs.
void AddTargets(CLI::App* app, host::DataOptions* data);

// Every notice as a line "mu8: note: ..." on stderr.
void PrintNotices(const std::vector<std::string>& notices);

// Accepts decimal whole numbers from `min` to `max`. CLI11 2.1 alone would wrap "-1" around, cut
// values that do not fit and read "010" as eight.
CLI::Validator WholeNumber(std::uint64_t min, std::uint64_t max);

// Accepts decimal numbers from `min` to `max`: CLI::Range lets NaN pass, and CLI11 hexadecimals.
CLI::Validator Number(double min, double max);

// Any name but the empty one, for what is written.
CLI::Validator FileName();

// A number from a millionth to `most`.
CLI::Validator Share(double most);

// --sigma-bits.
void AddSigmaBits(CLI::App* app, int* bits);

// "auto" or the name of a table, built or not: "scalar", "portable", "neondot", ...; throws
// UsageError for anything else.
KernelSet ParseKernels(const std::string& name);

// Comma-separated finite numbers, "0.4914,0.4822,0.4465". Throws UsageError naming `option`.
std::vector<float> ParseFloats(const std::string& option, const std::string& text);

// --mean and --std as given (each may be empty); every std must be above zero.
void ParseNormalization(const std::string& mean_text, const std::string& std_text,
                        std::vector<float>* mean, std::vector<float>* std);

// A file that an option names; an empty path: it was not given.
struct NamedPath {
  std::string option;
  std::string path;
};

// Before any work: every output can be written (host::CheckOutput), and none is one of the inputs,
// another output or a file that has been read so far. Throws host::Error or UsageError.
void CheckOutputs(const std::vector<NamedPath>& outputs, const std::vector<NamedPath>& inputs);

}  // namespace mu8::tool
