// Which kernel tables this build has: MU8_HAVE_<TABLE> is 1 for each of them, 0 for the others.
//
// Who chooses tables in a build system defines MU8_TABLES_NAMED and the macros of those that it
// compiles (kernels/CMakeLists.txt does, where the choice between them is made at run time).
// Otherwise, as on bare metal and for whoever compiles the sources by hand, there is one: the
// fastest that the compiler's own flags allow. Then a binary needs what those flags say and asks
// nothing.
#pragma once

#if !defined(MU8_TABLES_NAMED)
// The first that fits, fastest first.
#if defined(__ARM_FEATURE_MVE)
#define MU8_HAVE_HELIUM 1
#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define MU8_HAVE_ARMDSP 1
#elif defined(__aarch64__) && defined(__ARM_FEATURE_MATMUL_INT8)
#define MU8_HAVE_NEONI8MM 1
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#define MU8_HAVE_NEONDOT 1
#elif defined(__ARM_NEON)
#define MU8_HAVE_NEON 1
#elif defined(__wasm_simd128__)
#define MU8_HAVE_WASM128 1
#else
#define MU8_HAVE_PORTABLE 1
#endif
#endif

#if !defined(MU8_HAVE_SCALAR)
#define MU8_HAVE_SCALAR 0
#endif
#if !defined(MU8_HAVE_PORTABLE)
#define MU8_HAVE_PORTABLE 0
#endif
#if !defined(MU8_HAVE_AVX2)
#define MU8_HAVE_AVX2 0
#endif
#if !defined(MU8_HAVE_AVXVNNI)
#define MU8_HAVE_AVXVNNI 0
#endif
#if !defined(MU8_HAVE_AVX512VNNI)
#define MU8_HAVE_AVX512VNNI 0
#endif
#if !defined(MU8_HAVE_AVX512VBMI)
#define MU8_HAVE_AVX512VBMI 0
#endif
#if !defined(MU8_HAVE_NEON)
#define MU8_HAVE_NEON 0
#endif
#if !defined(MU8_HAVE_NEONDOT)
#define MU8_HAVE_NEONDOT 0
#endif
#if !defined(MU8_HAVE_NEONI8MM)
#define MU8_HAVE_NEONI8MM 0
#endif
#if !defined(MU8_HAVE_ARMDSP)
#define MU8_HAVE_ARMDSP 0
#endif
#if !defined(MU8_HAVE_HELIUM)
#define MU8_HAVE_HELIUM 0
#endif
#if !defined(MU8_HAVE_WASM128)
#define MU8_HAVE_WASM128 0
#endif
