// Every file under configs/ is read into the struct it is for, and checked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "comm/base/durable_file.h"
#include "data_pipeline/prepare.h"
#include "launch/config_reference.h"
#include "launch/yaml_reader.h"
#include "tests/support/temp_folder.h"
#include "trainer/model/model_config.h"
#include "trainer/prompt_eval/evaluation.h"
#include "trainer/prompt_eval/generation.h"
#include "trainer/scaling/scale_config.h"
#include "trainer/study/study_config.h"
#include "trainer/training_config.h"

namespace breakeven {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

const std::filesystem::path kConfigs = std::filesystem::path(BREAKEVEN_SOURCE_DIR) / "configs";

bool EndsIn(const std::string& text, const std::string& ending) {
  return text.size() >= ending.size() &&
         text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

// Reads `path`, prints it, reads that again: the same config, and every default has come out right.
template <FieldStruct T>
T ReadTwice(const std::string& path) {
  const T config = ReadConfig<T>(path, {});
  const std::string printed = PrintConfig(config);
  const TempFolder folder;
  const std::string copy = folder / "copy.yaml";
  WriteFileDurably(copy, printed);
  EXPECT_EQ(PrintConfig(ReadConfig<T>(copy, {})), printed) << path;
  return config;
}

void ReadByName(const std::string& path, const std::string& folder) {
  if (folder == "models") {
    EXPECT_GT(ParseModelConfig(ReadFile(path), path).num_parameters(), 0) << path;
  } else if (folder == "tasks") {
    ReadTwice<TaskConfig>(path);
  } else if (folder == "clusters" && path.find("/forecast_") != std::string::npos) {
    ReadTwice<ForecastConfig>(path);
  } else if (folder == "clusters") {
    ReadTwice<ClusterConfig>(path);
  } else if (path.find("/scale_") != std::string::npos) {
    const auto config = ReadTwice<ScaleConfig>(path);
    for (const auto& [name, workload] : config.forecast.workloads) {
      const std::string model = std::filesystem::path(BREAKEVEN_SOURCE_DIR) / workload.model;
      EXPECT_GT(ParseModelConfig(ReadFile(model), model).num_parameters(), 0) << name;
    }
  } else if (folder == "prompts" && EndsIn(path, "_training.yaml")) {
    ReadTwice<PromptConfig>(path);
  } else if (folder == "prompts") {
    EXPECT_GT(ReadTwice<VariantsConfig>(path).variants.size(), 1u)
        << path << ": variants to compare";
  } else if (EndsIn(path, "_prepare.yaml")) {
    ReadTwice<PrepareConfig>(path);
  } else if (EndsIn(path, "_eval.yaml")) {
    ReadTwice<EvalConfig>(path);
  } else if (path.find("/study_") != std::string::npos) {
    ReadTwice<StudyConfig>(path);
  } else if (EndsIn(path, "_generate.yaml")) {
    ReadTwice<GenerateConfig>(path);
  } else {
    ReadTwice<TrainConfig>(path);
  }
}

TEST(ConfigsTest, EveryFileIsReadAndValid) {
  int num_files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kConfigs)) {
    const std::filesystem::path& path = entry.path();
    if (!entry.is_regular_file() || path.extension() == ".md") continue;
    EXPECT_THAT(path.extension().string(), AnyOf(".yaml", ".json")) << path << ": what is it?";
    EXPECT_NO_THROW(ReadByName(path.string(), path.parent_path().filename().string())) << path;
    ++num_files;
  }
  EXPECT_GE(num_files, 15);
}

TEST(ConfigsTest, TheQuickstartKeepsItsSplitsApart) {
  const auto prepare =
      ReadConfig<PrepareConfig>((kConfigs / "quickstart_prepare.yaml").string(), {});
  const auto train = ReadConfig<TrainConfig>((kConfigs / "quickstart_train.yaml").string(), {});
  EXPECT_THAT(prepare.splits, Not(Contains("test"))) << "test is read once, by its sealed look";
  ASSERT_TRUE(train.prompt_eval.has_value());
  EXPECT_EQ(train.prompt_eval->split, "dev");
  EXPECT_EQ(train.prompt_eval->sealed_split, "test");
  EXPECT_EQ(train.data, prepare.output + "/train.h5");
  EXPECT_EQ(train.validation.data, prepare.output + "/dev.h5");
  bool chat = false;
  bool shots = false;
  for (const PromptConfig& variant : train.prompt_eval->prompts.variants) {
    chat = chat || variant.apply_chat_template;
    shots = shots || variant.num_fewshot > 0;
    EXPECT_EQ(variant.fewshot_split, "train") << variant.name;
  }
  EXPECT_TRUE(chat && shots) << "the baselines include the chat template and a few-shot prompt";
}

TEST(ConfigsTest, TheClassicRecipeIsTheClassicRecipe) {
  const auto train = ReadConfig<TrainConfig>((kConfigs / "gpt2_qa_finetune.yaml").string(), {});
  EXPECT_EQ(train.epochs, 3);
  EXPECT_EQ(train.batching.global_batch.examples, 16);
  EXPECT_EQ(train.optimizer.weight_decay, 0.01);
  EXPECT_EQ(train.schedule.kind, "linear");
  EXPECT_GT(train.schedule.warmup_ratio, 0);
}

// BREAKEVEN_UPDATE=1 launch_tests writes the file anew.
TEST(ConfigsTest, TheReferenceIsUpToDate) {
  const std::string path = (kConfigs / "REFERENCE.md").string();
  const std::string expected = ConfigReference();
  if (std::getenv("BREAKEVEN_UPDATE") != nullptr) WriteFileDurably(path, expected);
  EXPECT_TRUE(ReadFile(path) == expected)
      << path << " is not what the config structs say; run BREAKEVEN_UPDATE=1 "
      << BREAKEVEN_BINARY_DIR << "/tests/launch_tests --gtest_filter=ConfigsTest.TheReference*";
  for (const char* key : {"`optimizer.learning_rate`", "`prompts.variants.0.num_fewshot`",
                          "`models`", "`max_new_tokens`"}) {
    EXPECT_THAT(expected, HasSubstr(key));
  }
}

}  // namespace
}  // namespace breakeven
