#include "converters/onnx/origin.h"

namespace mu8::convert {

OriginPtr Mixed(const OnnxNode& node, const std::vector<OriginPtr>& origins,
                const std::string& what) {
  Origin mixed;
  for (const OriginPtr& origin : origins) {
    if (origin == nullptr) continue;
    mixed.parameters.insert(mixed.parameters.end(), origin->parameters.begin(),
                            origin->parameters.end());
    if (mixed.why_not.empty()) mixed.why_not = origin->why_not;
  }
  if (mixed.parameters.empty()) return nullptr;
  if (mixed.why_not.empty()) mixed.why_not = "node \"" + node.name + "\" (" + node.op + ") " + what;
  return std::make_shared<const Origin>(std::move(mixed));
}

}  // namespace mu8::convert
