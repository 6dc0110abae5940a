// Model: a validated file and the few facts about it that callers ask for.
#include <new>

#include "engine/src/float_state.h"
#include "engine/src/model_view.h"
#include "formats/crc32c.h"
#include "mu8/config.h"
#include "mu8/mu8.h"

namespace mu8 {
namespace {

// Of the section table, whose sections are in the order of their ids.
std::uint32_t ParametersCrc(const format::View& view) {
  constexpr auto kParameters = static_cast<std::uint32_t>(format::SectionId::kParameters);
  std::uint32_t at = sizeof(format::FileHeader);
  for (std::uint32_t i = 1; i < kParameters; ++i) {
    if (view.Load<format::SectionRecord>(at).id == kParameters) break;
    at += sizeof(format::SectionRecord);
  }
  return view.Load<format::SectionRecord>(at).crc;
}

// Whether this build has what runs a layer.
bool IsBuilt(const format::LayerRecord& layer) {
  using format::OpCode;
  switch (static_cast<OpCode>(layer.op)) {
    case OpCode::kConv2d:
      return (config::kDepthwise || (layer.flags & format::kLayerDepthwise) == 0) &&
             (config::kResidual || layer.input2 == format::kNoTensor);
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

const format::View& ViewOf(const Model& model) {
  static_assert(sizeof(model.view_) >= sizeof(format::View) &&
                alignof(std::uint64_t) >= alignof(format::View));
  return *reinterpret_cast<const format::View*>(model.view_);
}

format::View& Model::view() { return const_cast<format::View&>(ViewOf(*this)); }

void Model::Take(const format::View& view) {
  new (view_) format::View(view);
  const auto header = view.Load<format::FileHeader>(0);
  version_major_ = header.version_major;
  version_minor_ = header.version_minor;
  hash_ = std::uint64_t{ParametersCrc(view)} << 32 | header.header_crc;
  abstain_measure_ = view.has_abstain() ? static_cast<AbstainMeasure>(view.abstain_record().measure)
                                        : AbstainMeasure::kNone;
}

std::uint32_t Model::input_height() const { return ViewOf(*this).input_height; }
std::uint32_t Model::input_width() const { return ViewOf(*this).input_width; }
std::uint32_t Model::input_channels() const { return ViewOf(*this).input_channels; }
std::size_t Model::input_size() const {
  const format::View& view = ViewOf(*this);
  return std::size_t{view.input_height} * view.input_width * view.input_channels;
}
std::uint32_t Model::class_count() const { return format::OutputChannels(ViewOf(*this).model); }
std::uint32_t Model::output_height() const { return is_open() ? ViewOf(*this).output_height() : 0; }
std::uint32_t Model::output_width() const { return is_open() ? ViewOf(*this).output_width() : 0; }
std::size_t Model::output_size() const {
  return std::size_t{output_height()} * output_width() * class_count();
}
Head Model::head() const { return static_cast<Head>(ViewOf(*this).model.head); }
InputKind Model::input_kind() const { return static_cast<InputKind>(ViewOf(*this).model.input); }
bool Model::has_moments() const {
  const format::View& view = ViewOf(*this);
  return view.has_moments() && head() != Head::kReconstruction && !view.is_streamed();
}
bool Model::is_open() const { return ViewOf(*this).data != nullptr; }
bool Model::is_streamed() const { return ViewOf(*this).is_streamed(); }
std::span<const std::byte> Model::bytes() const {
  const format::View& view = ViewOf(*this);
  if (view.is_streamed()) return {};
  return {view.data, static_cast<std::size_t>(view.file_bytes)};
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
  Status status = format::OpenStreamed(source, resident, scratch, &view, diagnostic);
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
  format::View view;
  format::Reopen(bytes, &view);
  status = CheckBuilt(view, diagnostic);
  if (status == Status::kOk) model->Take(view);
  return status;
}

std::string_view Model::Metadata(std::string_view key) const {
  if (!is_open()) return {};
  std::string_view value;
  return format::FindMetadata(ViewOf(*this), key, &value) ? value : std::string_view{};
}

bool Model::OutputRange(std::uint32_t output, float* low, float* high) const {
  if (!is_open() || output >= class_count()) return false;
  const format::View& view = ViewOf(*this);
  if (!view.has_ranges()) return false;
  const format::OutputRange range = view.range(output);
  *low = range.low;
  *high = range.high;
  return true;
}

bool Model::AbstainThreshold(std::uint32_t output, float* threshold) const {
  if (abstain_measure_ == AbstainMeasure::kNone || output >= class_count()) return false;
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
