// Coverage of the intervals for a difference.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/bench/statistics/simulation.h"
#include "tests/support/dice.h"
#include "trainer/statistics/bootstrap.h"
#include "trainer/statistics/distributions.h"
#include "trainer/statistics/proportions.h"
#include "trainer/statistics/scaled_score.h"
#include "trainer/statistics/units.h"

namespace breakeven {
namespace {

constexpr size_t kBlock =
    250;  // studies that share one bootstrap: a row of them fits the first-level cache

const std::vector<double> kEffects = {0, 0.5, 0.9};  // δ ÷ ψ

// BCa coverage of independent studies. The bootstrap's draws are shared by the studies of a block: within one study that
// changes nothing.
template <typename Draw>
Coverage BcaCoverage(int64_t studies, int64_t n, double truth, Draw&& draw) {
  Coverage coverage;
  for (int64_t begin = 0; begin < studies; begin += kBlock) {
    std::vector<std::vector<double>> columns(
        std::min<size_t>(kBlock, static_cast<size_t>(studies - begin)));
    for (auto& column : columns) {
      for (int64_t i = 0; i < n; ++i) column.push_back(draw());
    }
    const Units units = MakeUnits(columns);
    const ResampledMeans resampled =
        BootstrapMeans(units, {kResamples, static_cast<uint64_t>(begin)});
    for (size_t s = 0; s < columns.size(); ++s) {
      std::vector<double> distribution;
      for (size_t b = 0; b < resampled.num_resamples(); ++b) {
        distribution.push_back(resampled.at(b, s));
      }
      const Units one = MakeUnits(std::span(&columns[s], 1));
      coverage.Add(BcaInterval(distribution, Means(one)[0], JackknifeMeans(one), kConfidence),
                   truth);
    }
  }
  return coverage;
}

struct ExactHits {
  Coverage score;
  double false_better = 0;  // percent, of the verdict: interval above 0 and McNemar's exact p ≤ 5 %
};

// Every table that can occur, with its probability: no simulation.
ExactHits EnumerateHits(int64_t n, double discordance, double effect) {
  ExactHits result;
  const double win_share = (discordance + effect) / (2 * discordance);
  double total = 0;
  for (int64_t m = 0; m <= n; ++m) {
    const double of_m = BinomialPmf(m, n, discordance);
    if (of_m < 1e-9) continue;
    for (int64_t won = 0; won <= m; ++won) {
      const double p = of_m * BinomialPmf(won, m, win_share);
      if (p < 1e-10) continue;
      const Interval interval =
          TangoInterval(static_cast<double>(won), static_cast<double>(m - won),
                        static_cast<double>(n), kConfidence);
      result.score.Add(interval, effect, p);
      total += p;
      if (interval.low > 0 && McNemar(won, m - won).exact <= 1 - kConfidence) {
        result.false_better += 100 * p;
      }
    }
  }
  result.false_better /= total;
  return result;
}

struct GroupCoverage {
  Coverage score;
  Coverage student;
};

// Groups of 5, or of 1 to 3 and 12; a document repeats its group's draw with chance `alike`. `scores`: differences of
// scores in [0, 1], which the score interval is for.
template <typename Value>
GroupCoverage SimulateGroups(int64_t studies, int64_t n, bool equal, double alike, bool scores,
                             double truth, Dice& dice, Value&& value) {
  GroupCoverage coverage;
  for (int64_t study = 0; study < studies; ++study) {
    std::vector<double> differences;
    std::vector<uint64_t> groups;
    uint64_t group = 0;
    while (static_cast<int64_t>(differences.size()) < n) {
      const double choice = dice.Uniform();
      const int size = equal ? 5 : choice < 0.7 ? 1 + static_cast<int>(dice.Uniform() * 3) : 12;
      const double common = dice.Uniform();
      for (int k = 0; k < size && static_cast<int64_t>(differences.size()) < n; ++k) {
        const double own = dice.Uniform();
        differences.push_back(value(dice.Uniform() < alike ? common : own));
        groups.push_back(group);
      }
      ++group;
    }
    const Units units = MakeUnits(std::span(&differences, 1), {}, groups);
    coverage.student.Add(StudentInterval(EstimateMean(units, SmallSample::kLeverage), kConfidence),
                         truth);
    if (!scores) continue;
    coverage.score.Add(ScaledScoreInterval(SummariseDifferences(differences, groups), kConfidence),
                       truth);
  }
  return coverage;
}

}  // namespace

void HitsTable(int64_t studies) {
  std::printf(
      "\n### Hits, independent documents\n\n"
      "| n | ψ | δ | expected to differ | score, exact | verdict better, exact | BCa |\n"
      "|---|---|---|---|---|---|---|\n");
  Dice dice(11);
  for (int64_t n : kDocuments) {
    for (double psi : {0.02, 0.05, 0.1, 0.2, 0.4}) {
      for (double share : kEffects) {
        const double delta = psi * share;
        const ExactHits exact = EnumerateHits(n, psi, delta);
        std::string bca = "not used";
        if (n >= 200 && psi * static_cast<double>(n) >= 20) {
          const auto draw = [&] { return Difference(dice.Uniform(), psi, delta); };
          bca = BcaCoverage(studies, n, delta, draw).text();
        }
        std::printf("| %ld | %.2f | %.3f | %.0f | %.1f | %.1f | %s |\n", static_cast<long>(n), psi,
                    delta, psi * static_cast<double>(n), exact.score.percent(), exact.false_better,
                    bca.c_str());
        std::fflush(stdout);
      }
    }
  }
}

void GroupsTable(int64_t studies) {
  std::printf(
      "\n### Documents in groups\n\n"
      "| n | groups | alike | ψ | δ | expected to differ | scaled score | better | t on hits "
      "| t on log-likelihoods |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n");
  Dice dice(12);
  for (int64_t n : kDocuments) {
    for (bool equal : {true, false}) {
      for (double alike : {0.0, 0.6}) {
        for (double psi : {0.02, 0.1, 0.4}) {
          for (double share : {0.0, 0.9}) {
            const double delta = psi * share;
            const GroupCoverage hits =
                SimulateGroups(studies, n, equal, alike, true, delta, dice,
                               [&](double u) { return Difference(u, psi, delta); });
            // Differences of log-likelihoods: Student's t with 5 degrees, heavier tails than the normal.
            std::string nats = "";
            if (share == 0 && psi == 0.1) {
              const GroupCoverage heavy =
                  SimulateGroups(studies, n, equal, alike, false, 0, dice,
                                 [&](double u) { return StudentQuantile(u + 0x1p-54, 5); });
              nats = heavy.student.text();
            }
            std::printf("| %ld | %s | %.1f | %.2f | %.3f | %.0f | %.1f | %.1f | %.1f | %s |\n",
                        static_cast<long>(n), equal ? "of 5" : "of 1–12", alike, psi, delta,
                        psi * static_cast<double>(n), hits.score.percent(),
                        hits.score.above_percent(), hits.student.percent(), nats.c_str());
            std::fflush(stdout);
          }
        }
      }
    }
  }
}

void FractionsTable(int64_t studies) {
  std::printf(
      "\n### Scores between 0 and 1 (as of F1), independent documents\n\n"
      "| n | ψ | mean difference | scaled score | t | BCa |\n|---|---|---|---|---|---|\n");
  Dice dice(13);
  for (int64_t n : kDocuments) {
    for (double psi : {0.05, 0.2, 0.8}) {
      for (double share : {0.0, 0.9}) {
        const double delta = psi * share / 2;  // a differing document differs by ½ on average
        const auto draw = [&] {
          const double sign = Difference(dice.Uniform(), psi, psi * share);
          return sign == 0 ? 0 : sign * dice.Uniform();
        };
        Coverage score;
        Coverage student;
        for (int64_t study = 0; study < studies; ++study) {
          std::vector<double> differences;
          for (int64_t i = 0; i < n; ++i) differences.push_back(draw());
          score.Add(ScaledScoreInterval(SummariseDifferences(differences, {}), kConfidence), delta);
          const Units units = MakeUnits(std::span(&differences, 1));
          student.Add(StudentInterval(EstimateMean(units, SmallSample::kLeverage), kConfidence),
                      delta);
        }
        std::string bca = "not used";
        if (n >= 200 && psi * static_cast<double>(n) >= 20) {
          bca = BcaCoverage(studies, n, delta, draw).text();
        }
        std::printf("| %ld | %.2f | %.4f | %.1f | %.1f | %s |\n", static_cast<long>(n), psi, delta,
                    score.percent(), student.percent(), bca.c_str());
        std::fflush(stdout);
      }
    }
  }
}

}  // namespace breakeven
