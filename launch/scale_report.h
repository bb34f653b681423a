// A sweep's results brought together to its report.
#ifndef BREAKEVEN_LAUNCH_SCALE_REPORT_H_
#define BREAKEVEN_LAUNCH_SCALE_REPORT_H_

#include "launch/config_cluster.h"
#include "launch/report/scaling_report.h"
#include "launch/scale_runs.h"

namespace breakeven {

// Table, fit, forecasts, provenance. Reads the models' config.json files. `simulate`: the event simulation as well.
ScalingReport MakeScalingReport(const ScaleConfig& config, const ClusterJobConfig& cluster,
                                const ScaleRuns& runs, bool simulate);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_SCALE_REPORT_H_
