// A walk over the file as FORMAT.md 2 and 3 lay it out. Nothing that it reads is believed twice:
// what says where the next part lies is copied and held against the file's size, so that bytes that
// change under the walk can only end it.
#include "mu8/scrub.h"

#include <cstring>

#include "engine/src/model_view.h"
#include "formats/crc32c.h"
#include "formats/layout.h"
#include "mu8/config.h"

namespace mu8 {
namespace {

using format::FileHeader;
using format::SectionRecord;

template <typename T>
T Copy(const std::byte* from) {
  T copy;
  std::memcpy(&copy, from, sizeof(copy));
  return copy;
}

}  // namespace

Scrubber::Scrubber(const Model& model)
    : data_(ViewOf(model).data),
      source_context_(ViewOf(model).read_context),
      read_(ViewOf(model).read),
      streamed_at_(ViewOf(model).parameters.offset),
      streamed_bytes_(ViewOf(model).parameters.bytes),
      size_(static_cast<std::uint32_t>(ViewOf(model).file_bytes)),
      root_(static_cast<std::uint32_t>(model.hash())),
      end_(offsetof(FileHeader, header_crc)) {}

void Scrubber::BeginRound() {
  offset_ = begin_ = crc_ = 0;
  end_ = offsetof(FileHeader, header_crc);
  part_ = Part::kFields;
}

// The next call begins a new round.
Status Scrubber::Fail(std::uint64_t offset, std::uint64_t found, std::uint64_t expected,
                      Diagnostic* diagnostic) {
  if (diagnostic != nullptr) {
    *diagnostic = {
        .status = Status::kModelChanged, .offset = offset, .found = found, .expected = expected};
  }
  BeginRound();
  return Status::kModelChanged;
}

Status Scrubber::Begin(Part part, std::uint32_t bytes) {
  part_ = part;
  begin_ = offset_;
  end_ = offset_ + bytes;
  return Status::kOk;
}

Status Scrubber::EnterTable(Diagnostic* diagnostic) {
  const auto count = Copy<std::uint32_t>(data_ + offsetof(FileHeader, section_count));
  const std::size_t room = (size_ - offset_) / sizeof(SectionRecord);
  if (count == 0 || count > format::kMaxSections || count > room) {
    return Fail(0, count, format::kMaxSections, diagnostic);
  }
  section_ = 0;
  sections_ = static_cast<std::uint8_t>(count);
  return Begin(Part::kTable, count * std::uint32_t{sizeof(SectionRecord)});
}

Status Scrubber::EnterSection(Diagnostic* diagnostic) {
  const auto record =
      Copy<SectionRecord>(data_ + sizeof(FileHeader) + section_ * sizeof(SectionRecord));
  if (record.offset != offset_ || record.bytes > size_ - offset_) {
    return Fail(0, record.offset, offset_, diagnostic);
  }
  ++section_;
  crc_ = 0;
  expected_ = record.crc;
  return Begin(Part::kSection, static_cast<std::uint32_t>(record.bytes));
}

// What lies behind the part that is done.
Status Scrubber::EnterNext(Diagnostic* diagnostic) {
  switch (part_) {
    case Part::kFields:
      return Begin(Part::kChecksum, sizeof(std::uint32_t));
    case Part::kChecksum:
      return EnterTable(diagnostic);
    case Part::kTable:
      if (crc_ != root_) return Fail(0, crc_, root_, diagnostic);
      break;
    case Part::kSection:
      if (crc_ != expected_) return Fail(begin_, crc_, expected_, diagnostic);
      break;
    case Part::kGap:
      if (section_ < sections_) return EnterSection(diagnostic);
      // The end of the file, unless the table has changed meanwhile.
      if (offset_ != size_) return Fail(0, offset_, size_, diagnostic);
      ++rounds_;
      offset_ = crc_ = 0;
      return Begin(Part::kFields, offsetof(FileHeader, header_crc));
  }
  const auto gap = static_cast<std::uint32_t>(format::RoundUp(offset_, format::kAlignment));
  if (gap > size_) return Fail(0, gap, size_, diagnostic);
  return Begin(Part::kGap, gap - offset_);
}

// The next `bytes` bytes, all of the part at hand.
Status Scrubber::CheckNext(std::uint32_t bytes, Diagnostic* diagnostic) {
  if (config::kStreamed && read_ != nullptr) return CheckStreamed(bytes, diagnostic);
  return Check(data_ + offset_, bytes, diagnostic);
}

// The table and the sections that EnterTable and EnterSection read are resident: what the source
// has there is compared with them.
Status Scrubber::CheckStreamed(std::uint32_t bytes, Diagnostic* diagnostic) {
  std::byte chunk[64];
  // At most `bytes` times: count is 1 or more.
  while (bytes != 0) {
    std::uint32_t count = bytes < sizeof(chunk) ? bytes : std::uint32_t{sizeof(chunk)};
    if (offset_ < streamed_at_ && streamed_at_ - offset_ < count) count = streamed_at_ - offset_;
    if (!read_(source_context_, offset_, chunk, count)) {
      if (diagnostic != nullptr) {
        *diagnostic = {.status = Status::kReadFailed, .offset = offset_, .expected = count};
      }
      BeginRound();
      return Status::kReadFailed;
    }
    const bool before = offset_ < streamed_at_, behind = offset_ >= streamed_at_ + streamed_bytes_;
    for (std::uint32_t i = 0; i < count && (before || behind); ++i) {
      const std::byte resident = data_[offset_ + i - (behind ? streamed_bytes_ : 0)];
      if (chunk[i] == resident) continue;
      return Fail(offset_ + i, static_cast<std::uint8_t>(chunk[i]),
                  static_cast<std::uint8_t>(resident), diagnostic);
    }
    const Status status = Check(chunk, count, diagnostic);
    if (status != Status::kOk) return status;
    bytes -= count;
  }
  return Status::kOk;
}

Status Scrubber::Check(const std::byte* from, std::uint32_t bytes, Diagnostic* diagnostic) {
  for (std::uint32_t i = 0; i < bytes && part_ == Part::kGap; ++i) {
    const auto byte = static_cast<std::uint8_t>(from[i]);
    if (byte != 0) return Fail(offset_ + i, byte, 0, diagnostic);
  }
  for (std::uint32_t i = 0; i < bytes && part_ == Part::kChecksum; ++i) {
    const std::uint32_t at = offset_ + i - begin_;
    const auto byte = static_cast<std::uint8_t>(from[i]);
    const auto expected = static_cast<std::uint8_t>(root_ >> (8 * at));
    if (byte != expected) return Fail(offset_ + i, byte, expected, diagnostic);
  }
  if (part_ != Part::kGap && part_ != Part::kChecksum) {
    crc_ = format::Crc32c(from, bytes, crc_);
  }
  offset_ += bytes;
  return Status::kOk;
}

Status Scrubber::Scrub(std::size_t bytes, Diagnostic* diagnostic) {
  if (data_ == nullptr) {
    if (diagnostic != nullptr) *diagnostic = {.status = Status::kNotReady};
    return Status::kNotReady;
  }
  const std::uint32_t rounds = rounds_;
  // At most once a part of the file: a step ends one or uses up the bytes.
  while (rounds_ == rounds) {
    const std::uint32_t left = end_ - offset_;
    const std::uint32_t now = bytes < left ? static_cast<std::uint32_t>(bytes) : left;
    Status status = CheckNext(now, diagnostic);
    bytes -= now;
    if (status == Status::kOk && offset_ == end_) status = EnterNext(diagnostic);
    if (status != Status::kOk) return status;
    if (bytes == 0 && offset_ != end_) break;
  }
  if (diagnostic != nullptr) *diagnostic = {};
  return Status::kOk;
}

}  // namespace mu8
