// Pure. SIGTERM, SIGINT and SIGUSR1 ask a run to save and end.
#ifndef BREAKEVEN_TRAINER_STOP_SIGNALS_H_
#define BREAKEVEN_TRAINER_STOP_SIGNALS_H_

namespace breakeven {

// While at least one object lives, these signals set a flag and do nothing else; when the last one
// goes, the former handlers are back. The flag is the process's: ranks that are threads share it.
// It is cleared when the first is made.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  bool requested() const;
  // "SIGTERM", …: the first signal that came; "" when none did.
  const char* name() const;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STOP_SIGNALS_H_
