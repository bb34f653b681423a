// Memory of the kernel's at a multiple of more than a page, so that huge pages fit.
#ifndef BREAKEVEN_COMM_BASE_ALIGNED_MAPPING_H_
#define BREAKEVEN_COMM_BASE_ALIGNED_MAPPING_H_

#include <cstddef>

namespace breakeven {

inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// An anonymous private mmap of `num_bytes`, a multiple of the page size, at a multiple of `alignment`, a power of two.
// `protection`, `flags`: mmap's, such as PROT_NONE and MAP_NORESERVE. The caller's: munmap(result, num_bytes). nullptr, and
// errno, where the system refuses.
void* MapAligned(size_t num_bytes, size_t alignment, int protection, int flags = 0);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_ALIGNED_MAPPING_H_
