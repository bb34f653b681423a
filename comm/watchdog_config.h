// Pure. How long each phase may go without a sign of progress.
#ifndef BREAKEVEN_COMM_WATCHDOG_CONFIG_H_
#define BREAKEVEN_COMM_WATCHDOG_CONFIG_H_

#include "comm/base/fields.h"
#include "comm/heartbeat.h"

namespace breakeven {

// A sign of progress is a collective that begins or ends, a micro-batch or batch done, a change of phase. Waiting for another
// rank is none: a rank that waits longer than its limit ends the job, so limits are those of the slowest rank.
struct WatchdogConfig {
  bool enabled = true;
  double startup_seconds = 1800;
  double step_seconds = 900;
  double checkpoint_seconds = 3600;
  double eval_seconds = 1800;
  double closing_seconds = 1800;
  double learned_scale = 0;
  void VisitFields(FieldVisitor& v);
  // Seconds of a phase; 0: none.
  double Limit(Phase phase) const;
  // The key that Limit() takes it from, for messages; "" for phases without a limit.
  static std::string_view LimitKey(Phase phase);
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_WATCHDOG_CONFIG_H_
