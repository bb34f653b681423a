// Pure. Everything that is compared over ranks before a training run builds its model. Internal to trainer.
#ifndef BREAKEVEN_TRAINER_PREFLIGHT_H_
#define BREAKEVEN_TRAINER_PREFLIGHT_H_

#include "comm/world.h"
#include "trainer/training_config.h"
#include "trainer/training_inputs.h"

namespace breakeven {

// COLLECTIVE. Behind OpenTrainingInputs, which has compared config, model, tokenizer and data; the weights are compared once
// they are read. Refuses, the same on all ranks: another program or precision on some ranks, a run folder that some do not
// see. Warns of threads that outnumber CPUs and of CPUs that are left idle. Times an all-reduce of a bucket and says what a step's
// will cost. Less than 2 s on a few nodes.
void Preflight(const TrainConfig& config, World& world, const TrainingInputs& inputs);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PREFLIGHT_H_
