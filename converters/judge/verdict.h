// Whether a conversion has kept the network: one word, the figure that it rests on, and the layers
// where it was lost, with what to do.
#pragma once

#include <string>
#include <vector>

#include "converters/judge/fidelity.h"
#include "converters/network/network.h"
#include "converters/network/steps.h"
#include "converters/report.h"

namespace mu8::convert {

// A file is refused that loses more of what FP32 tells of an input (Fidelity::lost); or decides
// fewer inputs alike, where it also loses kSomeLost: FP32 may be undecided. Of 26 conversions of
// five trained networks, 0- to 8-bit sigmas or means of 3 bits and more, the worst loses 1.3 % and
// decides 98.4 % alike; ResNet-20 with means of 2 bits loses 33 % and decides 74 % alike; networks
// whose ranges were spoilt on purpose lose all (tests/cli/test_verdict.py).
inline constexpr double kMostLost = 0.05, kSomeLost = 0.01;
inline constexpr double kLeastAgreement = 0.9;
// Fewer inputs prove nothing: they may miss what others do.
inline constexpr std::size_t kLeastInputs = 16;
// A layer below it is named.
inline constexpr double kLeastSqnr = 10.0;

enum class FileVerdict {
  kKept,
  kUnproven,  // too few inputs, or FP32 itself does not tell them apart
  kLost,
};
const char* VerdictName(FileVerdict verdict);  // "kept", "unproven", "lost"

// A layer with too much error that does not come from a layer before it alone.
struct Finding {
  std::string layer;
  double sqnr = 0;  // dB
  std::string cause, remedy;
};

struct Judged {
  FileVerdict verdict = FileVerdict::kUnproven;
  std::string reason;  // with the figures
  std::vector<Finding> findings;
};

// `reports`: of the same layers.
Judged JudgeFile(const std::vector<Step>& steps, const Fidelity& fidelity,
                 const std::vector<LayerReport>& reports);

}  // namespace mu8::convert
