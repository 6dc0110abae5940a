// Invalid files, part one: what the header, the section table, checksums and padding rule out.
#include <algorithm>
#include <span>
#include <string_view>

#include "formats/crc32c.h"
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

// The place where a file ends too early.
Field EndOf(const std::vector<std::byte>& file) { return {file.size(), 0}; }

void AddTruncated(std::vector<InvalidFile>* files) {
  Collector tiny(Tiny(), files);
  const auto cut = [&](const char* name, std::size_t size, std::uint64_t expected) {
    std::vector<std::byte> file(tiny.valid());
    file.resize(size);
    tiny.Add(Status::kTruncated, name, file, EndOf(file), expected, size);
  };
  cut("header", 40, sizeof(FileHeader));
  cut("empty", 0, sizeof(FileHeader));
  cut("last_section", tiny.valid().size() - 64, tiny.valid().size());
}

void AddHeaders(std::vector<InvalidFile>* files) {
  Collector tiny(Tiny(), files);
  const std::uint64_t magic = Editor(tiny.valid()).Value(HeaderField(&FileHeader::magic));
  tiny.Add(Status::kBadMagic, "bad_magic", tiny.Edit().Set({0, 1}, 0x92).Repaired(),
           HeaderField(&FileHeader::magic), magic);
  // CR LF became LF.
  tiny.Add(Status::kBadMagic, "text_mode_transfer", tiny.Edit().Set({4, 1}, '\n').Repaired(),
           HeaderField(&FileHeader::magic), magic);
  tiny.Add(Status::kGitLfsPointer, "git_lfs_pointer",
           Text("version https://git-lfs.github.com/spec/v1\n"
                "oid sha256:0000000000000000000000000000000000000000000000000000000000000000\n"
                "size 1792\n"),
           HeaderField(&FileHeader::magic), magic);
  tiny.Set(Status::kBadEndianMark, "big_endian", HeaderField(&FileHeader::endian_mark), 0x04030201,
           0x01020304);
  tiny.Set(Status::kUnsupportedVersion, "next_major_version",
           HeaderField(&FileHeader::version_major), 2, 1);
  const Field file_bytes = HeaderField(&FileHeader::file_bytes);
  const std::size_t size = tiny.valid().size();
  std::vector<std::byte> longer = tiny.valid();
  longer.resize(size + 64);
  tiny.Add(Status::kFileSize, "bytes_behind_the_end", longer, file_bytes, size + 64);
  tiny.Add(Status::kFileSize, "bytes_behind_the_last_section",
           Editor(longer).Add(file_bytes, 64).Repaired(), file_bytes, size);
  const Field crc = HeaderField(&FileHeader::header_crc);
  const std::uint64_t right = Editor(tiny.valid()).Value(crc);
  Editor damaged(tiny.valid());
  damaged.Set(crc, right ^ 1);
  tiny.Add(Status::kHeaderChecksum, "header_checksum", damaged.bytes(), crc, right);
  tiny.Set(Status::kReservedNotZero, "header", HeaderField(&FileHeader::reserved).Element(7), 1, 0);
  const Field section_count = HeaderField(&FileHeader::section_count);
  tiny.Set(Status::kSectionCount, "no_sections", section_count, 0, 1);
  tiny.Set(Status::kSectionCount, "too_many_sections", section_count, 17, 16);
}

// A header alone, whose table would lie behind the end.
std::vector<std::byte> HeaderAlone() {
  std::vector<std::byte> file = Tiny();
  file.resize(sizeof(FileHeader));
  return Editor(std::move(file))
      .Set(HeaderField(&FileHeader::file_bytes), sizeof(FileHeader))
      .Set(HeaderField(&FileHeader::section_count), 1)
      .Repaired();
}

void AddTables(std::vector<InvalidFile>* files) {
  Collector tiny(Tiny(), files);
  tiny.Add(Status::kSectionCount, "table_behind_the_end", HeaderAlone(),
           HeaderField(&FileHeader::section_count), 0);
  tiny.Set(Status::kReservedNotZero, "section_flags",
           TableField(SectionId::kLayers, &SectionRecord::flags), 3, 1);
  tiny.Set(Status::kReservedNotZero, "section_reserved",
           TableField(SectionId::kLayers, &SectionRecord::reserved), 1, 0);
  std::vector<Section> sections = Sections(tiny.valid());
  std::swap(sections[1], sections[2]);
  // 1, 3, 2 and 1, 2, 2: the third record is too low.
  tiny.Add(Status::kSectionOrder, "swapped_sections", format::Assemble(sections),
           TableField(2, &SectionRecord::id), 4);
  sections = Sections(tiny.valid());
  sections.insert(sections.begin() + 1, sections[1]);
  tiny.Add(Status::kSectionOrder, "repeated_section", format::Assemble(sections),
           TableField(2, &SectionRecord::id), 3);
}

