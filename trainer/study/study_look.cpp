#include "trainer/study/study_look.h"

namespace breakeven {

LookNumber OpenStudyLook(const ScoringSet& set, const std::string& split,
                         const std::vector<ArmToLookAt>& models, const std::string& run_folder,
                         World& world) {
  const EvalDocuments& documents = set.data.at(split);
  Look look{set.config.task.name, split, documents.content_hash, {}};
  for (const ArmToLookAt& asked : models) {
    LoadedModel model = ReadEvalModel(asked.model, asked.folder, world);
    model.hash = asked.model_hash;
    RunTogether(*world.control, /*root_only=*/false, [&] {
      for (const PromptConfig& prompt : asked.prompts) {
        look.arms.push_back(
            {asked.model, prompt.name, ArmHash(set.config, prompt, set.data, model)});
      }
    });
  }
  return OpenLookTogether(documents.path, run_folder + "/eval", look, *world.control);
}

}  // namespace breakeven
