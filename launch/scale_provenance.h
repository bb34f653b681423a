// What a scaling report's figures come from: program, machines, dates, data, assumptions.
#ifndef BREAKEVEN_LAUNCH_SCALE_PROVENANCE_H_
#define BREAKEVEN_LAUNCH_SCALE_PROVENANCE_H_

#include <cstdint>
#include <vector>

#include "launch/report/study_report.h"
#include "trainer/scaling/scaling_table.h"

namespace breakeven {

// `cores`: CPUs of a node that the fit counts with.
std::vector<ReportFact> ScaleProvenance(const ScaleConfig& config, const ScalingResults& results,
                                        int64_t cores);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_SCALE_PROVENANCE_H_
