// Pure. Scores of a classifier from right and predicted classes, as scikit-learn computes them.
#ifndef BREAKEVEN_TRAINER_STATISTICS_CONFUSION_H_
#define BREAKEVEN_TRAINER_STATISTICS_CONFUSION_H_

#include <cstdint>
#include <span>

namespace breakeven {

// Both spans hold a class (0, 1, …) of each document and are of one length.

// F1 of class 1: the harmonic mean of its precision and recall; 0 where it is neither right nor predicted.
double BinaryF1(std::span<const int64_t> right, std::span<const int64_t> predicted);

// Matthews' correlation for any number of classes (Gorodkin 2004); 0 where one side has one class only.
double MatthewsCorrelation(std::span<const int64_t> right, std::span<const int64_t> predicted);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_CONFUSION_H_
