// ATen's memory on CPUs: freed blocks are kept for the next step, in huge pages.
#ifndef BREAKEVEN_TRAINER_CACHING_ALLOCATOR_H_
#define BREAKEVEN_TRAINER_CACHING_ALLOCATOR_H_

namespace breakeven {

// Makes an arena (block_arena.h) ATen's CPU allocator for blocks from 64 KiB, once a process and whatever
// the environment says of glibc's; smaller ones and what finds no room go to glibc. The arena is never
// destroyed and gives nothing back: it stays as large as the largest step made it.
void InstallCachingAllocator();

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CACHING_ALLOCATOR_H_
