// Pure. The time of day, for records of when something was done: nothing may depend on it.
#ifndef BREAKEVEN_COMM_BASE_UTC_TIME_H_
#define BREAKEVEN_COMM_BASE_UTC_TIME_H_

#include <string>

namespace breakeven {

// "2026-01-31T13:05:00Z": texts sort as times do.
std::string UtcNow();

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_UTC_TIME_H_
