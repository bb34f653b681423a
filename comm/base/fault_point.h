// The seam through which tests inject faults. `breakeven` links
// fault_point_none.cpp, in which every point is an empty function; `breakeven_faulty` links
// fault_point_injected.cpp, which reads BREAKEVEN_FAULT. All other objects are the same, so what
// the tests break is what users run.
//
// BREAKEVEN_FAULT = rule[,rule…]; rule = name[@index[+]][:rank]=action. A missing @index or :rank
// matches all, `@3+` is 3 and later. Actions: kill (SIGKILL itself), exit:CODE, throw
// (Error(kInternal)), stop (SIGSTOP), hang and sleep:MILLISECONDS act at every kind of point; errno:N (a number or a
// name such as ENOSPC) only at InjectedErrno, nan only at InjectedNan. A value that does not parse
// ends the process with exit code 64 before main.
#ifndef BREAKEVEN_COMM_BASE_FAULT_POINT_H_
#define BREAKEVEN_COMM_BASE_FAULT_POINT_H_

#include <cstdint>
#include <string_view>

namespace breakeven {

// As `index`: how often this name has been passed before by this rank (0, 1, …), counted by the
// injecting end.
inline constexpr int64_t kCallNumber = -1;

// A place where a fault can be made to happen. `name` is "area.place"
// ("checkpoint.before_manifest"), `index` the step or the number of the call.
void FaultPoint(std::string_view name, int64_t index = 0);

// The same for calls that return an errno: 0, or the errno that the next real call is to be
// replaced with. The caller treats it exactly as a failure of the call itself.
int InjectedErrno(std::string_view name, int64_t index = 0);

// The same for numbers: true when the value at this point is to be replaced by NaN.
bool InjectedNan(std::string_view name, int64_t index = 0);

// The rank that `:rank` is compared with, for the whole process, and for one thread where ranks are
// threads.
void SetFaultRank(int rank);
void SetThreadFaultRank(int rank);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_FAULT_POINT_H_
