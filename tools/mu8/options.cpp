#include "tools/mu8/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "converters/host/error.h"
#include "converters/host/files_read.h"
#include "converters/host/output_file.h"
#include "tools/mu8/command.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

constexpr std::pair<const char*, KernelSet> kKernelSets[] = {
    {"auto", KernelSet::kAuto},
    {"scalar", KernelSet::kScalar},
    {"portable", KernelSet::kPortable},
    {"avx2", KernelSet::kAvx2},
    {"avxvnni", KernelSet::kAvxVnni},
    {"avx512vnni", KernelSet::kAvx512Vnni},
    {"avx512vbmi", KernelSet::kAvx512Vbmi},
    {"neon", KernelSet::kNeon},
    {"neondot", KernelSet::kNeonDot},
    {"neoni8mm", KernelSet::kNeonI8mm},
    {"armdsp", KernelSet::kArmDsp},
    {"helium", KernelSet::kHelium},
    {"wasm128", KernelSet::kWasm128},
};

std::vector<std::string> KernelNames() {
  std::vector<std::string> names;
  for (const auto& [name, set] : kKernelSets) names.emplace_back(name);
  return names;
}

}  // namespace

void SamplingOptions::AddTo(CLI::App* app) {
  app->add_option("--samples", samples, "Weight samples T per prediction, 1 to 65536")
      ->check(WholeNumber(1, 65536))
      ->capture_default_str();
  app->add_option("--method", method,
                  "How predictions are made: sampling, T drawn networks; moments, one pass with "
                  "means and variances, of files converted with --moments (docs/MOMENTS.md), "
                  "--samples then means nothing; auto, moments and, of what they leave in doubt, "
                  "sampling")
      ->check(CLI::IsMember({"sampling", "moments", "auto"}))
      ->type_name("HOW")
      ->capture_default_str();
  app->add_option("--margin", margin,
                  "Method auto: sample where the mean by moments is less than this away from "
                  "another decision of --stop-error; in probability, of numbers in shares of the "
                  "output's range [0.2]")
      ->check(Share(1.0))
      ->type_name("P");
  app->add_option("--doubt-entropy", doubt_entropy,
                  "Method auto: sample also where the predictive entropy by moments is from LOW to "
                  "HIGH nats")
      ->type_name("LOW,HIGH");
  app->add_option("--seed", seed, "Names the ensemble of T networks: same seed, same bytes")
      ->check(WholeNumber(0, std::numeric_limits<std::uint64_t>::max()))
      ->capture_default_str();
  app->add_option("--kernels", kernels, "Which kernels run; all give the same bytes")
      ->check(CLI::IsMember(KernelNames()))
      ->type_name("SET")
      ->capture_default_str();
  app->add_flag("--antithetic", antithetic,
                "Passes in pairs of opposite noise: the mean settles sooner; uncertainties compare "
                "with those of other antithetic runs only");
  stop.AddTo(app);
  app->add_option("--threads", threads, "Threads; all numbers give the same bytes")
      ->check(WholeNumber(1, 1024))
      ->capture_default_str();
}

void SamplingOptions::CheckMethod() const {
  const char* const of_passes = antithetic ? "--antithetic" : stop.error ? "--stop-error" : nullptr;
  if (by_moments() && of_passes != nullptr) {
    throw UsageError(std::string(of_passes) +
                     ": is about the passes of --method sampling, --method moments has none");
  }
  const char* const of_auto = margin                   ? "--margin"
                              : !doubt_entropy.empty() ? "--doubt-entropy"
                                                       : nullptr;
  if (!is_auto() && of_auto != nullptr) {
    throw UsageError(std::string(of_auto) + ": expected --method auto with it");
  }
  if (is_auto() && !stop.error && doubt_entropy.empty()) {
    throw UsageError(
        "--method auto: expected --stop-error, which says what is to be decided, or "
        "--doubt-entropy, or both");
  }
  if (margin && !stop.error) {
    throw UsageError("--margin: is about the decision of --stop-error, expected it, too");
  }
  if (is_auto() && stop.within) {
    throw UsageError(
        "--stop-within: moments cannot say how far a mean of passes is from its limit: give "
        "--stop-threshold, or --method sampling");
  }
}

