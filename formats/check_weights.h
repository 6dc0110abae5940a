// Internal to the reader: a convolution or dense layer whose parameters are checked. Its scales and
// biases are check_parameters.cpp's, which knows floats; all else is integers (check_codes.cpp).
#pragma once

#include "formats/check.h"

namespace mu8::format {

struct CheckedLayer {
  const LayerRecord& record;
  std::uint64_t at;  // file offset of the parameters
  PanelLayout panels;
  ParameterLayout layout;
  bool bayesian;
};

// The next panel's width of mu is 1 to 8 bits, whichever it has.
bool TakeMuBits(const CheckedLayer& layer, MuCursor* mu, Checker* check);

// Every panel has a width, and mu_bytes is what they need.
bool CheckPanelBits(const CheckedLayer& layer, Checker* check);

// Of weights and biases: 1 to 15.
bool CheckShifts(const CheckedLayer& layer, Checker* check);

// No mean of the panel is -128, nor an entry of its table, of which those that no code names are 0.
bool CheckMeans(const CheckedLayer& layer, const MuCursor& mu, Checker* check);

// Padded inputs weigh nothing: they stand against bytes of the next pixel.
bool CheckPadding(const CheckedLayer& layer, const MuCursor& mu, Checker* check);

// No value of a gather is read from behind the input's last row, or from behind the end of a row.
bool CheckGather(const LayerRecord& record, std::uint64_t at, Checker* check);

}  // namespace mu8::format
