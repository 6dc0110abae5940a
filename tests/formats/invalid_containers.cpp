// Invalid files, part one: what the header, the section table, checksums and padding rule out.
#include <algorithm>
#include <span>
#include <string_view>

#include "tests/formats/invalid_files.h"
#include "tests/support/model_builder.h"

namespace mu8::testing {
namespace {

using format::FileHeader;
using format::Section;
using format::SectionId;
using format::SectionRecord;

std::vector<std::byte> Tiny() { return format::Write(TinyModel(2).content); }

// The sections of a file, to be assembled anew.
std::vector<Section> Sections(const std::vector<std::byte>& file) {
  Editor editor(file);
  std::vector<Section> sections;
  for (std::uint32_t id = 1; id <= 6; ++id) {
    const SectionRecord record = editor.Section(static_cast<SectionId>(id));
    const auto begin = file.begin() + static_cast<std::ptrdiff_t>(record.offset);
    sections.push_back(
        {id, record.flags, {begin, begin + static_cast<std::ptrdiff_t>(record.bytes)}});
  }
  return sections;
}

std::vector<std::byte> Text(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

void AddHeaders(std::vector<InvalidFile>* files) {
  const std::vector<std::byte> tiny = Tiny();
  const auto add = [&](Status status, const char* name, std::vector<std::byte> bytes) {
    files->push_back({status, name, std::move(bytes)});
  };
  add(Status::kTruncated, "header", {tiny.begin(), tiny.begin() + 40});
  add(Status::kTruncated, "empty", {});
  add(Status::kTruncated, "last_section", {tiny.begin(), tiny.end() - 64});
  add(Status::kBadMagic, "bad_magic",
      Editor(tiny).Header([](FileHeader* header) { header->magic[0] = 0x92; }).Repaired());
  add(Status::kBadMagic, "text_mode_transfer",
      Editor(tiny)
          .Header([](FileHeader* header) {
            header->magic[4] = '\n';  // CR LF became LF
          })
          .Repaired());
  add(Status::kGitLfsPointer, "git_lfs_pointer",
      Text("version https://git-lfs.github.com/spec/v1\n"
           "oid sha256:0000000000000000000000000000000000000000000000000000000000000000\n"
           "size 1792\n"));
  add(Status::kBadEndianMark, "big_endian",
      Editor(tiny).Header([](FileHeader* header) { header->endian_mark = 0x04030201; }).Repaired());
  add(Status::kUnsupportedVersion, "next_major_version",
      Editor(tiny).Header([](FileHeader* header) { ++header->version_major; }).Repaired());
  std::vector<std::byte> longer = tiny;
  longer.resize(longer.size() + 64);
  add(Status::kFileSize, "bytes_behind_the_end", longer);
  add(Status::kFileSize, "bytes_behind_the_last_section",
      Editor(longer).Header([](FileHeader* header) { header->file_bytes += 64; }).Repaired());
  Editor damaged(tiny);
  damaged.Header([](FileHeader* header) { header->header_crc ^= 1; });
  add(Status::kHeaderChecksum, "header_checksum", damaged.bytes());
  add(Status::kReservedNotZero, "header",
      Editor(tiny).Header([](FileHeader* header) { header->reserved[7] = 1; }).Repaired());
  for (const std::uint32_t count : {0U, 17U}) {
    add(Status::kSectionCount, count == 0 ? "no_sections" : "too_many_sections",
        Editor(tiny).Header([&](FileHeader* header) { header->section_count = count; }).Repaired());
  }
}

// A header alone, whose table would lie behind the end.
std::vector<std::byte> HeaderAlone() {
  std::vector<std::byte> file = Tiny();
  file.resize(sizeof(FileHeader));
  return Editor(std::move(file))
      .Header([](FileHeader* header) {
        header->file_bytes = sizeof(FileHeader);
        header->section_count = 1;
      })
      .Repaired();
}

void AddTables(std::vector<InvalidFile>* files) {
  const std::vector<std::byte> tiny = Tiny();
  const auto add = [&](Status status, const char* name, std::vector<std::byte> bytes) {
    files->push_back({status, name, std::move(bytes)});
  };
  add(Status::kSectionCount, "table_behind_the_end", HeaderAlone());
  add(Status::kReservedNotZero, "section_flags",
      Editor(tiny)
          .SectionTable(SectionId::kLayers, [](SectionRecord* section) { section->flags |= 2; })
          .Repaired());
  add(Status::kReservedNotZero, "section_reserved",
      Editor(tiny)
          .SectionTable(SectionId::kLayers, [](SectionRecord* section) { section->reserved = 1; })
          .Repaired());
  std::vector<Section> sections = Sections(tiny);
  std::swap(sections[1], sections[2]);
  add(Status::kSectionOrder, "swapped_sections", format::Assemble(sections));
  sections = Sections(tiny);
  sections.insert(sections.begin() + 1, sections[1]);
  add(Status::kSectionOrder, "repeated_section", format::Assemble(sections));
  // The last section moves by 64 bytes and leaves a hole.
  std::vector<std::byte> hole = tiny;
  const SectionRecord last = Editor(tiny).Section(SectionId::kMetadata);
  hole.insert(hole.begin() + static_cast<std::ptrdiff_t>(last.offset), 64, std::byte{0});
  add(Status::kSectionLayout, "hole",
      Editor(hole)
          .Header([](FileHeader* header) { header->file_bytes += 64; })
          .SectionTable(SectionId::kMetadata, [](SectionRecord* section) { section->offset += 64; })
          .Repaired());
  add(Status::kSectionLayout, "overlap",
      Editor(tiny)
          .SectionTable(SectionId::kMetadata, [](SectionRecord* section) { section->offset -= 64; })
          .Repaired());
  add(Status::kSectionLayout, "past_the_end",
      Editor(tiny)
          .SectionTable(SectionId::kMetadata,
                        [&](SectionRecord* section) { section->bytes = tiny.size(); })
          .Repaired());
  for (const std::uint32_t missing : {1U, 4U, 6U}) {
    sections = Sections(tiny);
    sections.erase(sections.begin() + static_cast<std::ptrdiff_t>(missing - 1));
    add(Status::kSectionMissing,
        missing == 1   ? "no_model"
        : missing == 4 ? "no_input_table"
                       : "no_metadata",
        format::Assemble(sections));
  }
  sections = Sections(tiny);
  sections.push_back({7, format::kSectionRequired, Text("a later version's")});
  add(Status::kSectionUnknown, "unknown_required_section", format::Assemble(sections));
}

void AddContents(std::vector<InvalidFile>* files) {
  const std::vector<std::byte> tiny = Tiny();
  const auto add = [&](Status status, const char* name, std::vector<std::byte> bytes) {
    files->push_back({status, name, std::move(bytes)});
  };
  Editor editor(tiny);
  const SectionRecord parameters = editor.Section(SectionId::kParameters);
  std::vector<std::byte> damaged = tiny;
  damaged[parameters.offset + parameters.bytes / 2] ^= std::byte{4};
  add(Status::kSectionChecksum, "one_flipped_bit", damaged);
  const SectionRecord tensors = editor.Section(SectionId::kTensors);
  damaged = tiny;
  damaged[tensors.offset + tensors.bytes] = std::byte{1};
  add(Status::kPaddingNotZero, "between_sections", damaged);
  damaged = tiny;
  damaged.back() = std::byte{1};
  add(Status::kPaddingNotZero, "behind_the_last_section", damaged);
  struct Resize {
    SectionId id;
    const char* name;
    std::ptrdiff_t by;
  };
  for (const Resize& resize : {Resize{SectionId::kModel, "short_model", -4},
                               Resize{SectionId::kTensors, "torn_tensor", -1},
                               Resize{SectionId::kLayers, "torn_layer", 64},
                               Resize{SectionId::kInputTable, "short_input_table", -1},
                               Resize{SectionId::kInputTable, "long_input_table", 256}}) {
    std::vector<Section> sections = Sections(tiny);
    std::vector<std::byte>& bytes = sections[static_cast<std::size_t>(resize.id) - 1].bytes;
    bytes.resize(static_cast<std::size_t>(static_cast<std::ptrdiff_t>(bytes.size()) + resize.by));
    add(Status::kSectionSize, resize.name, format::Assemble(sections));
  }
}

}  // namespace

std::vector<InvalidFile> InvalidContainers() {
  std::vector<InvalidFile> files;
  AddHeaders(&files);
  AddTables(&files);
  AddContents(&files);
  return files;
}

}  // namespace mu8::testing
