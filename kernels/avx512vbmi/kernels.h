// The table of kernels/avx512vbmi/: avx512vnni's, but for drawing weights.
#pragma once

#include "kernels/kernel_table.h"

namespace mu8::kernels::avx512vbmi {

extern const KernelTable kTable;

}  // namespace mu8::kernels::avx512vbmi
