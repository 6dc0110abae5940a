// Stage one of Open: the header, the section table, checksums and padding (FORMAT.md, 2 and 3).
// The graph, the parameters and the metadata have a file each: check_*.cpp.
#include "formats/reader.h"

#include "formats/bits.h"
#include "formats/check.h"
#include "formats/crc32c.h"
#include "formats/recheck.h"
#include "formats/stream.h"
#include "mu8/config.h"

namespace mu8::format {
namespace {

// Where a field lies, for diagnostics.
constexpr std::uint64_t SectionOffset(std::uint32_t index) {
  return sizeof(FileHeader) + std::uint64_t{index} * sizeof(SectionRecord);
}

// The record of a section; it is present.
std::uint64_t SectionRecordOffset(const View& view, SectionId id) {
  std::uint32_t i = 0;
  // At most `id` sections lie before it.
  while (i < static_cast<std::uint32_t>(id) &&
         view.Load<SectionRecord>(SectionOffset(i)).id != static_cast<std::uint32_t>(id)) {
    ++i;
  }
  return SectionOffset(i);
}

bool CheckHeader(Checker* check) {
  const std::uint64_t size = check->view.file_bytes;
  static constexpr char kLfs[] = "version https://git-lfs";
  constexpr std::uint64_t kMagicBits = BitCast<std::uint64_t>(kMagic);
  if (size >= sizeof(kLfs) - 1 && std::memcmp(check->view.data, kLfs, sizeof(kLfs) - 1) == 0) {
    return check->Fail(Status::kGitLfsPointer, 0, check->view.Load<std::uint64_t>(0), kMagicBits);
  }
  if (size < sizeof(FileHeader)) {
    return check->Fail(Status::kTruncated, size, size, sizeof(FileHeader));
  }
  const auto header = check->view.Load<FileHeader>(0);
  if (header.magic != kMagic) {
    return check->Fail(Status::kBadMagic, offsetof(FileHeader, magic),
                       BitCast<std::uint64_t>(header.magic), kMagicBits);
  }
  if (header.endian_mark != kEndianMark) {
    return check->Fail(Status::kBadEndianMark, offsetof(FileHeader, endian_mark),
                       header.endian_mark, kEndianMark);
  }
  if (header.version_major != kVersionMajor) {
    return check->Fail(Status::kUnsupportedVersion, offsetof(FileHeader, version_major),
                       header.version_major, kVersionMajor);
  }
  if (size < header.file_bytes) {
    return check->Fail(Status::kTruncated, size, size, header.file_bytes);
  }
  if (size > header.file_bytes || header.file_bytes > kMaxFileBytes) {
    const bool too_long = header.file_bytes == size;
    return check->Fail(Status::kFileSize, offsetof(FileHeader, file_bytes), header.file_bytes,
                       too_long ? kMaxFileBytes : size);
  }
  const std::uint64_t room = (size - sizeof(FileHeader)) / sizeof(SectionRecord);
  const std::uint64_t most_sections = room < kMaxSections ? room : kMaxSections;
  if (header.section_count == 0 || header.section_count > most_sections) {
    return check->Fail(Status::kSectionCount, offsetof(FileHeader, section_count),
                       header.section_count, header.section_count == 0 ? 1 : most_sections);
  }
  if (!FetchTable(header.section_count, check)) return false;
  std::uint32_t crc = Crc32c(check->view.data, offsetof(FileHeader, header_crc));
  crc = Crc32c(check->view.data + sizeof(FileHeader), header.section_count * sizeof(SectionRecord),
               crc);
  if (crc != header.header_crc) {
    return check->Fail(Status::kHeaderChecksum, offsetof(FileHeader, header_crc), header.header_crc,
                       crc);
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
  if (!FetchResident(begin, end, check)) return false;
  for (std::uint64_t offset = begin; offset < end; ++offset) {
    const std::uint8_t byte = *check->view.Bytes(check->view.Place(offset));
    if (byte != 0) return check->Fail(status, offset, byte, 0);
  }
  return true;
}

// Sections are sorted by id, back to back at multiples of 64, so each offset is known beforehand.
bool CheckSectionTable(const FileHeader& header, Checker* check) {
  std::uint64_t end = SectionOffset(header.section_count);
  std::uint32_t previous_id = 0;
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    const std::uint64_t at = SectionOffset(i);
    const auto section = check->view.Load<SectionRecord>(at);
    if (section.id <= previous_id) {
      return check->Fail(Status::kSectionOrder, at + offsetof(SectionRecord, id), section.id,
                         std::uint64_t{previous_id} + 1);
    }
    previous_id = section.id;
    if ((section.flags & ~kSectionRequired) != 0) {
      return check->Fail(Status::kReservedNotZero, at + offsetof(SectionRecord, flags),
                         section.flags, section.flags & kSectionRequired);
    }
    if (section.reserved != 0) {
      return check->Fail(Status::kReservedNotZero, at + offsetof(SectionRecord, reserved),
                         section.reserved, 0);
    }
    const std::uint64_t expected = RoundUp(end, kAlignment);
    if (section.offset != expected || section.offset > header.file_bytes) {
      return check->Fail(Status::kSectionLayout, at + offsetof(SectionRecord, offset),
                         section.offset,
                         expected < header.file_bytes ? expected : header.file_bytes);
    }
    if (section.bytes > header.file_bytes - section.offset) {
      return check->Fail(Status::kSectionLayout, at + offsetof(SectionRecord, bytes), section.bytes,
                         header.file_bytes - section.offset);
    }
    if (!CheckZero(end, expected, Status::kPaddingNotZero, check)) return false;
    std::uint32_t crc;
    if (!SectionCrc(section, &crc, check)) return false;
    if (crc != section.crc) {
      return check->Fail(Status::kSectionChecksum, at + offsetof(SectionRecord, crc), section.crc,
                         crc);
    }
    if (section.id > kLastSection && (section.flags & kSectionRequired) != 0) {
      return check->Fail(Status::kSectionUnknown, at + offsetof(SectionRecord, id), section.id,
                         kLastSection);
    }
    end = section.offset + section.bytes;
  }
  const std::uint64_t expected = RoundUp(end, kAlignment);
  if (header.file_bytes != expected) {
    return check->Fail(Status::kFileSize, offsetof(FileHeader, file_bytes), header.file_bytes,
                       expected);
  }
  return CheckZero(end, expected, Status::kPaddingNotZero, check);
}

// Finds a section by id; the table has been checked, so ids increase.
bool FindSection(const FileHeader& header, SectionId id, SectionView* found, Checker* check) {
  const auto wanted = static_cast<std::uint32_t>(id);
  std::uint32_t i = 0;
  SectionRecord section{};
  for (; i < header.section_count; ++i) {
    section = check->view.Load<SectionRecord>(SectionOffset(i));
    if (section.id >= wanted) break;
    section = {};
  }
  if (section.id != wanted) {
    return check->Fail(Status::kSectionMissing, SectionOffset(i) + offsetof(SectionRecord, id),
                       section.id, wanted);
  }
  *found = {section.offset, section.bytes};
  return true;
}

bool CheckRecordSection(SectionId id, const SectionView& section, std::uint64_t record_bytes,
                        std::uint64_t max_records, Checker* check) {
  constexpr std::size_t kField = offsetof(SectionRecord, bytes);
  const std::uint64_t count = section.bytes / record_bytes;
  if (section.bytes != count * record_bytes) {
    return check->FailSection(Status::kSectionSize, id, kField, section.bytes,
                              count == 0 ? record_bytes : count * record_bytes);
  }
  if (count == 0 || count > max_records) {
    return check->FailSection(Status::kRecordCount, id, kField, count,
                              count == 0 ? 1 : max_records);
  }
  return true;
}

// Both extents are 0, or both 1 to kMaxDimension and not both 1.
bool CheckOutputShape(const View& view, Checker* check) {
  const std::uint32_t height = view.model.output_height, width = view.model.output_width;
  if (height == 0 && width == 0) return true;
  constexpr std::size_t kHeight = offsetof(ModelRecord, output_height);
  constexpr std::size_t kWidth = offsetof(ModelRecord, output_width);
  if (height != NearestCount(height, kMaxDimension)) {
    return check->FailModel(Status::kClassCount, kHeight, height,
                            NearestCount(height, kMaxDimension));
  }
  if (width != NearestCount(width, kMaxDimension)) {
    return check->FailModel(Status::kClassCount, kWidth, width, NearestCount(width, kMaxDimension));
  }
  if (height == 1 && width == 1) return check->FailModel(Status::kClassCount, kHeight, 1, 2);
  return true;
}

// A section that a file may have if its head knows it. Other heads take it as any that they do not
// know.
bool FindIfKnown(const FileHeader& header, SectionId id, bool is_known, SectionView* found,
                 Checker* check) {
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    const auto section = check->view.Load<SectionRecord>(SectionOffset(i));
    if (section.id != static_cast<std::uint32_t>(id)) continue;
    if (is_known) {
      *found = {section.offset, section.bytes};
    } else if ((section.flags & kSectionRequired) != 0) {
      return check->Fail(Status::kSectionUnknown, SectionOffset(i) + offsetof(SectionRecord, id),
                         section.id, section.id - 1);
    }
  }
  return true;
}

// What is known of outputs beside the last layer.
bool ReadOutputs(const FileHeader& header, View* view, Checker* check) {
  const Head head = view->head();
  const bool must = head == Head::kGaussian || head == Head::kReconstruction;
  return (must ? FindSection(header, SectionId::kOutputs, &view->outputs, check)
               : FindIfKnown(header, SectionId::kOutputs, head == Head::kValues, &view->outputs,
                             check)) &&
         FindIfKnown(header, SectionId::kRanges, HasRanges(head), &view->ranges, check) &&
         FindIfKnown(header, SectionId::kAbstain, true, &view->abstain, check) &&
         FindIfKnown(header, SectionId::kMoments, true, &view->moments, check);
}

[[gnu::noinline]] bool ReadSections(View* view, Checker* check) {
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
  if (model.bytes != kModelRecordBytes) {
    return check->FailSection(Status::kSectionSize, SectionId::kModel,
                              offsetof(SectionRecord, bytes), model.bytes, kModelRecordBytes);
  }
  view->model = view->Load<ModelRecord>(model.offset);
  if (view->model.head >= kHeadCount) {
    return check->FailModel(Status::kUnknownHead, offsetof(ModelRecord, head), view->model.head,
                            kHeadCount - 1);
  }
  if (view->model.input >= kInputKindCount) {
    return check->FailModel(Status::kUnknownInput, offsetof(ModelRecord, input), view->model.input,
                            kInputKindCount - 1);
  }
  if (!CheckOutputShape(*view, check) || !ReadOutputs(header, view, check)) return false;
  return CheckReserved(model.offset, sizeof(ModelRecord), kModelRecordBytes, check) &&
         CheckRecordSection(SectionId::kTensors, view->tensors, sizeof(TensorRecord), kMaxTensors,
                            check) &&
         CheckRecordSection(SectionId::kLayers, view->layers, kLayerRecordBytes, kMaxLayers, check);
}

// What executors keep of a file that has been checked.
void AddFacts(View* view) {
  const TensorRecord input = view->tensor(0);
  view->output_slots = MakePanelLayout(view->layer(view->layer_count() - 1)).padded_channels;
  view->input_height = input.height;
  view->input_width = input.width;
  view->input_channels = input.channels;
  view->first_pass = view->FindFirstPassLayer();
  if constexpr (config::kRecheck) view->records_hash = HashRecords(*view);
  for (std::uint32_t i = 0; view->is_streamed() && i < view->layer_count(); ++i) {
    const LayerRecord layer = view->layer(i);
    const auto panel = static_cast<std::uint32_t>(view->PanelBytes(layer));
    const std::uint32_t staging = StagingBytes(layer);
    if (panel > view->model.panel_bytes) view->model.panel_bytes = panel;
    if (staging > view->staging_bytes) view->staging_bytes = staging;
  }
}

// Of a file whose header is right.
bool CheckFile(View* view, Checker* check) {
  return ReadSections(view, check) && CheckTensors(check) && CheckLayers(check) &&
         CheckParameters(check) && CheckMetadata(check);
}

Status Finish(bool ok, const Checker& check, View* view, Diagnostic* diagnostic) {
  if (diagnostic != nullptr) *diagnostic = check.diagnostic;
  if (!ok) return check.diagnostic.status;
  AddFacts(view);
  return Status::kOk;
}

}  // namespace