Doubt SamplingOptions::ParseDoubt() const {
  Doubt doubt;
  doubt.margin = margin.value_or(doubt.margin);
  if (doubt_entropy.empty()) return doubt;
  const std::vector<float> band = ParseFloats("--doubt-entropy", doubt_entropy);
  if (band.size() != 2 || band[0] < 0 || band[1] < band[0] || band[1] < 1e-6F) {
    throw UsageError("--doubt-entropy: is \"" + doubt_entropy +
                     "\", expected two numbers of nats, LOW,HIGH, with 0 <= LOW <= HIGH");
  }
  doubt.entropy_from = band[0];
  doubt.entropy_to = band[1];
  return doubt;
}

SessionOptions SamplingOptions::ForSession(const Model& model, std::uint32_t batch,
                                           std::vector<std::uint8_t>* chosen) const {
  CheckMethod();
  if (!doubt_entropy.empty() && model.head() > Head::kSigmoid) {
    throw UsageError("--doubt-entropy: the model's outputs are numbers, which have no entropy");
  }
  return {.mc_samples = samples,
          .seed = seed,
          .batch = batch,
          .kernels = ParseKernels(kernels),
          .method = by_moments() ? Method::kMoments
                    : is_auto()  ? Method::kAuto
                                 : Method::kSampling,
          .doubt = ParseDoubt(),
          .noise = antithetic ? Noise::kAntithetic : Noise::kIndependent,
          .stop = stop.Parse(model, chosen),
          .workers = threads};
}

const char* SamplingOptions::EngineOnly() const {
  if (kernels != "auto") return "--kernels";
  if (method != "sampling") return "--method";
  if (antithetic) return "--antithetic";
  if (stop.error) return "--stop-error";
  if (stop.outputs || stop.threshold || stop.within) return "--stop-class";
  return threads == 1 ? nullptr : "--threads";
}

void AddJsonFlag(CLI::App* app, bool* json) {
  app->add_flag("--json", *json, "Print one JSON object on stdout and nothing else there");
}

void AddReport(CLI::App* app, std::string* path) {
  app->add_option("--report", *path,
                  "Also write a page with all figures, which needs nothing beside itself")
      ->check(FileName())
      ->type_name("OUT.html");
}

namespace {

// Digits, and perhaps a unit: CLI11 alone would wrap "-1" around and read "0400M" as octal.
std::string CheckSize(std::string& text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data(), end, value);
  const bool has_unit =
      stop != end && std::string_view("kKmMgGtTbB").find(*stop) != std::string_view::npos;
  if (problem != std::errc() || (stop != end && !has_unit)) {
    return "is \"" + text + "\", expected a number of bytes, such as 536870912, 512M or 8G";
  }
  text = std::to_string(value) + std::string(stop, end);
  return {};
}

}  // namespace

void AddMaxMemory(CLI::App* app, std::uint64_t* bytes) {
  app->add_option("--max-memory", *bytes,
                  "About the most that calibration may take, such as 512M or 8G [2G]")
      ->transform(CLI::AsSizeValue(false))
      ->transform(CLI::Validator(CheckSize, ""))  // before the one above
      ->type_name("BYTES");
}

void HeadArguments::AddTo(CLI::App* app) {
  app->add_option("--head", head, "What the outputs are, where the model does not say it")
      ->check(CLI::IsMember({"softmax", "sigmoid", "values", "gaussian", "reconstruction"}))
      ->type_name("HEAD");
  app->add_option("--scale", scale,
                  "Head gaussian, a mean and a scale for each number, first all means: what the "
                  "scales are; softplus: the deviation is the softplus of it")
      ->check(CLI::IsMember(convert::ScaleNames()))
      ->type_name("WHAT");
  app->add_option("--output-mean", output_mean,
                  "Numbers: predictions are output * std + mean, say in the units of the targets "
                  "before they were standardized; one, or one per output")
      ->type_name("A,B,..");
  app->add_option("--output-std", output_std, "See --output-mean")->type_name("A,B,..");
}

convert::HeadOptions HeadArguments::Parse() const {
  convert::HeadOptions options{.head = convert::FindHead(head), .scale = convert::FindScale(scale)};
  if (!output_mean.empty()) options.mean = ParseFloats("--output-mean", output_mean);
  if (!output_std.empty()) options.std = ParseFloats("--output-std", output_std);
  return options;
}

void AddDataOptions(CLI::App* app, host::DataOptions* data) {
  std::vector<std::string> layouts(host::Layouts().begin(), host::Layouts().end());
  app->add_option("--input-layout", data->input_layout,
                  "Which dimensions of an array are height, width and channels, n being the batch, "
                  "where more than one reading fits")
      ->check(CLI::IsMember(layouts))
      ->type_name("LAYOUT");
  app->add_option("--window-step", data->window_step,
                  "The files hold series (length, channels): cut into windows that start every N "
                  "steps")
      ->check(WholeNumber(1, 1000000000))
      ->type_name("N");
}

