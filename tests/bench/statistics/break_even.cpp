// Coverage of the break-even intervals, in examples and in queries, and whole planted studies.
#include <cmath>
#include <limits>
#include <vector>

#include "tests/bench/statistics/simulation.h"
#include "tests/support/planted_study.h"
#include "trainer/study/cost.h"
#include "trainer/study/findings.h"

namespace breakeven {
namespace {

constexpr int64_t kSelfMeasured = 20;  // studies of a row that also measure their own coverage

struct Case {
  const char* name;
  PlantedTruth truth;
};

double TrueCrossing(const PlantedTruth& truth) {
  for (size_t j = 0; j < truth.sizes.size(); ++j) {
    if (truth.tuned[j] <= truth.prompt) continue;
    if (j == 0) return static_cast<double>(truth.sizes[0]);
    const double fraction =
        (truth.prompt - truth.tuned[j - 1]) / (truth.tuned[j] - truth.tuned[j - 1]);
    const double low = std::log1p(static_cast<double>(truth.sizes[j - 1]));
    const double high = std::log1p(static_cast<double>(truth.sizes[j]));
    return std::expm1(low + fraction * (high - low));
  }
  return std::numeric_limits<double>::infinity();
}

LearningCurve CurveOf(const StudyInput& study, const VerdictConfig& config) {
  const ScoreComparer comparer(TableOf(study.test, study.metric), config);
  std::vector<CurveSize> sizes;
  for (const StudyArm& arm : study.arms) {
    if (arm.role == ArmRole::kTuned) sizes.push_back({arm.num_examples, arm.columns});
  }
  return BuildLearningCurve(comparer, sizes, study.arms[study.baseline].columns);
}

void ExamplesTable(int64_t studies) {
  std::printf(
      "\n### Examples from which tuning wins\n\n"
      "| n | seeds | true number | coverage | as the studies measure it themselves "
      "|\n|---|---|---|---|---|\n");
  for (int64_t n : {200, 1000}) {
    for (int64_t seeds : {1, 3, 5}) {
      PlantedTruth truth;
      truth.num_test = n;
      truth.num_seeds = seeds;
      truth.seed_deviation = seeds == 1 ? 0 : 0.01;  // of one seed nobody can know how seeds differ
      Coverage coverage;
      double measured = 0;
      for (int64_t study = 0; study < studies; ++study) {
        VerdictConfig config;
        config.resamples = 400;
        config.coverage_studies = study < kSelfMeasured ? 100 : 0;
        const ExamplesToWin found =
            CurveOf(PlantStudy(truth, 100000 + static_cast<uint64_t>(study)), config)
                .examples_to_win;
        coverage.Add(found.interval, TrueCrossing(truth));
        measured += 100 * found.measured_coverage.value_or(0);
      }
      std::printf("| %ld | %ld | %.0f | %.1f | %.0f |\n", static_cast<long>(n),
                  static_cast<long>(seeds), TrueCrossing(truth), coverage.percent(),
                  measured / static_cast<double>(std::min(studies, kSelfMeasured)));
      std::fflush(stdout);
    }
  }
}

// Timings vary by a factor (log-normal); a share of the batches takes three times as long.
struct TimingNoise {
  double spread = 0;
  double pauses = 0;
};

std::vector<TimedBatch> TimeBatches(double seconds, int64_t batches, const TimingNoise& noise,
                                    Dice& dice) {
  std::vector<TimedBatch> timed;
  for (int64_t i = 0; i < batches; ++i) {
    const double queries = 8 + std::floor(dice.Uniform() * 16);
    const double factor = std::exp(noise.spread * dice.Normal() - noise.spread * noise.spread / 2);
    const double pause = dice.Uniform() < noise.pauses ? 3 : 1;
    timed.push_back({queries, queries * seconds * factor * pause / (1 + 2 * noise.pauses)});
  }
  return timed;
}

void QueriesTable(int64_t studies) {
  std::printf(
      "\n### Queries after which training has paid back\n\n"
      "| batches | spread of timings | batches that pause | saving | coverage | unbounded | as the "
      "studies measure it "
      "themselves |\n"
      "|---|---|---|---|---|---|---|\n");
  Dice dice(15);
  for (int64_t batches : {10, 40}) {
    for (const TimingNoise& noise :
         {TimingNoise{0.05, 0}, TimingNoise{0.3, 0}, TimingNoise{0.05, 0.02}}) {
      for (double saving : {0.6, 0.1}) {  // share of the prompt's time
        const double extra = 3600;
        const double truth = extra / (0.05 * saving);
        Coverage coverage;
        double unbounded = 0;
        double measured = 0;
        for (int64_t study = 0; study < studies; ++study) {
          VerdictConfig config;
          config.coverage_studies = study < kSelfMeasured ? 400 : 0;
          const PayBack found =
              PayBackQueries({extra, 0, std::numeric_limits<double>::infinity()},
                             TimeBatches(0.05, batches, noise, dice),
                             TimeBatches(0.05 * (1 - saving), batches, noise, dice), config, {});
          coverage.Add(found.interval, truth);
          unbounded += std::isinf(found.interval.high) ? 1 : 0;
          measured += 100 * found.measured_coverage.value_or(0);
        }
        std::printf("| %ld | %.2f | %.0f %% | %.0f %% | %.1f | %.0f %% | %.0f |\n",
                    static_cast<long>(batches), noise.spread, 100 * noise.pauses, 100 * saving,
                    coverage.percent(), 100 * unbounded / static_cast<double>(studies),
                    measured / static_cast<double>(std::min(studies, kSelfMeasured)));
        std::fflush(stdout);
      }
    }
  }
}

}  // namespace

void BreakEvenTables(int64_t studies) {
  ExamplesTable(studies);
  QueriesTable(studies);
}

void PlantedTable(int64_t studies) {
  PlantedTruth nothing;
  nothing.tuned = {nothing.prompt, nothing.prompt, nothing.prompt};
  PlantedTruth worse;
  worse.tuned = {0.58, 0.60, 0.62};
  std::printf(
      "\n### Whole studies, at record level\n\n"
      "500 test documents, 12 equally good prompts of which 200 dev documents choose one, three "
      "sizes, three seeds.\n\n"
      "| case | true difference | better | worse | cannot tell | interval holds it | mean "
      "detectable effect | "
      "false in family |\n|---|---|---|---|---|---|---|---|\n");
  for (const Case& planted :
       {Case{"tuning helps", PlantedTruth()}, Case{"tuning does nothing", nothing},
        Case{"the prompt is better", worse}}) {
    const double truth = planted.truth.tuned.back() - planted.truth.prompt;
    Coverage coverage;
    double counts[3] = {0, 0, 0};
    double detectable = 0;
    double family = 0;
    for (int64_t study = 0; study < studies; ++study) {
      VerdictConfig config;
      config.resamples = 1000;
      config.coverage_studies = 0;
      const StudyFindings findings =
          Conclude(PlantStudy(planted.truth, static_cast<uint64_t>(study)), config, CostConfig());
      ++counts[static_cast<int>(findings.headline.verdict)];
      coverage.Add(findings.headline.deciding.interval, truth);
      detectable += findings.headline.minimum_detectable_effect;
      // Any verdict in the family that is not the truth's.
      bool wrong = false;
      for (const ArmFinding& arm : findings.arms) {
        if (!arm.against_baseline.has_value() || arm.arm.name == "tuned 800") continue;
        double effect = arm.arm.role == ArmRole::kZeroShot ? -0.05 : 0;
        for (size_t j = 0; j < planted.truth.sizes.size(); ++j) {
          const bool mine =
              arm.arm.role == ArmRole::kTuned && arm.arm.num_examples == planted.truth.sizes[j];
          if (mine) effect = planted.truth.tuned[j] - planted.truth.prompt;
        }
        const Verdict verdict = arm.against_baseline->verdict;
        wrong = wrong || (verdict == Verdict::kBetter && effect <= 1e-9) ||
                (verdict == Verdict::kWorse && effect >= -1e-9);
      }
      family += wrong ? 1 : 0;
    }
    const double percent = 100 / static_cast<double>(studies);
    std::printf("| %s | %+.2f | %.1f %% | %.1f %% | %.1f %% | %.1f %% | %.3f | %.1f %% |\n",
                planted.name, truth, percent * counts[0], percent * counts[1], percent * counts[2],
                coverage.percent(), detectable / static_cast<double>(studies), percent * family);
    std::fflush(stdout);
  }
}

}  // namespace breakeven
