// Coverage of claims about recipes: documents and seeds are drawn anew.
#include <cmath>
#include <span>
#include <vector>

#include "tests/bench/statistics/simulation.h"
#include "tests/support/dice.h"
#include "trainer/statistics/bootstrap.h"
#include "trainer/statistics/distributions.h"
#include "trainer/statistics/replicates.h"
#include "trainer/statistics/scaled_score.h"

namespace breakeven {
namespace {

struct SeedCase {
  int64_t n = 0;
  double psi = 0;
  double delta = 0;
  size_t seeds = 0;
  double deviation = 0;  // of a seed's effect
};

// Seeds of one recipe on the same documents: a document's draw is common to all seeds with chance 0.8.
struct SeedStudy {
  std::vector<std::vector<double>> columns;  // [seed][document]
  std::vector<double> mean;                  // over seeds
  double on_these_documents = 0;             // what new seeds would score on average
};

SeedStudy DrawSeeds(const SeedCase& c, Dice& dice) {
  constexpr double kCommon = 0.8;
  std::vector<double> effects;
  for (size_t s = 0; s < c.seeds; ++s) effects.push_back(c.delta + c.deviation * dice.Normal());
  SeedStudy study{std::vector<std::vector<double>>(c.seeds), {}, 0};
  for (int64_t i = 0; i < c.n; ++i) {
    const double common = dice.Uniform();
    double sum = 0;
    for (size_t s = 0; s < c.seeds; ++s) {
      const double own = dice.Uniform();
      const double d = Difference(dice.Uniform() < kCommon ? common : own, c.psi, effects[s]);
      study.columns[s].push_back(d);
      sum += d;
    }
    study.mean.push_back(sum / static_cast<double>(c.seeds));
    // Won by the seeds whose (ψ + effect) / 2 lies above the common draw.
    const double margin = c.psi + c.delta - 2 * common;
    const double won = c.deviation > 0 ? NormalCdf(margin / c.deviation) : (margin > 0 ? 1 : 0);
    const double expected = common < c.psi ? 2 * won - 1 : 0;
    study.on_these_documents +=
        (kCommon * expected + (1 - kCommon) * c.delta) / static_cast<double>(c.n);
  }
  return study;
}

struct SeedCoverage {
  Coverage joined;
  Coverage seeds;
  Coverage documents;
  Coverage hierarchical;
};

SeedCoverage SimulateSeeds(const SeedCase& c, int64_t studies, Dice& dice) {
  // The bootstrap is dear and only shown beside: a part of the studies.
  const int64_t every = c.n > 200 ? 8 : 2;
  SeedCoverage coverage;
  std::vector<size_t> all;
  for (size_t s = 0; s < c.seeds; ++s) all.push_back(s);
  for (int64_t study = 0; study < studies; ++study) {
    const SeedStudy drawn = DrawSeeds(c, dice);
    const Units units = MakeUnits(drawn.columns);
    const RecipeEstimate estimate = CompareRecipes(units, all, {});
    const Interval documents =
        ScaledScoreInterval(SummariseDifferences(drawn.mean, {}), kConfidence);
    coverage.joined.Add(JoinReplicates(estimate, documents, kConfidence), c.delta);
    coverage.seeds.Add(ReplicateInterval(estimate, kConfidence), drawn.on_these_documents);
    coverage.documents.Add(documents, c.delta);
    if (study % every != 0) continue;
    const uint64_t seed = static_cast<uint64_t>(study);
    const ResampledMeans resampled = BootstrapMeans(units, {kResamples / 2, seed});
    coverage.hierarchical.Add(
        PercentileInterval(HierarchicalMeans(resampled, all, seed), kConfidence), c.delta);
  }
  return coverage;
}

}  // namespace

void SeedsTable(int64_t studies) {
  std::printf(
      "\n### Recipes: documents and seeds\n\n"
      "| n | ψ | δ | seeds | deviation of seeds | documents and seeds | better | seeds alone | "
      "documents alone | hierarchical bootstrap |\n|---|---|---|---|---|---|---|---|---|---|\n");
  Dice dice(14);
  for (int64_t n : kDocuments) {
    for (double psi : {0.1, 0.3}) {
      for (double share : {0.0, 0.5}) {
        for (size_t seeds : {size_t{2}, size_t{3}, size_t{5}}) {
          for (double deviation : {0.0, 0.1, 0.3}) {  // ÷ ψ
            const SeedCase c{n, psi, psi * share, seeds, psi * deviation};
            const SeedCoverage found = SimulateSeeds(c, studies, dice);
            std::printf("| %ld | %.1f | %.2f | %zu | %.2f | %.1f | %.1f | %.1f | %.1f | %.1f |\n",
                        static_cast<long>(n), psi, c.delta, seeds, c.deviation,
                        found.joined.percent(), found.joined.above_percent(), found.seeds.percent(),
                        found.documents.percent(), found.hierarchical.percent());
            std::fflush(stdout);
          }
        }
      }
    }
  }
}

}  // namespace breakeven
