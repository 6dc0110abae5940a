// What is built. Everything, unless the build leaves parts out: it defines a macro of this page to
// be 0 (-DMU8_WITH_OP_GATHER=0), or MU8_CONFIG as the name of a header that does, such as one that
// `mu8 embed` writes (-DMU8_CONFIG=model_config.h). All sources of one program take the same. What
// was left out is an error, never another result: a model that needs it is refused by Model::Open
// with kOperatorMissing, an option with kBadOption.
#pragma once

#if defined(MU8_CONFIG)
#define MU8_CONFIG_QUOTED_(name) #name
#define MU8_CONFIG_NAME_(name) MU8_CONFIG_QUOTED_(name)
#include MU8_CONFIG_NAME_(MU8_CONFIG)
#endif

// Operators. Depthwise convolutions are conv2d's, and have kernels of their own; a residual is what
// a conv2d adds.
#if !defined(MU8_WITH_OP_DEPTHWISE)
#define MU8_WITH_OP_DEPTHWISE 1
#endif
#if !defined(MU8_WITH_OP_RESIDUAL)
#define MU8_WITH_OP_RESIDUAL 1
#endif
#if !defined(MU8_WITH_OP_MAX_POOL)
#define MU8_WITH_OP_MAX_POOL 1
#endif
#if !defined(MU8_WITH_OP_AVERAGE_POOL)
#define MU8_WITH_OP_AVERAGE_POOL 1
#endif
#if !defined(MU8_WITH_OP_LOOKUP)
#define MU8_WITH_OP_LOOKUP 1
#endif
#if !defined(MU8_WITH_OP_ADD)
#define MU8_WITH_OP_ADD 1
#endif
#if !defined(MU8_WITH_OP_MULTIPLY)
#define MU8_WITH_OP_MULTIPLY 1
#endif
#if !defined(MU8_WITH_OP_SLICE)
#define MU8_WITH_OP_SLICE 1
#endif
#if !defined(MU8_WITH_OP_CONCAT)
#define MU8_WITH_OP_CONCAT 1
#endif
#if !defined(MU8_WITH_OP_GATHER)
#define MU8_WITH_OP_GATHER 1
#endif
#if !defined(MU8_WITH_OP_EXTREMUM)  // maximum and minimum
#define MU8_WITH_OP_EXTREMUM 1
#endif
#if !defined(MU8_WITH_OP_CONSTANT)
#define MU8_WITH_OP_CONSTANT 1
#endif

// Sigmas of 8, 4 and 2 bits and of 1 bit, and means of fewer than 8 bits.
#if !defined(MU8_WITH_SIGMA_8)
#define MU8_WITH_SIGMA_8 1
#endif
#if !defined(MU8_WITH_SIGMA_4)
#define MU8_WITH_SIGMA_4 1
#endif
#if !defined(MU8_WITH_SIGMA_2)
#define MU8_WITH_SIGMA_2 1
#endif
#if !defined(MU8_WITH_SIGMA_1)
#define MU8_WITH_SIGMA_1 1
#endif
#if !defined(MU8_WITH_MEAN_CODES)
#define MU8_WITH_MEAN_CODES 1
#endif

// Heads.
#if !defined(MU8_WITH_HEAD_SOFTMAX)
#define MU8_WITH_HEAD_SOFTMAX 1
#endif
#if !defined(MU8_WITH_HEAD_SIGMOID)
#define MU8_WITH_HEAD_SIGMOID 1
#endif
#if !defined(MU8_WITH_HEAD_VALUES)
#define MU8_WITH_HEAD_VALUES 1
#endif
#if !defined(MU8_WITH_HEAD_GAUSSIAN)
#define MU8_WITH_HEAD_GAUSSIAN 1
#endif
#if !defined(MU8_WITH_HEAD_RECONSTRUCTION)
#define MU8_WITH_HEAD_RECONSTRUCTION 1
#endif

