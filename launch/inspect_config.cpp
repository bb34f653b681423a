#include <functional>
#include <string>
#include <vector>

#include "data_pipeline/prepare.h"
#include "launch/config_cluster.h"
#include "launch/config_kind.h"
#include "launch/inspect.h"
#include "trainer/prompt_eval/evaluation.h"
#include "trainer/prompt_eval/generation.h"
#include "trainer/scaling/cluster_config.h"
#include "trainer/scaling/scale_config.h"
#include "trainer/study/study_config.h"
#include "trainer/training_config.h"

namespace breakeven {
namespace {

struct Kind : FileKind {
  std::function<std::string(const CommandOptions&, const std::string&)> show;
};

template <FieldStruct T>
Kind KindOf(const char* what, const char* command = "") {
  return {{what, command, SchemaOf<T>()},
          [what](const CommandOptions& options, const std::string& path) {
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
  const std::vector<Kind> kinds = {
      KindOf<TrainConfig>("a config of breakeven train", "train"),
      KindOf<PrepareConfig>("a config of breakeven prepare"),
      KindOf<EvalConfig>("a config of breakeven eval", "eval"),
      KindOf<StudyConfig>("a config of breakeven study", "study"),
      KindOf<GenerateConfig>("a config of breakeven generate"),
      KindOf<ScaleConfig>("a config of breakeven scale"),
      KindOf<TaskConfig>("a task"),
      KindOf<VariantsConfig>("prompt variants"),
      KindOf<PromptConfig>("one prompt"),
      KindOf<ClusterConfig>("a cluster to forecast for"),
      KindOf<ForecastConfig>("a forecast of breakeven scale"),
      KindOf<SiteConfig>("a site of breakeven launch"),
  };
  return ChooseKind(kinds, path, ParseYamlFile(path), options.set).show(options, path);
}

}  // namespace breakeven