void AddTargets(CLI::App* app, host::DataOptions* data) {
  app->add_option("--targets", data->targets,
                  "Columns of a .csv file that are targets [y, y_..., target, label]")
      ->delimiter(',')
      ->type_name("A,B,..");
}

void PrintNotices(const std::vector<std::string>& notices) {
  for (const std::string& notice : notices) {
    std::fprintf(stderr, "mu8: note: %s\n", Printable(notice).c_str());
  }
}

CLI::Validator Number(double min, double max) {
  const auto check = [min, max](std::string& text) -> std::string {
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data(), end, value);
    if (problem == std::errc() && stop == end && value >= min && value <= max) return {};
    return "is \"" + text + "\", expected a number from " + Fixed(min, 6) + " to " + Fixed(max, 6);
  };
  return CLI::Validator(check, "");
}

CLI::Validator Share(double most) { return Number(1e-6, most); }

void AddSigmaBits(CLI::App* app, int* bits) {
  app->add_option("--sigma-bits", *bits, "Bits stored per sigma")
      ->check(WholeNumber(0, 8))
      ->check(CLI::IsMember({8, 4, 2, 1, 0}))
      ->type_name("BITS")
      ->capture_default_str();
}

CLI::Validator FileName() {
  const auto check = [](const std::string& text) -> std::string {
    return text.empty() ? "is \"\", expected the name of a file to write" : "";
  };
  return CLI::Validator(check, "");
}

CLI::Validator WholeNumber(std::uint64_t min, std::uint64_t max) {
  const auto check = [min, max](std::string& text) -> std::string {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data(), end, value);
    if (problem != std::errc() || stop != end || value < min || value > max) {
      const std::string bounds = max == std::numeric_limits<std::uint64_t>::max()
                                     ? "from " + std::to_string(min)
                                     : std::to_string(min) + " to " + std::to_string(max);
      return "is \"" + text + "\", expected a whole number, " + bounds;
    }
    text = std::to_string(value);  // without leading zeros, which CLI11 takes for octal
    return {};
  };
  return CLI::Validator(check, "");
}

KernelSet ParseKernels(const std::string& name) {
  std::string names;
  for (const auto& [known, set] : kKernelSets) {
    if (name == known) return set;
    names += std::string(names.empty() ? "" : ", ") + known;
  }
  throw UsageError("--kernels: is \"" + name + "\", expected one of " + names);
}

std::vector<float> ParseFloats(const std::string& option, const std::string& text) {
  std::vector<float> values;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    float value = 0;
    const auto [stop, problem] = std::from_chars(at, end, value);
    const bool ends_well = stop == end || *stop == ',';
    if (problem != std::errc() || !ends_well || !std::isfinite(value)) {
      std::string what = option;
      what.append(": is \"").append(text).append("\", expected comma-separated numbers");
      if (problem == std::errc::result_out_of_range) what.append(" of a size that a float holds");
      throw UsageError(what);
    }
    values.push_back(value);
    if (stop == end) return values;
    at = stop + 1;
  }
}

void ParseNormalization(const std::string& mean_text, const std::string& std_text,
                        std::vector<float>* mean, std::vector<float>* std) {
  if (!mean_text.empty()) *mean = ParseFloats("--mean", mean_text);
  if (!std_text.empty()) *std = ParseFloats("--std", std_text);
  if (std::any_of(std->begin(), std->end(), [](float value) { return value <= 0; })) {
    throw UsageError("--std: is \"" + std_text + "\", expected numbers above zero");
  }
}

void CheckOutputs(const std::vector<NamedPath>& outputs, const std::vector<NamedPath>& inputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const NamedPath& output = outputs[i];
    if (output.path.empty()) continue;
    host::CheckOutput(output.path);
    std::vector<NamedPath> others = inputs;
    others.insert(others.end(), outputs.begin(), outputs.begin() + static_cast<std::ptrdiff_t>(i));
    for (const NamedPath& other : others) {
      if (other.path.empty() || !host::SameFile(output.path, other.path)) continue;
      throw UsageError(output.option + ": " + output.path + " is the file of " + other.option +
                       ", expected another: it would be lost");
    }
    if (const std::optional<std::string> read = host::NameRead(output.path)) {
      throw UsageError(output.option + ": " + output.path + " is the file of " + *read +
                       ", which is read: it would be lost; expected another");
    }
  }
}

}  // namespace mu8::tool
