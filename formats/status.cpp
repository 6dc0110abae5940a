// Messages for every status code, and a formatter that needs no heap and no libc.
#include "mu8/status.h"

namespace mu8 {
namespace {

struct Entry {
  Status status;
  const char* text;
};

// Each sentence says what `found` and `expected` are, where they are more than the value of the
// field and the nearest one that it may have.
constexpr Entry kEntries[] = {
    {Status::kOk, "ok"},
    {Status::kTruncated, "file is truncated (found: its bytes, expected: at least)"},
    {Status::kBadMagic, "not a .mu8 file (found and expected: the first 8 bytes)"},
    {Status::kGitLfsPointer, "this is a Git LFS pointer, not the model; run 'git lfs pull'"},
    {Status::kBadEndianMark, "byte order mark is wrong; the file was damaged or byte-swapped"},
    {Status::kUnsupportedVersion,
     "file has another major version; convert the model again with this mu8 (found and expected: "
     "the version)"},
    {Status::kFileSize,
     "file size disagrees with the header (found: the header's, expected: bytes)"},
    {Status::kMisalignedFile, "model bytes must start at a multiple of 16 (found: the remainder)"},
    {Status::kHeaderChecksum,
     "header is damaged (found: the stored CRC-32C, expected: that of its bytes)"},
    {Status::kReservedNotZero, "a reserved field or flag is set (found: its value)"},
    {Status::kSectionCount, "section count is out of range"},
    {Status::kSectionOrder, "section ids must increase (expected: at least)"},
    {Status::kSectionLayout, "section leaves a hole, overlaps or passes the end of the file"},
    {Status::kSectionMissing,
     "a required section is missing (found: the id in its place, expected: its own)"},
    {Status::kSectionUnknown,
     "file needs a section that this version does not know (found: its id, expected: at most)"},
    {Status::kSectionChecksum,
     "section is damaged (found: the stored CRC-32C, expected: that of its bytes)"},
    {Status::kPaddingNotZero, "padding between sections must be zero"},
    {Status::kSectionSize, "section has the wrong size (found, expected: bytes)"},
    {Status::kRecordCount,
     "number of tensors or layers is out of range (found, expected: records)"},
    {Status::kTensorShape, "a tensor's extent is zero or too large"},
    {Status::kTensorLayout, "a tensor's row stride or size disagrees with its shape"},
    {Status::kTensorScale, "a tensor's scale must be positive and normal (found, expected: bits)"},
    {Status::kTensorPlacement, "a tensor lies outside the activation memory or is misaligned"},
    {Status::kTensorOverlap,
     "two live tensors share memory (found: the offset, expected: where the other one ends)"},
    {Status::kTensorLifetime, "a tensor's first or last layer is wrong"},
    {Status::kTooManyLiveTensors,
     "too many tensors are alive at once (found: their number, expected: at most)"},
    {Status::kUnknownOperator, "operator is unknown or not allowed here (found: its code)"},
    {Status::kOperandIndex,
     "layer reads or writes a tensor that it may not (found: its index or its last layer)"},
    {Status::kWindow, "kernel, stride, dilation or padding is out of range"},
    {Status::kOutputShape, "output shape disagrees with the layer"},
    {Status::kRunLayout, "runs of input disagree with the layer's shape"},
    {Status::kGroups, "groups must divide input and output channels (expected: a divisor of)"},
    {Status::kBitWidth, "bit width of mu or sigma is not supported by this version"},
    {Status::kClamp, "clamp_min is above clamp_max"},
    {Status::kPoolQuantization, "max-pool, slice and gather must keep scale and zero point"},
    {Status::kFixedPoint,
     "scales of a sum differ too much (found: the largest factor's bits, expected: the nearest "
     "that "
     "they may be)"},
    {Status::kSliceOffset,
     "a slice's offset is out of range or set elsewhere (negative numbers plus 2^32)"},
    {Status::kGatherPlace,
     "a gather reads outside its input (found: the largest row, or byte of a row, expected: at "
     "most)"},
    {Status::kParameterLayout, "parameters have the wrong place or size"},
    {Status::kWeightScale,
     "a scale, or a multiplier or factor made of it, is not normal or too large (found: its bits, "
     "expected: the nearest that they may be)"},
    {Status::kShift, "a noise shift must be 1 to 15"},
    {Status::kAccumulatorOverflow,
     "an accumulator could overflow (found: bound, expected: at most)"},
    {Status::kMuRange, "a weight is -128; the range is -127 to 127"},
    {Status::kPaddingWeight, "the weight of a padded input must be zero"},
    {Status::kUnknownHead, "what the outputs are is not known to this version (found: the head)"},
    {Status::kUnknownInput, "what the inputs are is not known to this version (found: the kind)"},
    {Status::kInputAffine,
     "an input's gain must be positive and normal, its offset finite (found, expected: bits)"},
    {Status::kOutputParameters,
     "what the file says of its outputs is out of range (found, expected: the field, or the bits "
     "of "
     "the variance that follows from it)"},
    {Status::kHeadShape, "the last layer's outputs do not fit the head"},
    {Status::kClassCount,
     "class count or extent of the output disagrees with the last layer or is out of range"},
    {Status::kActivationBytes, "activation bytes disagree with the tensors"},
    {Status::kPanelBytes, "panel bytes disagree with the layers"},
    {Status::kArenaBytes, "arena bytes disagree with the model"},
    {Status::kMetadata, "metadata is malformed"},
    {Status::kAbstain,
     "when to abstain: the measure must be one of the head's, mc_samples at most 65536, thresholds "
     "finite and not below zero"},
    {Status::kMoments,
     "what moments need is out of range (found: its bits, expected: the nearest that they may be)"},
    {Status::kArenaTooSmall, "arena is too small (found: its bytes, expected: at least)"},
    {Status::kMisalignedArena, "arena must start at a multiple of 16 (found: the remainder)"},
    {Status::kBadOption, "an option is out of range"},
    {Status::kKernelsUnavailable, "these kernels were not built or this processor lacks them"},
    {Status::kInputSize, "input has the wrong size (found, expected: elements)"},
    {Status::kInputNotFinite, "input holds a NaN or an infinity (found: its index)"},
    {Status::kBatchSize, "batch is empty or larger than the session's (expected: at most)"},
    {Status::kNotReady, "model or session has not been opened, or no run was begun"},
    {Status::kNullPointer, "an argument is a null pointer (found: its place in the call, from 1)"},
    {Status::kTasksNotRun,
     "parallel_for has not run every task to its end (found: how many, expected: of)"},
    {Status::kWrongModel,
     "not the model that the build trusts (found, expected: CRC-32C of all bytes)"},
    {Status::kOperatorMissing,
     "this build leaves out what the model needs (found: a layer's operator or, at that offset, "
     "bits; "
     "without a layer, the head)"},
    {Status::kInputKind,
     "the model takes other inputs (found: the call's, expected: the model's; 0 pixels, 1 "
     "numbers)"},
    {Status::kSelfTest,
     "a source was not compiled to compute exactly: build it without -ffast-math, x87 and "
     "-ffp-contract=fast"},
    {Status::kReadFailed, "the source could not read (expected: how many bytes)"},
    {Status::kNoMoments,
     "no predictions by moments: the file was converted without --moments, or its head has none "
     "(found: the head)"},
    {Status::kInProgress, "the run is in progress: call Step again"},
    {Status::kComputationFault,
     "the processor or its memory has computed wrongly (found, expected: sums of accumulators, "
     "modulo "
     "2^64)"},
    {Status::kModelChanged,
     "the model has changed since it was opened (found: the CRC-32C or value of what lies there, "
     "expected: what Open has seen)"},
};

struct UnitEntry {
  Unit unit;
  const char* name;
};

constexpr UnitEntry kUnits[] = {
    {Unit::kNone, "none"},
    {Unit::kCheckParameters, "formats/check_parameters.cpp"},
    {Unit::kCheckOutputs, "formats/check_outputs.cpp"},
    {Unit::kInput, "engine/src/input.cpp"},
    {Unit::kOperators, "engine/src/operators.cpp"},
    {Unit::kPasses, "engine/src/passes.cpp"},
    {Unit::kWeightedLayer, "engine/src/weighted_layer.cpp"},
    {Unit::kStatistics, "engine/src/statistics.cpp"},
    {Unit::kGaussian, "engine/src/gaussian.cpp"},
    {Unit::kReconstruction, "engine/src/reconstruction.cpp"},
    {Unit::kStopping, "engine/src/stopping.cpp"},
    {Unit::kCheckOptions, "engine/src/check_options.cpp"},
    {Unit::kSession, "engine/src/session.cpp"},
    {Unit::kCheckedProducts, "engine/src/checked_products.cpp"},
    {Unit::kMoments, "engine/src/moments.cpp"},
    {Unit::kMomentsPanel, "engine/src/moments_panel.cpp"},
    {Unit::kMomentsOutputs, "engine/src/moments_outputs.cpp"},
    {Unit::kConvolve, "the kernels' convolve.cpp"},
    {Unit::kRequantize, "kernels/scalar/convolve.cpp"},
    {Unit::kPool, "kernels/scalar/pool.cpp"},
    {Unit::kMomentsKernels, "the kernels' moments.cpp"},
};

// How an option is shown: as a number from `least`, as a share, stored in millionths, or as the
// size that it must have.
enum class Shown { kNumber, kShare, kSize };
struct OptionEntry {
  Option option;
  const char* name;
  std::uint64_t least;
  Shown shown;
};

constexpr OptionEntry kOptions[] = {
    {Option::kMcSamples, "mc_samples", 1, Shown::kNumber},
    {Option::kBatch, "batch", 1, Shown::kNumber},
    {Option::kWorkers, "workers", 1, Shown::kNumber},
    {Option::kNoise, "noise", 0, Shown::kNumber},
    {Option::kStopRule, "stop.rule", 0, Shown::kNumber},
    {Option::kStopError, "stop.error", 1, Shown::kShare},
    {Option::kStopClass, "stop.class_index", 0, Shown::kNumber},
    {Option::kStopThreshold, "stop.threshold", 1, Shown::kShare},
    {Option::kStopWithin, "stop.within", 1, Shown::kShare},
    {Option::kStopChosen, "stop.chosen", 0, Shown::kSize},
    {Option::kFastArena, "fast arena", 0, Shown::kSize},
    {Option::kSlowArena, "slow arena", 0, Shown::kSize},
    {Option::kPanelBytes, "panel_bytes", 64, Shown::kNumber},
    {Option::kResident, "resident memory", 0, Shown::kSize},
    {Option::kScratch, "scratch memory", 0, Shown::kSize},
    {Option::kStreamed, "streamed (left out of this build)", 0, Shown::kSize},
    {Option::kCheckProducts, "check_products", 0, Shown::kNumber},
    {Option::kMethod, "method", 0, Shown::kNumber},
    {Option::kKeepLogits, "keep_logits", 0, Shown::kNumber},
    {Option::kDoubtMargin, "doubt.margin", 1, Shown::kShare},
    {Option::kDoubtEntropy, "doubt.entropy_from, entropy_to", 0, Shown::kShare},
};

const OptionEntry* Find(Option option) {
  for (const OptionEntry& entry : kOptions) {
    if (entry.option == option) return &entry;
  }
  return nullptr;
}

// Appends text to a buffer, keeping room for the final NUL.
struct Printer {
  std::span<char> buffer;
  std::size_t length = 0;

