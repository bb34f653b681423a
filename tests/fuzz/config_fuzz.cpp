// A YAML file, as a config of the kind whose keys it has most of, and as another program's.
#include <functional>
#include <string>
#include <vector>

#include "data_pipeline/prepare_config.h"
#include "data_pipeline/task.h"
#include "launch/config_cluster.h"
#include "launch/yaml_reader.h"
#include "tests/fuzz/fuzz_input.h"
#include "trainer/prompt_eval/eval_config.h"
#include "trainer/prompt_eval/generation.h"
#include "trainer/prompt_eval/score_bench.h"
#include "trainer/scaling/scale_config.h"
#include "trainer/step_bench.h"
#include "trainer/study/study_config.h"
#include "trainer/training_config.h"

namespace breakeven {
namespace {

struct ConfigKind {
  FieldSchema schema;
  std::function<void(const std::string& path)> read;
};

// What is accepted is printed, and what is printed is accepted and says the same.
template <FieldStruct T>
ConfigKind KindOf() {
  return {SchemaOf<T>(), [](const std::string& path) {
            const std::string printed = PrintConfig(ReadConfig<T>(path, {}));
            const InputFile copy(printed);
            std::string again;
            try {
              again = PrintConfig(ReadConfig<T>(copy.path(), {}));
            } catch (const Error& error) {
              BE_CHECK(false, std::string(error.what()) + "\n" + printed);
            }
            BE_CHECK(again == printed, printed + "\n---\n" + again);
          }};
}

const std::vector<ConfigKind>& Kinds() {
  static const std::vector<ConfigKind> kinds = {
      // With the section `cluster`, as `breakeven launch` reads it; the plain kinds come behind.
      KindOf<WithCluster<TrainConfig>>(),
      KindOf<SiteConfig>(),
      KindOf<GenerateConfig>(),
      KindOf<StepBenchConfig>(),
      KindOf<ScoreBenchConfig>(),
      KindOf<TrainConfig>(),
      KindOf<EvalConfig>(),
      KindOf<StudyConfig>(),
      KindOf<PrepareConfig>(),
      KindOf<VariantsConfig>(),
      KindOf<PromptConfig>(),
      KindOf<TaskConfig>(),
      KindOf<ScaleConfig>(),
      KindOf<ClusterConfig>(),
  };
  return kinds;
}

void ReadAsConfig(const std::string& path) {
  const ConfigNode tree = ParseYamlFile(path);
  if (!tree.is_map()) return;
  const ConfigKind* best = &Kinds().front();
  int64_t most = 0;
  for (const ConfigKind& kind : Kinds()) {
    const int64_t known = NumKnownKeys(tree, kind.schema);
    if (known > most) {
      most = known;
      best = &kind;
    }
  }
  best->read(path);
}

}  // namespace
}  // namespace breakeven

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace breakeven;
  const InputFile input({reinterpret_cast<const char*>(data), size});
  ExpectAnswer([&] { ReadAsConfig(input.path()); });
  ExpectAnswer([&] { ParseForeignYamlFile(input.path()); });
  return 0;
}
