// The engine's part of the self-test (formats/self_test.h): a probe of each unit that computes with
// floats, and the chosen kernels'.
#pragma once

#include "formats/exact_floats.h"
#include "kernels/kernel_table.h"
#include "mu8/status.h"

namespace mu8 {

float ProbeInput(float a, float b, float c);
float ProbeOperators(float a, float b, float c);
float ProbePasses(float a, float b, float c);
float ProbeWeightedLayer(float a, float b, float c);
float ProbeStatistics(float a, float b, float c);
float ProbeGaussian(float a, float b, float c);
float ProbeReconstruction(float a, float b, float c);
float ProbeStopping(float a, float b, float c);
float ProbeCheckOptions(float a, float b, float c);
float ProbeSession(float a, float b, float c);
float ProbeCheckedProducts(float a, float b, float c);
float ProbeMoments(float a, float b, float c);
float ProbeMomentsPanel(float a, float b, float c);
float ProbeMomentsOutputs(float a, float b, float c);

// The first unit whose floats are not exact, or kNone. Thousands of instructions, always the same.
// kNone at once where the build leaves it out (mu8/config.h).
Unit SelfTest(const kernels::KernelTable& table);

}  // namespace mu8
