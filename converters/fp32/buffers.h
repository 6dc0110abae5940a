// Where the FP32 reference puts values that nobody asks for after a run.
#pragma once

#include <cstddef>
#include <vector>

#include "converters/network/network.h"

namespace mu8::convert {

struct BufferAssignment {
  std::vector<int> buffer_of;      // by value: index into `sizes`
  std::vector<std::size_t> sizes;  // floats an image
};

// Values share a buffer when no node needs both: the one freed last is taken first, since it is
// most likely in the cache. Input and output of the network keep buffers of their own.
BufferAssignment AssignBuffers(const Network& network);

}  // namespace mu8::convert
