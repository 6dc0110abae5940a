// What mu8 convert prints of a conversion.
#pragma once

#include <string>

#include "converters/convert.h"
#include "tools/mu8/json_output.h"

namespace mu8::tool {

struct Conversion {
  const convert::ConvertOptions& options;
  const convert::ConvertResult& result;
  std::string path;       // of the file
  std::string quantizer;  // of sigma, as --quantizer names it
  bool written;           // or refused
};

void PrintAsText(const Conversion& conversion);
// README.md documents the keys.
Json ConversionJson(const Conversion& conversion);

}  // namespace mu8::tool
