// The verdict on a file, from figures.
#include <doctest/doctest.h>

#include "converters/judge/verdict.h"

using namespace mu8::convert;

TEST_CASE("file verdict: nothing is lost of a network that tells nothing of its inputs") {
  Fidelity fidelity;
  fidelity.inputs = 64;
  fidelity.head = mu8::format::Head::kValues;
  fidelity.agreement = 1.0;
  fidelity.divergence = 0.25;
  const Judged away = JudgeFile({}, fidelity, {});
  CHECK(away.verdict == FileVerdict::kLost);
  CHECK(away.reason.find("gives the same for all inputs") != std::string::npos);
  CHECK(away.reason.find("0.25 of the outputs' variance away") != std::string::npos);
  fidelity.divergence = 0.0;
  CHECK(JudgeFile({}, fidelity, {}).verdict == FileVerdict::kUnproven);
  fidelity.information = 1.0;
  fidelity.divergence = 0.25;
  CHECK(JudgeFile({}, fidelity, {}).reason.find("it loses 25 %") == 0);
}
