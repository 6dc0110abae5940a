// Everything that can go wrong, as fixed numbers. Codes never change meaning; new ones are added.
// This header is the project's shared error vocabulary: it includes nothing of mu8 and every folder
// may include it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mu8 {

enum class Status : std::int32_t {
  kOk = 0,

  // The file as bytes (FORMAT.md, sections 2 and 3).
  kTruncated = 1,
  kBadMagic = 2,
  kGitLfsPointer = 3,
  kBadEndianMark = 4,
  kUnsupportedVersion = 5,
  kFileSize = 6,
  kMisalignedFile = 7,
  kHeaderChecksum = 8,
  kReservedNotZero = 9,
  kSectionCount = 10,
  kSectionOrder = 11,
  kSectionLayout = 12,
  kSectionMissing = 13,
  kSectionUnknown = 14,
  kSectionChecksum = 15,
  kPaddingNotZero = 16,
  kSectionSize = 17,

  // The graph (sections 4 and 5).
  kRecordCount = 20,
  kTensorShape = 21,
  kTensorLayout = 22,
  kTensorScale = 23,
  kTensorPlacement = 24,
  kTensorOverlap = 25,
  kTensorLifetime = 26,
  kTooManyLiveTensors = 27,
  kUnknownOperator = 28,
  kOperandIndex = 29,
  kWindow = 30,
  kOutputShape = 31,
  kRunLayout = 32,
  kGroups = 33,
  kBitWidth = 34,
  kClamp = 35,
  kPoolQuantization = 36,
  kFixedPoint = 37,
  kSliceOffset = 38,
  kGatherPlace = 39,

  // Parameters and totals (sections 6 to 8).
  kParameterLayout = 40,
  kWeightScale = 41,
  kShift = 42,
  kAccumulatorOverflow = 43,
  kMuRange = 44,
  kPaddingWeight = 45,
  kClassCount = 46,
  kActivationBytes = 47,
  kPanelBytes = 48,
  kArenaBytes = 49,
  kMetadata = 50,
  kUnknownHead = 51,
  kUnknownInput = 52,
  kInputAffine = 53,
  kOutputParameters = 54,
  kHeadShape = 55,
  kAbstain = 56,
  kMoments = 57,

  // Calls.
  kArenaTooSmall = 60,
  kMisalignedArena = 61,
  kBadOption = 62,
  kKernelsUnavailable = 63,
  kInputSize = 64,
  kInputNotFinite = 65,
  kBatchSize = 66,
  kNotReady = 67,
  kNullPointer = 68,
  kTasksNotRun = 69,
  kInputKind = 70,
  kSelfTest = 71,
  kReadFailed = 72,  // `offset`: of the bytes of the file that a Source could not give
  kWrongModel = 75,
  kOperatorMissing = 76,
  kInProgress = 77,
  kNoMoments = 78,  // a file, or a head, that has no predictions by moments

  // Faults of memory and processors.
  kModelChanged = 73,
  kComputationFault = 74,  // `offset`: the output pixel, y * width + x, of the layer
};

// Which of SessionOptions kBadOption is about, or which memory an error is about: of an arena's two
// regions, or of OpenStreamed's. Numbers never change meaning.
enum class Option : std::int32_t {
  kNone = 0,
  kMcSamples = 1,
  kBatch = 2,
  kWorkers = 3,
  kNoise = 4,
  kStopRule = 5,
  kStopError = 6,
  kStopClass = 7,
  kStopThreshold = 8,
  kStopWithin = 9,
  kStopChosen = 10,
  kFastArena = 11,
  kSlowArena = 12,
  kPanelBytes = 13,
  kResident = 14,  // of Model::OpenStreamed
  kScratch = 15,
  kStreamed = 16,  // kBadOption: this build leaves OpenStreamed out
  kCheckProducts = 17,
  kMethod = 18,
  kKeepLogits = 19,
  kDoubtMargin = 20,
  kDoubtEntropy = 21,  // kBadOption: no band, or of a head without entropies
};

// The translation unit that kSelfTest is about, in Diagnostic's `found`: it was compiled with
// -ffast-math, for x87, or so that multiplications and additions are fused, and would give other
// bytes. Numbers never change meaning.
enum class Unit : std::int32_t {
  kNone = 0,
  // Found by Model::Open.
  kCheckParameters = 1,
  kCheckOutputs = 2,
  // Found by Session::Create.
  kInput = 10,
  kOperators = 11,
  kPasses = 12,
  kWeightedLayer = 13,
  kStatistics = 14,
  kGaussian = 15,
  kReconstruction = 16,
  kStopping = 17,
  kCheckOptions = 18,
  kSession = 19,
  kCheckedProducts = 20,
  kMoments = 21,
  kMomentsPanel = 22,
  kMomentsOutputs = 23,
  kConvolve = 30,  // of the chosen kernels
  kRequantize = 31,
  kPool = 32,
  kMomentsKernels = 33,
};

// Where a check failed. Of a file, `offset` counts bytes from its start to the field that is wrong;
// `layer` and `tensor` are -1 where they do not apply. `found` is the field's value, a float's by
// its bits, and `expected` what it must be, or the nearest that it may be, unless StatusText says
// what else the two are. Of a call, `option` says which option is wrong, `found` what it is and
// `expected` the most that it may be; shares such as stop.error in millionths, 0 for less and for
// no number. Of stop.chosen they are its size and the right one; 0: nothing in it is chosen. Of a
// fault, `offset` and `layer` say where it was found, as for a file.
struct Diagnostic {
  Status status = Status::kOk;
  Option option = Option::kNone;
  std::uint64_t offset = 0;
  std::int32_t layer = -1;
  std::int32_t tensor = -1;
  std::uint64_t found = 0;
  std::uint64_t expected = 0;
};

// A fixed English sentence for the code; never null.
const char* StatusText(Status status);

// The option as options.h spells it, such as "mc_samples" or "stop.error"; never null.
const char* OptionName(Option option);

// The unit's source, such as "engine/src/statistics.cpp" or "the kernels' convolve.cpp"; never
// null.
const char* UnitName(Unit unit);

// Writes "mu8 error 42: ...; layer 2; byte 1344: found 16, expected 15" or "mu8 error 62: ...;
// option mc_samples: found 0, expected 1 to 65536" and a final NUL into `buffer`, cut to its size.
// Returns the length without the NUL. Needs no heap and no libc.
std::size_t Explain(const Diagnostic& diagnostic, std::span<char> buffer);

}  // namespace mu8
