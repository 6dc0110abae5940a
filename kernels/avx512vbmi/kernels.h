// The table of kernels/avx512vbmi/: avx512vnni's, but for sampling weights. Every function equals
// its scalar definition byte for byte.
#pragma once

#include "kernels/kernel_table.h"

namespace mu8::kernels::avx512vbmi {

void SamplePanel(const SampleArgs& args);

extern const KernelTable kTable;

}  // namespace mu8::kernels::avx512vbmi
