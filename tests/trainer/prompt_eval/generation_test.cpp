// `breakeven generate` as a whole; tests/parity/test_generate.py runs transformers beside it.
#include "trainer/prompt_eval/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "comm/base/error.h"
#include "comm/world.h"
#include "data_pipeline/tokenizer/tokenizer.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_model.h"
#include "trainer/prompt_eval/requests.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;

class GenerationTest : public ::testing::Test {
 protected:
  GenerationTest() {
    WriteTinyModel(folder_.path());
    config_.model = folder_.path();
    config_.prompts = {"the cat", ""};
    config_.max_new_tokens = 3;
    config_.threads = 1;
  }

  std::vector<Generation> Generate() const {
    std::vector<Generation> generations;
    RunThreadWorld(1, [&](World& world) { generations = RunGeneration(config_, world); });
    return generations;
  }

  const TempFolder folder_;
  GenerateConfig config_;
};

TEST_F(GenerationTest, AnEmptyPromptStartsFromThePrefixToken) {
  const std::vector<Generation> generations = Generate();
  ASSERT_EQ(generations.size(), 2u);
  EXPECT_EQ(generations[0].prompt, "the cat");
  EXPECT_EQ(generations[1].prompt, "");
  EXPECT_GE(generations[1].tokens.size(), 1u);
}

// The words that an evaluation has for it (requests_test.cpp), and which prompt it is.
TEST_F(GenerationTest, WithNeitherBosNorEosAnEmptyPromptIsAnError) {
  tiny_model::Write(folder_.path(), "tokenizer_config.json", "{}");
  std::string of_evaluation = "no error";
  try {
    PromptTokens(*Tokenizer::Load(folder_.path()), "");
  } catch (const Error& error) {
    of_evaluation = error.what();
  }
  EXPECT_THAT(of_evaluation, HasSubstr("has neither a BOS nor an EOS token"));
  std::string message = "no error";
  try {
    Generate();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    message = error.what();
  }
  EXPECT_THAT(message, HasSubstr("prompt 1 (counted from 0): " + of_evaluation));
}

}  // namespace
}  // namespace breakeven
