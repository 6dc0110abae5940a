// Model: a validated file and the few facts about it that callers ask for.
#include "engine/src/float_state.h"
#include "engine/src/model_view.h"
#include "mu8/mu8.h"

namespace mu8 {
namespace {

// Files have at most 2^31 bytes.
std::uint32_t Place(const format::SectionView& section) {
  return static_cast<std::uint32_t>(section.offset);
}

// Of the section table.
std::uint32_t ParametersCrc(const format::View& view) {
  std::uint64_t at = sizeof(format::FileHeader);
  auto section = view.Load<format::SectionRecord>(at);
  while (section.id != static_cast<std::uint32_t>(format::SectionId::kParameters)) {
    section = view.Load<format::SectionRecord>(at += sizeof(section));
  }
  return section.crc;
}

}  // namespace

Status Model::Open(std::span<const std::byte> bytes, Model* model, Diagnostic* diagnostic) {
  if (model == nullptr || (bytes.data() == nullptr && !bytes.empty())) {
    if (diagnostic != nullptr) {
      *diagnostic = {.status = Status::kNullPointer, .found = model == nullptr ? 2U : 1U};
    }
    return Status::kNullPointer;
  }
  const FloatState ieee;
  format::View view;
  const Status status = format::Open(bytes, &view, diagnostic);
  if (status != Status::kOk) return status;
  const format::TensorRecord input = view.tensor(0);
  Model opened;
  opened.data_ = bytes.data();
  opened.size_ = bytes.size();
  opened.input_height_ = input.height;
  opened.input_width_ = input.width;
  opened.input_channels_ = input.channels;
  opened.class_count_ = format::OutputChannels(view.model);
  opened.output_height_ = view.output_height();
  opened.output_width_ = view.output_width();
  opened.head_ = static_cast<Head>(view.model.head);
  opened.input_kind_ = static_cast<InputKind>(view.model.input);
  opened.activation_bytes_ = view.model.activation_bytes;
  opened.panel_bytes_ = view.model.panel_bytes;
  opened.output_slots_ = view.output_slots;
  opened.layer_count_ = view.layer_count();
  opened.parameter_bytes_ = static_cast<std::uint32_t>(view.parameters.bytes);
  opened.metadata_bytes_ = static_cast<std::uint32_t>(view.metadata.bytes);
  opened.tensors_at_ = Place(view.tensors);
  opened.layers_at_ = Place(view.layers);
  opened.input_table_at_ = Place(view.input_table);
  opened.parameters_at_ = Place(view.parameters);
  opened.metadata_at_ = Place(view.metadata);
  opened.outputs_at_ = Place(view.outputs);
  opened.ranges_at_ = Place(view.ranges);
  opened.records_hash_ = view.records_hash;
  const auto header = view.Load<format::FileHeader>(0);
  opened.header_crc_ = header.header_crc;
  opened.version_major_ = header.version_major;
  opened.version_minor_ = header.version_minor;
  opened.hash_ = std::uint64_t{ParametersCrc(view)} << 32 | header.header_crc;
  opened.abstain_at_ = Place(view.abstain);
  if (view.has_abstain()) {
    opened.abstain_measure_ = static_cast<AbstainMeasure>(view.abstain_record().measure);
  }
  *model = opened;
  return Status::kOk;
}

format::View ViewOf(const Model& model) {
  const std::uint64_t layers = model.layer_count_;
  format::View view{.data = model.data_,
                    .file_bytes = model.size_,
                    .tensors = {model.tensors_at_, layers * sizeof(format::TensorRecord)},
                    .layers = {model.layers_at_, layers * sizeof(format::LayerRecord)},
                    .input_table = {model.input_table_at_, 0},
                    .parameters = {model.parameters_at_, model.parameter_bytes_},
                    .metadata = {model.metadata_at_, model.metadata_bytes_},
                    .outputs = {model.outputs_at_, 0},
                    .ranges = {model.ranges_at_, 0},
                    .abstain = {model.abstain_at_, 0}};
  const bool gaussian = model.head_ == Head::kGaussian;
  view.model.class_count = gaussian ? 2 * model.class_count_ : model.class_count_;
  view.model.panel_bytes = model.panel_bytes_;
  view.model.activation_bytes = model.activation_bytes_;
  view.model.head = static_cast<std::uint32_t>(model.head_);
  view.model.input = static_cast<std::uint32_t>(model.input_kind_);
  view.model.output_height = model.output_height_;
  view.model.output_width = model.output_width_;
  view.output_slots = model.output_slots_;
  view.input_height = model.input_height_;
  view.input_width = model.input_width_;
  view.input_channels = model.input_channels_;
  view.records_hash = model.records_hash_;
  return view;
}

std::string_view Model::Metadata(std::string_view key) const {
  if (data_ == nullptr) return {};
  std::string_view value;
  const format::View view = ViewOf(*this);
  return format::FindMetadata(view, key, &value) ? value : std::string_view{};
}

bool Model::OutputRange(std::uint32_t output, float* low, float* high) const {
  if (data_ == nullptr || output >= class_count_) return false;
  const format::View view = ViewOf(*this);
  if (!view.has_ranges()) return false;
  const format::OutputRange range = view.range(output);
  *low = range.low;
  *high = range.high;
  return true;
}

bool Model::AbstainThreshold(std::uint32_t output, float* threshold) const {
  if (abstain_measure_ == AbstainMeasure::kNone || output >= class_count_) return false;
  const auto measure = static_cast<format::AbstainMeasure>(abstain_measure_);
  const bool by_output = format::AbstainThresholds(measure, 2) > 1;
  *threshold = ViewOf(*this).abstain_threshold(by_output ? output : 0);
  return true;
}

std::uint32_t Model::abstain_samples() const {
  if (abstain_measure_ == AbstainMeasure::kNone) return 0;
  return ViewOf(*this).abstain_record().mc_samples;
}

std::string_view Model::label(std::uint32_t class_index) const {
  return format::Line(Metadata("labels"), class_index);
}

}  // namespace mu8
