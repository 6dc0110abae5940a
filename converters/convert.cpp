#include "converters/convert.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>

#include "converters/host/aligned_buffer.h"
#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/judge/abstain.h"
#include "converters/judge/fit_noise.h"
#include "converters/judge/set_moments.h"
#include "converters/lower/limits.h"
#include "converters/lower/lower.h"
#include "converters/lower/records.h"
#include "converters/lower/refusal.h"
#include "converters/network/channel_scales.h"
#include "converters/prepare.h"
#include "formats/crc32c.h"
#include "formats/reader.h"
#include "formats/writer.h"
#include "mu8/mu8.h"

namespace mu8::convert {
namespace {

constexpr int kMostMeasuredBits = 2;
constexpr std::size_t kMeasuredInputs = 256;
constexpr double kMeasuredProducts = 3e11;                  // of all passes: some ten seconds
constexpr double kMeasuredOutputs = 1 << 24;                // of all passes
constexpr double kLeastMeasured = 32, kMostMeasured = 256;  // passes

std::string FloatList(const std::vector<float>& values) {
  std::string text;
  for (const float value : values) {
    char digits[32];
    std::snprintf(digits, sizeof(digits), "%.9g", static_cast<double>(value));
    text += (text.empty() ? "" : ",") + std::string(digits);
  }
  return text;
}

std::string Lines(const std::vector<std::string>& lines) {
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) text += (i == 0 ? "" : "\n") + lines[i];
  return text;
}

std::string FileCrc(const std::string& path) {
  const std::vector<std::uint8_t> bytes = host::ReadUnpackedFile(path);
  char digits[16];
  std::snprintf(digits, sizeof(digits), "%08x", format::Crc32c(bytes.data(), bytes.size()));
  return digits;
}

void CheckOptions(const ConvertOptions& options) {
  std::vector<std::string> problems;
  const int bits = options.sigma_bits;
  if (bits != 8 && bits != 4 && bits != 2 && bits != 1 && bits != 0) {
    problems.push_back("sigma bits are " + std::to_string(bits) + ", expected 8, 4, 2, 1 or 0");
  }
  std::map<std::string, MuBits> mu_bits = options.layer_mu_bits;
  mu_bits[""] = {options.mu_bits};
  for (const auto& [name, values] : mu_bits) {
    for (const int value : values) {
      if (value >= 1 && value <= 8) continue;
      problems.push_back("mu bits" + (name.empty() ? "" : " of '" + name + "'") + " are " +
                         std::to_string(value) + ", expected 1 to 8");
    }
  }
  if (bits == 0 && options.sigma_quantizer == SigmaQuantizer::kAffine) {
    problems.push_back("the affine sigma quantizer needs at least 1 bit");
  }
  if (options.calibration_limit < 1)
    problems.push_back("calibration limit is 0, expected 1 or more");
  if (options.calibration_passes < 1) {
    problems.push_back("calibration passes are " + std::to_string(options.calibration_passes) +
                       ", expected 1 or more");
  }
  if (!problems.empty()) throw host::Error(problems);
}

// Bits of the means, by step. Throws Error for layers that the network does not have, and for
// widths that are neither one nor one a panel.
std::vector<MuBits> MuBitsBySteps(const ConvertOptions& options, const Network& network,
                                  const std::vector<Step>& steps) {
  std::vector<std::string> problems;
  std::vector<MuBits> bits(steps.size(), {options.mu_bits});
  std::map<std::string, MuBits> left = options.layer_mu_bits;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Node& node = network.nodes[static_cast<std::size_t>(steps[i].node)];
    const auto found = left.find(node.name);
    if (found == left.end() || !IsWeighted(node.op)) continue;
    bits[i] = found->second;
    left.erase(found);
    const std::size_t panels = format::MakePanelLayout(LayerShape(network, steps[i])).panel_count();
    if (bits[i].size() == 1 || bits[i].size() == panels) continue;
    problems.push_back("layer '" + node.name + "' has " + std::to_string(panels) +
                       " panels of up to 16 output channels, the plan has " +
                       std::to_string(bits[i].size()) + " widths");
  }
  for (const auto& [name, value] : left) {
    problems.push_back("bits are given for '" + name + "', which is no layer with weights");
  }
  if (!problems.empty()) throw host::Error(problems);
  return bits;
}

