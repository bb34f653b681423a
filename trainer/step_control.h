// The control measurement of communication: the same steps on the same ranks with and without it.
// Internal to trainer; needs ATen.
#ifndef BREAKEVEN_TRAINER_STEP_CONTROL_H_
#define BREAKEVEN_TRAINER_STEP_CONTROL_H_

#include <cstdint>

#include "data_pipeline/loader.h"
#include "trainer/step_bench.h"
#include "trainer/training_session.h"

namespace breakeven {

// COLLECTIVE. Each of the next `num_batches` steps of the loader is done four times: with, without,
// without, with. Ranks drift apart in the steps without; the weights are not to be used afterwards. The
// session has exact phases: else a GPU's step leaves its gathering to the next one's time and waits.
StepControl MeasureControl(TrainingSession& session, Loader& loader, int64_t num_batches);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STEP_CONTROL_H_
