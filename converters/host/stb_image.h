// stb_image, cut down to PNG and JPEG in memory, with a bound on what it may allocate.
#pragma once

#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 16384
#include <stb/stb_image.h>

#include <cstddef>

namespace mu8::host {

// While it lives no allocation of stb_image in this thread exceeds `bytes`: one that would fails,
// as without memory, so that a picture's data cannot unpack to more than its size in pixels needs.
class StbMemoryLimit {
 public:
  explicit StbMemoryLimit(std::size_t bytes);
  ~StbMemoryLimit();
  StbMemoryLimit(const StbMemoryLimit&) = delete;
  StbMemoryLimit& operator=(const StbMemoryLimit&) = delete;

  bool reached() const;        // whether it was asked for more
  bool out_of_memory() const;  // whether there was none
};

}  // namespace mu8::host
