// Internal to the reader: the stages of validation share one way to report.
#pragma once

#include "formats/bits.h"
#include "formats/reader.h"
#include "formats/self_test.h"
#include "mu8/config.h"

namespace mu8::format {

// The arrays of parameters that a layer's checks walk over, each from front to back.
enum class Walk : std::uint8_t { kScales, kBiases, kLevels, kShifts, kTables, kBits, kCodes };

// Of a file that is being opened from a source. The first walks have kWindowBytes of `scratch`
// each, kCodes the rest: what its last read has brought.
struct Stream {
  static constexpr std::uint32_t kWindowBytes = 64;
  static constexpr std::uint32_t kWalks = static_cast<std::uint32_t>(Walk::kCodes) + 1;
  struct Window {
    std::uint64_t at = 0;
    std::uint32_t bytes = 0;
  };

  View* view;
  std::span<std::byte> resident, scratch;
  Window windows[kWalks] = {};

  std::uint8_t* Memory(Walk walk) const {
    return reinterpret_cast<std::uint8_t*>(scratch.data()) +
           static_cast<std::uint32_t>(walk) * kWindowBytes;
  }
  std::size_t Room(Walk walk) const {
    constexpr std::size_t kBefore = std::size_t{kWalks - 1} * kWindowBytes;
    return walk == Walk::kCodes ? scratch.size() - kBefore : kWindowBytes;
  }
};

// Collects the first failure. Every check reads
//   if (!(condition)) return check->Fail(status, where, found, expected);
// and names the field that is wrong: its place in the file, its value, and the value that it must
// have or else the nearest that it may have, so the two differ. Where a rule is about several
// fields, it is the one that alone could be put right; where it is about a number that follows from
// fields, `found` and `expected` are that number's (StatusText says so).
struct Checker {
  const View& view;
  Diagnostic diagnostic{};
  std::int32_t layer = -1;
  std::int32_t tensor = -1;
  Stream* stream = nullptr;  // null: the file is in memory

  bool is_streamed() const { return config::kStreamed && stream != nullptr; }

  bool Fail(Status status, std::uint64_t offset, std::uint64_t found, std::uint64_t expected) {
    return config::kDiagnostics ? Say(status, offset, found, expected) : Refuse(status);
  }
  // The same for a field of a record, `field` its offsetof: of the layer at hand, of a tensor, of
  // the model, of a section in the table.
  bool FailLayer(Status status, std::size_t field, std::uint64_t found, std::uint64_t expected) {
    return config::kDiagnostics ? SayOfLayer(status, field, found, expected) : Refuse(status);
  }
  bool FailTensor(Status status, std::uint32_t index, std::size_t field, std::uint64_t found,
                  std::uint64_t expected) {
    return config::kDiagnostics ? SayOfTensor(status, index, field, found, expected)
                                : Refuse(status);
  }
  bool FailModel(Status status, std::size_t field, std::uint64_t found, std::uint64_t expected) {
    return config::kDiagnostics ? SayOfModel(status, field, found, expected) : Refuse(status);
  }
  bool FailSection(Status status, SectionId id, std::size_t field, std::uint64_t found,
                   std::uint64_t expected) {
    return config::kDiagnostics ? SayOfSection(status, id, field, found, expected) : Refuse(status);
  }

  // `bytes` bytes of the parameters at an offset of the file, as long as none are asked for on the
  // same walk: 64 at most, of codes Room(kCodes). Null after Fail.
  const std::uint8_t* Parameters(Walk walk, std::uint64_t at, std::uint64_t bytes) {
    return is_streamed() ? Fetch(walk, at, bytes) : view.Bytes(at);
  }
  template <typename T>
  bool Load(Walk walk, std::uint64_t at, T* value) {
    const std::uint8_t* const from = Parameters(walk, at, sizeof(T));
    if (from != nullptr) std::memcpy(value, from, sizeof(T));
    return from != nullptr;
  }

