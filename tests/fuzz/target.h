// What every fuzz target has: the entry that libFuzzer and replay.cpp call, and a limit of what one
// input may cost. An input that goes beyond it is a failure, as a crash is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace mu8::fuzz {

// Memory of the heap that is in use at any time, and seconds of all threads. A reader's memory
// grows with its input, so both are a number and one for each byte of the input.
struct Allowance {
  std::size_t bytes = std::size_t{1} << 20;
  std::size_t bytes_each = 64;
  double seconds = 2;  // with sanitizers, on a busy machine
  double seconds_each = 1e-4;
};

// What the header of an .xz file may ask for (converters/host/files.cpp), where it is one.
inline std::size_t XzBytes(std::span<const std::uint8_t> input) {
  return input.size() > 1 && input[0] == 0xfd && input[1] == '7' ? std::size_t{256} << 20 : 0;
}

// From here to the end of the block. One at a time.
class Limits {
 public:
  Limits(std::size_t input_bytes, const Allowance& allowance);
  ~Limits();  // ends the program where it took too long
  Limits(const Limits&) = delete;
  Limits& operator=(const Limits&) = delete;

 private:
  double most_seconds_, start_;
};

}  // namespace mu8::fuzz
