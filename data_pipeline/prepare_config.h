// Pure. What `prepare` stores of its config.
#ifndef BREAKEVEN_DATA_PIPELINE_PREPARE_CONFIG_H_
#define BREAKEVEN_DATA_PIPELINE_PREPARE_CONFIG_H_

#include <string>

#include "data_pipeline/prepare.h"

namespace breakeven {

// Compact JSON of every field that shapes the data: no paths, names or thread counts, so that the
// same data prepared elsewhere give the same bytes.
std::string CanonicalConfig(const PrepareConfig& config);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_PREPARE_CONFIG_H_