  void Character(char c) {
    if (length + 1 < buffer.size()) buffer[length++] = c;
  }
  void Text(const char* text) {
    for (; *text != '\0'; ++text) Character(*text);
  }
  void Number(std::uint64_t value) {
    char digits[20];
    int count = 0;
    // At most 20 digits.
    do {
      digits[count++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    while (count > 0) Character(digits[--count]);  // at most 20
  }
  // Millionths as a decimal, without zeros at its end.
  void Share(std::uint64_t millionths) {
    Number(millionths / 1000000);
    std::uint64_t rest = millionths % 1000000;
    if (rest == 0) return;
    Character('.');
    for (std::uint64_t unit = 100000; rest != 0; rest %= unit, unit /= 10) {
      Character(static_cast<char>('0' + rest / unit));
    }
  }
};

// Of a file's bytes, or of what was computed from them: they have a place.
bool IsFault(Status status) {
  return status == Status::kModelChanged || status == Status::kComputationFault ||
         status == Status::kReadFailed;
}

void ExplainOption(const OptionEntry& entry, const Diagnostic& diagnostic, Printer* printer) {
  const bool is_share = entry.shown == Shown::kShare;
  const auto value = [&](std::uint64_t number) {
    is_share ? printer->Share(number) : printer->Number(number);
  };
  const bool is_memory = entry.option == Option::kFastArena || entry.option == Option::kSlowArena ||
                         entry.option == Option::kResident || entry.option == Option::kScratch;
  printer->Text(is_memory ? "; " : "; option ");
  printer->Text(entry.name);
  printer->Text(": found ");
  if (is_share && diagnostic.found == 0) {
    printer->Text("less, or no number");
  } else {
    value(diagnostic.found);
  }
  printer->Text(", expected ");
  if (entry.shown != Shown::kSize) {
    value(entry.least);
    printer->Text(" to ");
  }
  value(diagnostic.expected);
}

void ExplainPlace(const Diagnostic& diagnostic, Printer* printer) {
  if (diagnostic.layer >= 0) {
    printer->Text("; layer ");
    printer->Number(static_cast<std::uint64_t>(diagnostic.layer));
  }
  if (diagnostic.tensor >= 0) {
    printer->Text("; tensor ");
    printer->Number(static_cast<std::uint64_t>(diagnostic.tensor));
  }
  printer->Text(diagnostic.status == Status::kComputationFault ? "; pixel " : "; byte ");
  printer->Number(diagnostic.offset);
  printer->Text(":");
}

}  // namespace

const char* StatusText(Status status) {
  for (const Entry& entry : kEntries) {
    if (entry.status == status) return entry.text;
  }
  return "unknown status";
}

const char* OptionName(Option option) {
  if (option == Option::kNone) return "none";
  const OptionEntry* entry = Find(option);
  return entry == nullptr ? "unknown option" : entry->name;
}

const char* UnitName(Unit unit) {
  for (const UnitEntry& entry : kUnits) {
    if (entry.unit == unit) return entry.name;
  }
  return "unknown unit";
}

std::size_t Explain(const Diagnostic& diagnostic, std::span<char> buffer) {
  if (buffer.empty()) return 0;
  Printer printer{buffer};
  const bool ok = diagnostic.status == Status::kOk;
  if (!ok) {
    printer.Text("mu8 error ");
    printer.Number(static_cast<std::uint64_t>(diagnostic.status));
    printer.Text(": ");
  }
  printer.Text(StatusText(diagnostic.status));
  if (const OptionEntry* option = Find(diagnostic.option); option != nullptr && !ok) {
    ExplainOption(*option, diagnostic, &printer);
  } else if (diagnostic.status == Status::kSelfTest) {
    printer.Text("; ");
    printer.Text(UnitName(static_cast<Unit>(diagnostic.found)));
  } else if (!ok && diagnostic.status != Status::kNotReady) {
    const bool is_call = diagnostic.status >= Status::kArenaTooSmall && !IsFault(diagnostic.status);
    is_call ? printer.Text(";") : ExplainPlace(diagnostic, &printer);
    printer.Text(" found ");
    printer.Number(diagnostic.found);
    printer.Text(", expected ");
    printer.Number(diagnostic.expected);
  }
  buffer[printer.length] = '\0';
  return printer.length;
}

}  // namespace mu8
