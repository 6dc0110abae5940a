#pragma once

#include <string>

namespace mu8::convert {

// Thrown to end the conversion of one node. An empty message: another node's problem is the cause.
struct NodeProblem {
  std::string message;
};

}  // namespace mu8::convert
