#include "launch/config_grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "launch/yaml_reader.h"
#include "tests/support/temp_folder.h"
#include "trainer/prompt_eval/eval_config.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;

VariantsConfig Read(const std::string& text) {
  const TempFolder folder;
  const std::string path = folder / "variants.yaml";
  WriteFileDurably(path, text);
  return ReadConfig<VariantsConfig>(path, {});
}

std::string ErrorOf(const std::string& text) {
  try {
    Read(text);
    return "no error";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(ConfigGridTest, EveryCombinationIsAVariantWithAReadableName) {
  const VariantsConfig prompts = Read(R"(
variants: [{name: own}]
grid:
  template: {plain: {}, asked: {doc_to_text: "Which? {{ q }}"}}
  shots: {zero: {}, four: {num_fewshot: 4, fewshot_sampler: balanced}}
  chat: {text: {}, chat: {apply_chat_template: true}}
)");
  std::vector<std::string> names;
  for (const PromptConfig& variant : prompts.variants) names.push_back(variant.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"own", "plain-zero-text", "plain-zero-chat",
                                      "plain-four-text", "plain-four-chat", "asked-zero-text",
                                      "asked-zero-chat", "asked-four-text", "asked-four-chat"}));
  EXPECT_EQ(prompts.variants[8].doc_to_text, "Which? {{ q }}");
  EXPECT_EQ(prompts.variants[8].num_fewshot, 4);
  EXPECT_TRUE(prompts.variants[8].apply_chat_template);
  EXPECT_FALSE(prompts.variants[7].apply_chat_template);
  EXPECT_TRUE(prompts.grid.empty());
}

TEST(ConfigGridTest, NamesWhatIsWrong) {
  EXPECT_THAT(ErrorOf("grid: {a: {x: {num_fewshot: 1}}, b: {y: {num_fewshot: 2}}}"),
              HasSubstr("axis 'b' sets 'num_fewshot', which another axis sets too"));
  EXPECT_THAT(ErrorOf("grid: {a: {}}"), HasSubstr("axis 'a' is an empty map"));
  EXPECT_THAT(ErrorOf("grid: [1]"), HasSubstr("expected axes"));
  EXPECT_THAT(ErrorOf("grid: {a: {x: {num_fewshots: 1}}}"), HasSubstr("'num_fewshots'"));
  EXPECT_THAT(ErrorOf("grid: {a: {x: {name: z}}}"), HasSubstr("leave name out"));
}

}  // namespace
}  // namespace breakeven
