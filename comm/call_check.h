// Pure. Debugging aid: is every rank in the same collective?
#ifndef BREAKEVEN_COMM_CALL_CHECK_H_
#define BREAKEVEN_COMM_CALL_CHECK_H_

#include <memory>

#include "comm/communicator.h"
#include "comm/control.h"

namespace breakeven {

// Before each collective the ranks exchange a hash of its number, kind, count, dtype, op and root. Where they differ, all
// throw Error(kCommunication), on_all_ranks, naming the first two ranks that differ, both calls and both places in the
// program. `own` is the check's own plane and is closed with the communicator. A rank that comes to no collective at all
// is not found: its comrades wait.
std::unique_ptr<CollectiveObserver> MakeCallCheck(std::unique_ptr<Control> own);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_CALL_CHECK_H_
