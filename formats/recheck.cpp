#include "formats/recheck.h"

#include "formats/check.h"
#include "formats/stream.h"
#include "mu8/config.h"

namespace mu8::format {
namespace {

// Compilers may not read a copy's source again behind this.
void KeepCopies() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

// A check's finding about a file that has passed it before.
bool Changed(const Checker& check, Diagnostic* diagnostic) {
  if (diagnostic != nullptr) {
    *diagnostic = check.diagnostic;
    diagnostic->status = Status::kModelChanged;
  }
  return false;
}

// Each operand exists before the layer; input2 is there if the operator reads it.
bool CheckIndices(const LayerRecord& layer, std::uint32_t index, Checker* check) {
  if (layer.input > index) {
    return check->FailLayer(Status::kOperandIndex, offsetof(LayerRecord, input), layer.input,
                            index);
  }
  const auto op = static_cast<OpCode>(layer.op);
  const bool none = layer.input2 == kNoTensor;
  const bool may_be_none = !IsBinary(op);
  const bool must_be_none = may_be_none && (op != OpCode::kConv2d || layer.output == kNoTensor);
  if (none ? may_be_none : !must_be_none && layer.input2 <= index) return true;
  return check->FailLayer(Status::kOperandIndex, offsetof(LayerRecord, input2), layer.input2,
                          must_be_none ? std::uint32_t{kNoTensor} : index);
}

bool AreApart(const TensorRecord& a, const TensorRecord& b) {
  return a.offset >= std::uint64_t{b.offset} + b.bytes ||
         b.offset >= std::uint64_t{a.offset} + a.bytes;
}

// A layer writes to no memory that it reads, but a convolution over its residual, value by value.
bool CheckApart(const LayerRecord& layer, const Operands& operands, Checker* check) {
  const TensorRecord& out = operands.output;
  const bool replaces = static_cast<OpCode>(layer.op) == OpCode::kConv2d &&
                        layer.input2 != layer.input && operands.input2.offset == out.offset &&
                        SameGeometry(operands.input2, out);
  if (AreApart(out, operands.input) &&
      (layer.input2 == kNoTensor || replaces || AreApart(out, operands.input2))) {
    return true;
  }
  return check->FailTensor(Status::kTensorOverlap, layer.output, offsetof(TensorRecord, offset),
                           out.offset, 0);
}

bool CheckOperandTensors(const LayerRecord& layer, const Operands& operands, Checker* check) {
  return CheckTensor(operands.input, layer.input, check) &&
         (layer.input2 == kNoTensor || CheckTensor(operands.input2, layer.input2, check)) &&
         (operands.logits || CheckTensor(operands.output, layer.output, check));
}

// Parameters lie in their section, panels in theirs of the arena.
bool CheckPlaces(const LayerRecord& layer, const Operands& operands, Checker* check) {
  const View& view = check->view;
  const std::uint64_t bytes = ParameterBytes(layer, operands.output);
  if (layer.parameter_bytes != bytes) {
    return check->FailLayer(Status::kParameterLayout, offsetof(LayerRecord, parameter_bytes),
                            layer.parameter_bytes, bytes);
  }
  if (layer.parameter_offset % kAlignment != 0 || bytes > view.parameters.bytes ||
      layer.parameter_offset > view.parameters.bytes - bytes) {
    return check->FailLayer(Status::kParameterLayout, offsetof(LayerRecord, parameter_offset),
                            layer.parameter_offset, 0);
  }
  const std::uint64_t panel = view.PanelBytes(layer);
  if (panel > view.model.panel_bytes) {
    return check->FailLayer(Status::kPanelBytes, offsetof(LayerRecord, mu_bits), panel,
                            view.model.panel_bytes);
  }
  if (view.is_streamed() && StagingBytes(layer) > view.staging_bytes) {
    return check->FailLayer(Status::kPanelBytes, offsetof(LayerRecord, parameter_bytes),
                            StagingBytes(layer), view.staging_bytes);
  }
  if (!operands.logits) return true;
  const std::uint32_t slots = MakePanelLayout(layer).padded_channels;
  if (layer.output_channels != view.model.class_count || slots != view.output_slots) {
    return check->FailLayer(Status::kClassCount, offsetof(LayerRecord, output_channels),
                            layer.output_channels, view.model.class_count);
  }
  return true;
}

Checker CheckerOf(const View& view, std::uint32_t layer) {
  Checker check{view};
  check.layer = static_cast<std::int32_t>(layer);
  return check;
}

// The operator, and which tensors it reads and writes.
bool CheckNames(const View& view, const LayerRecord& layer, std::uint32_t index,
                std::uint16_t output, Diagnostic* diagnostic) {
  Checker check = CheckerOf(view, index);
  return (CheckOperatorAndOutput(layer, output, &check) && CheckIndices(layer, index, &check)) ||
         Changed(check, diagnostic);
}

bool CheckCopies(const View& view, const LayerRecord& layer, const Operands& operands,
                 std::uint32_t index, Diagnostic* diagnostic) {
  Checker check = CheckerOf(view, index);
  return (CheckOperandTensors(layer, operands, &check) && CheckFields(layer, &check) &&
          CheckShapes(layer, operands, &check) &&
          (operands.logits || CheckApart(layer, operands, &check)) &&
          CheckScalesOf(layer, operands, &check) && CheckPlaces(layer, operands, &check)) ||
         Changed(check, diagnostic);
}

}  // namespace

bool LoadLayer(const View& view, std::uint32_t index, LayerRecord* record, Operands* operands,
               Diagnostic* diagnostic) {
  *record = view.layer(index);
  KeepCopies();
  const bool last = index + 1 == view.layer_count();
  const std::uint16_t output = last ? kNoTensor : static_cast<std::uint16_t>(index + 1);
  if (config::kRecheck && !CheckNames(view, *record, index, output, diagnostic)) return false;
  view.LoadOperands(*record, last, operands);
  KeepCopies();
  return !config::kRecheck || CheckCopies(view, *record, *operands, index, diagnostic);
}

bool LoadInputTensor(const View& view, TensorRecord* input, Diagnostic* diagnostic) {
  *input = view.tensor(0);
  if constexpr (!config::kRecheck) return true;
  KeepCopies();
  Checker check{view};
  if (!CheckTensor(*input, 0, &check)) return Changed(check, diagnostic);
  if (input->height == view.input_height && input->width == view.input_width &&
      input->channels == view.input_channels) {
    return true;
  }
  check.FailTensor(Status::kTensorShape, 0, offsetof(TensorRecord, height), input->height,
                   view.input_height);
  return Changed(check, diagnostic);
}

std::uint32_t HashRecords(const View& view) {
  std::uint32_t hash = 0;
  for (const SectionView& section : {view.tensors, view.layers}) {
    for (std::uint32_t at = 0; at < section.bytes; at += 4) {
      hash = (hash ^ view.Load<std::uint32_t>(std::uint64_t{section.offset} + at)) * 0x9e3779b1U;
      hash = (hash << 15) | (hash >> 17);
    }
  }
  return hash;
}

bool RecordsAreUnchanged(const View& view, Diagnostic* diagnostic) {
  if constexpr (!config::kRecheck) return true;
  const std::uint32_t hash = HashRecords(view);
  if (hash == view.records_hash) return true;
  if (diagnostic != nullptr) {
    *diagnostic = {.status = Status::kModelChanged,
                   .offset = view.tensors.offset,
                   .found = hash,
                   .expected = view.records_hash};
  }
  return false;
}

}  // namespace mu8::format