bool CheckReserved(std::uint64_t record, std::uint32_t begin, std::uint32_t end, Checker* check) {
  for (std::uint64_t at = record + begin; at < record + end; at += sizeof(std::uint32_t)) {
    const auto word = check->view.Load<std::uint32_t>(at);
    if (word != 0) return check->Fail(Status::kReservedNotZero, at, word, 0);
  }
  return true;
}

void View::LoadOperands(const LayerRecord& layer, bool last, Operands* to) const {
  *to = {};
  to->logits = last;
  const auto copy = [&](std::uint16_t index, TensorRecord* tensor) {
    std::memcpy(tensor, data + tensor_offset(index), sizeof(TensorRecord));
  };
  copy(layer.input, &to->input);
  if (layer.input2 != kNoTensor) copy(layer.input2, &to->input2);
  if (!last) return copy(layer.output, &to->output);
  to->output.height = output_height();
  to->output.width = output_width();
  to->output.channels = layer.output_channels;
}

bool Checker::Refuse(Status status) {
  diagnostic.status = status;
  return false;
}
bool Checker::Say(Status status, std::uint64_t offset, std::uint64_t found,
                  std::uint64_t expected) {
  diagnostic = {.status = status,
                .offset = offset,
                .layer = layer,
                .tensor = tensor,
                .found = found,
                .expected = expected};
  return false;
}
bool Checker::SayOfLayer(Status status, std::size_t field, std::uint64_t found,
                         std::uint64_t expected) {
  const std::uint64_t at = view.layer_offset(static_cast<std::uint32_t>(layer));
  return Say(status, at + field, found, expected);
}
bool Checker::SayOfTensor(Status status, std::uint32_t index, std::size_t field,
                          std::uint64_t found, std::uint64_t expected) {
  tensor = static_cast<std::int32_t>(index);
  return Say(status, view.tensor_offset(index) + field, found, expected);
}
bool Checker::SayOfModel(Status status, std::size_t field, std::uint64_t found,
                         std::uint64_t expected) {
  const std::uint64_t record = SectionRecordOffset(view, SectionId::kModel);
  return Say(status, view.Load<SectionRecord>(record).offset + field, found, expected);
}
bool Checker::SayOfSection(Status status, SectionId id, std::size_t field, std::uint64_t found,
                           std::uint64_t expected) {
  return Say(status, SectionRecordOffset(view, id) + field, found, expected);
}

