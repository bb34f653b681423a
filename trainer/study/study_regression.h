// The regression set: another task that shows what tuning lost, read and checked before anything is trained. Needs ATen.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_REGRESSION_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_REGRESSION_H_

#include "trainer/study/study_data.h"
#include "trainer/study/study_scoring.h"

namespace breakeven {

// The set of config.regression, which must be there. What says less is added to data.cautions. Errors: kBadData as the readers
// say; where the prompt shows its answer; where its documents stand among those that tuning or its choices saw, as for
// test: equal texts, or more near duplicates than config.overlap allows.
ScoringSet ReadRegression(const StudyConfig& config, const ChatFormat& chat, int num_threads,
                          StudyData& data);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_REGRESSION_H_
