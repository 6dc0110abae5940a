#include "converters/judge/verdict.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace mu8::convert {
namespace {

constexpr double kRounding = 1e-9;  // FP32's, nats or of the outputs' variance
constexpr const char* kSame =
    "the FP32 network gives the same for all inputs of the calibration data";
constexpr double kPoorMeans = 15.0;      // dB, LayerReport::mean_sqnr_db
constexpr double kPoorNoise = 3.0;       // dB, LayerReport::noise_sqnr_db
constexpr double kManyAbove = 0.02;      // LayerReport::output_saturation
constexpr double kMostOutlier = 64.0;    // a channel's deviation over another's
constexpr std::size_t kPartDrowned = 8;  // one channel of so many

std::string Number(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*g", digits, value);
  return text;
}

std::string Percent(double fraction) { return Number(100.0 * fraction, 3) + " %"; }

// The step that writes a value; -1: the input.
int WriterOf(const std::vector<Step>& steps, int value) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].output == value) return static_cast<int>(i);
  }
  return -1;
}

struct Cause {
  std::string what, remedy;
};

// Whether the range of a stored result hides what many of its channels tell.
Cause CauseInRange(const LayerFidelity& layer, const std::string& name, bool of_input) {
  const bool hides = layer.drowned * kPartDrowned >= layer.channels && layer.step > layer.small;
  if (!hides || layer.drowned == 0) return {};
  const std::string channels =
      std::to_string(layer.drowned) + " of " + std::to_string(layer.channels) + " channels of " +
      (of_input ? "its input '" + name + "'" : "its result") + " drown in steps of " +
      Number(layer.step, 3) + ": they vary by " + Number(layer.small, 3) + ", ";
  if (layer.largest > kMostOutlier * layer.small) {
    return {channels + "others by " + Number(layer.largest, 3),
            "bring the channels of '" + name +
                "' to one scale (BatchNormalization behind it), or let none but ReLU, pools, sums "
                "and concatenations stand between layers, so that they can be scaled"};
  }
  return {channels + "and the range is that of their offset (" + Number(layer.mean, 3) +
              ") or of a few large values",
          "take the constant part out of '" + name + "', or clip its few large values"};
}

// The last layer with weights before a value: pools and sums hand its channels on.
int SourceOf(const std::vector<Step>& steps, const Fidelity& fidelity,
             const std::vector<LayerReport>& reports, int value) {
  int at = WriterOf(steps, value);
  while (at >= 0 && reports[static_cast<std::size_t>(at)].weights == 0) {
    const int before = WriterOf(steps, steps[static_cast<std::size_t>(at)].input);
    if (before < 0 || fidelity.layers[static_cast<std::size_t>(before)].drowned == 0) break;
    at = before;
  }
  return at;
}

Cause CauseOf(const Step& step, const std::vector<Step>& steps, const Fidelity& fidelity,
              const std::vector<LayerReport>& reports, std::size_t index) {
  const LayerReport& report = reports[index];
  const bool poor_weights = report.weights > 0 && report.mean_sqnr_db < kPoorMeans;
  const std::string of_weights = "its weights have " + Number(report.mean_sqnr_db, 3) + " dB";
  if (poor_weights && report.average_mu_bits < 8.0) {
    return {of_weights + " with " + Number(report.average_mu_bits, 3) + " bits",
            "give it more bits (--mu-bits, mu8 allocate)"};
  }
  Cause own = CauseInRange(fidelity.layers[index], report.name, false);
  if (!own.what.empty()) return own;
  for (const int input : {step.input, step.input2}) {
    const int source = input < 0 ? -1 : SourceOf(steps, fidelity, reports, input);
    if (source < 0) continue;
    const auto at = static_cast<std::size_t>(source);
    Cause cause = CauseInRange(fidelity.layers[at], reports[at].name, true);
    if (!cause.what.empty()) return cause;
  }
  if (report.output_saturation > kManyAbove) {
    return {Percent(report.output_saturation) + " of its calibration outputs are above its range",
            "few outputs are far larger than the others: calibrate on more inputs, or clip them in "
            "training"};
  }
  if (poor_weights) {
    return {of_weights +
                ": a few are so large, or its bias or sigmas, that most others are less "
                "than a step",
            "bring its weights to one scale in training"};
  }
  if (report.weights > 0 && report.bayesian && report.noise_sqnr_db < kPoorNoise) {
    return {"the noise of its weights has " + Number(report.noise_sqnr_db, 3) + " dB with " +
                std::to_string(report.sigma_bits) + " bits a sigma",
            "give sigmas more bits (--sigma-bits)"};
  }
  return {"the errors of the layers before it add up", "`mu8 diff` shows them layer by layer"};
}

