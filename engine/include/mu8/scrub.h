// Looks for bytes of a model that have changed since it was opened, a slice at a time: flash loses
// bits over the years, and weights at rest change no checksum that anybody looks at.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mu8/mu8.h"

namespace mu8 {

// Walks over every byte of an open model's file, round after round: header and section table, all
// sections (records, tables, weights, metadata, those that this version skips) and the zeros
// between and behind them. Each is held against its CRC-32C, these against the header's, and that
// against what Open has seen, so that another valid file in the same place is found, too. Finds
// every change of 32 adjacent bits or fewer in a section, others but for one in 2^32; who forges
// checksums can hide from it (SECURITY.md).
// A streamed model's file is read from its source, a few bytes at a time, and what is resident of
// it must be the same bytes. 80 bytes at most, no arena. Predictions may run between two calls, and
// over the same model beside one: it only reads.
class Scrubber {
 public:
  Scrubber() = default;
  // `model`'s bytes must outlive it. Nothing is read yet.
  explicit Scrubber(const Model& model);

  // Checks the next `bytes` bytes, or those that are left of this round: time is linear in `bytes`,
  // at most. kModelChanged at the end of a header or section whose checksum is another, or at a
  // byte that is no longer zero: `offset` is where the section (or that byte) lies, `found` its
  // CRC-32C (or the byte), `expected` what Open has seen (or the resident byte). kReadFailed where
  // the source could not read. The next call then begins a new round.
  // kNotReady without an open model.
  Status Scrub(std::size_t bytes, Diagnostic* diagnostic = nullptr);

  // Rounds that ended without a finding; the next call begins one if offset() is 0.
  std::uint32_t rounds() const { return rounds_; }
  // Bytes of this round that are done.
  std::size_t offset() const { return offset_; }

 private:
  // The header's fields, its own checksum, the section table; then gap, section, gap, ...
  enum class Part : std::uint8_t { kFields, kChecksum, kTable, kGap, kSection };

  Status Begin(Part part, std::uint32_t bytes);
  Status EnterTable(Diagnostic* diagnostic);
  Status EnterSection(Diagnostic* diagnostic);
  Status EnterNext(Diagnostic* diagnostic);
  Status CheckNext(std::uint32_t bytes, Diagnostic* diagnostic);
  Status CheckStreamed(std::uint32_t bytes, Diagnostic* diagnostic);
  Status Check(const std::byte* from, std::uint32_t bytes, Diagnostic* diagnostic);
  void BeginRound();
  Status Fail(std::uint64_t offset, std::uint64_t found, std::uint64_t expected,
              Diagnostic* diagnostic);

  const std::byte* data_ = nullptr;  // of a streamed file what is resident
  void* source_context_ = nullptr;
  decltype(Source::read) read_ = nullptr;               // of a streamed file
  std::uint32_t streamed_at_ = 0, streamed_bytes_ = 0;  // section 5, which is not resident
  std::uint32_t size_ = 0,
                root_ = 0;  // the file's bytes; its header's checksum as Open has seen it
  std::uint32_t offset_ = 0, rounds_ = 0;
  std::uint32_t begin_ = 0, end_ = 0;  // of the part at hand
  std::uint32_t crc_ = 0, expected_ = 0;
  Part part_ = Part::kFields;
  std::uint8_t section_ = 0, sections_ = 0;  // the next one; how many
};

}  // namespace mu8
