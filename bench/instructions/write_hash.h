// What the counted programs print: a hash of their results, by which each table is held against the
// others.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tools/firmware/board/board.h"

namespace mu8::bench {

// FNV-1a.
inline std::uint32_t Hash(const void* data, std::size_t bytes) {
  std::uint32_t hash = 0x811c9dc5;
  for (std::size_t i = 0; i < bytes; ++i) {
    hash = (hash ^ static_cast<const std::uint8_t*>(data)[i]) * 0x01000193;
  }
  return hash;
}

inline void WriteHash(std::uint32_t hash) {
  char text[] = "hash 00000000\n";
  for (int i = 12; i >= 5; --i, hash >>= 4) text[i] = "0123456789abcdef"[hash & 15];
  BoardWrite(text);
}

}  // namespace mu8::bench