std::map<std::string, std::string> Metadata(const ConvertOptions& options, const Prepared& prepared,
                                            const std::vector<LayerReport>& layers) {
  const Network& network = prepared.network;
  std::vector<std::string> names;
  for (const LayerReport& layer : layers) names.push_back(layer.name);
  std::map<std::string, std::string> metadata = {
      {"name", options.name.empty() ? network.name : options.name},
      {"layers", Lines(names)},
      {"mean", FloatList(prepared.normalization.mean)},
      {"std", FloatList(prepared.normalization.std)},
      {"converter", "mu8 " MU8_VERSION},
      {"sigma_quantizer",
       options.sigma_quantizer == SigmaQuantizer::kAffine ? "affine" : "weighted"},
      {"calibration.images", std::to_string(prepared.data.count)},
      {"calibration.passes", std::to_string(options.calibration_passes)},
      {"calibration.seed", std::to_string(options.seed)},
      {"source.model.crc32c", FileCrc(options.model_path)},
  };
  if (!options.posterior_path.empty()) {
    metadata["source.posterior.crc32c"] = FileCrc(options.posterior_path);
  }
  const host::InputSpec input = InputSpecOf(network);
  if (host::LayoutText(input) != host::LayoutText(host::DefaultSpec(input.size))) {
    metadata["input_layout"] = host::LayoutText(input);
  }
  if (!prepared.data.columns.empty()) metadata["input_columns"] = Lines(prepared.data.columns);
  if (options.head.scale) {
    metadata["scale"] = ScaleNames()[static_cast<std::size_t>(*options.head.scale)];
  }
  if (!options.head.mean.empty()) metadata["output_mean"] = FloatList(options.head.mean);
  if (!options.head.std.empty()) metadata["output_std"] = FloatList(options.head.std);
  if (!network.labels.empty()) metadata["labels"] = Lines(network.labels);
  const std::string equalization =
      EqualizationText(network, prepared.steps, prepared.channel_exponents);
  if (!equalization.empty()) metadata["equalization"] = equalization;
  return metadata;
}

Diagnostic Refusal(const std::vector<std::byte>& file, std::size_t* arena_bytes) {
  host::AlignedBuffer bytes(file.size());
  std::memcpy(bytes.data(), file.data(), file.size());
  Model model;
  Diagnostic diagnostic;
  if (Model::Open(bytes.span(), &model, &diagnostic) == Status::kOk) {
    *arena_bytes = ArenaBytes(model, {});
  }
  return diagnostic;
}

// The reader must accept what the writer made: a refusal is a limit of the format that the network
// runs into, or a bug.
void MustOpen(const std::vector<std::byte>& file, ConvertResult* result) {
  const Diagnostic diagnostic = Refusal(file, &result->arena_bytes);
  if (diagnostic.status == Status::kOk) return;
  throw host::Error(RefusalText(diagnostic, result->layers));
}

// Small networks' passes cost little and, with few weights, tell less each: they get more of them.
std::uint32_t MeasuredPasses(const Network& network) {
  double products = 1.0;
  for (const Node& node : network.nodes) {
    const Value& output = network.values[static_cast<std::size_t>(node.output)];
    products += static_cast<double>(node.weights.mu.size()) * output.height * output.width;
  }
  const double outputs = static_cast<double>(OutputCount(network));
  const double passes = std::min(kMeasuredProducts / products, kMeasuredOutputs / outputs) /
                        static_cast<double>(kMeasuredInputs);
  return static_cast<std::uint32_t>(std::clamp(passes, kLeastMeasured, kMostMeasured));
}

// One way to quantize the sigmas, and what it is worth.
struct Candidate {
  SigmaImportance importance = SigmaImportance::kFisher;
  double gain = 1.0;
  Lowered lowered;
  Fidelity fidelity;
  bool is_refused = false;
};

