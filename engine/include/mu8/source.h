// Where the bytes of a model's file come from if no pointer reaches them: flash behind a serial
// bus, a memory card. The model is then opened by Model::OpenStreamed (mu8.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace mu8 {

struct Source {
  void* context = nullptr;  // read's first argument
  std::uint64_t bytes = 0;  // of the file
  // Copies bytes [offset, offset + bytes) of the file to `to`, which nothing else uses meanwhile;
  // false if it could not, whatever has been copied. Never asked beyond the file's end. Called on
  // the thread of the call that needs the bytes; where options.parallel_for runs several workers,
  // on any of their threads, at the same time.
  bool (*read)(void* context, std::uint64_t offset, void* to, std::size_t bytes) = nullptr;
};

}  // namespace mu8