void AddPlaces(std::vector<InvalidFile>* files) {
  Collector tiny(Tiny(), files);
  const std::size_t size = tiny.valid().size();
  const SectionRecord last = tiny.Edit().Section(SectionId::kMetadata);
  const Field offset = TableField(SectionId::kMetadata, &SectionRecord::offset);
  // The last section moves by 64 bytes and leaves a hole.
  std::vector<std::byte> hole = tiny.valid();
  hole.insert(hole.begin() + static_cast<std::ptrdiff_t>(last.offset), 64, std::byte{0});
  tiny.Add(Status::kSectionLayout, "hole",
           Editor(hole).Add(HeaderField(&FileHeader::file_bytes), 64).Add(offset, 64).Repaired(),
           offset, last.offset);
  tiny.Set(Status::kSectionLayout, "overlap", offset, last.offset - 64, last.offset);
  tiny.Set(Status::kSectionLayout, "past_the_end",
           TableField(SectionId::kMetadata, &SectionRecord::bytes), size, size - last.offset);
  const auto without = [&](std::uint32_t id) {
    std::vector<Section> sections = Sections(tiny.valid());
    sections.erase(sections.begin() + static_cast<std::ptrdiff_t>(id - 1));
    return format::Assemble(sections);
  };
  // Where the record of the missing section would be.
  tiny.Add(Status::kSectionMissing, "no_model", without(1), TableField(0, &SectionRecord::id), 1);
  tiny.Add(Status::kSectionMissing, "no_input_table", without(4), TableField(3, &SectionRecord::id),
           4);
  tiny.Add(Status::kSectionMissing, "no_metadata", without(6), TableField(5, &SectionRecord::id),
           6);
  std::vector<Section> sections = Sections(tiny.valid());
  sections.push_back({7, format::kSectionRequired, Text("a later version's")});
  tiny.Add(Status::kSectionUnknown, "unknown_required_section", format::Assemble(sections),
           TableField(6, &SectionRecord::id), 6);
}

void AddContents(std::vector<InvalidFile>* files) {
  Collector tiny(Tiny(), files);
  const SectionRecord parameters = tiny.Edit().Section(SectionId::kParameters);
  std::vector<std::byte> damaged = tiny.valid();
  damaged[parameters.offset + parameters.bytes / 2] ^= std::byte{4};
  tiny.Add(Status::kSectionChecksum, "one_flipped_bit", damaged,
           TableField(SectionId::kParameters, &SectionRecord::crc),
           format::Crc32c(damaged.data() + parameters.offset, parameters.bytes));
  const SectionRecord tensors = tiny.Edit().Section(SectionId::kTensors);
  damaged = tiny.valid();
  damaged[tensors.offset + tensors.bytes] = std::byte{1};
  tiny.Add(Status::kPaddingNotZero, "between_sections", damaged,
           {tensors.offset + tensors.bytes, 1}, 0);
  damaged = tiny.valid();
  damaged.back() = std::byte{1};
  tiny.Add(Status::kPaddingNotZero, "behind_the_last_section", damaged, {damaged.size() - 1, 1}, 0);
  const auto resize = [&](const char* name, SectionId id, std::size_t bytes,
                          std::uint64_t expected) {
    std::vector<Section> sections = Sections(tiny.valid());
    sections[static_cast<std::size_t>(id) - 1].bytes.resize(bytes);
    tiny.Add(Status::kSectionSize, name, format::Assemble(sections),
             TableField(id, &SectionRecord::bytes), expected);
  };
  // Two tensors of 48 bytes, two layers of 128, one input channel.
  resize("short_model", SectionId::kModel, 60, 64);
  resize("torn_tensor", SectionId::kTensors, 95, 48);
  resize("torn_layer", SectionId::kLayers, 320, 256);
  resize("short_input_table", SectionId::kInputTable, 255, 256);
  resize("long_input_table", SectionId::kInputTable, 512, 256);
}

}  // namespace

std::vector<InvalidFile> InvalidContainers() {
  std::vector<InvalidFile> files;
  AddTruncated(&files);
  AddHeaders(&files);
  AddTables(&files);
  AddPlaces(&files);
  AddContents(&files);
  return files;
}

}  // namespace mu8::testing
