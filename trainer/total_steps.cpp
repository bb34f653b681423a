// Pure.
#include "trainer/total_steps.h"

#include <cmath>

namespace breakeven {

int64_t CountTotalSteps(int64_t max_steps, double epochs,
                        const std::function<int64_t(int64_t)>& steps_of_epoch) {
  if (max_steps > 0) return max_steps;
  const auto whole_epochs = static_cast<int64_t>(std::floor(epochs));
  int64_t steps = 0;
  for (int64_t epoch = 0; epoch < whole_epochs; ++epoch) steps += steps_of_epoch(epoch);
  const double rest = epochs - static_cast<double>(whole_epochs);
  if (rest > 0) {
    steps +=
        static_cast<int64_t>(std::ceil(rest * static_cast<double>(steps_of_epoch(whole_epochs))));
  }
  return steps;
}

}  // namespace breakeven
