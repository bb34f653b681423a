#include "trainer/study/study_inputs.h"

#include "comm/base/error.h"
#include "comm/base/progress.h"
#include "trainer/study/study_files.h"
#include "trainer/study/study_plan.h"
#include "trainer/study/study_regression.h"

namespace breakeven {

std::string StudyInputs::Fingerprint() const {
  std::string fingerprint = data.Fingerprint();
  if (!regression.has_value()) return fingerprint;
  for (const auto& [split, documents] : regression->data) {
    fingerprint += "-" + documents.content_hash;
  }
  return fingerprint;
}

StudyInputs ReadStudyInputs(const StudyConfig& config, const ChatFormat& chat, int num_threads,
                            World& world) {
  StudyInputs inputs;
  inputs.chat = chat;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    inputs.data = ReadStudyData(config, chat, num_threads);
    if (config.regression.has_value()) {
      inputs.regression = ReadRegression(config, chat, num_threads, inputs.data);
    }
    inputs.set = {config.Scoring(), inputs.data.Splits(), ""};
  });
  CheckSameOnAllRanks(*world.control, ErrorKind::kBadData, "content of the splits",
                      inputs.Fingerprint());
  return inputs;
}

void CheckDisk(const StudyConfig& config, int64_t num_parameters) {
  const int64_t need = DiskNeed(config, num_parameters);
  const int64_t free = FreeBytes(config.output);
  if (need <= free) return;
  throw Error(ErrorKind::kCannotCreate, config.output + ": the study needs up to " +
                                            FormatCount(need >> 20) + " MiB for checkpoints, and " +
                                            FormatCount(free >> 20) +
                                            " MiB are free; fewer sizes or seeds, or another disk");
}

}  // namespace breakeven
