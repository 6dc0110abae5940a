#include "formats/writer.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "formats/arena.h"
#include "formats/crc32c.h"

namespace mu8::format {
namespace {

template <typename T>
void Append(std::span<const T> values, std::vector<std::byte>* out) {
  const std::span<const std::byte> bytes = std::as_bytes(values);
  out->insert(out->end(), bytes.begin(), bytes.end());
}

template <typename T>
void AppendValue(T value, std::vector<std::byte>* out) {
  Append(std::span<const T>(&value, 1), out);
}

Section MakeSection(SectionId id, std::vector<std::byte> bytes) {
  return {static_cast<std::uint32_t>(id), kSectionRequired, std::move(bytes)};
}

// A record, and zeros up to its size in the file.
template <typename Record>
void AppendRecord(const Record& record, std::size_t bytes, std::vector<std::byte>* out) {
  AppendValue(record, out);
  out->resize(out->size() + bytes - sizeof(record));
}

template <typename T>
Section MakeSection(SectionId id, const std::vector<T>& values) {
  std::vector<std::byte> bytes;
  Append(std::span<const T>(values), &bytes);
  return MakeSection(id, std::move(bytes));
}

std::vector<std::byte> MetadataBytes(const std::map<std::string, std::string>& metadata) {
  std::vector<std::byte> bytes;
  AppendValue(static_cast<std::uint32_t>(metadata.size()), &bytes);
  for (const auto& [key, value] : metadata) {
    AppendValue(static_cast<std::uint16_t>(key.size()), &bytes);
    AppendValue(std::uint16_t{0}, &bytes);
    AppendValue(static_cast<std::uint32_t>(value.size()), &bytes);
    Append(std::span<const char>(key), &bytes);
    Append(std::span<const char>(value), &bytes);
  }
  return bytes;
}

// Section 7; empty where there is none.
std::vector<std::byte> OutputsBytes(const FileContent& content) {
  std::vector<std::byte> bytes;
  const OutputParameters& outputs = content.outputs;
  switch (content.head) {
    case Head::kSoftmax:
    case Head::kSigmoid:
      break;
    case Head::kValues:
      Append(std::span<const float>(outputs.noise_variance), &bytes);
      break;
    case Head::kGaussian:
      AppendValue(outputs.scale_form, &bytes);
      AppendValue(std::uint32_t{0}, &bytes);
      Append(std::span<const ScaleBounds>(outputs.scale_bounds), &bytes);
      break;
    case Head::kReconstruction:
      AppendValue(outputs.error_unit, &bytes);
      AppendValue(std::uint32_t{0}, &bytes);
      Append(std::span<const Affine>(outputs.targets), &bytes);
      break;
  }
  return bytes;
}

ModelRecord Totals(const FileContent& content) {
  ModelRecord model{};
  const LayerRecord& last = content.layers.back();
  model.class_count = last.output_channels;
  model.head = static_cast<std::uint32_t>(content.head);
  model.output_height = content.output_height;
  model.output_width = content.output_width;
  model.input = content.input_affine.empty() ? 0 : 1;
  for (const LayerRecord& layer : content.layers) {
    model.panel_bytes =
        std::max(model.panel_bytes, static_cast<std::uint32_t>(PanelScratch(layer)));
  }
  for (const TensorRecord& tensor : content.tensors) {
    model.activation_bytes =
        std::max(model.activation_bytes, std::uint64_t{tensor.offset} + tensor.bytes);
  }
  const bool stored_noise =
      content.head == Head::kValues && !content.outputs.noise_variance.empty();
  model.arena_bytes =
      SumOfParts(MakeArenaSizes(model, MakePanelLayout(last).padded_channels, 1, 0, stored_noise));
  return model;
}

template <typename Record>
void Store(const Record& record, std::uint64_t offset, std::vector<std::byte>* file) {
  std::memcpy(file->data() + offset, &record, sizeof(Record));
}
template <typename Record>
Record Load(const std::vector<std::byte>& file, std::uint64_t offset) {
  Record record;
  std::memcpy(&record, file.data() + offset, sizeof(Record));
  return record;
}

std::uint64_t TableEntry(std::uint32_t index) {
  return sizeof(FileHeader) + index * sizeof(SectionRecord);
}

}  // namespace

std::vector<std::byte> Write(FileContent content) {
  std::vector<std::uint8_t> parameters;
  for (std::size_t i = 0; i < content.layers.size(); ++i) {
    content.layers[i].parameter_offset = static_cast<std::uint32_t>(parameters.size());
    content.layers[i].parameter_bytes = static_cast<std::uint32_t>(content.parameters[i].size());
    parameters.insert(parameters.end(), content.parameters[i].begin(), content.parameters[i].end());
  }
  std::vector<std::byte> model;
  AppendRecord(Totals(content), kModelRecordBytes, &model);
  std::vector<std::byte> layers;
  for (const LayerRecord& layer : content.layers) AppendRecord(layer, kLayerRecordBytes, &layers);
  const auto any_layer = [&](auto has) {
    return std::any_of(content.layers.begin(), content.layers.end(), has);
  };
  const bool packed = any_layer([](const auto& l) { return l.mu_bits >= 1 && l.mu_bits < 8; });
  const bool by_panel = any_layer([](const auto& l) { return l.mu_bits == kMuBitsByPanel; });
  const bool since_1_4 = !content.outputs.ranges.empty() || any_layer([](const auto& l) {
    return l.op > static_cast<std::uint8_t>(OpCode::kConcat) || (l.flags & kLayerByChannel) != 0;
  });
  const bool since_1_3 =
      content.head != Head::kSoftmax || !content.input_affine.empty() || content.output_height != 0;
  std::vector<Section> sections = {
      MakeSection(SectionId::kModel, std::move(model)),
      MakeSection(SectionId::kTensors, content.tensors),
      MakeSection(SectionId::kLayers, std::move(layers)),
      content.input_affine.empty() ? MakeSection(SectionId::kInputTable, content.input_table)
                                   : MakeSection(SectionId::kInputTable, content.input_affine),
      MakeSection(SectionId::kParameters, parameters),
      MakeSection(SectionId::kMetadata, MetadataBytes(content.metadata))};
  std::vector<std::byte> outputs = OutputsBytes(content);
  if (!outputs.empty()) sections.push_back(MakeSection(SectionId::kOutputs, std::move(outputs)));
  if (!content.outputs.ranges.empty()) {
    sections.push_back(MakeSection(SectionId::kRanges, content.outputs.ranges));
    sections.back().flags = 0;  // readers before 1.4 may skip it
  }
  const bool since_1_5 = !content.outputs.abstain_thresholds.empty();
  if (since_1_5) {
    std::vector<std::byte> bytes;
    AppendValue(content.outputs.abstain, &bytes);
    Append(std::span<const float>(content.outputs.abstain_thresholds), &bytes);
    sections.push_back(MakeSection(SectionId::kAbstain, std::move(bytes)));
    sections.back().flags = 0;  // readers before 1.5 may skip it
  }
  if (!content.outputs.moments.empty()) {
    sections.push_back(MakeSection(SectionId::kMoments, content.outputs.moments));
    sections.back().flags = 0;  // readers before 1.6 may skip it
  }
  return Assemble(sections, !content.outputs.moments.empty() ? kVersionMinor
                            : since_1_5                      ? kAbstainMinor
                            : since_1_4                      ? kTablesMinor
                            : since_1_3                      ? kHeadsMinor
                            : by_panel                       ? kByPanelMinor
                            : packed                         ? kPackedMinor
                                                             : std::uint16_t{0});
}

std::vector<std::byte> Assemble(const std::vector<Section>& sections, std::uint16_t version_minor) {
  const std::uint64_t head = TableEntry(static_cast<std::uint32_t>(sections.size()));
  std::vector<std::byte> file(static_cast<std::size_t>(head));
  const auto align = [&file] {
    file.resize(static_cast<std::size_t>(RoundUp(file.size(), kAlignment)));
  };
  std::vector<SectionRecord> table;
  for (const Section& section : sections) {
    align();
    table.push_back({section.id, section.flags, file.size(), section.bytes.size(), 0, 0});
    file.insert(file.end(), section.bytes.begin(), section.bytes.end());
  }
  align();

  FileHeader header{};
  header.magic = kMagic;
  header.version_major = kVersionMajor;
  header.version_minor = version_minor;
  header.endian_mark = kEndianMark;
  header.file_bytes = file.size();
  header.section_count = static_cast<std::uint32_t>(sections.size());
  Store(header, 0, &file);
  for (std::uint32_t i = 0; i < table.size(); ++i) Store(table[i], TableEntry(i), &file);
  RepairChecksums(&file);
  return file;
}

void RepairChecksums(std::vector<std::byte>* file) {
  auto header = Load<FileHeader>(*file, 0);
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    auto section = Load<SectionRecord>(*file, TableEntry(i));
    section.crc = Crc32c(file->data() + section.offset, static_cast<std::size_t>(section.bytes));
    Store(section, TableEntry(i), file);
  }
  std::uint32_t crc = Crc32c(file->data(), offsetof(FileHeader, header_crc));
  crc =
      Crc32c(file->data() + sizeof(FileHeader), header.section_count * sizeof(SectionRecord), crc);
  header.header_crc = crc;
  Store(header, 0, file);
}

}  // namespace mu8::format