// With few levels a weight's noise has another variance than its own. Which errors count is not
// known: by one rule of importance or the other, and by how much the noise of all weights together
// is too large or too small for the passes' disagreement, is measured, with the same random bytes
// behind FP32 and the engine. Ensembles of different bytes would not do: of two that are equally
// far from FP32, KL(FP32 || file) then prefers the one that disagrees more. The divergence alone
// would not do either: of two that are about equal in it one may have far too much mutual
// information.
class SigmaChoice {
 public:
  SigmaChoice(const ConvertOptions& options, const Prepared& prepared,
              const std::vector<MuBits>& mu_bits)
      : options_(options), prepared_(prepared), mu_bits_(mu_bits) {}

  // Where nothing is to be measured: the importance that `rule` says.
  Candidate Make(SigmaImportance rule, double gain = 1.0) const {
    Candidate candidate{.importance = rule, .gain = gain, .lowered = {}, .fidelity = {}};
    candidate.lowered =
        Lower(prepared_.network, prepared_.steps, prepared_.calibration, prepared_.input,
              {options_.sigma_bits, options_.sigma_quantizer, rule, gain}, mu_bits_);
    return candidate;
  }

  Candidate Best() const {
    Candidate best = Make(SigmaImportance::kFisher);
    Measure(&best);
    Candidate power = Make(SigmaImportance::kPower);
    Measure(&power);
    Keep(std::move(power), &best);
    const double off = best.fidelity.epistemic_ratio - 1.0;
    if (std::fabs(off) > kCertain * best.fidelity.epistemic_error) Correct(&best);
    return best;
  }

 private:
  static constexpr double kCertain = 3.0;  // standard errors; a correction of chance does harm
  static constexpr double kMostGain = 1.5, kMostPower = 4.0;

  void Measure(Candidate* candidate) const {
    const std::vector<std::byte> file = format::Write(candidate->lowered.content);
    std::size_t arena = 0;
    candidate->is_refused = Refusal(file, &arena).status != Status::kOk;
    if (candidate->is_refused) return;
    candidate->fidelity =
        MeasureFidelity(prepared_.network, prepared_.steps, prepared_.data, file,
                        {kMeasuredInputs, MeasuredPasses(prepared_.network), options_.seed});
  }
  // Mutual information is in proportion to the variance of the weights, to first order; the second
  // step goes by what the first has shown.
  void Correct(Candidate* best) const {
    const SigmaImportance rule = best->importance;
    const double ratio = best->fidelity.epistemic_ratio;
    Candidate first = Make(rule, Limited(1.0 / ratio));
    Measure(&first);
    const double power =
        std::log(first.fidelity.epistemic_ratio / ratio) / std::log(first.gain);  // of the gain
    const bool is_plain = !first.is_refused && power > 1.0 / kMostPower && power < kMostPower;
    Keep(std::move(first), best);
    if (!is_plain) return;
    Candidate second = Make(rule, Limited(std::pow(ratio, -1.0 / power)));
    Measure(&second);
    Keep(std::move(second), best);
  }
  static double Limited(double gain) { return std::clamp(gain, 1.0 / kMostGain, kMostGain); }

  static void Keep(Candidate other, Candidate* best) {
    if (other.is_refused) return;
    if (best->is_refused || other.fidelity.loss() < best->fidelity.loss()) {
      *best = std::move(other);
    }
  }

  const ConvertOptions& options_;
  const Prepared& prepared_;
  const std::vector<MuBits>& mu_bits_;
};

Candidate ChooseSigmas(const ConvertOptions& options, const Prepared& prepared,
                       const std::vector<MuBits>& mu_bits) {
  const SigmaChoice choice(options, prepared, mu_bits);
  if (options.sigma_importance != SigmaImportance::kMeasured) {
    return choice.Make(options.sigma_importance);
  }
  // With many levels no sigma is far from its own, whatever the importance.
  const bool measure = !options.posterior_path.empty() &&
                       options.sigma_quantizer == SigmaQuantizer::kWeighted &&
                       options.sigma_bits <= kMostMeasuredBits;
  if (!measure) return choice.Make(SigmaImportance::kFisher);
  if (options.progress) options.progress("measure importance", 0.0);
  return choice.Best();
}

