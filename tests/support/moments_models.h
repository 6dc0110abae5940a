// Small models with what predictions by moments need (FORMAT.md 8.4).
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "formats/layout.h"
#include "tests/support/model_builder.h"
#include "tests/support/random.h"

namespace mu8::testing {

// The model with a section 10: the records in turn, for the layers from the first Bayesian one on;
// those before it, and the step of the logits, have what a writer stores, 1.
TestModel WithMoments(TestModel model,
                      const std::vector<format::MomentsRecord>& records = {
                          {0.05F, 1.5F}, {0.3F, 0.8F}, {2.5F, 1}, {0.01F, 3.3F}, {12, 0.6F}});

// Such that codes of variances, which are large where weights are random, are neither all 0 nor
// all 255.
std::vector<format::MomentsRecord> UsedCodes();

// Every golden model whose head has predictions by moments, and what these lack: more classes than
// have covariances, residuals in place, steps and factors at the ends of their ranges. Their
// predictions are pinned in tests/data/golden/moments.txt.
std::map<std::string, TestModel> MomentsModels();

// Random models of all heads, by their number; with random steps and factors.
TestModel RandomMomentsModel(std::uint64_t number);
// The same with what is random from a generator: `number` says the head and where it answers.
TestModel RandomMomentsModel(std::uint64_t number, Random* random);

}  // namespace mu8::testing
