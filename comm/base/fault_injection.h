// The test's end of the seam: exists only where fault_point_injected.cpp is linked.
#ifndef BREAKEVEN_COMM_BASE_FAULT_INJECTION_H_
#define BREAKEVEN_COMM_BASE_FAULT_INJECTION_H_

#include <string_view>

namespace breakeven {

// Replaces all rules ("" = none) and starts the call counts again. The syntax is that of
// BREAKEVEN_FAULT (fault_point.h). Throws Error(kUsage) naming the rule, and then changes nothing.
void SetFaults(std::string_view rules);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_FAULT_INJECTION_H_
