// Results that more than one command prints, as JSON.
#ifndef BREAKEVEN_LAUNCH_COMMAND_JSON_H_
#define BREAKEVEN_LAUNCH_COMMAND_JSON_H_

#include <string>

#include "trainer/prompt_eval/evaluation.h"

namespace breakeven {

// One object with "arms" and "records", indented, a line break at the end. Numbers that are not
// finite are null.
std::string EvalSummaryJson(const EvalSummary& summary);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_COMMAND_JSON_H_
