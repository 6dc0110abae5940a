// The one-word reasons of `mu8 predict` on both sides of each threshold.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tools/mu8/verdict.h"

namespace mu8::tool {
namespace {

TEST_CASE("verdict: confident below a tenth of ln(classes), whatever the parts") {
  const double limit = kConfidentBelow * std::log(10.0);
  CHECK(Judge(0, limit * 0.999, 10, 50) == Verdict::kConfident);
  CHECK(Judge(limit * 0.999, 0, 10, 50) == Verdict::kConfident);
  CHECK(Judge(0, 0, 10, 50) == Verdict::kConfident);
  CHECK(Judge(0, limit, 10, 50) == Verdict::kEpistemic);
  CHECK(Judge(limit, 0, 10, 50) == Verdict::kAleatoric);
}

TEST_CASE("verdict: each part counts from a twentieth of ln(classes) on") {
  const double part = kPartFrom * std::log(10.0);
  CHECK(Judge(1.0, part * 0.999, 10, 50) == Verdict::kAleatoric);
  CHECK(Judge(1.0, part, 10, 50) == Verdict::kMixed);
  CHECK(Judge(part * 0.999, 1.0, 10, 50) == Verdict::kEpistemic);
  CHECK(Judge(part, 1.0, 10, 50) == Verdict::kMixed);
}

TEST_CASE("verdict: an unsure prediction always has a reason, for any number of classes") {
  for (const std::size_t classes : {2u, 3u, 10u, 1000u}) {
    CAPTURE(classes);
    const double part = kPartFrom * std::log(static_cast<double>(classes));
    CHECK(Judge(part * 1.01, part * 0.995, classes, 50) == Verdict::kAleatoric);
    CHECK(Judge(part * 0.995, part * 1.01, classes, 50) == Verdict::kEpistemic);
    CHECK(Judge(part, part, classes, 50) == Verdict::kMixed);
  }
}

TEST_CASE("verdict: a single pass explains nothing") {
  CHECK(Judge(1.0, 0.0, 10, 1) == Verdict::kUnexplained);
  CHECK(Judge(0.01, 0.0, 10, 1) == Verdict::kConfident);
}

TEST_CASE("verdict: a model of one class is always confident") {
  CHECK(Judge(0.0, 0.0, 1, 50) == Verdict::kConfident);
}

TEST_CASE("verdict: names and sentences are distinct, thresholds are printed") {
  CHECK(std::string(VerdictName(Verdict::kEpistemic)) == "epistemic");
  CHECK(std::string(VerdictName(Verdict::kUnexplained)) == "unexplained");
  CHECK(std::string(VerdictSentence(Verdict::kEpistemic)).find("disagree") != std::string::npos);
  CHECK(std::string(VerdictSentence(Verdict::kAleatoric)).find("agree that") != std::string::npos);
  CHECK(ThresholdText().find("below 10 % of ln(classes)") != std::string::npos);
}

}  // namespace
}  // namespace mu8::tool
