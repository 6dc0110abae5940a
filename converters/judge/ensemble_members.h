// Several models as one: a deep ensemble (Lakshminarayanan et al. 2017), each of its members a
// posterior of its own.
#pragma once

#include <vector>

#include "converters/judge/ensemble.h"

namespace mu8::convert {

// The mixture of the members' networks, each member with the same weight: means are the mean of the
// members' means, variances the mean of their variances and that of the means, entropy that of the
// mean, aleatoric entropy the mean of theirs, and mutual information what is left: that of a
// member's networks and that of the members. `members`: of the same data, head and outputs, two at
// least. Thresholds of abstaining are a member's own and left out.
EnsembleResult Together(const std::vector<EnsembleResult>& members);

}  // namespace mu8::convert
