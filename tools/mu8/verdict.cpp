#include "tools/mu8/verdict.h"

#include <algorithm>
#include <cmath>

#include "tools/mu8/text.h"

namespace mu8::tool {

Verdict Judge(double expected_entropy, double mutual_information, std::size_t classes,
              std::uint32_t samples) {
  const double most = std::log(static_cast<double>(std::max<std::size_t>(classes, 2)));
  if (expected_entropy + mutual_information < kConfidentBelow * most) return Verdict::kConfident;
  if (samples < 2) return Verdict::kUnexplained;
  const double least = std::min(kPartFrom * most, std::max(expected_entropy, mutual_information));
  const bool ambiguous = expected_entropy >= least;
  const bool disagree = mutual_information >= least;
  if (ambiguous && disagree) return Verdict::kMixed;
  return disagree ? Verdict::kEpistemic : Verdict::kAleatoric;
}

const char* VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kConfident:
      return "confident";
    case Verdict::kEpistemic:
      return "epistemic";
    case Verdict::kAleatoric:
      return "aleatoric";
    case Verdict::kMixed:
      return "mixed";
    case Verdict::kUnexplained:
      break;
  }
  return "unexplained";
}

const char* VerdictSentence(Verdict verdict) {
  switch (verdict) {
    case Verdict::kConfident:
      return "confident: the passes agree on one class";
    case Verdict::kEpistemic:
      return "unsure: the passes disagree (epistemic), though each is sure of its own answer";
    case Verdict::kAleatoric:
      return "unsure: the passes agree that it is ambiguous (aleatoric)";
    case Verdict::kMixed:
      return "unsure: the passes disagree (epistemic), and each is unsure by itself (aleatoric)";
    case Verdict::kUnexplained:
      break;
  }
  return "unsure: one pass cannot tell whether networks would disagree; use more --samples";
}

std::string ThresholdText() {
  return "Confident: predictive entropy below " + Fixed(100 * kConfidentBelow, 0) +
         " % of ln(classes). Otherwise it is called epistemic (the\npasses disagree) if mutual "
         "information is at least " +
         Fixed(100 * kPartFrom, 0) +
         " % of ln(classes), aleatoric (the passes agree\nthat it is ambiguous) if expected "
         "entropy "
         "is, and mixed if both are. Entropies are in nats. Mutual information grows with "
         "the\nsamples "
         "and is another with --antithetic: few samples call less epistemic.";
}

}  // namespace mu8::tool
