// A shape in words, as every message writes it.
#pragma once

#include <string>

namespace mu8::host {

// "28x28x6": height, width, channels.
inline std::string ShapeText(int height, int width, int channels) {
  return std::to_string(height) + "x" + std::to_string(width) + "x" + std::to_string(channels);
}

}  // namespace mu8::host
