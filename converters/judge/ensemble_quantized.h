// A data set through a .mu8 file, by the engine.
#pragma once

#include "converters/host/datasets.h"
#include "converters/host/model_file.h"
#include "converters/host/progress.h"
#include "converters/judge/ensemble.h"

namespace mu8::convert {

// Through Session::Predict, `options.batch` images a call.
EnsembleResult RunQuantized(const host::ModelFile& file, const SessionOptions& options,
                            const host::Dataset& data, const host::Progress& progress = {});

}  // namespace mu8::convert
