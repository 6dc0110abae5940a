// Model: a validated file and the few facts about it that callers ask for.
#include "engine/src/float_state.h"
#include "formats/reader.h"
#include "mu8/mu8.h"

namespace mu8 {

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
  *model = opened;
  return Status::kOk;
}

std::string_view Model::Metadata(std::string_view key) const {
  if (data_ == nullptr) return {};
  std::string_view value;
  const format::View view = format::Reopen(bytes());
  return format::FindMetadata(view, key, &value) ? value : std::string_view{};
}

bool Model::OutputRange(std::uint32_t output, float* low, float* high) const {
  if (data_ == nullptr || output >= class_count_) return false;
  const format::View view = format::Reopen(bytes());
  if (!view.has_ranges()) return false;
  const format::OutputRange range = view.range(output);
  *low = range.low;
  *high = range.high;
  return true;
}

std::string_view Model::label(std::uint32_t class_index) const {
  return format::Line(Metadata("labels"), class_index);
}

}  // namespace mu8
