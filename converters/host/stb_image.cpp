// The one definition of stb_image's functions, cut down to what a data set may hold. Compiled here
// rather than linked from a distribution's library so that the other, less tested formats are not
// reachable, the size limit is ours, and memory is cleared: version 2.27 reads Huffman tables that
// a file did not define.
#include "converters/host/stb_image.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();
thread_local std::size_t most_bytes = kNoLimit;

thread_local bool asked_for_more = false, had_no_memory = false;

bool IsTooMuch(std::size_t bytes) {
  asked_for_more |= bytes > most_bytes;
  return bytes > most_bytes;
}

void* Checked(void* memory) {
  had_no_memory |= memory == nullptr;
  return memory;
}

void* Allocate(std::size_t bytes) {
  return IsTooMuch(bytes) ? nullptr : Checked(std::calloc(1, bytes));
}

void* Reallocate(void* old, std::size_t old_bytes, std::size_t bytes) {
  if (IsTooMuch(bytes)) return nullptr;
  void* grown = Checked(std::realloc(old, bytes));
  if (grown != nullptr && bytes > old_bytes) {
    std::memset(static_cast<char*>(grown) + old_bytes, 0, bytes - old_bytes);
  }
  return grown;
}

}  // namespace

#define STBI_MALLOC(bytes) Allocate(bytes)
#define STBI_REALLOC_SIZED(old, old_bytes, bytes) Reallocate(old, old_bytes, bytes)
#define STBI_FREE(data) std::free(data)
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

namespace mu8::host {

StbMemoryLimit::StbMemoryLimit(std::size_t bytes) {
  most_bytes = bytes;
  asked_for_more = had_no_memory = false;
}
bool StbMemoryLimit::reached() const { return asked_for_more; }
bool StbMemoryLimit::out_of_memory() const { return had_no_memory; }
StbMemoryLimit::~StbMemoryLimit() { most_bytes = kNoLimit; }

}  // namespace mu8::host
