// Pure. How far a study is, over its whole plan.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_PROGRESS_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <limits>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

// Work is counted in tokens of a forward pass; a trained token is three. On a terminal two lines stand above the bar of what
// runs now: the plan with its time left, and what is known of the scores; elsewhere each finished piece is a line of the log.
// Thread-safe.
class StudyProgress {
 public:
  // `pieces`: what the plan consists of. Ranks other than 0 pass enabled = false.
  StudyProgress(int64_t pieces, bool enabled);
  ~StudyProgress();
  StudyProgress(const StudyProgress&) = delete;
  StudyProgress& operator=(const StudyProgress&) = delete;

  // Tokens of the whole plan, as far as it is known: again when it is known better.
  void Expect(double total_tokens);
  void Begin(std::string_view what);
  void Done(std::string_view what, double tokens, std::string_view note);
  void Skip(double tokens);  // done by a process before
  // Dev scores, for the line; they stay until replaced.
  void Baseline(double score);
  void Tuned(double score);

  // What stands above the bar now.
  std::vector<std::string> Lines() const;

 private:
  using Clock = std::chrono::steady_clock;
  // NaN: not known yet. By the rate up to the last finished piece. Requires mutex_.
  double SecondsLeft(Clock::time_point now) const;

  const int64_t pieces_;
  const bool enabled_;
  const Clock::time_point begin_ = Clock::now();
  mutable std::mutex mutex_;
  Clock::time_point last_done_ = begin_;
  std::string now_;
  double total_tokens_ = 0;
  double skipped_tokens_ = 0;
  double done_tokens_ = 0;  // by this process
  int64_t finished_ = 0;
  double baseline_ = std::numeric_limits<double>::quiet_NaN();
  double tuned_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_PROGRESS_H_
