# Cortex-M without an operating system: Debian's gcc-arm-none-eabi, libnewlib-arm-none-eabi and
# libstdc++-arm-none-eabi-newlib. -DMU8_CORTEX=m0, m3, m4, m7, m33 or m55; m4 if unset.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
# There is no program to link before there is a board.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MU8_CORTEX)

if(NOT MU8_CORTEX)
  set(MU8_CORTEX m4)
endif()
set(mu8_cortex_m0 "-mcpu=cortex-m0")
set(mu8_cortex_m3 "-mcpu=cortex-m3")
set(mu8_cortex_m4 "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16")
set(mu8_cortex_m7 "-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16")
set(mu8_cortex_m33 "-mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16")
set(mu8_cortex_m55 "-mcpu=cortex-m55 -mfloat-abi=hard")
if(NOT DEFINED mu8_cortex_${MU8_CORTEX})
  message(FATAL_ERROR "MU8_CORTEX is ${MU8_CORTEX}; expected m0, m3, m4, m7, m33 or m55")
endif()
set(CMAKE_C_FLAGS_INIT
  "-mthumb ${mu8_cortex_${MU8_CORTEX}} -ffunction-sections -fdata-sections")
set(CMAKE_CXX_FLAGS_INIT "${CMAKE_C_FLAGS_INIT} -fno-threadsafe-statics -fno-use-cxa-atexit")
