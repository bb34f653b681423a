// configs/REFERENCE.md: every key of every command, from the structs themselves.
#ifndef BREAKEVEN_LAUNCH_CONFIG_REFERENCE_H_
#define BREAKEVEN_LAUNCH_CONFIG_REFERENCE_H_

#include <string>

namespace breakeven {

std::string ConfigReference();

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_REFERENCE_H_
