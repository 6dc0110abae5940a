# RISC-V without an operating system: Debian's gcc-riscv64-unknown-elf and
# picolibc-riscv64-unknown-elf. -DMU8_RISCV=rv32imac or rv64imac, and so on; rv32imac if unset.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR riscv)
set(CMAKE_C_COMPILER riscv64-unknown-elf-gcc)
set(CMAKE_CXX_COMPILER riscv64-unknown-elf-g++)
# There is no program to link before there is a board.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MU8_RISCV)

if(NOT MU8_RISCV)
  set(MU8_RISCV rv32imac)
endif()
# Floats in registers where the processor has them.
set(mu8_abi_rv32 ilp32)
set(mu8_abi_rv64 lp64)
if(NOT MU8_RISCV MATCHES "^(rv32|rv64)[a-z]+$")
  message(FATAL_ERROR "MU8_RISCV is ${MU8_RISCV}; expected rv32imac, rv32imafc, rv64imac or another")
endif()
set(mu8_abi ${mu8_abi_${CMAKE_MATCH_1}})
if(MU8_RISCV MATCHES "^rv..(g|[a-z]*d)")
  string(APPEND mu8_abi d)
elseif(MU8_RISCV MATCHES "^rv..[a-z]*f")
  string(APPEND mu8_abi f)
endif()
set(CMAKE_C_FLAGS_INIT "-march=${MU8_RISCV} -mabi=${mu8_abi} -mcmodel=medany \
--specs=picolibc.specs -ffunction-sections -fdata-sections")
set(CMAKE_CXX_FLAGS_INIT "${CMAKE_C_FLAGS_INIT} -fno-threadsafe-statics -fno-use-cxa-atexit")
# That toolchain has no C++ headers; behind a standard library's own, should there be any.
string(APPEND CMAKE_CXX_FLAGS_INIT " -idirafter ${CMAKE_CURRENT_LIST_DIR}/freestanding")
