// Files that Open must reject, one or more for each rule of FORMAT.md, each with the diagnostic
// that it must give. They are made from the small models of tests/support/model_builder.h by
// changing one thing, and committed in tests/data/invalid: the first of status N as N_name.mu8,
// further ones as N_name_case.mu8, with the names of FORMAT.md section 11.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "formats/layout.h"
#include "formats/writer.h"
#include "mu8/status.h"
#include "tests/support/damage.h"

namespace mu8::testing {

struct InvalidFile {
  std::string which;  // the case
  std::vector<std::byte> bytes;
  Diagnostic diagnostic;  // what Open must say
};

// The header, sections and checksums (status 1 to 17).
std::vector<InvalidFile> InvalidContainers();
// Tensors, layers and their graph (20 to 38).
std::vector<InvalidFile> InvalidGraphs();
// Parameters, totals and metadata (37, 39 to 51).
std::vector<InvalidFile> InvalidParameters();
// Inputs, outputs and heads (13, 14, 17, 30, 31, 46, 49, 52 to 57).
std::vector<InvalidFile> InvalidOutputs();

inline std::vector<InvalidFile> AllInvalidFiles() {
  std::vector<InvalidFile> files = InvalidContainers();
  for (auto more : {InvalidGraphs(), InvalidParameters(), InvalidOutputs()}) {
    std::move(more.begin(), more.end(), std::back_inserter(files));
  }
  return files;
}

// A field of a file: where it lies, how wide it is, and what a diagnostic that names it says
// beside.
struct Field {
  std::uint64_t offset;  // from the start of `section`, or of the file
  std::size_t bytes;
  std::optional<format::SectionId> section = {};
  std::int32_t layer = -1;
  std::int32_t tensor = -1;

  // Element `index` of a field that is an array.
  Field Element(std::size_t index) const {
    Field field = *this;
    field.offset += index * bytes;
    return field;
  }
  // Found wrong when a layer was looked at.
  Field InLayer(std::int32_t index) const {
    Field field = *this;
    field.layer = index;
    return field;
  }
};

template <typename T>
struct ElementOf {
  static constexpr std::size_t kBytes = sizeof(T);
};
template <typename T, std::size_t kCount>
struct ElementOf<std::array<T, kCount>> {
  static constexpr std::size_t kBytes = sizeof(T);
};

template <typename Record, typename T>
Field FieldOf(T Record::*member) {
  static const Record record{};
  const auto* begin = reinterpret_cast<const char*>(&record);
  const auto* at = reinterpret_cast<const char*>(&(record.*member));
  return {static_cast<std::uint64_t>(at - begin), ElementOf<T>::kBytes};
}

template <typename T>
Field HeaderField(T format::FileHeader::*member) {
  return FieldOf(member);
}
template <>
inline Field HeaderField(std::array<std::uint8_t, 8> format::FileHeader::*) {
  return {0, 8};  // the magic is one number
}
// Of record `index` of the section table. The writer puts sections 1 to 6 in order.
template <typename T>
Field TableField(std::size_t index, T format::SectionRecord::*member) {
  Field field = FieldOf(member);
  field.offset += sizeof(format::FileHeader) + index * sizeof(format::SectionRecord);
  return field;
}
template <typename T>
Field TableField(format::SectionId id, T format::SectionRecord::*member) {
  return TableField(static_cast<std::size_t>(id) - 1, member);
}
template <typename T>
Field ModelField(T format::ModelRecord::*member) {
  Field field = FieldOf(member);
  field.section = format::SectionId::kModel;
  return field;
}
template <typename T>
Field TensorField(std::int32_t index, T format::TensorRecord::*member) {
  Field field = FieldOf(member);
  field.offset += static_cast<std::uint64_t>(index) * sizeof(format::TensorRecord);
  field.section = format::SectionId::kTensors;
  field.tensor = index;
  return field;
}
template <typename T>
Field LayerField(std::int32_t index, T format::LayerRecord::*member) {
  Field field = FieldOf(member);
  field.offset += static_cast<std::uint64_t>(index) * format::kLayerRecordBytes;
  field.section = format::SectionId::kLayers;
  field.layer = index;
  return field;
}
inline Field MetadataField(std::uint64_t offset, std::size_t bytes) {
  return {offset, bytes, format::SectionId::kMetadata};
}

// A file under change. Fields are edited in place; Repaired() makes the checksums right again.
class Editor {
 public:
  explicit Editor(std::vector<std::byte> file) : file_(std::move(file)) {}

