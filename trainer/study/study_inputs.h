// What a study reads before it begins: documents of its task and of the regression set, checked. Needs ATen.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_INPUTS_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_INPUTS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "comm/world.h"
#include "trainer/study/study_data.h"
#include "trainer/study/study_scoring.h"

namespace breakeven {

struct StudyInputs {
  ChatFormat chat;  // of the base model
  StudyData data;
  ScoringSet set;
  std::optional<ScoringSet> regression;

  std::string Fingerprint() const;  // of all documents
};

// COLLECTIVE. Errors as ReadStudyData and ReadRegression say, and kBadData where ranks read different documents.
StudyInputs ReadStudyInputs(const StudyConfig& config, const ChatFormat& chat, int num_threads,
                            World& world);

// Error(kCannotCreate) where the run folder's disk has less than DiskNeed.
void CheckDisk(const StudyConfig& config, int64_t num_parameters);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_INPUTS_H_
