// The measuring programs below `breakeven bench`: one function, one file bench_NAME.cpp each, and a
// row in main.cpp's table. COLLECTIVE over `world`, as commands are (command.h).
#ifndef BREAKEVEN_LAUNCH_BENCH_H_
#define BREAKEVEN_LAUNCH_BENCH_H_

#include "launch/command.h"

namespace breakeven {

void RunBenchAllReduce(const CommandOptions& options, World& world);
void RunBenchLoader(const CommandOptions& options, World& world);
void RunBenchScore(const CommandOptions& options, World& world);
void RunBenchStep(const CommandOptions& options, World& world);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_BENCH_H_
