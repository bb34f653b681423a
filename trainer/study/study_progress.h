// Pure. How far a study is, over its whole plan.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_PROGRESS_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace breakeven {

// Work is counted in tokens of a forward pass; a trained token is three. On a terminal the bar of what runs now is preceded by
// what this knows; elsewhere each finished piece is a line of the log.
class StudyProgress {
 public:
  // `pieces`: trainings and arms of the plan. Ranks other than 0 pass enabled = false.
  StudyProgress(int64_t pieces, bool enabled);
  ~StudyProgress();
  StudyProgress(const StudyProgress&) = delete;
  StudyProgress& operator=(const StudyProgress&) = delete;

  // Tokens of the whole plan, as far as it is known: again when it is known better.
  void Expect(double total_tokens) { total_tokens_ = total_tokens; }
  void Begin(std::string_view what);
  void Done(std::string_view what, double tokens, std::string_view note);
  void Skip(double tokens);  // done by a process before
  // Dev scores, for the line; they stay until replaced.
  void Baseline(double score) { baseline_ = score; }
  void Tuned(double score);
  double SecondsLeft() const;  // NaN: not known yet

 private:
  std::string Where() const;

  const int64_t pieces_;
  const bool enabled_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double total_tokens_ = 0;
  double skipped_tokens_ = 0;
  double done_tokens_ = 0;  // by this process
  int64_t finished_ = 0;
  double baseline_ = std::numeric_limits<double>::quiet_NaN();
  double tuned_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_PROGRESS_H_
