// Pure. What a comparison could have seen, and how many documents would settle it.
#ifndef BREAKEVEN_TRAINER_STATISTICS_POWER_H_
#define BREAKEVEN_TRAINER_STATISTICS_POWER_H_

namespace breakeven {

struct PowerOptions {
  double confidence = 0.95;  // of the two-sided interval
  double power = 0.8;        // chance to see an effect of this size
};

// McNemar's test on n documents of which a share `discordance` differ between the systems (Miettinen, 1968; Connor,
// 1987): n = (z √ψ + z' √(ψ − δ²))² / δ². The effect is the difference of proportions, at most ψ.
double DetectableDifference(double discordance, double n, const PowerOptions& options);
double DocumentsForDifference(double discordance, double difference, const PowerOptions& options);

// Any estimate with a normal or Student error: (t + t') · standard error.
double DetectableEffect(double standard_error, double degrees, const PowerOptions& options);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_POWER_H_