Status Open(std::span<const std::byte> bytes, View* view, Diagnostic* diagnostic) {
  *view = {};
  view->data = bytes.data();
  view->file_bytes = bytes.size();
  Checker check{*view};
  bool ok = CheckHeader(&check);
  if (ok && reinterpret_cast<std::uintptr_t>(bytes.data()) % kFileAlignment != 0) {
    ok = check.Fail(Status::kMisalignedFile, 0,
                    reinterpret_cast<std::uintptr_t>(bytes.data()) % kFileAlignment, 0);
  }
  ok = ok && CheckFile(view, &check);
  return Finish(ok, check, view, diagnostic);
}

Status OpenStreamed(const Source& source, std::span<std::byte> resident,
                    std::span<std::byte> scratch, View* view, Diagnostic* diagnostic) {
  *view = {};
  view->data = scratch.data();  // until the header is right
  view->file_bytes = source.bytes;
  view->read_context = source.context;
  view->read = source.read;
  Stream stream{view, resident, scratch};
  Checker check{*view};
  check.stream = &stream;
  const bool ok = FetchHeader(&check) && CheckHeader(&check) && EnterResident(&check) &&
                  CheckFile(view, &check);
  return Finish(ok, check, view, diagnostic);
}

void Reopen(std::span<const std::byte> bytes, View* opened) {
  View& view = *opened;
  view = {};
  view.data = bytes.data();
  view.file_bytes = bytes.size();
  const auto header = view.Load<FileHeader>(0);
  SectionView model;
  SectionView* const sections[] = {
      &model,         &view.tensors, &view.layers, &view.input_table, &view.parameters,
      &view.metadata, &view.outputs, &view.ranges, &view.abstain,     &view.moments};
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    const auto section = view.Load<SectionRecord>(SectionOffset(i));
    if (section.id <= kLastSection) {
      *sections[section.id - 1] = {section.offset, section.bytes};
    }
  }
  view.model = view.Load<ModelRecord>(model.offset);
  if (view.head() == Head::kSoftmax || view.head() == Head::kSigmoid) view.outputs = {};
  if (!HasRanges(view.head())) view.ranges = {};
  AddFacts(&view);
}

View Reopen(std::span<const std::byte> bytes) {
  View view;
  Reopen(bytes, &view);
  return view;
}

}  // namespace mu8::format
