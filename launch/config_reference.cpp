#include "launch/config_reference.h"

#include "comm/all_reduce_bench.h"
#include "data_pipeline/loader_bench.h"
#include "data_pipeline/prepare.h"
#include "launch/config_cluster.h"
#include "launch/config_print.h"
#include "trainer/prompt_eval/eval_config.h"
#include "trainer/prompt_eval/generation.h"
#include "trainer/prompt_eval/score_bench.h"
#include "trainer/scaling/scale_config.h"
#include "trainer/step_bench.h"
#include "trainer/study/study_config.h"
#include "trainer/training_config.h"

namespace breakeven {
namespace {

constexpr char kIntroduction[] = R"(# Config keys

Made from the config structs by a test (tests/launch/configs_test.cpp); `breakeven COMMAND --help-config` prints the same.

Values come from the struct's defaults, then the file, then each `--set path.to.key=value` in order. Paths are written as
`--set` takes them: `0` stands for any index of a list, `NAME` for a name of your choice; dots inside a name are written
`\.`. A section may also be the path of a YAML file that holds it, relative to the file that says so; all other paths are
relative to the working directory. One value where a list is wanted is a list of one.
)";

constexpr char kLaunchIntroduction[] = R"(
## launch

A section that any config may have beside its own keys. `cluster.site` is usually the path of a site file.

)";

template <FieldStruct T>
std::string Section(const std::string& command) {
  return "\n## " + command + "\n\n" + FormatOptionTable(SchemaOf<T>(), TreeOf(T{}));
}

}  // namespace

std::string ConfigReference() {
  return kIntroduction + Section<PrepareConfig>("prepare") + Section<TrainConfig>("train") +
         Section<EvalConfig>("eval") + Section<StudyConfig>("study") +
         Section<ScaleConfig>("scale") + Section<GenerateConfig>("generate") + kLaunchIntroduction +
         FormatOptionTable(SchemaOf<ClusterSection>(), TreeOf(ClusterSection{})) +
         Section<AllReduceBenchConfig>("bench allreduce") +
         Section<LoaderBenchConfig>("bench loader") + Section<ScoreBenchConfig>("bench score") +
         Section<StepBenchConfig>("bench step");
}

}  // namespace breakeven