 private:
  bool Say(Status status, std::uint64_t offset, std::uint64_t found, std::uint64_t expected);
  bool SayOfLayer(Status status, std::size_t field, std::uint64_t found, std::uint64_t expected);
  bool SayOfTensor(Status status, std::uint32_t index, std::size_t field, std::uint64_t found,
                   std::uint64_t expected);
  bool SayOfModel(Status status, std::size_t field, std::uint64_t found, std::uint64_t expected);
  bool SayOfSection(Status status, SectionId id, std::size_t field, std::uint64_t found,
                    std::uint64_t expected);
  bool Refuse(Status status);  // where nothing else is said
  const std::uint8_t* Fetch(Walk walk, std::uint64_t at, std::uint64_t bytes);
};

// Of a file that is read from a source (stream.cpp); the others return true for one in memory.
// Header and section table come first, in `scratch`; once they are right, `resident` has them.
bool FetchHeader(Checker* check);
bool FetchTable(std::uint32_t sections, Checker* check);
bool EnterResident(Checker* check);
// The file's next bytes.
bool FetchResident(std::uint64_t begin, std::uint64_t end, Checker* check);
// Of a section that is checked next: brings it into memory, too, unless it is section 5.
bool SectionCrc(const SectionRecord& section, std::uint32_t* crc, Checker* check);

// Floats in diagnostics.
constexpr std::uint32_t Bits(float value) { return BitCast<std::uint32_t>(value); }

// The finite float closest to one that is none.
constexpr std::uint32_t NearestFinite(float value) {
  return (Bits(value) & 0x80000000U) | 0x7f7fffffU;
}

// The number from 1 to `most` that is nearest to `value`.
constexpr std::uint64_t NearestCount(std::uint64_t value, std::uint64_t most) {
  return value == 0 ? 1 : value > most ? most : value;
}

// conv2d and dense.
constexpr bool IsWeighted(OpCode op) { return op == OpCode::kConv2d || op == OpCode::kDense; }

// Operators that read two tensors. A conv2d may: its residual.
constexpr bool IsBinary(OpCode op) {
  return op == OpCode::kAdd || op == OpCode::kMultiply || op == OpCode::kConcat ||
         op == OpCode::kMaximum || op == OpCode::kMinimum;
}

// Words [begin, end) of the record at offset `record` are 0.
bool CheckReserved(std::uint64_t record, std::uint32_t begin, std::uint32_t end, Checker* check);

// Each returns false after Fail. Later stages rely on the earlier ones.
bool CheckTensors(Checker* check);     // shapes, layout, placement of every activation
bool CheckLayers(Checker* check);      // operators, operands, windows, lifetimes, overlap
bool CheckParameters(Checker* check);  // sizes, scales, shifts, accumulator bounds, padding weights
bool CheckMetadata(Checker* check);    // key/value structure

// The last part of CheckParameters, once class_count is known to be right: it fits the head, and
// sections 7 and 8 do.
bool CheckOutputs(Checker* check);

// Gains are positive and normal, offsets finite; else `status`, for `count` Affines at offset `at`.
bool CheckAffines(Status status, std::uint64_t at, std::uint32_t count, Checker* check);

// Whether the unit computes exactly.
inline bool CheckUnit(Unit unit, FloatProbe probe, Checker* check) {
  return IsExact(probe) || check->Fail(Status::kSelfTest, 0, static_cast<std::uint64_t>(unit), 0);
}

// Parts of CheckTensors and CheckLayers, for a tensor and the layer at hand.
bool CheckTensor(const TensorRecord& tensor, std::uint32_t index, Checker* check);
bool CheckOperatorAndOutput(const LayerRecord& layer, std::uint16_t output, Checker* check);
bool CheckFields(const LayerRecord& layer, Checker* check);  // flags, bit widths, clamps
bool CheckShapes(const LayerRecord& layer, const Operands& operands, Checker* check);

// Parts of CheckParameters: scales of pools, sums and products; the bytes that parameters must
// have.
bool CheckScalesOf(const LayerRecord& layer, const Operands& operands, Checker* check);
std::uint64_t ParameterBytes(const LayerRecord& layer, const TensorRecord& output);

}  // namespace mu8::format
