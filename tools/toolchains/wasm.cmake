# WebAssembly by Emscripten (Debian's emscripten), with SIMD128 kernels if -DMU8_WASM_SIMD=ON; its
# programs run under node.
include(/usr/share/emscripten/cmake/Modules/Platform/Emscripten.cmake)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MU8_WASM_SIMD)
if(MU8_WASM_SIMD)
  set(CMAKE_C_FLAGS_INIT "-msimd128")
  set(CMAKE_CXX_FLAGS_INIT "-msimd128")
endif()
