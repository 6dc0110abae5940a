// The self-test's probe: what it finds, and that its expected value is IEEE's.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "engine/src/unit_probes.h"
#include "formats/self_test.h"
#include "kernels/kernel_table.h"

namespace mu8::testing {
namespace {

// Each step stored, so that none can be joined with another.
float StepByStep(float a, float b, float c) {
  volatile float product = a * b;
  volatile float difference = product - c;
  volatile float sum = difference + a;
  volatile float kept = sum - a;
  volatile float lost = difference - kept;
  return lost / b;
}

float Fused(float a, float b, float c) {
  volatile float difference = std::fma(a, b, -c);
  volatile float sum = difference + a;
  volatile float kept = sum - a;
  volatile float lost = difference - kept;
  return lost / b;
}

// As an optimizer has it that takes floats for real numbers.
float Reordered(float, float, float) { return 0.0F; }

// As x87 does.
float WithMoreBits(float a, float b, float c) {
  volatile double product = static_cast<double>(a) * b;
  volatile double difference = product - c;
  volatile double sum = difference + a;
  volatile double kept = sum - a;
  volatile double lost = difference - kept;
  return static_cast<float>(lost / b);
}

TEST_CASE("self-test: step by step gives the expected value, each liberty another") {
  CHECK(format::HashProbe(StepByStep) == format::kProbeHash);
  CHECK(format::HashProbe(ProbeFloats) == format::kProbeHash);
  CHECK(format::HashProbe(Fused) != format::kProbeHash);
  CHECK(format::HashProbe(Reordered) != format::kProbeHash);
  CHECK(format::HashProbe(WithMoreBits) != format::kProbeHash);
}

TEST_CASE("self-test: this build passes with every table; kernels that do not are named") {
  for (std::size_t i = 0; i < kernels::TableCount(); ++i) {
    kernels::KernelTable table = kernels::TableAt(i);
    CAPTURE(std::string(table.name));
    if ((table.required & ~kernels::DetectFeatures()) != 0) continue;
    CHECK(SelfTest(table) == Unit::kNone);
    table.pool_probe = Fused;
    CHECK(SelfTest(table) == Unit::kPool);
    table.requantize_probe = Fused;
    CHECK(SelfTest(table) == Unit::kRequantize);
    table.convolve_probe = Fused;
    CHECK(SelfTest(table) == Unit::kConvolve);
  }
}

TEST_CASE("self-test: every unit has a name, and the message has it") {
  int units = 0;
  for (int unit = 1; unit < 100; ++unit) {
    const std::string name = UnitName(static_cast<Unit>(unit));
    if (name == "unknown unit") continue;
    ++units;
    CHECK(name.find(".cpp") != std::string::npos);
    char text[256];
    Explain({.status = Status::kSelfTest, .found = static_cast<std::uint64_t>(unit)}, text);
    CHECK(std::string(text) ==
          "mu8 error 71: a source was not compiled to compute exactly: build it without "
          "-ffast-math, x87 and -ffp-contract=fast; " +
              name);
  }
  CHECK(units == 2 + 14 + 4);
}

}  // namespace
}  // namespace mu8::testing