// Options of a session: stop rules and deadlines (stop, keep_going), antithetic pairs (noise), more
// than one worker, and check_products.
#if !defined(MU8_WITH_EARLY_ENDINGS)
#define MU8_WITH_EARLY_ENDINGS 1
#endif
#if !defined(MU8_WITH_ANTITHETIC)
#define MU8_WITH_ANTITHETIC 1
#endif
#if !defined(MU8_WITH_WORKERS)
#define MU8_WITH_WORKERS 1
#endif
#if !defined(MU8_WITH_CHECK_PRODUCTS)
#define MU8_WITH_CHECK_PRODUCTS 1
#endif

// Method::kMoments.
#if !defined(MU8_WITH_MOMENTS)
#define MU8_WITH_MOMENTS 1
#endif

// Whether bytes of the model that change after Open are answered with kModelChanged or a wrong
// prediction at the worst (docs/FAULTS.md): some 5 KB. Without it such bytes may do anything: for
// memory that cannot change, or is corrected by hardware.
#if !defined(MU8_WITH_RECHECK)
#define MU8_WITH_RECHECK 1
#endif

// Model::OpenStreamed: files that are read through a callback.
#if !defined(MU8_WITH_STREAMED)
#define MU8_WITH_STREAMED 1
#endif

// Whether errors about a file say where and what (Diagnostic), beside their status.
#if !defined(MU8_WITH_DIAGNOSTICS)
#define MU8_WITH_DIAGNOSTICS 1
#endif

// Whether each source is asked if it was compiled to compute exactly (status kSelfTest).
#if !defined(MU8_WITH_SELF_TEST)
#define MU8_WITH_SELF_TEST 1
#endif

namespace mu8::config {

inline constexpr bool kDepthwise = MU8_WITH_OP_DEPTHWISE, kResidual = MU8_WITH_OP_RESIDUAL,
                      kMaxPool = MU8_WITH_OP_MAX_POOL, kAveragePool = MU8_WITH_OP_AVERAGE_POOL,
                      kLookup = MU8_WITH_OP_LOOKUP, kAdd = MU8_WITH_OP_ADD,
                      kMultiply = MU8_WITH_OP_MULTIPLY, kSlice = MU8_WITH_OP_SLICE,
                      kConcat = MU8_WITH_OP_CONCAT, kGather = MU8_WITH_OP_GATHER,
                      kExtremum = MU8_WITH_OP_EXTREMUM, kConstant = MU8_WITH_OP_CONSTANT;
inline constexpr bool kSigma8 = MU8_WITH_SIGMA_8, kSigma4 = MU8_WITH_SIGMA_4,
                      kSigma2 = MU8_WITH_SIGMA_2, kSigma1 = MU8_WITH_SIGMA_1,
                      kMeanCodes = MU8_WITH_MEAN_CODES;
inline constexpr bool kSoftmax = MU8_WITH_HEAD_SOFTMAX, kSigmoid = MU8_WITH_HEAD_SIGMOID,
                      kValues = MU8_WITH_HEAD_VALUES, kGaussian = MU8_WITH_HEAD_GAUSSIAN,
                      kReconstruction = MU8_WITH_HEAD_RECONSTRUCTION;
inline constexpr bool kEarlyEndings = MU8_WITH_EARLY_ENDINGS, kAntithetic = MU8_WITH_ANTITHETIC,
                      kWorkers = MU8_WITH_WORKERS, kCheckProducts = MU8_WITH_CHECK_PRODUCTS,
                      kMoments = MU8_WITH_MOMENTS;
inline constexpr bool kRecheck = MU8_WITH_RECHECK, kStreamed = MU8_WITH_STREAMED,
                      kDiagnostics = MU8_WITH_DIAGNOSTICS;
inline constexpr bool kSelfTest = MU8_WITH_SELF_TEST;

// A kernel's function, or null where nothing that is built would call it.
template <bool kBuilt, typename Function>
constexpr Function* Keep(Function* function) {
  if constexpr (kBuilt) return function;
  return nullptr;
}

}  // namespace mu8::config
