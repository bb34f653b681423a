// Pure. What the threads of this process are doing at this moment, asked from another thread of it. Linux.
#ifndef BREAKEVEN_COMM_BASE_STACK_TRACE_H_
#define BREAKEVEN_COMM_BASE_STACK_TRACE_H_

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>

namespace breakeven {

// Installs the handler of the real-time signal by which a thread is asked for its stack; the former handler stays in
// place when the signal is in use. Once per process, early; calling it again does nothing.
void PrepareStackTraces();

// Threads whose name (pthread_setname_np) begins with this are left out: those that ask.
inline constexpr std::string_view kWatchThreadPrefix = "be-watch";

// The main thread's stack, then those of all threads that are in this program's own code, equal ones once; with each
// thread's state and what it waits for in the kernel. Several lines, each indented, without a newline at the end.
//
// A thread that does not answer (asleep in the kernel for good, as on a file system that is gone) costs `patience` and is
// shown by its state alone. Not for signal handlers; one call at a time.
std::string StacksOfThreads(std::chrono::milliseconds patience);

// State letter of proc(5) ('R' runs, 'S' sleeps, 'D' sleeps in the kernel for good, 'T' stopped, 'Z' dead) of a process, or of
// its thread `thread`; 0 when there is none that this process can see.
char ProcessState(pid_t process, pid_t thread = 0);
// When a process was started, in clock ticks since boot: with its number, its identity. 0 when it cannot be seen.
uint64_t ProcessStartTime(pid_t process);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_STACK_TRACE_H_
