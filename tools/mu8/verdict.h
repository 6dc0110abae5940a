// Why a prediction is sure or unsure, in one word and one sentence. The thresholds are conventions
// of this command, chosen for readability; the figures beside the sentence are the result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace mu8::tool {

// Total uncertainty is predictive entropy, at most ln(classes) and the sum of two parts. Below this
// fraction of ln(classes) a prediction is called confident: with ten classes 0.23 nats, a top
// probability of about 0.95.
inline constexpr double kConfidentBelow = 0.10;
// Otherwise each part counts from this fraction of ln(classes) on; at least one of them does. The
// parts are judged by size, not by their ratio: unfamiliar images raise both.
inline constexpr double kPartFrom = kConfidentBelow / 2;

enum class Verdict {
  kConfident,
  kEpistemic,    // mutual information counts: the passes, each sure of itself, disagree
  kAleatoric,    // expected entropy counts: each pass is unsure, and they agree on that
  kMixed,        // both
  kUnexplained,  // unsure, and a single pass cannot say which
};

// Entropies in nats: aleatoric, epistemic; their sum is the predictive entropy. `samples` is the
// number of passes behind them.
Verdict Judge(double expected_entropy, double mutual_information, std::size_t classes,
              std::uint32_t samples);

const char* VerdictName(Verdict verdict);  // "confident", "epistemic", ...
const char* VerdictSentence(Verdict verdict);

// The thresholds in words, for --help.
std::string ThresholdText();

}  // namespace mu8::tool
