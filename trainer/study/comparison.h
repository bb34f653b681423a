// Pure. Two arms on the same documents: the difference with its interval, a verdict of three values, and what the test
// set could have told.
#ifndef BREAKEVEN_TRAINER_STUDY_COMPARISON_H_
#define BREAKEVEN_TRAINER_STUDY_COMPARISON_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/statistics/bootstrap.h"
#include "trainer/statistics/interval.h"
#include "trainer/statistics/proportions.h"
#include "trainer/statistics/replicates.h"
#include "trainer/study/score_table.h"
#include "trainer/study/verdict_config.h"

namespace breakeven {

enum class Verdict { kBetter, kWorse, kCannotTell };
std::string_view VerdictName(Verdict verdict);  // "better", "worse", "cannot tell"

enum class IntervalMethod {
  kScore,         // Tango's, hits and misses without groups
  kScaledScore,   // the same, scaled: groups, or scores between 0 and 1
  kBca,           // paired bootstrap
  kStudent,       // t; with groups on clustered standard errors
  kReplicates,    // t on the replicates' means: these documents, new seeds
  kJoined,        // documents and replicates: new documents, new seeds
  kHierarchical,  // two-way bootstrap, documents and seeds
};
std::string_view IntervalMethodName(IntervalMethod method);

struct NamedInterval {
  IntervalMethod method = IntervalMethod::kStudent;
  Interval interval;
};

struct Comparison {
  int64_t num_documents = 0;
  int64_t num_groups = 0;      // 0: documents have no groups
  int64_t num_replicates = 1;  // of the arm
  int64_t num_baseline_replicates = 1;
  double arm_score = 0;
  double baseline_score = 0;
  double difference = 0;  // arm − baseline, in the table's unit

  NamedInterval deciding;                // 95 % unless the config says otherwise
  std::vector<NamedInterval> others;     // computed as well, to be shown beside
  std::optional<Interval> simultaneous;  // in a family: holds for all its members at once (max-T)
  double p_value = 1;           // two-sided: McNemar's exact test, or the deciding interval's
  double adjusted_p_value = 1;  // Holm's in a family, else p_value

  std::optional<PairedCounts> counts;  // hits and misses of two single arms
  std::optional<McNemarTest> mcnemar;  // ignores groups
  int64_t num_differing = 0;           // documents on which the arms' scores differ
  double design_effect = 1;            // what grouping costs; 1 without groups

  Verdict verdict = Verdict::kCannotTell;
  bool equivalent = false;  // surely nearer than the margin (two one-sided tests at 1 − confidence)

  double minimum_detectable_effect = 0;
  // Documents (or replicates, the other as it is) with which a true effect as large as this difference would be seen
  // with the config's power; nullopt: no number would do.
  std::optional<int64_t> documents_to_settle;
  std::optional<int64_t> replicates_to_settle;
  std::vector<std::string> cautions;  // whole sentences
};

// Holm's p-values over comparisons that are read together, and the verdicts that follow from them.
void AdjustFamily(std::span<Comparison* const> family, double confidence);

struct ArmScore {
  double score = 0;
  Interval interval;   // new documents and, where there are replicates, new replicates
  Interval documents;  // these replicates
};

// Holds a table and its bootstrap, drawn once for all comparisons.
//
// What decides: for hits without groups Tango's score interval and, agreeing with it, McNemar's exact test; for other
// scores in [0, 1] BCa from 200 documents with 20 that differ when there are no groups, else the scaled score interval; for
// log-likelihoods BCa likewise, else Student's t. Replicates are joined to that. better: the interval lies above 0 and the
// (adjusted) p-value is ≤ 1 − confidence; worse: below; else cannot tell. trainer/statistics/README.md has the measured
// coverage of each.
class ScoreComparer {
 public:
  ScoreComparer(ScoreTable table, const VerdictConfig& config);

  // Columns: one, or the replicates of a recipe.
  Comparison Compare(std::span<const size_t> arm, std::span<const size_t> baseline) const;
  // Several arms against one baseline: Holm's p-values decide, and simultaneous intervals are filled in.
  std::vector<Comparison> CompareFamily(std::span<const std::vector<size_t>> arms,
                                        std::span<const size_t> baseline) const;
  ArmScore Score(std::span<const size_t> arm) const;

  const ScoreTable& table() const { return table_; }
  const VerdictConfig& config() const { return config_; }
  const Units& units() const { return units_; }                   // all columns
  const ResampledMeans& resampled() const { return resampled_; }  // empty with resamples: 0

 private:
  class Work;

  ScoreTable table_;
  VerdictConfig config_;
  Units units_;
  ResampledMeans resampled_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_COMPARISON_H_
