#include "formats/stream.h"

#include "formats/check.h"
#include "formats/crc32c.h"

namespace mu8::format {
namespace {

bool Read(std::uint64_t offset, void* to, std::uint64_t bytes, Checker* check) {
  const View& view = check->view;
  if (bytes == 0 || view.read(view.read_context, offset, to, static_cast<std::size_t>(bytes))) {
    return true;
  }
  return check->Fail(Status::kReadFailed, offset, 0, bytes);
}

bool FailMemory(Option option, std::uint64_t found, std::uint64_t expected, Checker* check) {
  check->Fail(Status::kArenaTooSmall, 0, found, expected);
  check->diagnostic.option = option;
  return false;
}

// All of the file but section 5, by the table: what is resident.
std::uint64_t ResidentBytes(const View& view) {
  const auto header = view.Load<FileHeader>(0);
  const std::uint64_t table_end =
      sizeof(FileHeader) + std::uint64_t{header.section_count} * sizeof(SectionRecord);
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    const auto section =
        view.Load<SectionRecord>(sizeof(FileHeader) + std::uint64_t{i} * sizeof(SectionRecord));
    if (section.id == static_cast<std::uint32_t>(SectionId::kParameters) &&
        section.bytes <= view.file_bytes - table_end) {
      return view.file_bytes - section.bytes;
    }
  }
  return view.file_bytes;
}

}  // namespace

bool ReadSource(const View& view, std::uint64_t offset, void* to, std::size_t bytes,
                Diagnostic* fault) {
  if (!config::kStreamed || bytes == 0) return true;
  if (view.read(view.read_context, offset, to, bytes)) return true;
  if (fault != nullptr) {
    fault->status = Status::kReadFailed;
    fault->offset = offset;
    fault->expected = bytes;
  }
  return false;
}

bool FetchHeader(Checker* check) {
  const Stream& stream = *check->stream;
  if (stream.scratch.size() < kLeastScratchBytes) {
    return FailMemory(Option::kScratch, stream.scratch.size(), kLeastScratchBytes, check);
  }
  const std::uint64_t size = check->view.file_bytes;
  return Read(0, stream.scratch.data(), size < sizeof(FileHeader) ? size : sizeof(FileHeader),
              check);
}

bool FetchTable(std::uint32_t sections, Checker* check) {
  static_assert(sizeof(FileHeader) + kMaxSections * sizeof(SectionRecord) <= kLeastScratchBytes);
  if (!check->is_streamed()) return true;
  return Read(sizeof(FileHeader), check->stream->scratch.data() + sizeof(FileHeader),
              std::uint64_t{sections} * sizeof(SectionRecord), check);
}

bool EnterResident(Checker* check) {
  const Stream& stream = *check->stream;
  const std::uint64_t needed = ResidentBytes(check->view);
  if (stream.resident.size() < needed) {
    return FailMemory(Option::kResident, stream.resident.size(), needed, check);
  }
  const auto header = check->view.Load<FileHeader>(0);
  std::memcpy(stream.resident.data(), stream.scratch.data(),
              sizeof(FileHeader) + header.section_count * sizeof(SectionRecord));
  stream.view->data = stream.resident.data();
  return true;
}

bool FetchResident(std::uint64_t begin, std::uint64_t end, Checker* check) {
  if (!check->is_streamed()) return true;
  const Stream& stream = *check->stream;
  const std::uint64_t place = check->view.Place(begin);
  const std::uint64_t needed = place + (end - begin);
  // More than the table told EnterResident: then one of its records is wrong.
  if (needed > stream.resident.size()) {
    return FailMemory(Option::kResident, stream.resident.size(), needed, check);
  }
  return Read(begin, stream.resident.data() + place, end - begin, check);
}

bool SectionCrc(const SectionRecord& section, std::uint32_t* crc, Checker* check) {
  const std::uint64_t end = section.offset + section.bytes;
  if (!check->is_streamed() || section.id != static_cast<std::uint32_t>(SectionId::kParameters)) {
    if (!FetchResident(section.offset, end, check)) return false;
    const View& view = check->view;
    *crc = Crc32c(view.Bytes(view.Place(section.offset)), static_cast<std::size_t>(section.bytes));
    return true;
  }
  const Stream& stream = *check->stream;
  const std::span<std::byte> scratch = stream.scratch;
  *crc = 0;
  for (std::uint64_t at = section.offset, bytes; at < end; at += bytes) {
    bytes = end - at < scratch.size() ? end - at : scratch.size();
    if (!Read(at, scratch.data(), bytes, check)) return false;
    *crc = Crc32c(scratch.data(), static_cast<std::size_t>(bytes), *crc);
  }
  stream.view->parameters = {section.offset, section.bytes};
  stream.view->skipped_bytes = static_cast<std::uint32_t>(section.bytes);
  return true;
}

const std::uint8_t* Checker::Fetch(Walk walk, std::uint64_t at, std::uint64_t bytes) {
  Stream::Window& window = stream->windows[static_cast<std::uint32_t>(walk)];
  std::uint8_t* const memory = stream->Memory(walk);
  if (at >= window.at && at + bytes <= window.at + window.bytes) return memory + (at - window.at);
  // Only of parameters that are no longer those that gave their checksum.
  const std::uint64_t end = view.parameters.offset + view.parameters.bytes;
  if (at > end || bytes > end - at) {
    Fail(Status::kModelChanged, at, bytes, 0);
    return nullptr;
  }
  const std::uint64_t room = stream->Room(walk);
  window = {at, static_cast<std::uint32_t>(end - at < room ? end - at : room)};
  if (Read(at, memory, window.bytes, this)) return memory;
  window = {};
  return nullptr;
}

}  // namespace mu8::format