// Whether all that is read of a result comes out right all the same: a Tanh of clamped values does.
bool IsMadeGood(const std::vector<Step>& steps, const Fidelity& fidelity,
                const std::vector<LayerReport>& reports, int value) {
  bool is_read = false;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].input != value && steps[i].input2 != value) continue;
    is_read = true;
    if (reports[i].weights > 0 || steps[i].input2 >= 0) return false;
    if (!(fidelity.layers[i].sqnr >= kLeastSqnr)) return false;
  }
  return is_read;
}

std::vector<Finding> Findings(const std::vector<Step>& steps, const Fidelity& fidelity,
                              const std::vector<LayerReport>& reports) {
  std::vector<Finding> findings;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const LayerFidelity& layer = fidelity.layers[i];
    if (layer.constant || layer.sqnr >= kLeastSqnr) continue;
    if (IsMadeGood(steps, fidelity, reports, steps[i].output)) continue;
    const auto is_named = [&](int value) {
      const int writer = value < 0 ? -1 : WriterOf(steps, value);
      if (writer < 0) return false;
      const LayerFidelity& before = fidelity.layers[static_cast<std::size_t>(writer)];
      return !before.constant && before.sqnr < kLeastSqnr;
    };
    if (is_named(steps[i].input) || is_named(steps[i].input2)) continue;
    const Cause cause = CauseOf(steps[i], steps, fidelity, reports, i);
    findings.push_back({reports[i].name, layer.sqnr, cause.what, cause.remedy});
  }
  return findings;
}

}  // namespace

const char* VerdictName(FileVerdict verdict) {
  switch (verdict) {
    case FileVerdict::kKept:
      return "kept";
    case FileVerdict::kUnproven:
      return "unproven";
    case FileVerdict::kLost:
      break;
  }
  return "lost";
}

Judged JudgeFile(const std::vector<Step>& steps, const Fidelity& fidelity,
                 const std::vector<LayerReport>& reports) {
  Judged judged;
  judged.findings = Findings(steps, fidelity, reports);
  const double lost = fidelity.lost();
  const bool disagrees = fidelity.has_decisions() && fidelity.agreement < kLeastAgreement;
  if (!(lost <= kMostLost)) {
    judged.verdict = FileVerdict::kLost;
    if (!(fidelity.information > kRounding)) {
      judged.reason =
          std::string(kSame) + ", and the file is " + Number(fidelity.divergence, 3) +
          (fidelity.has_decisions() ? " nats" : " of the outputs' variance") +
          " away from it; are the weights, and the calibration data, those of training?";
      return judged;
    }
    judged.reason = "it loses " + Percent(std::min(lost, 1.0)) +
                    " of what FP32 tells of an input, expected at most " + Percent(kMostLost);
    return judged;
  }
  if (disagrees && lost > kSomeLost) {
    judged.verdict = FileVerdict::kLost;
    judged.reason = "it decides " + Percent(fidelity.agreement) +
                    " of the inputs as FP32 does, expected at least " + Percent(kLeastAgreement);
    return judged;
  }
  if (!(fidelity.information > kRounding)) {
    judged.reason = std::string(kSame) + ": nothing else can be compared";
  } else if (fidelity.inputs < kLeastInputs) {
    judged.reason = "the calibration data have " + std::to_string(fidelity.inputs) +
                    " inputs, at least " + std::to_string(kLeastInputs) + " are needed";
  } else {
    judged.verdict = FileVerdict::kKept;
    judged.reason = "it loses " + Percent(lost) + " of what FP32 tells of an input";
  }
  return judged;
}

}  // namespace mu8::convert
