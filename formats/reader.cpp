// Stage one of Open: the header, the section table, checksums and padding (FORMAT.md, 2 and 3).
// The graph, the parameters and the metadata have a file each: check_*.cpp.
#include "formats/reader.h"

#include <algorithm>

#include "formats/check.h"
#include "formats/crc32c.h"

namespace mu8::format {
namespace {

// Where a field lies, for diagnostics.
constexpr std::uint64_t SectionOffset(std::uint32_t index) {
  return sizeof(FileHeader) + std::uint64_t{index} * sizeof(SectionRecord);
}

bool CheckHeader(std::span<const std::byte> bytes, Checker* check) {
  static constexpr char kLfs[] = "version https://git-lfs";
  if (bytes.size() >= sizeof(kLfs) - 1 && std::memcmp(bytes.data(), kLfs, sizeof(kLfs) - 1) == 0) {
    return check->Fail(Status::kGitLfsPointer, 0, bytes.size(), 0);
  }
  if (bytes.size() < sizeof(FileHeader)) {
    return check->Fail(Status::kTruncated, bytes.size(), bytes.size(), sizeof(FileHeader));
  }
  const auto header = check->view.Load<FileHeader>(0);
  if (header.magic != kMagic) {
    std::uint64_t found = 0;
    std::uint64_t expected = 0;
    std::memcpy(&found, header.magic.data(), 8);
    std::memcpy(&expected, kMagic.data(), 8);
    return check->Fail(Status::kBadMagic, 0, found, expected);
  }
  if (header.endian_mark != kEndianMark) {
    return check->Fail(Status::kBadEndianMark, 12, header.endian_mark, kEndianMark);
  }
  if (header.version_major != kVersionMajor) {
    return check->Fail(Status::kUnsupportedVersion, 8, header.version_major, kVersionMajor);
  }
  if (bytes.size() < header.file_bytes) {
    return check->Fail(Status::kTruncated, bytes.size(), bytes.size(), header.file_bytes);
  }
  if (bytes.size() > header.file_bytes || header.file_bytes > kMaxFileBytes) {
    return check->Fail(Status::kFileSize, 16, bytes.size(), header.file_bytes);
  }
  if (header.section_count == 0 || header.section_count > kMaxSections ||
      SectionOffset(header.section_count) > bytes.size()) {
    return check->Fail(Status::kSectionCount, 24, header.section_count, kMaxSections);
  }
  std::uint32_t crc = Crc32c(bytes.data(), offsetof(FileHeader, header_crc));
  crc =
      Crc32c(bytes.data() + sizeof(FileHeader), header.section_count * sizeof(SectionRecord), crc);
  if (crc != header.header_crc) {
    return check->Fail(Status::kHeaderChecksum, offsetof(FileHeader, header_crc), crc,
                       header.header_crc);
  }
  for (std::uint32_t i = 0; i < header.reserved.size(); ++i) {
    if (header.reserved[i] != 0) {
      return check->Fail(Status::kReservedNotZero, offsetof(FileHeader, reserved) + i * 4,
                         header.reserved[i], 0);
    }
  }
  return true;
}

bool CheckZero(std::uint64_t begin, std::uint64_t end, Status status, Checker* check) {
  for (std::uint64_t offset = begin; offset < end; ++offset) {
    const std::uint8_t byte = *check->view.Bytes(offset);
    if (byte != 0) return check->Fail(status, offset, byte, 0);
  }
  return true;
}

// Sections are sorted by id, back to back at multiples of 64, so each offset is known beforehand.
bool CheckSectionTable(const FileHeader& header, Checker* check) {
  std::uint64_t end = SectionOffset(header.section_count);
  std::uint32_t previous_id = 0;
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    const auto section = check->view.Load<SectionRecord>(SectionOffset(i));
    if (section.id <= previous_id) {
      return check->Fail(Status::kSectionOrder, SectionOffset(i), section.id, previous_id + 1);
    }
    previous_id = section.id;
    if ((section.flags & ~kSectionRequired) != 0 || section.reserved != 0) {
      return check->Fail(Status::kReservedNotZero, SectionOffset(i), section.flags, 0);
    }
    const std::uint64_t expected = RoundUp(end, kAlignment);
    if (section.offset != expected) {
      return check->Fail(Status::kSectionLayout, SectionOffset(i) + 8, section.offset, expected);
    }
    if (section.bytes > header.file_bytes || section.offset > header.file_bytes - section.bytes) {
      return check->Fail(Status::kSectionLayout, SectionOffset(i) + 16, section.bytes,
                         header.file_bytes);
    }
    if (!CheckZero(end, expected, Status::kPaddingNotZero, check)) return false;
    const std::uint32_t crc = Crc32c(check->view.Bytes(section.offset), section.bytes);
    if (crc != section.crc) {
      return check->Fail(Status::kSectionChecksum, section.offset, crc, section.crc);
    }
    const bool known = section.id <= static_cast<std::uint32_t>(SectionId::kMetadata);
    if (!known && (section.flags & kSectionRequired) != 0) {
      return check->Fail(Status::kSectionUnknown, SectionOffset(i), section.id, 0);
    }
    end = section.offset + section.bytes;
  }
  const std::uint64_t expected = RoundUp(end, kAlignment);
  if (header.file_bytes != expected) {
    return check->Fail(Status::kFileSize, 16, header.file_bytes, expected);
  }
  return CheckZero(end, expected, Status::kPaddingNotZero, check);
}

// Finds a section by id; the table has been checked.
bool FindSection(const FileHeader& header, SectionId id, SectionView* found, Checker* check) {
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    const auto section = check->view.Load<SectionRecord>(SectionOffset(i));
    if (section.id == static_cast<std::uint32_t>(id)) {
      *found = {section.offset, section.bytes};
      return true;
    }
  }
  return check->Fail(Status::kSectionMissing, sizeof(FileHeader), 0,
                     static_cast<std::uint32_t>(id));
}

