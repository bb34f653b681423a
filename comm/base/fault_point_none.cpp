// Pure. The end of the seam that users run: nothing ever happens.
#include "comm/base/fault_point.h"

namespace breakeven {

void FaultPoint(std::string_view, int64_t) {}
int InjectedErrno(std::string_view, int64_t) { return 0; }
bool InjectedNan(std::string_view, int64_t) { return false; }
void SetFaultRank(int) {}
void SetThreadFaultRank(int) {}

}  // namespace breakeven
