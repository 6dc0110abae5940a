#include "converters/lower/refusal.h"

#include <cstddef>

namespace mu8::convert {
namespace {

// Fields made of the network's own numbers, which its author can change.
bool IsOfScales(Status status) {
  return status == Status::kTensorScale || status == Status::kWeightScale ||
         status == Status::kOutputParameters;
}

}  // namespace

std::string RefusalText(const Diagnostic& diagnostic, const std::vector<LayerReport>& layers) {
  char message[256];
  Explain(diagnostic, message);
  std::string where;
  if (diagnostic.layer >= 0) {
    where = " (layer '" + layers[static_cast<std::size_t>(diagnostic.layer)].name + "')";
  }
  const char* const advice =
      IsOfScales(diagnostic.status)
          ? ". Its numbers are too large or too close to zero for the file's floats (1.2e-38 to "
            "3.4e38): look for such weights, inputs or outputs; --mean, --std, --output-mean and "
            "--output-std change the units of these"
          : "";
  return "the converted model does not fit the file format" + where + ": " + message + advice;
}

}  // namespace mu8::convert
