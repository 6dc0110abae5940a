// The table of kernels/avxvnni/: avx2's, but for convolutions.
#pragma once

#include "kernels/kernel_table.h"

namespace mu8::kernels::avxvnni {

extern const KernelTable kTable;

}  // namespace mu8::kernels::avxvnni
