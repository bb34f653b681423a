#include <algorithm>
#include <functional>

#include "data_pipeline/prepare.h"
#include "launch/config_check.h"
#include "launch/inspect.h"
#include "trainer/prompt_eval/evaluation.h"
#include "trainer/prompt_eval/generation.h"
#include "trainer/scaling/scale_config.h"
#include "trainer/study/study_config.h"
#include "trainer/training_config.h"

namespace breakeven {
namespace {

// One struct that a YAML file can be for.
struct Kind {
  const char* what;
  FieldSchema schema;
  std::function<std::string(const CommandOptions&, const std::string&)> show;
};

template <FieldStruct T>
Kind KindOf(const char* what) {
  return {what, SchemaOf<T>(), [what](const CommandOptions& options, const std::string& path) {
            // Any command's config may have a `cluster:` section, which changes no result.
            const T config = ReadConfig<WithCluster<T>>(path, options.set).job;
            if (options.json) return FormatJson(TreeOf(config));
            return "# " + path + ": " + what +
                   ". Fingerprint of what changes results: " + ConfigHash(config) + "\n" +
                   PrintConfig(config, /*with_help=*/true);
          }};
}

}  // namespace

std::string InspectConfig(const std::string& path, const CommandOptions& options) {
  const Kind kinds[] = {
      KindOf<TrainConfig>("a config of breakeven train"),
      KindOf<PrepareConfig>("a config of breakeven prepare"),
      KindOf<EvalConfig>("a config of breakeven eval"),
      KindOf<StudyConfig>("a config of breakeven study"),
      KindOf<GenerateConfig>("a config of breakeven generate"),
      KindOf<ScaleConfig>("a config of breakeven scale"),
      KindOf<TaskConfig>("a task"),
      KindOf<VariantsConfig>("prompt variants"),
      KindOf<PromptConfig>("one prompt"),
  };
  const ConfigNode tree = ParseYamlFile(path);
  // What it is for is not written in the file: the struct that knows most of its keys.
  const Kind* best = std::max_element(
      std::begin(kinds), std::end(kinds), [&](const Kind& left, const Kind& right) {
        return NumKnownKeys(tree, left.schema) < NumKnownKeys(tree, right.schema);
      });
  return best->show(options, path);
}

}  // namespace breakeven
