// ATen's memory on CPUs: freed blocks are kept for the next step, in huge pages.
#ifndef BREAKEVEN_TRAINER_CACHING_ALLOCATOR_H_
#define BREAKEVEN_TRAINER_CACHING_ALLOCATOR_H_

#include "trainer/block_arena.h"

namespace breakeven {

// Makes the arena ATen's CPU allocator for blocks from 64 KiB, once a process; smaller ones and what
// finds no room go to glibc. Returns the arena, which is never destroyed.
BlockArena& InstallCachingAllocator();

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CACHING_ALLOCATOR_H_
