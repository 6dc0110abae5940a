// Mutations of .mu8 files that know what a file is made of: fields of the header, of the section
// table and of records, whole records and sections. Checksums are repaired mostly, so that the
// rules behind them are reached.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mu8::fuzz {

// What LLVMFuzzerCustomMutator does; takes libFuzzer's own mutations for a share.
std::size_t MutateModel(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);

}  // namespace mu8::fuzz
