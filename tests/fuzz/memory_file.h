// For fuzzers of readers that take a path: a file that lies in memory, and what a reader may do
// with it.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "converters/host/error.h"

namespace mu8::testing {

class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("mu8_fuzz", 0)) {
    if (descriptor_ < 0) std::abort();
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  // Replaces what the file holds.
  void Write(std::span<const std::uint8_t> bytes) const {
    if (ftruncate(descriptor_, 0) != 0 ||
        pwrite(descriptor_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
      std::abort();
    }
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

// A reader either reads or throws Error; any other exception ends the fuzzer.
template <typename Read>
void ReadOrRefuse(const Read& read) {
  try {
    read();
  } catch (const host::Error&) {
    return;
  }
}

}  // namespace mu8::testing