// What is measured by predictions of the file itself, and becomes a part of it.
void MeasureFile(const ConvertOptions& options, const host::Dataset& data,
                 format::FileContent* content, ConvertResult* converted) {
  ConvertResult& result = *converted;
  if (options.abstain) {
    result.abstain_share =
        SetAbstain(*options.abstain, options.seed, result.file, data, options.progress, content);
    result.abstain = content->outputs.abstain;
    result.abstain_thresholds = content->outputs.abstain_thresholds;
    result.file = format::Write(*content);
    MustOpen(result.file, &result);
  }
  if (options.moments) {
    result.moments = SetMoments(*options.moments, options.seed, options.max_memory_bytes,
                                result.file, data, options.progress, content);
    result.notices.insert(result.notices.end(), result.moments.notices.begin(),
                          result.moments.notices.end());
    content->metadata["moments.images"] = std::to_string(result.moments.images);
    content->metadata["moments.passes"] = std::to_string(result.moments.passes);
    result.file = format::Write(*content);
    MustOpen(result.file, &result);
  }
}

}  // namespace

ConvertResult Convert(const ConvertOptions& options) {
  CheckOptions(options);
  const auto stage = [&](const std::string& name, double fraction) {
    if (options.progress) options.progress(name, fraction);
  };
  ConvertResult result;
  Imported imported = Import(options, &result.notices);
  result.head = imported.network.head;
  result.head_reason = imported.head_reason;
  if (options.moments) CheckMoments(imported.network);
  const std::vector<MuBits> mu_bits = MuBitsBySteps(options, imported.network, imported.steps);
  std::vector<std::string> problems;
  CheckFileSize(imported.network, imported.steps, mu_bits, options.sigma_bits, &problems);
  if (!problems.empty()) throw host::Error(problems);
  Prepared prepared = Prepare(options, std::move(imported));
  if (options.fit_noise) {
    prepared.network.noise_variance =
        FittedNoise(options, prepared.network, prepared.data, &result.notices);
  }
  result.noise_variance = prepared.network.noise_variance;
  result.ranges = prepared.network.ranges;
  const Network& network = prepared.network;
  const host::Dataset& data = prepared.data;
  if (network.labels.empty() && !data.label_names.empty()) {
    result.notices.push_back(
        "the classes have no names: those of the calibration images' folders are not used (give "
        "--labels, or \"labels\" in the ONNX file's metadata)");
  }
  for (const auto* more : {&prepared.notices, &prepared.input.notices}) {
    result.notices.insert(result.notices.end(), more->begin(), more->end());
  }
  stage("quantize", 0.0);
  Candidate chosen = ChooseSigmas(options, prepared, mu_bits);
  result.sigma_importance = chosen.importance;
  result.sigma_gain = chosen.gain;
  Lowered& lowered = chosen.lowered;
  lowered.content.metadata = Metadata(options, prepared, lowered.reports);
  if (!options.posterior_path.empty()) {
    lowered.content.metadata["sigma_importance"] =
        result.sigma_importance == SigmaImportance::kPower ? "power" : "fisher";
  }
  if (chosen.gain != 1.0) {
    lowered.content.metadata["sigma_gain"] = FloatList({static_cast<float>(chosen.gain)});
  }
  result.layers = std::move(lowered.reports);
  result.calibration_images = data.count;
  result.is_numbers = data.is_numbers();
  result.input_room = prepared.input.room;
  result.input_error = prepared.input.output_error;
  result.file = format::Write(lowered.content);
  MustOpen(result.file, &result);
  MeasureFile(options, data, &lowered.content, &result);
  stage("quantize", 1.0);
  result.fidelity = MeasureFidelity(network, prepared.steps, data, result.file,
                                    {.seed = options.seed}, options.progress);
  result.judged = JudgeFile(prepared.steps, result.fidelity, result.layers);
  return result;
}

}  // namespace mu8::convert
