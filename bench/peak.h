// What one core can do at most: multiply-accumulates per second of a kernel table's multiply
// instruction, from registers alone, and bytes per second read from each level of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"

namespace mu8::bench {

// A loop over the multiply instruction that a table is built on.
struct MultiplyLoop {
  const char* table;        // of the same name
  const char* instruction;  // in words
  double macs;              // of one iteration
  void (*run)(std::uint64_t iterations);
};

// One per instruction set, each in a file with its own flags (peak_<table>.cpp).
extern const MultiplyLoop kMultiplyAvx2;
extern const MultiplyLoop kMultiplyAvxVnni;
extern const MultiplyLoop kMultiplyAvx512Vnni;
// Reads `bytes`, a multiple of 1,024 from an address that is one of 64, `times` times.
void ReadAvx2(const std::byte* data, std::size_t bytes, std::uint64_t times);
void ReadAvx512(const std::byte* data, std::size_t bytes, std::uint64_t times);

// Null if the table has none (scalar) or the processor cannot run it.
const MultiplyLoop* FindMultiplyLoop(const std::string& table);
// MAC/s: the best of `tries` turns of a few milliseconds. 0 if the table has no such loop.
double PeakMacs(const std::string& table, int tries);

struct MemoryLevel {
  std::string name;   // L1, L2, L3, DRAM
  std::size_t bytes;  // that are read: half of a cache, 8 times the last one for DRAM
};
// Of this processor, as Linux lists them; without a list only DRAM.
std::vector<MemoryLevel> MemoryLevels();
// The widest reads that this processor has.
void Read(const std::byte* data, std::size_t bytes, std::uint64_t times);

}  // namespace mu8::bench