bool CheckRecordSection(const SectionView& section, std::uint64_t record_bytes,
                        std::uint64_t max_records, Checker* check) {
  if (section.bytes % record_bytes != 0) {
    return check->Fail(Status::kSectionSize, section.offset, section.bytes, record_bytes);
  }
  const std::uint64_t count = section.bytes / record_bytes;
  if (count == 0 || count > max_records) {
    return check->Fail(Status::kRecordCount, section.offset, count, max_records);
  }
  return true;
}

bool ReadSections(View* view, Checker* check) {
  const auto header = view->Load<FileHeader>(0);
  SectionView model;
  if (!CheckSectionTable(header, check) || !FindSection(header, SectionId::kModel, &model, check) ||
      !FindSection(header, SectionId::kTensors, &view->tensors, check) ||
      !FindSection(header, SectionId::kLayers, &view->layers, check) ||
      !FindSection(header, SectionId::kInputTable, &view->input_table, check) ||
      !FindSection(header, SectionId::kParameters, &view->parameters, check) ||
      !FindSection(header, SectionId::kMetadata, &view->metadata, check)) {
    return false;
  }
  if (model.bytes != sizeof(ModelRecord)) {
    return check->Fail(Status::kSectionSize, model.offset, model.bytes, sizeof(ModelRecord));
  }
  view->model = view->Load<ModelRecord>(model.offset);
  for (const std::uint32_t reserved : view->model.reserved) {
    if (reserved != 0) return check->Fail(Status::kReservedNotZero, model.offset, reserved, 0);
  }
  return CheckRecordSection(view->tensors, sizeof(TensorRecord), kMaxTensors, check) &&
         CheckRecordSection(view->layers, sizeof(LayerRecord), kMaxLayers, check);
}

}  // namespace

Status Open(std::span<const std::byte> bytes, View* view, Diagnostic* diagnostic) {
  View candidate;
  candidate.data = bytes.data();
  candidate.file_bytes = bytes.size();
  Checker check{candidate};
  bool ok = CheckHeader(bytes, &check);
  if (ok && reinterpret_cast<std::uintptr_t>(bytes.data()) % kAlignment != 0) {
    ok = check.Fail(Status::kMisalignedFile, 0,
                    reinterpret_cast<std::uintptr_t>(bytes.data()) % kAlignment, 0);
  }
  ok = ok && ReadSections(&candidate, &check) && CheckTensors(&check) && CheckLayers(&check) &&
       CheckParameters(&check) && CheckMetadata(&check);
  if (diagnostic != nullptr) *diagnostic = check.diagnostic;
  if (!ok) return check.diagnostic.status;
  *view = candidate;
  return Status::kOk;
}

View Reopen(std::span<const std::byte> bytes) {
  View view;
  view.data = bytes.data();
  view.file_bytes = bytes.size();
  const auto header = view.Load<FileHeader>(0);
  SectionView model;
  SectionView* const sections[] = {&model,           &view.tensors, &view.layers, &view.input_table,
                                   &view.parameters, &view.metadata};
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    const auto section = view.Load<SectionRecord>(SectionOffset(i));
    if (section.id <= static_cast<std::uint32_t>(SectionId::kMetadata)) {
      *sections[section.id - 1] = {section.offset, section.bytes};
    }
  }
  view.model = view.Load<ModelRecord>(model.offset);
  return view;
}

}  // namespace mu8::format
