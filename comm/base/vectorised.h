// Pure. One function, compiled for each instruction set and chosen when the program is loaded.
#ifndef BREAKEVEN_COMM_BASE_VECTORISED_H_
#define BREAKEVEN_COMM_BASE_VECTORISED_H_

// BE_VECTORISED in front of a function whose loops are written in GCC's vector extensions. The psABI's levels (v4: AVX-512,
// v3: AVX2) and not the names of processors: g++ 12 compares `arch=haswell` with the model of the CPU, and every CPU that
// it does not know by name, younger or of another maker, gets the slow copy. Sanitizers' run-time is not up when the
// loader resolves the copies. clang, which builds the preset asan, has no such levels here.
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define BE_SEVERAL_INSTRUCTION_SETS
#endif
#ifdef BE_SEVERAL_INSTRUCTION_SETS
#define BE_VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BE_VECTORISED
#endif
#define BE_INLINE inline __attribute__((always_inline))

#endif  // BREAKEVEN_COMM_BASE_VECTORISED_H_
