// Model: a validated file and the few facts about it that callers ask for.
#include "engine/src/float_state.h"
#include "engine/src/model_view.h"
#include "formats/crc32c.h"
#include "mu8/config.h"
#include "mu8/mu8.h"

namespace mu8 {
namespace {

// Of the section table.
std::uint32_t ParametersCrc(const format::View& view) {
  std::uint64_t at = sizeof(format::FileHeader);
  auto section = view.Load<format::SectionRecord>(at);
  while (section.id != static_cast<std::uint32_t>(format::SectionId::kParameters)) {
    section = view.Load<format::SectionRecord>(at += sizeof(section));
  }
  return section.crc;
}

// Whether this build has what runs a layer.
bool IsBuilt(const format::LayerRecord& layer) {
  using format::OpCode;
  switch (static_cast<OpCode>(layer.op)) {
    case OpCode::kConv2d:
      return config::kDepthwise || (layer.flags & format::kLayerDepthwise) == 0;
    case OpCode::kDense:
      return true;
    case OpCode::kMaxPool:
      return config::kMaxPool;
    case OpCode::kAveragePool:
      return config::kAveragePool;
    case OpCode::kLookup:
      return config::kLookup;
    case OpCode::kAdd:
      return config::kAdd;
    case OpCode::kMultiply:
      return config::kMultiply;
    case OpCode::kSlice:
      return config::kSlice;
    case OpCode::kConcat:
      return config::kConcat;
    case OpCode::kGather:
      return config::kGather;
    case OpCode::kMaximum:
    case OpCode::kMinimum:
      return config::kExtremum;
    case OpCode::kConstant:
      return config::kConstant;
  }
  return false;
}

bool IsBuilt(Head head) {
  constexpr bool kHeads[] = {config::kSoftmax, config::kSigmoid, config::kValues, config::kGaussian,
                             config::kReconstruction};
  return kHeads[static_cast<std::uint32_t>(head)];
}

// Whether this build draws a layer's weights.
bool IsDrawn(const format::LayerRecord& layer) {
  if ((layer.flags & format::kLayerBayesian) == 0) return true;
  switch (layer.sigma_bits) {
    case 8:
      return config::kSigma8;
    case 4:
      return config::kSigma4;
    case 2:
      return config::kSigma2;
    case 1:
      return config::kSigma1;
    default:
      return true;
  }
}

Status Refuse(Diagnostic* diagnostic, const Diagnostic& reason) {
  if (diagnostic != nullptr) *diagnostic = reason;
  return reason.status;
}

// Of a file that is known to be valid: whether this build can run it (config.h).
Status CheckBuilt(const format::View& view, Diagnostic* diagnostic) {
  for (std::uint32_t i = 0; i < view.layer_count(); ++i) {
    const format::LayerRecord layer = view.layer(i);
    const auto refuse = [&](std::size_t field, std::uint32_t found) {
      return Refuse(diagnostic, {.status = Status::kOperatorMissing,
                                 .offset = view.layer_offset(i) + field,
                                 .layer = static_cast<std::int32_t>(i),
                                 .found = found});
    };
    if (!IsBuilt(layer)) return refuse(offsetof(format::LayerRecord, op), layer.op);
    if (!IsDrawn(layer)) return refuse(offsetof(format::LayerRecord, sigma_bits), layer.sigma_bits);
    if (!config::kMeanCodes && layer.mu_bits != 0 && layer.mu_bits != 8) {
      return refuse(offsetof(format::LayerRecord, mu_bits), layer.mu_bits);
    }
  }
  if (IsBuilt(static_cast<Head>(view.model.head))) return Status::kOk;
  return Refuse(diagnostic, {.status = Status::kOperatorMissing, .found = view.model.head});
}

Status CheckPointers(std::span<const std::byte> bytes, const Model* model, Diagnostic* diagnostic) {
  if (model != nullptr && (bytes.data() != nullptr || bytes.empty())) return Status::kOk;
  return Refuse(diagnostic, {.status = Status::kNullPointer, .found = model == nullptr ? 2U : 1U});
}

}  // namespace

void Model::Take(const format::View& view) {
  const format::TensorRecord input = view.tensor(0);
  data_ = view.data;
  size_ = static_cast<std::size_t>(view.file_bytes);
  source_ = view.is_streamed() ? *view.source : Source{};
  staging_bytes_ = view.staging_bytes;
  input_height_ = input.height;
  input_width_ = input.width;
  input_channels_ = input.channels;
  class_count_ = format::OutputChannels(view.model);
  output_height_ = view.output_height();
  output_width_ = view.output_width();
  head_ = static_cast<Head>(view.model.head);
  input_kind_ = static_cast<InputKind>(view.model.input);
  activation_bytes_ = view.model.activation_bytes;
  panel_bytes_ = view.model.panel_bytes;
  output_slots_ = view.output_slots;
  layer_count_ = view.layer_count();
  parameter_bytes_ = view.parameters.bytes;
  metadata_bytes_ = view.metadata.bytes;
  tensors_at_ = view.tensors.offset;
  layers_at_ = view.layers.offset;
  input_table_at_ = view.input_table.offset;
  parameters_at_ = view.parameters.offset;
  metadata_at_ = view.metadata.offset;
  outputs_at_ = view.outputs.offset;
  ranges_at_ = view.ranges.offset;
  records_hash_ = view.records_hash;
  const auto header = view.Load<format::FileHeader>(0);
  header_crc_ = header.header_crc;
  version_major_ = header.version_major;
  version_minor_ = header.version_minor;
  hash_ = std::uint64_t{ParametersCrc(view)} << 32 | header.header_crc;
  abstain_at_ = view.abstain.offset;
  moments_at_ = view.moments.offset;
  abstain_measure_ = view.has_abstain() ? static_cast<AbstainMeasure>(view.abstain_record().measure)
                                        : AbstainMeasure::kNone;
}

Status Model::Open(std::span<const std::byte> bytes, Model* model, Diagnostic* diagnostic) {
  Status status = CheckPointers(bytes, model, diagnostic);
  if (status != Status::kOk) return status;
  const FloatState ieee;
  format::View view;
  status = format::Open(bytes, &view, diagnostic);
  if (status == Status::kOk) status = CheckBuilt(view, diagnostic);
  if (status == Status::kOk) model->Take(view);
  return status;
}

Status Model::OpenStreamed(const Source& source, std::span<std::byte> resident,
                           std::span<std::byte> scratch, Model* model, Diagnostic* diagnostic) {
  if constexpr (!config::kStreamed) {
    return Refuse(diagnostic, {.status = Status::kBadOption, .option = Option::kStreamed});
  }
  const bool no_resident = resident.data() == nullptr && !resident.empty();
  const bool no_scratch = scratch.data() == nullptr && !scratch.empty();
  const std::uint64_t null = source.read == nullptr ? 1
                             : no_resident          ? 2
                             : no_scratch           ? 3
                             : model == nullptr     ? 4
                                                    : 0;
  if (null != 0) return Refuse(diagnostic, {.status = Status::kNullPointer, .found = null});
  const FloatState ieee;
  format::View view;
  Status status = format::OpenStreamed(&source, resident, scratch, &view, diagnostic);
  if (status == Status::kOk) status = CheckBuilt(view, diagnostic);
  if (status == Status::kOk) model->Take(view);
  return status;
}

std::uint32_t Model::TrustedHash(std::span<const std::byte> bytes) {
  return format::Crc32c(bytes.data(), bytes.size());
}

Status Model::OpenTrusted(std::span<const std::byte> bytes, std::uint32_t hash, Model* model,
                          Diagnostic* diagnostic) {
  Status status = CheckPointers(bytes, model, diagnostic);
  if (status != Status::kOk) return status;
  const auto misaligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % format::kFileAlignment;
  if (misaligned != 0) {
    return Refuse(diagnostic, {.status = Status::kMisalignedFile, .found = misaligned});
  }
  if (const std::uint32_t found = TrustedHash(bytes); found != hash || bytes.empty()) {
    return Refuse(diagnostic, {.status = Status::kWrongModel, .found = found, .expected = hash});
  }
  const format::View view = format::Reopen(bytes);
  status = CheckBuilt(view, diagnostic);
  if (status == Status::kOk) model->Take(view);
  return status;
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
                    .abstain = {model.abstain_at_, 0},
                    .moments = {model.moments_at_, 0}};
  if (config::kStreamed && model.is_streamed()) {
    view.source = &model.source_;
    view.skipped_bytes = model.parameter_bytes_;
    view.staging_bytes = model.staging_bytes_;
  }
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
