// Internal to the reader: the three stages of validation share one way to report.
#pragma once

#include "formats/reader.h"

namespace mu8::format {

// Collects the first failure. Every check reads
//   if (!(condition)) return check.Fail(status, where, found, expected);
struct Checker {
  const View& view;
  Diagnostic diagnostic{};
  std::int32_t layer = -1;
  std::int32_t tensor = -1;

  bool Fail(Status status, std::uint64_t offset, std::uint64_t found, std::uint64_t expected) {
    diagnostic = {.status = status,
                  .offset = offset,
                  .layer = layer,
                  .tensor = tensor,
                  .found = found,
                  .expected = expected};
    return false;
  }
};

// Each returns false after Fail. Later stages rely on the earlier ones.
bool CheckTensors(Checker* check);     // shapes, layout, placement of every activation
bool CheckLayers(Checker* check);      // operators, operands, windows, lifetimes, overlap
bool CheckParameters(Checker* check);  // sizes, scales, shifts, accumulator bounds, padding weights
bool CheckMetadata(Checker* check);    // key/value structure

}  // namespace mu8::format