  std::vector<std::byte>& bytes() { return file_; }
  std::vector<std::byte> Repaired() {
    RepairDamaged(file_);
    return file_;
  }

  // Of files whose sections are 1 to 6, in order.
  format::SectionRecord Section(format::SectionId id) const {
    return Load<format::SectionRecord>(TableField(id, &format::SectionRecord::id).offset);
  }
  std::uint64_t OffsetOf(const Field& field) const {
    return field.offset + (field.section ? Section(*field.section).offset : 0);
  }
  // A field's value, as an unsigned number.
  std::uint64_t Value(const Field& field) const {
    const std::uint64_t offset = OffsetOf(field);
    if (offset + field.bytes > file_.size()) std::abort();
    std::uint64_t value = 0;
    std::memcpy(&value, file_.data() + offset, field.bytes);
    return value;
  }
  // `bytes` bytes among a layer's parameters, `offset` from their start.
  Field Parameter(std::int32_t layer, std::uint64_t offset, std::size_t bytes) const {
    const Field start = LayerField(layer, &format::LayerRecord::parameter_offset);
    return {Value(start) + offset, bytes, format::SectionId::kParameters, layer};
  }
  Editor& Set(const Field& field, std::uint64_t value) {
    const std::uint64_t offset = OffsetOf(field);
    if (offset + field.bytes > file_.size()) std::abort();
    std::memcpy(file_.data() + offset, &value, field.bytes);
    return *this;
  }
  Editor& Add(const Field& field, std::int64_t value) {
    return Set(field, Value(field) + static_cast<std::uint64_t>(value));
  }
  template <typename Change>
  Editor& Tensor(std::int32_t index, Change change) {
    return Edit<format::TensorRecord>(OffsetOf(TensorField(index, &format::TensorRecord::height)),
                                      change);
  }
  template <typename Change>
  Editor& Layer(std::int32_t index, Change change) {
    return Edit<format::LayerRecord>(OffsetOf(LayerField(index, &format::LayerRecord::op)), change);
  }

 private:
  template <typename Record>
  Record Load(std::size_t offset) const {
    if (file_.size() < sizeof(Record) || offset > file_.size() - sizeof(Record)) std::abort();
    Record record;
    std::memcpy(&record, file_.data() + offset, sizeof(Record));
    return record;
  }
  template <typename Record, typename Change>
  Editor& Edit(std::size_t offset, Change change) {
    auto record = Load<Record>(offset);
    change(&record);
    std::memcpy(file_.data() + offset, &record, sizeof(Record));
    return *this;
  }

  std::vector<std::byte> file_;
};

// The bits of a float, as fields and diagnostics have them.
inline std::uint64_t Bits(float value) { return std::bit_cast<std::uint32_t>(value); }

inline constexpr std::uint64_t kLeastNormalBits = 0x00800000;
inline constexpr std::uint64_t kMostNormalBits = 0x7f7fffff;

// Collects changed copies of one valid file.
class Collector {
 public:
  Collector(std::vector<std::byte> valid, std::vector<InvalidFile>* files)
      : valid_(std::move(valid)), files_(*files) {}

  Editor Edit() const { return Editor(valid_); }
  const std::vector<std::byte>& valid() const { return valid_; }

  // A file whose `wrong` field Open must name, with its value, or `found` where a number that
  // follows from the field is wrong, and what it should be.
  void Add(Status status, std::string name, std::vector<std::byte> file, const Field& wrong,
           std::uint64_t expected, std::optional<std::uint64_t> found = {}) {
    const Editor editor(file);
    const Diagnostic diagnostic{.status = status,
                                .offset = editor.OffsetOf(wrong),
                                .layer = wrong.layer,
                                .tensor = wrong.tensor,
                                .found = found ? *found : editor.Value(wrong),
                                .expected = expected};
    files_.push_back({std::move(name), std::move(file), diagnostic});
  }
  // The valid file with one field changed. That field is wrong, or `wrong` is.
  void Set(Status status, std::string name, const Field& field, std::uint64_t value,
           std::uint64_t expected) {
    Add(status, std::move(name), Edit().Set(field, value).Repaired(), field, expected);
  }
  void Set(Status status, std::string name, const Field& field, std::uint64_t value,
           const Field& wrong, std::uint64_t expected, std::optional<std::uint64_t> found = {}) {
    Add(status, std::move(name), Edit().Set(field, value).Repaired(), wrong, expected, found);
  }

 private:
  std::vector<std::byte> valid_;
  std::vector<InvalidFile>& files_;
};

}  // namespace mu8::testing
