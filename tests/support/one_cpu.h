// A thread's CPU mask for tests.
#ifndef BREAKEVEN_TESTS_SUPPORT_ONE_CPU_H_
#define BREAKEVEN_TESTS_SUPPORT_ONE_CPU_H_

#include <gtest/gtest.h>
#include <sched.h>

namespace breakeven {

// The calling thread may run on the first of its CPUs alone from here on; returns that one.
inline int BindToOneCpu() {
  cpu_set_t all, one;
  EXPECT_EQ(::sched_getaffinity(0, sizeof(all), &all), 0);
  int cpu = 0;
  while (cpu + 1 < CPU_SETSIZE && !CPU_ISSET(cpu, &all)) ++cpu;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  EXPECT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  return cpu;
}

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_SUPPORT_ONE_CPU_H_
