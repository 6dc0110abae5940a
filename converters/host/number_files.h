// Data that is no picture: .npy and .npz arrays, CSV tables, raw float32 (LoadDataset chooses).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "converters/host/datasets.h"
#include "converters/host/input_layout.h"

namespace mu8::host {

// By the name: .npy, .npz, .csv, .f32.
bool IsNumberFile(std::string_view path);

// Inputs and, where the file has them, targets. Throws Error.
Dataset LoadNumbers(const std::string& path, std::size_t limit, const InputSpec& wanted,
                    const DataOptions& options);

}  // namespace mu8::host
