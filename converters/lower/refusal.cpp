#include "converters/lower/refusal.h"

#include <cstddef>

namespace mu8::convert {

std::string RefusalText(const Diagnostic& diagnostic, const std::vector<LayerReport>& layers) {
  char message[256];
  Explain(diagnostic, message);
  std::string where;
  if (diagnostic.layer >= 0) {
    where = " (layer '" + layers[static_cast<std::size_t>(diagnostic.layer)].name + "')";
  }
  return "the converted model does not fit the file format" + where + ": " + message;
}

}  // namespace mu8::convert
