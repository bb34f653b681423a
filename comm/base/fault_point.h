// The seam through which tests inject faults (design.md §3). `breakeven` links fault_point_none.cpp, in which every
// point is an empty function; `breakeven_faulty` links fault_point_injected.cpp, which reads BREAKEVEN_FAULT.
// All other objects are the same, so what the tests break is what users run.
#ifndef BREAKEVEN_COMM_BASE_FAULT_POINT_H_
#define BREAKEVEN_COMM_BASE_FAULT_POINT_H_

#include <cstdint>
#include <string_view>

namespace breakeven {

// A place where a fault can be made to happen. `name` is "area.place" ("checkpoint.before_manifest"), `index` the step
// or the number of the call. In `breakeven_faulty`, BREAKEVEN_FAULT="name@index:rank=action[,…]" with action kill (SIGKILL
// itself), exit:CODE, throw, stop (SIGSTOP) or hang acts here; a missing @index or :rank matches all.
void FaultPoint(std::string_view name, int64_t index = 0);

// The same for calls that return an errno: 0, or the errno that the next real call is to be replaced with
// (action errno:N). The caller treats it exactly as a failure of the call itself.
int InjectedErrno(std::string_view name, int64_t index = 0);

// The same for numbers: true when the value at this point is to be replaced by NaN (action nan).
bool InjectedNan(std::string_view name, int64_t index = 0);

void SetFaultRank(int rank);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_FAULT_POINT_H_
